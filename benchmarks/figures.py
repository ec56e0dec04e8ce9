"""Figures of a results file: how many times our time the others take, and how the time of an update grows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt.analysis.style import BLUE, GREY, ORANGE, STYLE, set_logarithmic_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 7.0  # inches: both columns of a paper
_OTHERS = {"torch": ("PyTorch", ORANGE, "s"), "jax": ("JAX, jit", BLUE, "o"), "cpp": ("plain C++", GREY, "^")}
_SERIES = {"adder": (BLUE, "o"), "sine": (ORANGE, "s")}


def write(path: Path) -> Iterator[Path]:
    """Draw what a results file holds, and write it as PNG beside the file."""
    import matplotlib as mpl

    found = json.loads(path.read_text(encoding="utf-8"))
    with mpl.rc_context(STYLE):
        figures = {"": draw_ratios(found["results"])} if found.get("results") else {}
        if found.get("growth"):
            figures["-growth"] = draw_growth(found["growth"])
        for suffix, figure in figures.items():
            target = path.with_name(f"{path.stem}{suffix}.png")
            figure.savefig(target, metadata={"Software": None})
            yield target


def draw_ratios(results: Sequence[Mapping[str, Any]]) -> "Figure":
    """A row for each workload: how many times our time the others take, with the range over the rounds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 0.6 + 0.2 * len(results)), layout="constrained")
    axes = figure.subplots()
    rows = list(range(len(results)))[::-1]
    for side, (label, colour, marker) in _OTHERS.items():
        measured = [
            (row, result["ratios"][side]) for row, result in zip(rows, results, strict=True) if side in result["ratios"]
        ]
        if not measured:
            continue
        at, spreads = zip(*measured, strict=True)
        middle = [spread["median"] for spread in spreads]
        low = [spread["median"] - spread["lowest"] for spread in spreads]
        high = [spread["highest"] - spread["median"] for spread in spreads]
        axes.errorbar(middle, at, xerr=(low, high), fmt=marker, color=colour, markersize=4, label=label)
    aimed = [
        (result["targets"]["best"], row)
        for result, row in zip(results, rows, strict=True)
        if "best" in result["targets"]
    ]
    if aimed:
        axes.plot(*zip(*aimed, strict=True), "|", color="black", markersize=9, markeredgewidth=1.2, label="target")
    axes.axvline(1.0, color=GREY, linewidth=0.8)
    axes.set_xscale("log")
    set_logarithmic_ticks(axes.xaxis, 0.2, 1000.0)
    axes.set_yticks(rows, [_write_title(result) for result in results])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("time of an update ÷ bptt's (median and range of the rounds)")
    figure.legend(loc="outside upper right", ncols=4, frameon=False)
    return figure


def _write_title(result: Mapping[str, Any]) -> str:
    lanes = result["lanes"]
    return f"{result['name']}, {lanes} run" + "s" * (lanes > 1)


def draw_growth(points: Sequence[Mapping[str, Any]]) -> "Figure":
    """A panel for each of what grows: measured time per run and update, and what the machine needs at least."""
    from matplotlib.figure import Figure

    whats = list(dict.fromkeys(point["what"] for point in points))
    figure = Figure(figsize=(_WIDTH, 2.6), layout="constrained")
    panels = figure.subplots(1, len(whats), sharey=True, squeeze=False)[0]
    for what, axes in zip(whats, panels, strict=True):
        of_panel = [point for point in points if point["what"] == what]
        for name in dict.fromkeys(point["series"] for point in of_panel):
            _draw_grown(axes, name, [point for point in of_panel if point["series"] == name])
        axes.set_xscale("log", base=2)
        sizes = sorted({point["size"] for point in of_panel})
        axes.set_xticks(sizes[:: 1 + len(sizes) // 8], [f"{size:,}" for size in sizes[:: 1 + len(sizes) // 8]])
        axes.minorticks_off()
        axes.set_xlabel("runs side by side" if what == "lanes" else what)
    panels[0].set_yscale("log")
    values = [point["micros"]["median"] for point in points]
    set_logarithmic_ticks(panels[0].yaxis, min(values), max(values))
    panels[0].set_ylabel("time per run and update (µs)")
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _draw_grown(axes: "Axes", name: str, points: Sequence[Mapping[str, Any]]) -> None:
    colour, marker = _SERIES[name]
    sizes = [point["size"] for point in points]
    micros = [point["micros"] for point in points]
    label = {"adder": "adder (T 8, batch 1)", "sine": "sine (T 20, batch 32)"}[name]
    axes.fill_between(sizes, [m["lowest"] for m in micros], [m["highest"] for m in micros], color=colour, alpha=0.2)
    axes.plot(sizes, [m["median"] for m in micros], marker=marker, markersize=3, color=colour, label=label)
    axes.plot(
        sizes,
        [point["limit"] for point in points],
        "--",
        color=colour,
        linewidth=0.9,
        label=f"{name}, the machine's limit",
    )
