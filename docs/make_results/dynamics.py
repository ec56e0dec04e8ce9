"""What was measured of networks: what the start foretells, and whether training comes to the edge of stability."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from bptt.analysis.stability import NEAR
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import choose_figure, join, write_link, write_section, write_table


def write_sections(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections in Markdown, from the tables of every sweep."""
    yield _write_start(every["predict_from_start"])
    yield _write_stability(every["edge_of_stability"])


def _write_start(tables: Tables) -> str:
    table = tables.read("start")
    sure = table[table["outcome"].isin(["larger", "smaller"])]
    finding = "What of it foretells which runs will be solved is not settled by these runs."
    if len(sure):
        best = sure.loc[(sure["area"] - 0.5).abs().idxmax()]
        finding = str(best["sentence"])
    silent = table[table["outcome"].isin(["nothing", "unsettled"])]
    rest = " ".join(silent["sentence"])
    rows = [
        [f"{row['predictor']}, {_escape(row['symbol'])}", *(_write_area(row, name) for name in ("area", "within"))]
        for row in table.to_dict("records")
    ]
    detail = f"""{rest} {_judge_within(table)}

Of a solved and an unsolved run of one task, length and cell, how often the solved one has the larger number, ties
counted half: over all starts, and among runs of one start, which differ in their seed alone. Half foretells nothing.
Intervals are over seeds, and allow for all {len(table)} quantities.

{write_table(["at the start", "over all starts", "within one start"], rows)}
"""
    return write_section(
        "What the start foretells",
        "Can it be seen before training which networks will learn: by their largest Lyapunov exponent, their spectral"
        " radius, the decay of their gradient, or the regularizer Ω?",
        finding,
        choose_figure(tables, "start"),
        detail,
        write_link(tables),
    )


def _judge_within(table: pd.DataFrame) -> str:
    """What foretells something among runs of one start, as far as intervals say."""
    sides = {"larger": table["within_low"] > 0.5, "smaller": table["within_high"] < 0.5}
    told = [f"whose {name} is {side}" for side, chosen in sides.items() for name in table.loc[chosen, "predictor"]]
    among = "Among runs of one start, which differ in their seed alone, those are solved rather"
    if told:
        return f"{among} {join(told)}; of the other quantities that is not settled."
    return "Among runs of one start, which differ in their seed alone, none is shown to foretell it."


def _escape(symbol: object) -> str:
    """For a table's cell."""
    return str(symbol).replace("|", r"\|")


def _write_area(row: Mapping[object, object], name: str) -> str:
    value, low, high = (float(str(row[f"{name}{end}"])) for end in ("", "_low", "_high"))
    return "–" if value != value else f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _write_stability(tables: Tables) -> str:
    table = tables.read("stability")
    conditions = list(dict.fromkeys(table["condition"]))
    reached, stay = (
        join([f"{_count(table[table['condition'] == one], column)} runs on {_name(one)}" for one in conditions])
        for column in ("reached", "at_edge")
    )
    columns = ["reached", "at_edge", "diverged"]
    rows = [
        [
            f"{_name(row['condition'])}, {row['setting']}",
            *(f"{row[column]}/{row['runs']}" for column in columns),
            _write_median(row["rest"], row["rest_low"], row["rest_high"]),
        ]
        for row in table.to_dict("records")
    ]
    headings = ["task, optimizer", "reach it", "stay there", "diverge", "share of the bound at the end, median"]
    detail = f"""A sharpness of at least {100 * NEAR:.0f} % of that is reached by {reached}; over the last quarter of
training it is that of {stay}.

{write_table(headings, rows)}
"""
    return write_section(
        "The edge of stability",
        "Cohen et al. (2021): trained by gradient descent on all data at once, the sharpness of a loss rises to 2/α,"
        " with momentum to 2(1 + ε)/α, and hovers there. Does it, of recurrent networks?",
        _judge(table, conditions),
        choose_figure(tables, "dynamics_sharpness_along"),
        detail,
        write_link(tables),
    )


def _judge(table: pd.DataFrame, conditions: Sequence[str]) -> str:
    """On which tasks most runs stay at the edge, as far as intervals say."""
    shares = {_name(one): _count(table[table["condition"] == one], "at_edge").interval for one in conditions}
    most = [name for name, share in shares.items() if share.low > 0.5]
    few = [name for name, share in shares.items() if share.high < 0.5]
    open_ = [name for name in shares if name not in (*most, *few)]
    told = [f"most runs stay at that edge on {join(most)}"] if most else []
    told += [f"fewer than half of the runs stay at that edge on {join(few)}"] if few else []
    told += [f"on {join(open_)} it is not settled whether most do"] if open_ else []
    text = "; ".join(told)
    return f"{text[:1].upper()}{text[1:]}."


def _count(rows: pd.DataFrame, column: str) -> Share:
    return Share(int(rows[column].sum()), int(rows["runs"].sum()))


def _name(condition: object) -> str:
    """`sine` of `task=sine`."""
    return str(condition).partition(" ")[0].rpartition("=")[2]


def _write_median(value: float, low: float, high: float) -> str:
    if value != value:
        return "–"
    return f"{value:.3g}" + ("" if low != low else f" ({low:.3g} to {high:.3g})")
