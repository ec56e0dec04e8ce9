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
from benchmarks.start import TARGETS, Start

if TYPE_CHECKING:
    from benchmarks.limit import Rates
    from benchmarks.suite import Result

FOLDER = Path(__file__).parent / "results"
_QUIET = 0.97  # share of the core below which the table says so
_TITLES = {"ours": "bptt", "torch": "PyTorch", "jax": "JAX"}


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
    """Print the table of ratios."""
    table = Table(title="µs per lane and update: median (min–max) of alternating rounds, one core, float64")
    for column in ("workload", "lanes", *_TITLES.values()):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for title in (*(f"{_TITLES[side]} ÷ bptt" for side in ("torch", "jax")), "limit ÷ bptt"):
        table.add_column(title, justify="right")
        table.add_column("target", justify="right")
    for result in results:
        cells = [result.name, str(result.lanes), *(_write_spread(result.micros[side]) for side in _TITLES)]
        for side in ("torch", "jax"):
            ratio = result.ratios[side]
            cells += [_write_spread(ratio), _write_verdict(result.targets.get(side), ratio.median)]
        wanted = result.targets.get("limit")
        share = _write_verdict(None if wanted is None else 100 * wanted, 100 * result.share.median, " %")
        table.add_row(*cells, f"{result.share.median:.0%}", share)
    console.print(table)
    least = min(result.core_share for result in results)
    if least < _QUIET:
        console.print(f"Not quiet: other programs took up to {1 - least:.0%} of the core.")


def show_limit(rates: "Rates", console: Console) -> None:
    functions = ", ".join(f"{name} {value:.2g} ns" for name, value in rates.functions.items())
    console.print(f"The machine's limit: {rates.gflops:.0f} GFLOP/s of multiply-adds; a number's {functions}.")


def show_cores(found: Sequence[Cores], console: Console) -> None:
    for one in found:
        verdict = _write_verdict(TARGET, one.gain.median)
        console.print(f"two cores against one, {one.name}, {one.lanes} lanes: {_write_spread(one.gain)} ×, {verdict}")


def show_start(start: Start, console: Console) -> None:
    console.print(
        f"bptt train experiment=roelants_counting: first update after {_write_spread(start.first_update)} s "
        f"(target ≤ {TARGETS['first_update']:g} s), all of it {_write_spread(start.warm)} s; the first time ever "
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
