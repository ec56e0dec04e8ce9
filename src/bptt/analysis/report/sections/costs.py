"""The section on what settings cost, where updates do not tell it."""

from bptt.analysis.report.document import Column, Mono, Section, ShownTable, Span
from bptt.analysis.report.findings import Findings
from bptt.analysis.work import costs_differ, tabulate_work


def write_costs(findings: Findings) -> list[Section]:
    """The settings by what they cost; none where an update costs all of them as many gradient evaluations."""
    sweep = findings.sweep
    if not costs_differ(sweep.runs):
        return []
    frame = tabulate_work(sweep.runs, sweep.history, sweep.swept, findings.conditions)
    solves = bool(frame["solved"].any())
    caption: tuple[Span, ...] = (
        "An update of one setting is no update of another: ",
        Mono("work/gradients"),
        " counts gradient evaluations, each of a batch as large as the setting's, ",
        Mono("work/seconds"),
        " is the processor time of the updates, on this machine and beside the lanes that a run was trained with.",
        " Until half of a setting's runs had solved the task: the median of Kaplan and Meier's estimate with its 95 %"
        " interval; – means that fewer than half did."
        if solves
        else "",
    )
    columns = [
        *([Column("condition", "condition")] if "condition" in frame else []),
        Column("setting", "setting"),
        *([Column("solved", "solved", "count", of="ended")] if solves else []),
        Column("gradients_per_update", "gradients per update", "number"),
        Column("seconds_per_update", "seconds per update", "number"),
    ]
    if solves:
        columns += [
            Column(name, f"{heading} to solve", form, f"{name}_low", f"{name}_high", f"{name}_after")  # type: ignore[arg-type]
            for name, heading, form in (
                ("updates", "updates", "count"),
                ("gradients", "gradients", "count"),
                ("seconds", "seconds", "number"),
            )
            if name in frame
        ]
    return [Section("costs", "What it cost", [ShownTable("costs", "What each setting cost", caption, frame, columns)])]
