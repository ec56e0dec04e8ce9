"""The section on what `bptt measure` found: its figures, and medians for each setting."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bptt.analysis.report.document import Column, Element, Figures, Mono, Paragraph, Section, ShownTable, Span
from bptt.analysis.report.findings import Findings
from bptt.analysis.tables import FIRST, shorten_keys

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.figures import SweepFigure

#: What the table has of each setting, as far as it was measured: column and heading.
_SHOWN: Final = {
    "dynamics/lyapunov_max": "largest exponent",
    "dynamics/kaplan_yorke": "dimension",
    "dynamics/singular_max": "largest singular value",
    "dynamics/singular_min": "smallest singular value",
    "dynamics/sharpness": "sharpness",
    "dynamics/sharpness_ratio": "share of the largest stable sharpness",
    "dynamics/fixed_points_stable": "stable fixed points",
    "dynamics/noise_scale": "noise scale",
    "dynamics/truncation_cosine": "cosine with the whole gradient",
}


def write_dynamics(findings: Findings, drawn: "Sequence[SweepFigure]") -> Section:
    """What was measured of the networks, at their start, at their end and in between."""
    measures = findings.sweep.measures
    runs, updates = measures["run"].nunique(), sorted(measures["update"].unique().tolist())
    when = (
        f"after {len(updates)} updates from {updates[0]:,} to {updates[-1]:,}"
        if len(updates) > 1
        else (f"after update {updates[0]:,}")
    )
    opening: tuple[Span, ...] = (
        f"Measured of the weights of {runs:,} run{'s'[: runs != 1]}, {when} (0 is the start), by ",
        Mono("bptt measure"),
        ": along sequences of the training data, the same ones for a run whatever the update. Exponents are natural"
        " logarithms per timestep; above 0 neighbouring states part and gradients explode, below 0 they fade.",
    )
    table = tabulate_medians(findings)
    elements: list[Element] = [Paragraph(opening), *([Figures(drawn)] if drawn else [])]
    if len(table):
        elements.append(_show_table(findings, table))
    return Section("dynamics", "Dynamics", elements)


def tabulate_medians(findings: Findings) -> "pd.DataFrame":
    """A row per setting, in the order of the sweep, with the medians of what was measured of its runs."""
    runs = findings.runs[findings.runs["outcome"].notna()]
    names = [
        name for shown in _SHOWN for name in (f"{FIRST}{shown}", shown) if name in runs and runs[name].notna().any()
    ]
    grouped = runs.groupby([*findings.labels, *findings.keys], sort=False, dropna=False)
    return grouped[names].median().reset_index() if names else runs.iloc[:0]


def _show_table(findings: Findings, table: "pd.DataFrame") -> ShownTable:
    short = shorten_keys(findings.keys)
    keys = [Column(key, short[key], "exact" if table[key].dtype.kind in "iuf" else "text") for key in findings.keys]
    columns = keys or [Column("setting", "setting")]
    for shown, heading in _SHOWN.items():
        for name, when in ((f"{FIRST}{shown}", "start"), (shown, "end")):
            if name in table:
                columns.append(Column(name, f"{heading}, {when}", "number"))
    caption: tuple[Span, ...] = (
        "Medians over the runs that have ended; the measure of a run that diverged counts where there is a number.",
    )
    return ShownTable("dynamics", "Dynamics by setting", caption, table, columns)
