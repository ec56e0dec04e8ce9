"""The cost surface: the loss over two weights of a network, the others held, and the way that training takes over it.

Figures show the surface with points and paths on it, and the gradients at the points through time.

A weight is named by its array and its place there, ("cell.0.recurrent", (0, 0)); arrays are those of `weights.npz`. The
way is that of one run, trained again update by update: through the weights that training passes by without a record.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.analysis.style import COLUMN, PALETTE, STYLE, set_logarithmic_ticks, write_message, write_power
from bptt.configuration.errors import suggest
from bptt.configuration.owners import check_kernel_folder
from bptt.core.clips.none import NoClip
from bptt.core.evaluation import Evaluation
from bptt.core.lane_block import single_lane
from bptt.core.optimizers.recurrent_constraint import draw_start
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter, list_parameters, to_flat
from bptt.core.random import make_generator
from bptt.core.run import Run
from bptt.core.sequences import Floats, Pool, Sequences

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, FigureBase
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Visit:
    """Where a run was after an update (0: before the first): its parameters (P,) and its `loss/eval` there."""

    update: int
    flat: Floats
    loss: float


def list_run_parameters(run: Run) -> tuple[Parameter, ...]:
    """The parameter blocks of a run's network."""
    return list_parameters(run.model, run.task.inputs, run.task.outputs)


def draw_initial(run: Run) -> Floats:
    """The parameters (P,) that a run starts from."""
    return draw_start(run, list_run_parameters(run))


def draw_evaluation(run: Run) -> Sequences:
    """The set that a run's `loss/eval` is measured on."""
    return run.task.evaluation(make_generator(np.random.SeedSequence(run.seed), 2))


def visit(run: Run, updates: Iterable[int] | None = None) -> Iterator[Visit]:
    """Train a run again and say where it was after these updates, in ascending order; None: 0 and each one.

    The bits are those of the run, whatever it recorded. One that was stopped early goes on here; one that diverges ends
    before the update at which it does.
    """
    check_kernel_folder()
    evaluation = Evaluation(run.model, run.loss, [draw_evaluation(run)])
    lane = single_lane(run, run.task.training(), draw_initial(run))
    done = 0
    for update in range(run.train.updates + 1) if updates is None else updates:
        if update > done and lane.train(done, update).diverged_at[0]:
            return
        done = update
        losses, _ = evaluation.evaluate(lane.parameters, lane.states if run.train.carry_state else None)
        yield Visit(update, lane.parameters[0], float(losses[0] * run.loss.weight))


def compute_state_gradient(run: Run, flat: Floats, sequences: Sequences) -> Floats:
    """∂loss/∂h_k at parameters (P,), with its sign, summed over the sequences: (layers, timesteps, hidden units).

    The loss is that of each sequence's last scored timestep, averaged over the sequences, as in a run's gradient flow;
    a layer's gradient holds what comes back through the layers above. Sequences end together, at the last timestep.
    """
    settings = dataclasses.replace(run.train, batch_size=sequences.count, updates=1, carry_state=False)
    check_kernel_folder()
    still = dataclasses.replace(run, optimizer=Sgd(alpha=0.0), clip=NoClip(), train=settings)
    lane = single_lane(still, Pool(sequences, "sequential"), flat)
    lane.train(0, 1)
    # Training measures the flow at the end of a call, and leaves behind what its norms were taken of.
    space, net = lane.space, lane.space.net
    shape = (net.layers, net.timesteps, net.rows, net.slots, net.span)
    deltas = space.lanes_first(net.state_delta, *shape)[0, :, :, :, 0, : net.hidden]
    live = space.lanes_first(net.live, net.places * net.per)[0, net.lead * net.per :][: net.timesteps * net.rows]
    result: Floats = np.where(live.reshape(net.timesteps, net.rows, 1) > 0, deltas, 0.0).sum(axis=2)
    return result


Weight = tuple[str, tuple[int, ...]]


INPUT: Final[Weight] = ("cell.0.input", (0, 0))


RECURRENT: Final[Weight] = ("cell.0.recurrent", (0, 0))


_AT_ONCE: Final = 64  # points


def compute_surface(
    run: Run,
    parameters: "Mapping[str, ArrayLike]",
    *,
    x: Weight = INPUT,
    y: Weight = RECURRENT,
    xs: "ArrayLike",
    ys: "ArrayLike",
    sequences: Sequences | None = None,
) -> "pd.DataFrame":
    """The loss where weight x has each of the values xs and weight y each of ys: a row per point, x, y, loss.

    parameters  of the network, by block; all but the two weights stay as they are there
    sequences   whose loss it is; None: those of the run's `loss/eval`, from a state of zero

    With the run's own weights the loss is the bits of its `loss/eval` (unless states are carried). Raises ValueError
    for a weight that the network doesn't have.
    """
    import pandas as pd

    blocks = list_run_parameters(run)
    across, up = find_weight(blocks, x), find_weight(blocks, y)
    if across == up:
        raise ValueError(f"{name_weight(x)}: is both weights of the surface")
    check_kernel_folder()
    data = draw_evaluation(run) if sequences is None else sequences
    evaluation = Evaluation(run.model, run.loss, [data] * _AT_ONCE)
    flat = to_flat(blocks, {name: np.asarray(values, np.float64) for name, values in parameters.items()})
    grid = np.stack(np.meshgrid(np.asarray(xs, np.float64), np.asarray(ys, np.float64)), axis=-1).reshape(-1, 2)
    losses = np.empty(len(grid))
    for first in range(0, len(grid), _AT_ONCE):
        points = grid[first : first + _AT_ONCE]
        thetas = np.tile(flat, (_AT_ONCE, 1))
        thetas[: len(points), [across, up]] = points
        losses[first : first + _AT_ONCE] = evaluation.evaluate(thetas)[0][: len(points)] * run.loss.weight
    return pd.DataFrame({"x": grid[:, 0], "y": grid[:, 1], "loss": losses})


def follow_path(
    run: Run, *, x: Weight = INPUT, y: Weight = RECURRENT, updates: Iterable[int] | None = None
) -> "pd.DataFrame":
    """The way of two weights while the run is trained: a row per update from 0, the start: update, x, y, loss.

    updates  some of them, in ascending order; None: each one
    loss     of the evaluation set, as `loss/eval`, with all the weights of that update

    The run is trained again, to the same bits. Where it diverges the way ends before. Raises ValueError as
    `compute_surface`.
    """
    import pandas as pd

    blocks = list_run_parameters(run)
    across, up = find_weight(blocks, x), find_weight(blocks, y)

    def row(at: Visit) -> tuple[int, float, float, float]:
        return at.update, float(at.flat[across]), float(at.flat[up]), at.loss

    return pd.DataFrame(map(row, visit(run, updates)), columns=["update", "x", "y", "loss"])


def compute_state_gradients(
    run: Run,
    parameters: "Mapping[str, ArrayLike]",
    points: Sequence[tuple[float, float]],
    *,
    x: Weight = INPUT,
    y: Weight = RECURRENT,
    sequences: Sequences | None = None,
) -> "pd.DataFrame":
    """How the gradient grows or dies out on its way back, at points (x, y) of a surface.

    A row per point, layer, hidden unit and timestep k from 1: x, y, layer, unit, k, gradient. That is
    ∂loss/∂h_k with its sign, summed over the sequences, of the last scored timestep's loss averaged over them; h_k is
    the state after timestep k, and all sequences end at the last k. Parameters and sequences as of `compute_surface`.
    """
    import pandas as pd

    blocks = list_run_parameters(run)
    places = [find_weight(blocks, x), find_weight(blocks, y)]
    data = draw_evaluation(run) if sequences is None else sequences
    flat = to_flat(blocks, {name: np.asarray(values, np.float64) for name, values in parameters.items()})
    tables = []
    for point in points:
        flat[places] = point
        gradient = compute_state_gradient(run, flat, data)
        layer, timestep, unit = np.indices(gradient.shape).reshape(3, -1)
        columns: dict[str, Any] = {"x": point[0], "y": point[1], "layer": layer, "unit": unit, "k": timestep + 1}
        tables.append(pd.DataFrame(columns | {"gradient": gradient.ravel()}))
    return pd.concat(tables, ignore_index=True)


def enclose(path: "pd.DataFrame", points: int = 101, room: float = 0.15) -> "tuple[NDArray[Any], NDArray[Any]]":
    """(xs, ys) of a surface that holds a path with some room, as a share of its width, on each side."""
    axes = []
    for name in ("x", "y"):
        low, high = float(path[name].min()), float(path[name].max())
        margin = room * (high - low) or 1.0
        axes.append(np.linspace(low - margin, high + margin, points))
    return axes[0], axes[1]


def name_weight(weight: Weight) -> str:
    """A weight as it is written: `cell.0.recurrent[0, 0]`."""
    return f"{weight[0]}[{', '.join(map(str, weight[1]))}]"


def find_weight(blocks: Sequence[Parameter], weight: Weight) -> int:
    """A weight's place in a flat row of parameters. Raises ValueError where there is no such weight."""
    name, index = weight
    names = [block.name for block in blocks]
    if name not in names:
        raise ValueError(f"{name}: no such weights{suggest(name, names)} (there are: {', '.join(names)})")
    block = blocks[names.index(name)]
    if len(index) != len(block.shape) or not all(0 <= i < n for i, n in zip(index, block.shape, strict=True)):
        raise ValueError(f"{name_weight(weight)}: no such weight; {name} has the shape {block.shape}")
    return block.first + int(np.ravel_multi_index(index, block.shape))


_SPAN: Final = 1e12  # between the colours' ends; what is lower, an exact zero too, has the lowest one's colour
_LINES: Final = ("-", "--", "-.", ":")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<")
_NOT_FINITE: Final = "#d9d9d9"
_LEGEND: Final = 56  # characters beside each other, a line's sample being 8


def draw_cost_surface(
    surfaces: "Sequence[pd.DataFrame]",
    *,
    paths: "Mapping[str, pd.DataFrame] | None" = None,
    points: Sequence[tuple[float, float]] = (),
    labels: tuple[str, str] = ("x", "y"),
    title: str = "",
) -> "Figure":
    """The loss over two weights in logarithmic colours, with a line for each power of ten; up to two side by side.

    surfaces  of `surface.compute_surface`: x, y, loss; they share their colours. Grey where the loss is not finite
    paths     by name, of `surface.follow_path`: a dot for each row; a circle where it starts, a star where it ends;
              several have a legend
    points    each has a marker, the same as in `draw_gradient_lines`
    labels    of the two weights
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.75 if len(surfaces) == 1 else 2.35), layout="constrained")
        draw_surfaces(figure, surfaces, paths=paths, points=points, labels=labels)
        if title:
            figure.suptitle(title, fontsize=8)
    return figure


def draw_gradient_lines(
    gradients: "pd.DataFrame", *, labels: tuple[str, str] = ("x", "y"), state: str = "h"
) -> "Figure":
    """The gradient by the state after timestep k, going back from the last timestep, at each point of a surface.

    gradients  of `surface.compute_state_gradients`; a point's line is the sum over layers and hidden units
    state      the letter of a state

    The axis is linear around zero and logarithmic outside, as gradients have signs and many orders of magnitude.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.9), layout="constrained")
        draw_gradients(figure, gradients, labels=labels, state=state)
    return figure


def draw_surfaces(
    figure: "FigureBase",
    surfaces: "Sequence[pd.DataFrame]",
    *,
    paths: "Mapping[str, pd.DataFrame] | None" = None,
    points: Sequence[tuple[float, float]] = (),
    labels: tuple[str, str] = ("x", "y"),
) -> None:
    """`draw_cost_surface`, into an empty figure or a part of one."""
    from matplotlib.colors import LogNorm

    grid: Any = figure.subplots(1, len(surfaces), squeeze=False)
    every = list(grid.flat)
    losses = np.concatenate([surface["loss"].to_numpy(dtype=float) for surface in surfaces])
    positive = losses[np.isfinite(losses) & (losses > 0)]
    if not len(positive):
        for axes in every:
            write_message(axes, "no finite loss above zero")
        return
    high = min(float(positive.max()), 1e200)
    low = max(float(positive.min()), high / _SPAN, 1e-200)
    norm = LogNorm(low, max(high, 1.001 * low))
    for axes, surface in zip(every, surfaces, strict=True):
        mesh = _draw_mesh(axes, surface, norm)
        axes.set_xlabel(labels[0])
        for look, (x, y) in zip(_choose_looks(len(points)), points, strict=True):
            axes.plot(x, y, look.marker, color=look.colour, markersize=5, markeredgecolor="white", markeredgewidth=0.7)
        for look, (name, path) in zip(_choose_looks(len(paths or {})), (paths or {}).items(), strict=True):
            _draw_path(axes, path, name, look, alone=len(paths or {}) == 1)
    every[0].set_ylabel(labels[1])
    bar = figure.colorbar(mesh, ax=every, location="bottom", aspect=30, pad=0.03)
    bar.set_label("loss")
    _set_loss_ticks(bar.ax.xaxis, norm)
    if len(paths or {}) > 1:
        _draw_legend(figure, every[0], "outside upper center", most=2)


def draw_gradients(
    figure: "FigureBase", gradients: "pd.DataFrame", *, labels: tuple[str, str] = ("x", "y"), state: str = "h"
) -> None:
    """`draw_gradient_lines`, into an empty figure or a part of one."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = figure.subplots()
    sums = gradients.groupby(["x", "y", "k"], sort=False)["gradient"].sum().reset_index()
    every = list(sums.groupby(["x", "y"], sort=False))
    sizes = np.abs(sums["gradient"].to_numpy())
    usual = sizes[np.isfinite(sizes) & (sizes > 0)]
    # As many powers of ten above the linear piece as there are, but for gradients that have died out.
    threshold = 10.0 ** np.floor(np.log10(max(usual.min(), usual.max() * 1e-7))) if len(usual) else 1.0
    for look, ((x, y), line) in zip(_choose_looks(len(every)), every, strict=True):
        axes.plot(
            line["k"],
            line["gradient"],
            look.line,
            marker=look.marker,
            color=look.colour,
            markersize=3,
            label=f"({_write_signed(_shorten(x))}, {_write_signed(_shorten(y))})",
        )
    axes.set_yscale("symlog", linthresh=threshold)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _write_signed(value)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=11, integer=True))
    axes.invert_xaxis()
    axes.set_xlabel("timestep k (the gradient flows to the right)")
    axes.set_ylabel(f"∂loss/∂{state}ₖ")
    _draw_legend(figure, axes, "outside lower center", most=3, title=f"({', '.join(labels)})")


def _draw_legend(
    figure: "FigureBase",
    axes: "Axes",
    where: Literal["outside upper center", "outside lower center"],
    most: int,
    title: str | None = None,
) -> None:
    handles, texts = axes.get_legend_handles_labels()
    columns = min(most, max(1, _LEGEND // (max(map(len, texts)) + 8)))
    figure.legend(handles, texts, title=title, loc=where, ncols=columns, frameon=False, handlelength=3)


def _set_loss_ticks(axis: "Axis", norm: Any) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    set_logarithmic_ticks(axis, norm.vmin, norm.vmax)
    if norm.vmax < 3 * norm.vmin:
        axis.set_major_locator(MaxNLocator(nbins=4))
        axis.set_minor_locator(NullLocator())


def _shorten(value: float) -> float:
    return float(f"{value:.3g}")


def _write_signed(value: float) -> str:
    return f"−{write_power(-value)}" if value < 0 else write_power(value)


@dataclass(frozen=True)
class _Look:
    colour: str
    line: str
    marker: str


def _choose_looks(count: int) -> list[_Look]:
    return [
        _Look(PALETTE[n % len(PALETTE)], _LINES[n % len(_LINES)], _MARKERS[n % len(_MARKERS)]) for n in range(count)
    ]


def _draw_mesh(axes: "Axes", surface: "pd.DataFrame", norm: Any) -> Any:
    from matplotlib.ticker import MaxNLocator

    table = surface.pivot_table(index="y", columns="x", values="loss", dropna=False)
    xs, ys = table.columns.to_numpy(), table.index.to_numpy()
    losses = np.ma.masked_invalid(np.clip(table.to_numpy(), norm.vmin, None))
    axes.grid(False)
    axes.set_facecolor(_NOT_FINITE)
    mesh = axes.pcolormesh(xs, ys, losses, norm=norm, cmap="viridis", shading="nearest", rasterized=True)
    if min(losses.shape) > 1:
        axes.contour(
            xs, ys, losses, levels=_choose_levels(norm.vmin, norm.vmax), colors="white", linewidths=0.3, alpha=0.6
        )
    axes.set_xlim(xs[0], xs[-1])
    axes.set_ylim(ys[0], ys[-1])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    return mesh


def _choose_levels(low: float, high: float) -> "NDArray[np.float64]":
    """Powers of ten, or 1, 2 and 5 of each, from low to high; not the lowest few.

    Around a minimum that lies between the points their lines would be ragged.
    """
    steps = (1.0,) if high > 1e4 * low else (1.0, 2.0, 5.0)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    every = np.array([step * 10.0**power for power in range(first, last + 1) for step in steps])
    return every[(every > low) & (every < high)][1:]


def _draw_path(axes: "Axes", path: "pd.DataFrame", name: str, look: _Look, alone: bool) -> None:
    from matplotlib.patheffects import Normal, Stroke

    x, y = path["x"].to_numpy(), path["y"].to_numpy()
    colour = "white" if alone else look.colour
    halo = [Stroke(linewidth=2.0, foreground="black" if alone else "white"), Normal()]
    axes.plot(x, y, look.line, color=colour, linewidth=0.8, label=name, path_effects=halo)
    axes.plot(x, y, "o", color=colour, markersize=1.6, markeredgewidth=0, rasterized=len(x) > 200)
    edge: dict[str, Any] = {"color": colour, "markeredgecolor": "black", "markeredgewidth": 0.6}
    axes.plot(x[:1], y[:1], "o", markersize=5, **edge)
    axes.plot(x[-1:], y[-1:], "*", markersize=9, **edge)
