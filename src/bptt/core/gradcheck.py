"""The shipped gradient check: backpropagation through time against finite differences of the plain mathematics.

The differences are taken of `bptt.core.plain`, in extended precision where the machine has it, so that gradients that
have almost vanished are still checked to six digits, and with the states that truncation cuts off held where they were.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt.core import plain
from bptt.core.clips.none import NoClip
from bptt.core.kernel import UNITS
from bptt.core.lane_block import single_lane
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, to_named
from bptt.core.random import Generator
from bptt.core.recurrent_constraint import draw_start
from bptt.core.run import Run, seed_of
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.sequences import Floats, Pool, Sequences

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


def gradient_of(run: Run, flat: Floats, sequences: Sequences, mode: str = UNITS) -> Floats:
    """∂loss/∂θ (P,) at θ = flat on these sequences as one batch, as the kernels give it, regularizer included."""
    settings = dataclasses.replace(run.train, batch_size=sequences.count, updates=1, only=None)
    still = dataclasses.replace(
        run, optimizer=Sgd(alpha=0.0), schedule=ConstantSchedule(), clip=NoClip(), train=settings
    )
    block = single_lane(still, Pool(sequences, "sequential"), flat, mode)
    block.train(0, 1)
    return block.gradients[0]


def plain_loss(run: Run, named: dict[str, Any], held: dict[str, Any], sequences: Sequences, xp: Any) -> Any:
    """The loss with parameters `named`, its windows as of `plain.follow_windows`.

    xp: numpy, or a module that stands in for it.
    """
    loss_name, result = type(run.loss).__name__, 0.0
    for n, t, _, output, logit in plain.follow_windows(run, named, held, sequences, sequences.full_scored, xp):
        target = sequences.y[n] if sequences.last_only else sequences.y[n, t]
        result = result + plain.timestep_loss(loss_name, logit, output, target, xp)
    return result * (run.loss.weight / sequences.count)


def first_sequences(run: Run, count: int) -> Sequences:
    """The first sequences of a run's training data."""
    page = run.task.training().page(seed_of(run, 1), 0, run.train.batch_size)
    rows, data = page.rows.ravel()[:count], page.sequences
    scored = data.scored if data.scored is None or data.scored.ndim == 1 else data.scored[rows]
    return Sequences(data.x[rows], data.y[rows], None if data.lengths is None else data.lengths[rows], scored)


def check_gradients(run: Run) -> list[BlockError]:
    """Compare the kernels' gradient with finite differences, norm-wise per block, at the run's initial parameters."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    seed = seed_of(run, 0)
    flat = draw_start(run, blocks)
    sequences = first_sequences(run, _SEQUENCES)
    gradient = gradient_of(run, flat, sequences)
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

    errors = []
    for block in blocks:
        places = block.first + np.sort(rng.permutation(block.size)[:_ELEMENTS])
        directions = [np.eye(1, flat.size, place)[0] for place in places]
        whole = np.zeros(flat.size)
        whole[block.first : block.first + block.size] = (2.0 * rng.integers(2, size=block.size) - 1.0) / np.sqrt(
            block.size
        )
        directions.append(whole)
        found = np.array([direction @ gradient for direction in directions])
        expected = np.array([float(slope(direction)) for direction in directions])
        size = max(np.linalg.norm(found), np.linalg.norm(expected))
        error = 0.0 if size == 0 else float(np.linalg.norm(found - expected) / size)
        errors.append(BlockError(block.name, error, BOUND))
    return errors
