"""The table that a person reads, and the file that a program reads."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import processor
from benchmarks.measure import Spread
from benchmarks.start import TARGETS, Start
from benchmarks.suite import OTHERS, Result

FOLDER = Path(__file__).parent / "results"
_QUIET = 0.97  # share of the core below which the table says so
_TITLES = {"ours": "bptt", "torch": "PyTorch", "jax": "JAX"}


def default_path() -> Path:
    """benchmarks/results/<date>-<processor>.json"""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return FOLDER / f"{datetime.now(UTC):%Y-%m-%d}-{slug}.json"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _spread(value: Spread) -> str:
    return f"{_number(value.median)} ({_number(value.lowest)}–{_number(value.highest)})"


def _verdict(target: float | None, reached: float) -> str:
    return "" if target is None else f"≥ {target:g} × {'✓' if reached >= target else '✗'}"


def show_results(results: Sequence[Result], console: Console) -> None:
    """Print the table of ratios."""
    table = Table(title="µs per lane and update: median (min–max) of alternating rounds, one core, float64")
    for column in ("workload", "lanes", *_TITLES.values()):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for side in OTHERS:
        table.add_column(f"{_TITLES[side]} ÷ bptt", justify="right")
        table.add_column("target", justify="right")
    for result in results:
        cells = [result.name, str(result.lanes), *(_spread(result.micros[side]) for side in _TITLES)]
        for side in OTHERS:
            ratio = result.ratios[side]
            cells += [_spread(ratio), _verdict(result.targets.get(side), ratio.median)]
        table.add_row(*cells)
    console.print(table)
    least = min(result.core_share for result in results)
    if least < _QUIET:
        console.print(f"Not quiet: other programs took up to {1 - least:.0%} of the core.")


def show_start(start: Start | None, console: Console) -> None:
    if start is not None:
        console.print(
            f"bptt train experiment=roelants_counting: {_spread(start.warm)} s (target < {TARGETS['warm']:g} s); the "
            f"first time ever {start.cold:.1f} s, of which {start.compiling:.1f} s compile "
            f"(target ≤ {TARGETS['cold']:g} s)"
        )


def write(
    path: Path,
    results: Sequence[Result],
    start: Start | None,
    machine: Mapping[str, object],
    method: Mapping[str, object],
) -> None:
    """Everything as JSON. Units: µs per lane and update; seconds for the starts and JAX's compile time."""
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine,
        "method": method,
        "results": [dataclasses.asdict(result) for result in results],
        "start": None if start is None else dataclasses.asdict(start) | {"targets": TARGETS},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _rounded(value: object) -> object:
    """Four significant digits are more than the spread supports."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
