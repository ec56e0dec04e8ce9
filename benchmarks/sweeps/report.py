"""The tables that a person reads, and the file that a program reads."""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import name_processor
from benchmarks.report import write_number
from benchmarks.sweeps.findings import Finding, Target
from benchmarks.sweeps.phases import PHASES, Breakdown
from benchmarks.sweeps.rounds import Measurement
from benchmarks.sweeps.timers import TRAINING

_QUIET = 0.03  # share of the cores above which the table says that others used them
_PACKAGES = ("numpy", "numba", "llvmlite", "hydra-core", "joblib", "mlflow", "pyarrow", "sqlalchemy", "torch")


def describe_machine() -> dict[str, object]:
    """What a reader must know to place the figures; nothing that names the machine or its user."""
    import bptt
    from bptt.core.simd import WIDTH

    return {
        "processor": name_processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "vector_width": WIDTH,
        "versions": {"bptt": bptt.__version__} | {name: found for name in _PACKAGES if (found := _find_version(name))},
    }


def show(measured: Measurement, judged: bool, console: Console) -> None:
    """Print the tables.

    judged  whether the sizes are those that the targets are meant for
    """
    if measured.findings:
        console.print(_tabulate_findings(measured.findings, judged))
    for breakdown in measured.phases:
        console.print(_tabulate_phases(breakdown))
    if measured.others > _QUIET:
        console.print(f"Not quiet: other programs took up to {measured.others:.0%} of the cores.")


def _tabulate_findings(findings: Sequence[Finding], judged: bool) -> Table:
    table = Table(title="bptt's sweeps: median (min–max) of the rounds")
    for column in ("measure", "quantity", "unit", "found", "target"):
        table.add_column(column, justify="right" if column in ("found", "target") else "left")
    before = ""
    for finding in findings:
        if before not in ("", finding.measure):
            table.add_section()
        values = finding.values
        found = f"{write_number(values.median)} ({write_number(values.lowest)}–{write_number(values.highest)})"
        table.add_row(
            "" if finding.measure == before else finding.measure,
            finding.quantity,
            finding.unit,
            found,
            write_verdict(finding.target, values.median, judged),
        )
        before = finding.measure
    return table


def _tabulate_phases(found: Breakdown) -> Table:
    caption = f"{found.accounted:.1%} of the time is accounted for"
    if found.workers > 1:
        each = found.of(TRAINING).cpu / found.workers
        caption += f"; training takes {write_number(each)} s of processor time on each of {found.workers} cores"
    table = Table(title=f"{found.side}: where the time of {found.runs:,} runs goes", caption=caption)
    for column in ("phase", "s", "beside, s", "processor, s", "a run, ms", "processor, ms"):
        table.add_column(column, justify="left" if column == "phase" else "right")
    for phase in found.phases:
        numbers = (phase.seconds, phase.beside, phase.cpu, *(1e3 * s / found.runs for s in (phase.seconds, phase.cpu)))
        table.add_row(PHASES[phase.name], *(write_number(value) if value else "" for value in numbers))
    table.add_section()
    totals = (found.seconds, found.cpu, 1e3 * found.seconds / found.runs, 1e3 * found.cpu / found.runs)
    seconds, *others = map(write_number, totals)
    table.add_row("together", seconds, "", *others)
    return table


def write_verdict(target: Target | None, median: float, judged: bool) -> str:
    """'≤ 90 ✓'; without a mark where the sizes are others than the target's."""
    if target is None:
        return ""
    bound = f"{'≥' if target.at_least else '≤'} {target.bound:g}"
    return f"{bound} {'✓' if target.reached(median) else '✗'}" if judged else bound


def write(path: Path, measured: Measurement, judged: bool, machine: Mapping[str, object], method: object) -> None:
    """Everything as JSON."""
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine,
        "method": method,
        "others_share_of_cores": round_value(measured.others),
        "findings": [round_value(_as_json(finding, judged)) for finding in measured.findings],
        "phases": [round_value(breakdown.as_json()) for breakdown in measured.phases],
        "growth": [round_value(dataclasses.asdict(point)) for point in measured.growth],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _as_json(finding: Finding, judged: bool) -> dict[str, object]:
    """reached: whether the target is; None where there is none, or it is meant for other sizes."""
    reached = finding.target.reached(finding.values.median) if finding.target is not None and judged else None
    return dataclasses.asdict(finding) | {"reached": reached}


def round_value(value: object) -> object:
    """Four significant digits are more than the spread supports."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return {key: round_value(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _find_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
