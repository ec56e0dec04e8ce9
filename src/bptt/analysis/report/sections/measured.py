"""The sections on what was measured: how well the start foretells which runs will be solved, and how many runs come to
the edge of stability.
"""

from bptt.analysis.foretelling import Start
from bptt.analysis.report.document import Column, Element, Heading, Paragraph, Section, ShownTable
from bptt.analysis.report.findings import Findings
from bptt.analysis.stability import NEAR, Stability
from bptt.analysis.statistics.conclusions import MARGIN


def write_start(findings: Findings) -> list[Section]:
    """What the start foretells; none where it was not measured, or all runs were solved, or none."""
    start = Start(findings.sweep)
    if not start.is_measured:
        return []
    elements: list[Element] = [Paragraph((" ".join(start.leading),)), _write_how(start), _tabulate_overall(start)]
    if len(start.conditions) > 1:
        elements += [Heading("By condition"), _tabulate_conditions(start)]
    return [Section("start", "What the start foretells", elements)]


def _write_how(start: Start) -> Paragraph:
    conditions = " of one condition" if len(start.conditions) > 1 else ""
    return Paragraph(
        (
            "Numbers of untrained networks, from their first weights and, of gradients and spectral radii, from the"
            " first recorded update. How well each foretells which runs will be solved is the area under its ROC curve:"
            f" the probability that of a solved and an unsolved run{conditions} the solved one has the larger number,"
            " ties counted half. 50 % foretells nothing; 0 % and 100 % would tell all runs apart. Intervals are over"
            " seeds, as runs with one seed have the same draws of weights and data.",
        )
    )


def _tabulate_overall(start: Start) -> ShownTable:
    table = start.overall
    several = len(start.conditions) > 1
    caption = (
        f"The intervals allow for all {len(table)} quantities together. “Next to nothing” means that the whole interval"
        f" lies within 50 ± {100 * MARGIN:.0f} %. Within one setting, runs differ in their seed alone: what a quantity"
        " foretells there it does not owe to what was swept.",
    )
    columns = [
        Column("predictor", "at the start"),
        Column("symbol", ""),
        Column("told", "solved are rather those with"),
        Column("area", "area under the curve", "share", "area_low", "area_high"),
        Column("within", "within one setting", "share", "within_low", "within_high"),
        Column("runs", "runs", "count"),
        Column("seeds", "seeds", "count"),
        *([Column("conditions", "conditions that tell", "count")] if several else []),
    ]
    told = {
        "larger": "a larger one",
        "smaller": "a smaller one",
        "nothing": "next to nothing",
        "unsettled": "not settled",
        "silent": "can't tell",
    }
    return ShownTable(
        "start", "What the start foretells", caption, table.assign(told=table["outcome"].map(told)), columns
    )


def _tabulate_conditions(start: Start) -> ShownTable:
    table = start.by_condition
    caption = (
        f"The intervals allow for all {int(table['area'].notna().sum())} areas together. – where all runs of a"
        " condition were solved, or none.",
    )
    columns = [
        Column("condition", "condition"),
        Column("symbol", "at the start"),
        Column("area", "area under the curve", "share", "area_low", "area_high"),
        Column("solved", "solved", "count", of="runs"),
    ]
    return ShownTable("start_conditions", "What the start foretells, by condition", caption, table, columns)


def write_stability(findings: Findings) -> list[Section]:
    """How many runs are at the edge of stability; none where sharpness was not measured along the training."""
    stability = Stability(findings.sweep)
    if not stability.is_measured:
        return []
    how = (
        "Sharpness is the largest eigenvalue of the training loss's Hessian, on the batch of the first update. Gradient"
        " descent is stable on a quadratic loss while it is below 2/α, with momentum ε below 2(1 + ε)/α. Cohen et al."
        " (2021) find that, on all of a training set, it rises to there and stays there while the loss goes on falling:"
        " the edge of stability. A run is there at the end where the median of what was measured over the last quarter"
        f" of its updates is at least {100 * NEAR:.0f} % of that; one that diverged is not."
    )
    elements: list[Element] = [Paragraph((stability.leading,)), Paragraph((how,)), _tabulate_edges(stability)]
    return [Section("stability", "The edge of stability", elements)]


def _tabulate_edges(stability: Stability) -> ShownTable:
    table = stability.settings
    several = len(table) > 1
    caption = (
        "Sharpness as a share of the largest stable one, before training and over the last quarter of updates, medians"
        " over runs; the latter with a BCa bootstrap interval. Shares of runs have Clopper and Pearson's interval"
        f"{f', which allows for all {len(table)} rows' if several else ''}.",
    )
    columns = [
        *([Column("condition", "condition")] if table["condition"].any() else []),
        *([Column("setting", "setting")] if table["setting"].any() else []),
        Column("runs", "runs", "count"),
        Column("reached_share", "reach the edge", "share", "reached_share_low", "reached_share_high"),
        Column("at_edge_share", "at the edge at the end", "share", "at_edge_share_low", "at_edge_share_high"),
        *([Column("diverged", "diverged", "count")] if table["diverged"].any() else []),
        Column("start", "before training", "number"),
        Column("rest", "at the end", "number", "rest_low", "rest_high"),
    ]
    return ShownTable("stability", "Sharpness at the end of training", caption, table, columns)
