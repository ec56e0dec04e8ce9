"""The tables that a person reads, and the files that a program reads."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.cores import TARGET, Cores
from benchmarks.machine import name_processor
from benchmarks.measure import Spread
from benchmarks.start import COMMAND, TARGETS, Start

if TYPE_CHECKING:
    from benchmarks.limit import Rates
    from benchmarks.records import Evaluated, Recorded
    from benchmarks.suite import Result

FOLDER = Path(__file__).parent / "results"
_QUIET = 0.97  # share of the core below which the table says so
_TITLES = {"ours": "bptt", "torch": "PyTorch", "torch32": "PyTorch, float32", "jax": "JAX", "cpp": "C++"}


def choose_path(suffix: str = "") -> Path:
    """benchmarks/results/<date>-<processor><suffix>.json"""
    slug = re.sub(r"[^a-z0-9]+", "-", name_processor().lower()).strip("-")
    return FOLDER / f"{datetime.now(UTC):%Y-%m-%d}-{slug}{suffix}.json"


def write_number(value: float) -> str:
    """Three digits, of a large number all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _write_spread(value: Spread) -> str:
    return f"{write_number(value.median)} ({write_number(value.lowest)}–{write_number(value.highest)})"


def _write_verdict(target: float | None, reached: float, unit: str = " ×") -> str:
    return "" if target is None else f"≥ {target:g}{unit} {'✓' if reached >= target else '✗'}"


def show_results(results: "Sequence[Result]", console: Console) -> None:
    """Print the table of times and ratios."""
    table = Table(title="µs per lane and update: median (min–max) of alternating rounds, one core, float64")
    sides = [side for side in _TITLES if any(side in result.micros for result in results)]
    for column in ("workload", "lanes", *(_TITLES[side] for side in sides)):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for title in (*(f"{_TITLES[side]} ÷ bptt" for side in sides[1:]), "limit ÷ bptt", "targets"):
        table.add_column(title, justify="right")
    for result in results:
        micros = [_write_spread(result.micros[side]) if side in result.micros else "" for side in sides]
        ratios = [_write_spread(result.ratios[side]) if side in result.ratios else "" for side in sides[1:]]
        table.add_row(
            *(result.name, str(result.lanes), *micros, *ratios, f"{result.share.median:.0%}", _write_verdicts(result))
        )
    console.print(table)
    least = min(result.core_share for result in results)
    if least < _QUIET:
        console.print(f"Not quiet: other programs took up to {1 - least:.0%} of the core.")


def _write_verdicts(result: "Result") -> str:
    ahead = min(result.ratios[side].median for side in ("torch", "jax") if side in result.ratios)
    reached = {"micros": -result.micros["ours"].median, "best": ahead, "limit": result.share.median}
    written = {"micros": "≤ {:g} µs", "best": "≥ {:g} ×", "limit": "≥ {:.0%}"}
    return ", ".join(
        f"{written[what].format(aim)} {'✓' if reached[what] >= (-aim if what == 'micros' else aim) else '✗'}"
        for what, aim in result.targets.items()
    )


def show_records(evaluations: "Sequence[Evaluated]", records: "Sequence[Recorded]", console: Console) -> None:
    """Print what a sweep does beside training."""
    table = Table(title="evaluating, µs per sequence: median (min–max)")
    ratios = "PyTorch ÷ bptt", "JAX ÷ bptt", "C++ ÷ bptt"
    for column in ("workload", "lanes", "bptt", "PyTorch", "JAX", *ratios, "target"):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for one in evaluations:
        spreads = [one.micros[side] for side in ("ours", "torch", "jax")]
        spreads += [one.ratios[side] for side in ("torch", "jax", "cpp") if side in one.ratios]
        met = (
            "" if one.target is None else f"≤ {one.target:g} {'✓' if one.micros['ours'].median <= one.target else '✗'}"
        )
        plain = [] if "cpp" in one.ratios else [""]
        table.add_row(one.name, str(one.lanes), *(_write_spread(spread) for spread in spreads), *plain, met)
    console.print(table)
    for record in records:
        console.print(
            f"a record of the {record.name}, lanes {record.lanes}, evaluated on {record.sequences} sequences: "
            f"{_write_spread(record.micros)} µs a run"
        )


def show_limit(rates: "Rates", console: Console) -> None:
    functions = ", ".join(f"{name} {value:.2g} ns" for name, value in rates.functions.items())
    console.print(f"The machine's limit: {rates.gflops:.0f} GFLOP/s of multiply-adds; a number's {functions}.")


def show_cores(found: Sequence[Cores], console: Console) -> None:
    for one in found:
        verdict = _write_verdict(TARGET, one.gain.median)
        console.print(f"two cores against one, {one.name}, {one.lanes} lanes: {_write_spread(one.gain)} ×, {verdict}")


def show_start(start: Start, console: Console) -> None:
    console.print(
        f"bptt {' '.join(COMMAND)}: first update after {_write_spread(start.first_update)} s, "
        f"all of it {_write_spread(start.warm)} s (target ≤ {TARGETS['warm']:g} s); the first time ever "
        f"{start.cold:.1f} s, of which {start.compiling:.1f} s compile (target ≤ {TARGETS['cold']:g} s)"
    )


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Everything as JSON. Units: µs per lane and update; seconds of starts and compiling; nanoseconds of rates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | _round_values(found)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _round_values(value: Any) -> Any:
    """Four significant digits are more than the spread supports."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _round_values(dataclasses.asdict(value))
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _round_values(item) for key, item in value.items()}
    return [_round_values(item) for item in value] if isinstance(value, list | tuple) else value
