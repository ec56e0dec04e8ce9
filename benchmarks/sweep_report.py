"""The table of a sweep's figures that a person reads, and the file that a program reads."""

import dataclasses
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import processor
from benchmarks.sweep_findings import Finding, Target

FOLDER = Path(__file__).parent / "results"
_QUIET = 0.03  # share of the cores above which the table says that others used them
_PACKAGES = ("numpy", "numba", "llvmlite", "hydra-core", "joblib", "mlflow", "pyarrow", "sqlalchemy", "torch")


def default_path() -> Path:
    """benchmarks/results/<date>-<processor>-sweeps.json"""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return FOLDER / f"{datetime.now(UTC):%Y-%m-%d}-{slug}-sweeps.json"


def machine() -> dict[str, object]:
    """What a reader must know to place the figures; nothing that names the machine or its user."""
    import bptt
    from bptt.core.simd import WIDTH

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "vector_width": WIDTH,
        "versions": {"bptt": bptt.__version__} | {name: found for name in _PACKAGES if (found := _version(name))},
    }


def show(findings: Sequence[Finding], others: float, judged: bool, console: Console) -> None:
    """Print the table.

    others  the largest share of the cores that other programs had
    judged  whether the sizes are those that the targets are meant for
    """
    table = Table(title="bptt's sweeps: median (min–max) of the rounds")
    for column in ("measure", "quantity", "unit", "found", "target"):
        table.add_column(column, justify="right" if column in ("found", "target") else "left")
    before = ""
    for finding in findings:
        if before not in ("", finding.measure):
            table.add_section()
        values = finding.values
        found = f"{_number(values.median)} ({_number(values.lowest)}–{_number(values.highest)})"
        table.add_row(
            "" if finding.measure == before else finding.measure,
            finding.quantity,
            finding.unit,
            found,
            verdict(finding.target, values.median, judged),
        )
        before = finding.measure
    console.print(table)
    if others > _QUIET:
        console.print(f"Not quiet: other programs took up to {others:.0%} of the cores.")


def verdict(target: Target | None, median: float, judged: bool) -> str:
    """'≤ 90 ✓'; without a mark where the sizes are others than the target's."""
    if target is None:
        return ""
    bound = f"{'≥' if target.at_least else '≤'} {target.bound:g}"
    return f"{bound} {'✓' if target.reached(median) else '✗'}" if judged else bound


def write(
    path: Path, findings: Sequence[Finding], others: float, machine: Mapping[str, object], method: object
) -> None:
    """Everything as JSON."""
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine,
        "method": method,
        "others_share_of_cores": rounded(others),
        "findings": [rounded(dataclasses.asdict(finding)) for finding in findings],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(value: object) -> object:
    """Four significant digits are more than the spread supports."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
