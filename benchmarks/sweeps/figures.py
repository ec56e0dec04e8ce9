"""The figures of a results file: where the time of a run goes, in the usual way and in ours, and how it grows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sweeps.phases import OURS
from benchmarks.sweeps.timers import ARCHIVE, COMPOSING, END, IMPORTS, REPORT, REST, STORE, TRAINING, WORKERS
from bptt.analysis.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    STYLE,
    VERMILION,
    set_logarithmic_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 7.0  # inches: both columns of a paper
_COLOURS = {
    IMPORTS: BROWN,
    COMPOSING: PURPLE,
    WORKERS: GREY,
    TRAINING: BLUE,
    ARCHIVE: GREEN,
    STORE: ORANGE,
    REPORT: VERMILION,
    END: PALETTE[-2],
    REST: PALETTE[-1],
}
_LIGHT = {ORANGE, PURPLE, BROWN, GREY, PALETTE[-2]}  # on which numbers are black
_LEAST = 0.035  # of an axis' height, that a number needs


def write(path: Path) -> Iterator[Path]:
    """Draw the phases and the growth that a results file holds, as PNG beside it."""
    import matplotlib as mpl

    found = json.loads(path.read_text(encoding="utf-8"))
    with mpl.rc_context(STYLE):
        for suffix, draw, what in (("", draw_phases, found["phases"]), ("-growth", draw_growth, found["growth"])):
            if what:
                target = path.with_name(f"{path.stem}{suffix}.png")
                draw(what).savefig(target, metadata={"Software": None})
                yield target


def draw_growth(points: Sequence[Mapping[str, Any]]) -> "Figure":
    """Seconds of a sweep, and its memory, against its runs; both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 2.4), layout="constrained")
    runs = [point["runs"] for point in points]
    named = (("seconds", "time of the sweep (s)", BLUE), ("gigabytes", "memory at its peak (GB)", ORANGE))
    for axes, (what, label, colour) in zip(figure.subplots(1, 2), named, strict=True):
        middle, low, high = ([point[what][key] for point in points] for key in ("median", "lowest", "highest"))
        axes.fill_between(runs, low, high, color=colour, alpha=0.2)
        axes.plot(runs, middle, marker="o", markersize=3, color=colour)
        axes.plot(runs, [middle[-1] * n / runs[-1] for n in runs], ":", color=GREY, label="proportional to the runs")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(runs, [f"{n:,}" for n in runs])
        axes.minorticks_off()
        axes.set_ylim(min(low) / 1.5, max(high) * 1.5)
        set_logarithmic_ticks(axes.yaxis, min(low) / 1.5, max(high) * 1.5)
        axes.set_xlabel("runs of 20 updates")
        axes.set_ylabel(label)
        axes.legend(frameon=False, loc="upper left")
    return figure


def draw_phases(sides: Sequence[Mapping[str, Any]]) -> "Figure":
    """Bars of milliseconds per run: all sides on one axis, then ours by itself, elapsed and of processors."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
    ours = next(side for side in sides if side["side"] == OURS)
    several = sorted(sides, key=lambda side: side is ours)
    left, right = figure.subplots(1, 2)
    for place, side in enumerate(several):
        _draw_bar(left, place, side, "ms_per_run", max(1e3 * side["seconds"] / side["runs"] for side in sides))
    left.set_xticks(range(len(several)), [side["side"] for side in several])
    top = 1e3 * max(ours["seconds"], ours["cpu"]) / ours["runs"]
    for place, what in enumerate(("ms_per_run", "cpu_ms_per_run")):
        _draw_bar(right, place, ours, what, top)
    right.set_xticks((0, 1), (f"{ours['side']}:\nelapsed", f"{ours['side']}: processors,\n{ours['workers']} cores"))
    left.set_ylabel(f"time per run of a sweep of {ours['runs']:,} (ms)")
    right.set_ylabel(f"the same, {ours['side']} alone (ms)")
    for axes in (left, right):
        axes.grid(visible=False, axis="x")
        axes.set_xlim(-0.6, len(axes.get_xticks()) - 0.4)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    held = {name: phase["holds"] for side in sides for name, phase in side["phases"].items() if phase["seconds"]}
    shown = [name for name in _COLOURS if name in held]
    patches = [Patch(color=_COLOURS[name], label=held[name]) for name in reversed(shown)]
    figure.legend(handles=patches, loc="outside right center", frameon=False, title="phase, the first at the bottom")
    return figure


def _draw_bar(axes: "Axes", place: int, side: Mapping[str, Any], what: str, top: float) -> None:
    """A bar of all phases, the first at the bottom; with numbers where they fit, and the sum above."""
    height = 0.0
    for name, colour in _COLOURS.items():
        value = max(0.0, side["phases"][name][what])
        axes.bar(place, value, 0.7, bottom=height, color=colour, edgecolor="white", linewidth=0.3)
        if value > _LEAST * top:
            ink = "black" if colour in _LIGHT else "white"
            axes.text(place, height + value / 2, _write_number(value), ha="center", va="center", color=ink, fontsize=7)
        height += value
    axes.text(place, height + 0.01 * top, f"{_write_number(height)} ms", ha="center", va="bottom", fontsize=7)


def _write_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
