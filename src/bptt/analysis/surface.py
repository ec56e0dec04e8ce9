"""The cost surface: the loss over two weights of a network, the others held, and the way that training takes over it.

A weight is named by its array and its place there, ("cell.0.recurrent", (0, 0)); arrays are those of `weights.npz`. The
way is that of one run, trained again update by update: through the weights that training passes by without a record.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.configuration.errors import suggest
from bptt.configuration.owners import check_kernel_folder
from bptt.core.clips.none import NoClip
from bptt.core.evaluation import Evaluation
from bptt.core.lane_block import single_lane
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter, list_parameters, to_flat
from bptt.core.random import make_generator
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Pool, Sequences

if TYPE_CHECKING:
    import pandas as pd
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
    return run.init.parameters(seed_of(run, 0), list_run_parameters(run))


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
