"""The section on what a sweep chose: the values that were tuned, and the best setting on fresh seeds."""

import shlex
from typing import TYPE_CHECKING, Final

from bptt.analysis.choosing import RULE
from bptt.analysis.chosen import count_settings, tabulate_confirmation, tabulate_tuning
from bptt.analysis.report.document import Column, Element, Heading, Listing, Section, Table
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.repeating import name_source
from bptt.analysis.tables import SEED, shorten_keys

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

_MOST: Final = 40


def write_choices(findings: Findings) -> list[Section]:
    """What was tuned and confirmed; without either, of which settings the best is the best; none of one setting."""
    sweep = findings.sweep
    elements = [*_write_tuning(sweep), *_write_confirmation(sweep)]
    return [Section("choices", "What was chosen", elements)] if elements else []


def _write_tuning(sweep: "Sweep") -> list[Element]:
    table = tabulate_tuning(sweep)
    if table.empty:
        return []
    tuning = sweep.stages["tuning"].runs
    short = shorten_keys(sweep.tuned)
    seeds = tuning[SEED].nunique() if SEED in tuning else 1
    tried = int(table.groupby([name for name in ("condition", "setting") if name in table]).size().max())
    caption = (
        f"Each setting was trained with {tried} {'values' if len(sweep.tuned) == 1 else 'combinations of values'} on"
        f" {seeds} seeds that no other run has, and took the best one, {RULE}. The results are of other seeds. The CSV"
        " file has all that were tried.",
    )
    chosen = table[table["chosen"]].reset_index(drop=True)
    columns = [
        *([Column("condition", "condition")] if "condition" in table else []),
        Column("setting", "setting"),
        *(Column(key, short[key], "exact" if table[key].dtype.kind in "iuf" else "text") for key in sweep.tuned),
        Column("success", "solved while tuned", "share"),
        Column("loss", "last loss, median", "number"),
        *([Column("edge", "edge of what was tried")] if (chosen["edge"] != "").any() else []),
    ]
    # The rows that were chosen come first, which are those that a reader sees.
    frame = table.sort_values("chosen", ascending=False, kind="stable", ignore_index=True)
    shown = Table("tuning", "Tuned values", caption, frame, columns, most=len(chosen))
    return [Heading("Tuned values"), shown]


def _write_confirmation(sweep: "Sweep") -> list[Element]:
    table = tabulate_confirmation(sweep)
    if table.empty:
        return _write_unconfirmed(sweep)
    solves = bool(table["solved"].any() or table["fresh_solved"].any())
    name, heading, form = ("success", "share solved", "share") if solves else ("loss_median", "last loss", "number")
    columns = [
        *([Column("condition", "condition")] if "condition" in table else []),
        Column("setting", "best setting"),
        Column("of", "of", "count"),
        Column(name, f"{heading}, where picked", form, f"{name}_low", f"{name}_high"),  # type: ignore[arg-type]
        Column(f"fresh_{name}", f"{heading}, fresh seeds", form, f"fresh_{name}_low", f"fresh_{name}_high"),  # type: ignore[arg-type]
        Column("fresh_ended", "fresh runs", "count"),
    ]
    caption = (
        f"The best setting of each condition, {RULE}, trained again on seeds that nothing else has. What was picked as"
        " the best of several owes some of that to its seeds; the fresh ones tell how it does.",
    )
    return [
        Heading("The best one, confirmed"),
        Table("confirmation", "The best one, confirmed", caption, table, columns),
    ]


def _write_unconfirmed(sweep: "Sweep") -> list[Element]:
    settings = count_settings(sweep)
    if settings < 2 or sweep.folder is None:
        return []
    told = (
        f"The best setting is the best of {settings}{' of its condition' if sweep.conditions else ''}, on the same"
        " runs: it owes some of that to its seeds. This trains it on fresh ones:",
    )
    return [Listing(shlex.join(["bptt", "confirm", name_source(sweep)]), told)]
