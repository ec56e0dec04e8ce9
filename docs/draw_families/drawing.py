"""Trains the choices of a family, and draws how far back their gradients reach."""

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from bptt.analysis.style import COLUMN, PALETTE, STYLE, save_figure, set_logarithmic_ticks, write_power
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.training import train
from docs.draw_families.choices import COMMON, LAG, SEEDS, Family
from docs.make_results.pictures import smaller
from docs.make_results.wording import write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_ENDS: Final = ("at the start", "after 1,000 updates")  # of a training
_STYLES: Final = ("-", "--", "-.", ":")
_LEAST: Final = 1e-16  # what is that much smaller than the last timestep's has vanished
_ALPHA: Final = 0.001
#: Weights that nothing but weight decay moves: an update then changes them by α·s(u), and `update/ratio` is that.
_DECAY: Final = ("optimizer=sgd", f"optimizer.alpha={_ALPHA}", "optimizer.weight_decay=1", "loss.weight=1e-200")


def measure(family: Family) -> "dict[str, NDArray[np.float64]]":
    """Choice → (2, lags): ‖∂L/∂h‖ by lag over that at lag 0, the median of the seeds, at the start and the end."""
    return {name: _measure_choice([*family.common, *own]) for name, own in family.choices.items()}


def measure_schedules(family: Family) -> "dict[str, NDArray[np.float64]]":
    """Choice → (updates,): s(u)."""
    found = {}
    for name, own in family.choices.items():
        overrides = [*family.common, *own, *_DECAY, "clip=none", "train.log_points=1001"]
        (record,) = train([check_configuration(compose(settle([*COMMON, *overrides]))).run])
        found[name] = record.history["update/ratio"] / _ALPHA
    return found


def draw(flows: "dict[str, NDArray[np.float64]]", shares: "dict[str, NDArray[np.float64]] | None") -> bytes:
    """The picture as a PNG: gradients by lag, at the start and the end; shares: s(u) in place of the first panel."""
    start, end = ({name: flow[place] for name, flow in flows.items()} for place in (0, 1))
    with rc_context(STYLE):
        figure = Figure(figsize=(2.1 * COLUMN, 2.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=shares is None)
        if shares is None:
            _draw_flows(left, start, _ENDS[0])
        else:
            for place, (name, share) in enumerate(shares.items()):
                left.plot(np.arange(1, len(share) + 1), share, label=name, **_choose_line(place))
            left.set(title="learning rate", xlabel="update u", ylabel="s(u)", ylim=(-0.03, 1.03))
        _draw_flows(right, end, _ENDS[1])
        (left if shares is None else right).set_ylabel("‖∂L/∂h‖ relative to lag 0")
        figure.legend(*right.get_legend_handles_labels(), loc="outside right center", frameon=False, handlelength=2.6)
        image = BytesIO()
        save_figure(figure, image, "png")
    return smaller(image.getvalue())


def write_numbers(flows: "dict[str, NDArray[np.float64]]") -> str:
    """What the picture shows at one lag, as a table in Markdown."""
    rows = [[name, *(_write_share(flow[place, LAG]) for place in (0, 1))] for name, flow in flows.items()]
    return write_table([f"gradient {LAG} timesteps back, of that at the end", *_ENDS], rows)


def _measure_choice(overrides: list[str]) -> "NDArray[np.float64]":
    run = check_configuration(compose(settle([*COMMON, *overrides]))).run
    records = train([replace(run, seed=seed) for seed in range(SEEDS)])
    flows = np.array([record.flow[[0, -1]] for record in records])
    with np.errstate(divide="ignore", invalid="ignore"):
        median: NDArray[np.float64] = np.nanmedian(flows / flows[:, :, :1], axis=0)
    return median


def settle(overrides: list[str]) -> list[str]:
    """Of each key what is said last."""
    return list({text.partition("=")[0]: text for text in overrides}.values())


def _draw_flows(axes: "Axes", flows: "dict[str, NDArray[np.float64]]", title: str) -> None:
    for place, (name, flow) in enumerate(flows.items()):
        shown = np.where(flow >= _LEAST, flow, np.nan)
        axes.plot(np.arange(len(flow)), shown, label=name, **_choose_line(place))
    axes.set(title=title, xlabel="timesteps before the end", yscale="log")
    axes.axvline(LAG, color="#bbbbbb", linewidth=0.6, zorder=0)
    set_logarithmic_ticks(axes.yaxis, *axes.get_ylim())


def _choose_line(place: int) -> dict[str, Any]:
    return {
        "color": PALETTE[place % len(PALETTE)],
        "linestyle": _STYLES[(place + place // len(PALETTE)) % len(_STYLES)],
    }


def _write_share(value: float) -> str:
    if np.isnan(value):
        return "–"
    return write_power(float(f"{value:.1e}")) if value and not 0.01 <= value < 1000 else f"{value:.2g}"
