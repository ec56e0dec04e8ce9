"""The shipped gradient check: backpropagation through time against finite differences of the plain mathematics.

The differences are taken of `bptt.core.plain`, in extended precision where the machine has it, so that gradients that
have almost vanished are still checked to six digits, and with the states that truncation cuts off held where they were.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from bptt.core import plain
from bptt.core.clips.none import NoClip
from bptt.core.kernel import UNITS
from bptt.core.lane_block import LaneBlock, single_lane
from bptt.core.lanes import find_solver
from bptt.core.models.dale import keep_signs, sign_parameters, without_signs
from bptt.core.optimizers.gauss_newton import curve_along, multiply_curvature
from bptt.core.optimizers.recurrent_constraint import draw_start
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, to_named
from bptt.core.random import Generator
from bptt.core.run import Run, seed_of
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.core.simd import aligned_zeros
from bptt.core.workspace import Workspace, as_mode, training_layout

#: Relative error above which a block fails. The differences reach 1e-9 or better; a factor wrong by 0.1 % gives 1e-3.
BOUND = 1e-6
_STEP = 1e-4  # relative step of the differences, whose error is its fourth power
_SEQUENCES = 4  # of the first batch
_ELEMENTS = 16  # checked one by one in each block, beside one random direction over all of them


@dataclass(frozen=True)
class BlockError:
    """A block's relative error ‖g − g̃‖ / max(‖g‖, ‖g̃‖) and its bound; 0 where both are 0."""

    name: str
    relative_error: float
    bound: float

    @property
    def ok(self) -> bool:
        """Whether the error is within its bound; NaN is not."""
        return bool(self.relative_error <= self.bound)


def _still(run: Run, count: int) -> Run:
    """A run of so many sequences that an update changes nothing of."""
    settings = dataclasses.replace(run.train, batch_size=count, updates=1, only=None)
    return dataclasses.replace(
        run, optimizer=Sgd(alpha=0.0), schedule=ConstantSchedule(), clip=NoClip(), train=settings
    )


def gradient_of(run: Run, flat: Floats, sequences: Sequences, mode: str = UNITS) -> Floats:
    """∂loss/∂θ (P,) at θ = flat on these sequences as one batch, as the kernels give it, regularizer included."""
    block = single_lane(_still(run, sequences.count), Pool(sequences, "sequential"), flat, mode)
    block.train(0, 1)
    return block.gradients[0]


def curvature_of(
    run: Run, flat: Floats, direction: Floats, sequences: Sequences, mode: str = UNITS, damping: float = 0.0
) -> Floats:
    """(G + damping·S) v (P,) for a direction v at θ = flat on these sequences as one batch, as the kernels give it.

    G is the Gauss–Newton matrix of the loss, S structural damping's; see `bptt.core.optimizers.hessian_free`.
    """
    still = _still(run, sequences.count)
    space = Workspace(training_layout(still, sequences, mode), mode, tries=True)
    block = LaneBlock([still], workspace=space, stream=Pool(sequences, "sequential"), parameters=[flat])
    block.train(0, 1)  # states and outputs at θ, of which the product is made
    shape = block.vectors.shape
    given, product = (as_mode(aligned_zeros(*shape), mode) for _ in range(2))
    along = given.T[0] if given.ndim == 2 else given
    along[: flat.size] = direction
    cell, loss = run.model.cell, cast(Any, run.loss)
    kernels: tuple[Any, ...] = cell.tangent, loss.curvature, cell.backward, multiply_curvature
    addresses = tuple(kernel.address(mode) for kernel in kernels)
    begin = sequences.timesteps - int(sequences.full_lengths.max())
    theta, share = as_mode(block.vectors, mode), damping / sequences.count
    curve_along.compile(mode).entry_point(
        addresses, space.sizes, space.trial_sizes, theta, given, product, space.memory, begin, share
    )
    found: Floats = (product.T[0] if product.ndim == 2 else product)[: flat.size].copy()
    return found


def plain_loss(run: Run, named: dict[str, Any], held: dict[str, Any], sequences: Sequences, xp: Any) -> Any:
    """The loss with parameters `named`, its windows as of `plain.follow_windows`.

    xp: numpy, or a module that stands in for it.
    """
    loss_name, result = type(run.loss).__name__, 0.0
    for n, t, _, output, logit in plain.follow_windows(run, named, held, sequences, sequences.full_scored, xp):
        target = sequences.y[n] if sequences.last_only else sequences.y[n, t]
        result = result + plain.timestep_loss(loss_name, logit, output, target, xp)
    return result * (run.loss.weight / sequences.count)


def plain_outputs(run: Run, named: dict[str, Any], sequences: Sequences, xp: Any) -> Any:
    """(outputs of the scored timesteps, all one after the other; logits) with parameters `named`; xp as elsewhere."""
    outputs, logits = [], []
    for n in range(sequences.count):
        state, output = plain.zero_state(run.model, run.task.outputs, xp)
        for t in range(int(sequences.full_lengths[n])):
            state, output, logit = plain.timestep(run.model, named, sequences.x[n, t], state, output, xp)
            if sequences.full_scored[n, t]:
                outputs.append(output)
                logits.append(logit)
    return xp.stack(outputs), xp.stack(logits)


def plain_curvature(run: Run, outputs: Any, sequences: Sequences) -> Any:
    """(K, outputs, outputs): H of each of K scored timesteps, ∂²loss/∂y² or, of a loss of logits, ∂²loss/∂z²."""
    scored = [(n, t) for n in range(sequences.count) for t in range(int(sequences.full_lengths[n]))]
    scored = [(n, t) for n, t in scored if sequences.full_scored[n, t]]
    targets = np.array([sequences.y[n] if sequences.last_only else sequences.y[n, t] for n, t in scored])
    each, share = np.eye(run.task.outputs), run.loss.weight / sequences.count
    if type(run.loss).__name__ == "SquaredError":
        return share * np.broadcast_to(2.0 * each, (len(scored), *each.shape))
    diagonal = outputs[:, :, None] * each
    if type(run.loss).__name__ == "BinaryCrossEntropy":
        return share * diagonal * (1.0 - outputs)[:, :, None]
    mass = np.array([target.sum() for target in targets])[:, None, None]
    return share * mass * (diagonal - outputs[:, :, None] * outputs[:, None, :])


def first_sequences(run: Run, count: int) -> Sequences:
    """The first sequences of a run's training data."""
    page = run.task.training().page(seed_of(run, 1), 0, run.train.batch_size)
    rows, data = page.rows.ravel()[:count], page.sequences
    scored = data.scored if data.scored is None or data.scored.ndim == 1 else data.scored[rows]
    return Sequences(data.x[rows], data.y[rows], None if data.lengths is None else data.lengths[rows], scored)


def check_gradients(run: Run) -> list[BlockError]:
    """Compare the kernels' gradient with finite differences, norm-wise per block, at the run's initial parameters.

    Of an optimizer that solves for its step the product of the loss's curvature with a random direction is compared
    too: blocks named `curvature of …`.
    """
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    seed = seed_of(run, 0)
    flat = draw_start(run, blocks)
    sequences = first_sequences(run, _SEQUENCES)
    solves = find_solver(run) is not None
    gradient, there = gradient_of(run, flat, sequences), np.ones(flat.size)
    if (signs := sign_parameters(run.model, blocks)) is not None:  # |R′| has no slope at 0: compare by R
        turned_back = np.where(signs == 0.0, 1.0, signs * np.sign(flat))
        gradient, there = gradient * turned_back, np.abs(turned_back)
        flat, run = keep_signs(flat, signs), dataclasses.replace(run, model=without_signs(run.model))
    held = to_named(blocks, flat)
    rng = Generator(seed)
    wide = flat.astype(np.longdouble)

    def slope(direction: Floats) -> Any:
        def at(distance: Any) -> Any:
            named = to_named(blocks, wide + distance * direction)
            loss = plain_loss(run, named, held, sequences, np)
            return loss + run.regularizer.penalty(run, named, held, sequences)

        h = np.longdouble(_STEP) * max(1.0, float(np.abs(flat).max()))
        return (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)

    def outputs(direction: Floats) -> tuple[Any, Any]:
        """Outputs of the scored timesteps, and how what the loss is convex in changes along a direction."""

        def at(distance: Any) -> Any:
            return plain_outputs(run, to_named(blocks, wide + distance * direction), sequences, np)[int(run.loss.fused)]

        h = np.longdouble(_STEP) * max(1.0, float(np.abs(flat).max()))
        made = plain_outputs(run, held, sequences, np)[0]
        return made, (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)

    if solves:
        along = 2.0 * rng.integers(2, size=flat.size) - 1.0
        product = curvature_of(run, flat, along, sequences)
        made, change = outputs(along)
        turned = np.einsum("koi,ki->ko", plain_curvature(run, made, sequences), change)
    errors, of_curvature = [], []
    for block in blocks:
        places = block.first + np.sort(rng.permutation(block.size)[:_ELEMENTS])
        directions = [np.eye(1, flat.size, place)[0] for place in places]
        whole = np.zeros(flat.size)
        whole[block.first : block.first + block.size] = (2.0 * rng.integers(2, size=block.size) - 1.0) / np.sqrt(
            block.size
        )
        directions = [direction * there for direction in (*directions, whole)]
        errors.append(_compare(block.name, directions, gradient, slope))
        if solves:
            name = f"curvature of {block.name}"
            of_curvature.append(_compare(name, directions, product, lambda v: (outputs(v)[1] * turned).sum()))
    return [*errors, *of_curvature]


def _compare(name: str, directions: list[Any], found: Floats, slope: Callable[[Any], Any]) -> BlockError:
    """A block's error: what was found along directions, against what should have been."""
    along = np.array([direction @ found for direction in directions])
    expected = np.array([float(slope(direction)) for direction in directions])
    size = max(np.linalg.norm(along), np.linalg.norm(expected))
    return BlockError(name, 0.0 if size == 0 else float(np.linalg.norm(along - expected) / size), BOUND)
