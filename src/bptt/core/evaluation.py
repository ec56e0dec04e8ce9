"""Outputs and losses of networks on sets of sequences, and the sets that they are seen on."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from bptt.core.kernel import ARRAYS, LANES, SIZES_ARRAY, UNITS, Kernel, call_forward, call_loss
from bptt.core.lanes import blocks_of_lanes, model_numbers, recorded_updates
from bptt.core.layout import Net, output_element, read_net, state_at
from bptt.core.network import start_from_zero
from bptt.core.parameters import list_parameters, parameter_count, to_flat
from bptt.core.places import spread_weights
from bptt.core.random import Generator, make_generator
from bptt.core.run import Run, Settings, Task, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.core.shapes.forward import find_pass, may_have_forward
from bptt.core.simd import (
    WIDTH,
    aligned_zeros,
    element,
    elements,
    has_units,
    inline,
    number_of,
    numbers_of,
    pointer_to,
    set_element,
    set_number,
    splat,
    transpose,
)
from bptt.core.workspace import (
    LENGTHS,
    PLACES,
    ROWS,
    SCORED,
    SHARES,
    Workspace,
    X,
    Y,
    are_alike,
    as_mode,
    lay_out,
    pack,
    sequence_arrays,
)

STARTS = types.Array(types.float64, 3, "C")  # (lanes, B or 0, numbers): states as in `Record.state`
OUTPUTS = types.Array(types.float64, 4, "C")  # (lanes, N, T or 1, outputs)
LOSSES = types.Array(types.float64, 1, "C")  # (lanes,): the mean over all sequences
# Rows times timesteps that are evaluated at once, about: so few with LANES that states stay in the nearest cache, but
# as many rows as a block of a product has; so many with UNITS that they fill vectors.
_PLACES = {LANES: 32, UNITS: 256}
_LEAST_ROWS = {LANES: 4, UNITS: 1}
_OUTPUT_BYTES = 2**18  # of the networks whose outputs are looked at together, about


@inline
def _start(net, memory, starts, lanes, first, begin):
    """Timestep `begin` of sequence first + r starts from row (first + r) mod B of what is given, or from zero."""
    start_from_zero(net, memory, begin)
    if starts.shape[1] > 0:
        for lane in range(lanes):
            for r in range(net.batch):
                given, number = starts[lane, (first + r) % starts.shape[1]], 0
                for layer in range(net.layers):
                    state = elements(memory, state_at(net, layer, begin)) + r * net.slots * net.span
                    for slot in range(net.slots):
                        for j in range(net.hidden):
                            set_number(memory, state + slot * net.span + j, lane, given[number])
                            number += 1
                if net.feedback == 1:
                    for o in range(net.outputs):
                        place = output_element(net, memory, net.output, begin - 1, o) + r
                        set_number(memory, place, lane, given[number + o])


@inline
def _unpack(net, memory, starts, n, batch, lengths, outputs):
    """What a forward pass gave for the sequences n … of all lanes, left-aligned."""
    steps, given = outputs.shape[2], starts.shape[1]
    for lane in range(outputs.shape[0]):
        own = min(lane, lengths.shape[0] - 1)
        for r in range(batch):
            taken = min(lengths[own, n + r], steps)
            for o in range(net.outputs):
                for t in range(taken):
                    place = output_element(net, memory, net.output, net.timesteps - taken + t, o) + r
                    outputs[lane, n + r, t, o] = number_of(memory, place, lane)
                behind = starts[lane, (n + r) % given, starts.shape[2] - net.outputs + o] if given > 0 else 0.0
                for t in range(taken, steps):
                    outputs[lane, n + r, t, o] = behind


@inline
def _unpack_squares(net, memory, n, batch, outputs):
    """`_unpack` with LANES of sequences that all have all timesteps: squares of numbers, which are transposed."""
    lanes, count, steps, last = outputs.shape[0], outputs.shape[1], outputs.shape[2], net.outputs
    goes, lane_step = numbers_of(outputs), count * steps * last
    # Outputs of a timestep lie side by side, or a single output of all timesteps.
    along, step = (steps, net.rows) if last == 1 else (last, net.places)
    for r in range(batch):
        for t in range(1 if last == 1 else steps):
            came = (output_element(net, memory, net.output, net.timesteps - steps + t, 0) + r) * WIDTH
            place = ((n + r) * steps + t) * last
            transpose(goes, place, lane_step, memory, came, step * WIDTH, along, lanes)


@inline
def _add_losses(net, memory, begin, batch, steps, losses):
    """The sum of losses, and those of so many sequences, one after the other: each its timesteps', one after the other.

    0 where a timestep does not count.
    """
    for r in range(batch):
        total = splat(0.0)
        for t in range(max(begin, net.timesteps - steps), net.timesteps):
            total = total + element(memory, output_element(net, memory, net.loss, t, 0) + r)
        losses = losses + total
    return losses


def _evaluate(
    forward,
    loss,
    sizes_array,
    parameters,
    memory_array,
    x,
    y,
    lengths,
    scored,
    rows,
    shares,
    alike,
    places,
    starts,
    outputs,
    losses,
):
    sizes, theta, memory = pointer_to(sizes_array), pointer_to(parameters), pointer_to(memory_array)
    net, weights = read_net(sizes), memory if has_units(memory) else theta
    lanes, count, total = shares.shape[0], outputs.shape[1], splat(0.0)
    spread_weights(net, theta, memory)
    for chunk in range(rows.shape[1]):
        n, batch = rows[0, chunk, 0], min(net.batch, count - rows[0, chunk, 0])
        begin = pack(net, memory, x, y, lengths, scored, rows, chunk, batch, shares, alike, alike and chunk > 0, places)
        _start(net, memory, starts, lanes, n, begin)
        call_forward(forward, (sizes, weights, memory, begin))
        call_loss(loss, (sizes, memory, begin))
        total = _add_losses(net, memory, begin, batch, outputs.shape[2], total)
        if alike and not has_units(memory):
            _unpack_squares(net, memory, n, batch, outputs)
        else:
            _unpack(net, memory, starts, n, batch, lengths, outputs)
    place = elements(memory, net.logit_delta)
    set_element(memory, place, total)
    for lane in range(lanes):
        losses[lane] = number_of(memory, place, lane) / count


evaluate_chunks = Kernel(
    _evaluate,
    {
        mode: types.void(
            *[types.int64] * 2,
            SIZES_ARRAY,
            *[memory] * 2,
            X,
            Y,
            LENGTHS,
            SCORED,
            ROWS,
            SHARES,
            types.boolean,
            PLACES,
            STARTS,
            OUTPUTS,
            LOSSES,
        )
        for mode, memory in ARRAYS.items()
    },
)


class Evaluation:
    """Sets of sequences on which networks of one model are evaluated, again and again.

    sets   one for each network, of equal shapes; networks may share one
    batch  of which the networks are trained: it decides what fills the vectors, so that no other kernels are needed
    planned  sequences that are seen in the long run, by all networks: whether a kernel is made for their shape, which
             changes no bit
    models   of each network, where they differ in numbers; None: each has those of `model`

    Parameters are taken as they are, and no noise is added to states.
    The loss's weight is left out (1): losses are proportional to it.
    """

    def __init__(
        self,
        model: Any,
        loss: Any,
        sets: Sequence[Sequences],
        batch: int = 1,
        planned: int = 0,
        models: Sequence[Any] | None = None,
    ) -> None:
        first = sets[0]
        self._shape = (first.count, 1 if first.last_only else first.timesteps, first.y.shape[-1])
        self._last_only = first.last_only
        own = any(one is not first for one in sets)
        *arrays, self._alike = sequence_arrays(sets if own else [first])
        passes: dict[str, _Pass] = {}
        self._parts: list[_Part] = []
        most = max(1, _OUTPUT_BYTES // (8 * math.prod(self._shape)))
        for mode, lanes in blocks_of_lanes(model, batch, len(sets)):
            if mode not in passes:
                made = find_pass(model, lay_out_sets(model, loss, first, mode), self._alike, planned)
                passes[mode] = _Pass(model, loss, first, mode, made)
            place = slice(lanes.start, lanes.stop)
            if not self._parts or place.stop - self._parts[-1].begin > most:
                self._parts.append(_Part(lanes.start, []))
            data = tuple(array[place] for array in arrays) if own else tuple(arrays)
            numbers = model_numbers([model] if models is None else models[place], mode)
            self._parts[-1].blocks.append((place, passes[mode], (numbers, *data)))
        for part in self._parts:
            part.sequences = _view_sequences(arrays, slice(part.begin, part.end), first.last_only) if own else first

    def by_part(
        self, thetas: Floats, states: Floats | None, wanted: NDArray[np.bool_]
    ) -> Iterator[tuple[slice, Sequences, Floats, Floats]]:
        """`evaluate` some networks at a time, if any of them is wanted: (which, their sequences, losses, outputs).

        Of networks that are not wanted, losses and outputs are any numbers.
        """
        for part in self._parts:
            place = slice(part.begin, part.end)
            if wanted[place].any():
                count, make = part.end - part.begin, np.empty if wanted[place].all() else np.zeros
                outputs, losses = make((count, *self._shape)), make(count)
                for block, forward, data in part.blocks:
                    if wanted[block].any():
                        lanes = slice(block.start - part.begin, block.stop - part.begin)
                        given = None if states is None else np.ascontiguousarray(states[block])
                        forward(thetas[block], given, data, self._alike, outputs[lanes], losses[lanes])
                yield place, part.sequences, losses, outputs[:, :, 0] if self._last_only else outputs

    def evaluate(self, thetas: Floats, states: Floats | None = None) -> tuple[Floats, Floats]:
        """(losses (L,), outputs (L, N, T, outputs), or (L, N, outputs) for targets at the end) with parameters (L, P).

        states (L, batch, numbers), see `Record.state`: sequence n starts from row n mod batch; None: from zero. Behind
        a sequence's end its outputs are what they were before its first timestep.
        """
        found = list(self.by_part(thetas, states, np.ones(len(thetas), bool)))
        return np.concatenate([losses for *_, losses, _ in found]), np.concatenate([outputs for *_, outputs in found])


@dataclass
class _Part:
    """Networks that are evaluated together, in blocks of those that share vectors: (which, how, data)."""

    begin: int
    blocks: list[tuple[slice, "_Pass", tuple[Any, ...]]]
    sequences: Any = None

    @property
    def end(self) -> int:
        return self.blocks[-1][0].stop


def _view_sequences(arrays: Sequence[Any], place: slice, last_only: bool) -> Sequences:
    """The sets of some networks together, of which nothing is copied."""
    x, y, lengths, scored = (array[place] for array in arrays)
    return Sequences(x, y[:, :, 0] if last_only else y, lengths, None if last_only else scored.view(np.bool_))


def _rows_at_once(sequences: Sequences, mode: str) -> int:
    return min(sequences.count, max(_LEAST_ROWS[mode], _PLACES[mode] // sequences.timesteps))


def lay_out_sets(model: Any, loss: Any, sequences: Sequences, mode: str) -> Net:
    """The layout in which networks are evaluated on such sets, some of their sequences at a time."""
    return lay_out(model, loss, sequences, _rows_at_once(sequences, mode), mode)


def made_for_evaluation(run: Run, modes: Iterable[str], planned: int) -> Iterator[tuple[Kernel, str]]:
    """The kernel, with its mode, that is made for evaluating such runs; planned: updates of all lanes."""
    if LANES in modes and may_have_forward(run.model):
        parts: tuple[Any, ...] = run.task, run.model, type(run.loss)
        net, alike, size = _look_at_evaluation(*parts)
        kernel = find_pass(run.model, net, alike, count_evaluated(run.train, size, planned))
        if kernel is not None:
            yield kernel, LANES


@lru_cache(maxsize=16)  # a set may be large
def _look_at_evaluation(task: Any, model: Any, loss: Any) -> tuple[Net, bool, int]:
    """The layout of an evaluation side by side, whether its sequences are alike, and how many there are."""
    sequences = task.evaluation(Generator(np.random.SeedSequence(0)))
    return lay_out_sets(model, loss, sequences, LANES), are_alike([sequences]), sequences.count


def count_evaluated(settings: Settings, size: int, planned: int) -> int:
    """Sequences of sets of some size that are evaluated where so many updates are made, of all lanes."""
    points = len(recorded_updates(settings.updates, settings.log_points, settings.log_spacing))
    return planned * points * size // settings.updates


class _Pass:
    """The forward pass and the loss of a model, in one mode, and the memory for it; made: for the shape."""

    def __init__(self, model: Any, loss: Any, sequences: Sequences, mode: str, made: Kernel | None) -> None:
        rows = _rows_at_once(sequences, mode)
        self._rows = np.arange(-(-sequences.count // rows) * rows).reshape(1, -1, rows)
        self._space = Workspace(lay_out_sets(model, loss, sequences, mode), mode)
        count = parameter_count(list_parameters(model, sequences.x.shape[2], sequences.y.shape[-1]))
        self._theta = as_mode(aligned_zeros(count if mode == LANES else -(-count // WIDTH), WIDTH), mode)
        self._kernels = (made or model.cell.forward).address(mode), loss.kernel.address(mode)
        self._zero, self._shares = np.empty((WIDTH, 0, 0)), np.ones(WIDTH)
        self._evaluate = evaluate_chunks.compile(mode).entry_point

    def __call__(
        self, thetas: Floats, states: Floats | None, data: tuple[Any, ...], alike: bool, outputs: Floats, losses: Floats
    ) -> None:
        space, lanes, count = self._space, *thetas.shape
        numbers, *packed = data
        space.set_numbers(numbers)
        given = self._zero[:lanes] if states is None else states
        if space.mode == LANES:
            self._theta[:, :lanes] = thetas.T
        else:
            self._theta[:count] = thetas[0]
        # Called as compiled: to find out the types of what it is given takes Numba as long as some sequences.
        self._evaluate(
            *(*self._kernels, space.sizes, self._theta, space.memory),
            *(*packed, self._rows, self._shares[:lanes], alike, space.places, given, outputs, losses),
        )


def predict(run: Any, parameters: Any, sequences: Sequences, state: Floats | None = None) -> Floats:
    """What a run's network gives with these parameters: (N, T, outputs), or (N, outputs) for targets at the end."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    evaluation = Evaluation(run.model, run.loss, [sequences])
    _, outputs = evaluation.evaluate(to_flat(blocks, parameters)[None], None if state is None else state[None])
    return outputs[0]


def list_scores(task: Task, sequences: Sequences) -> dict[str, Callable[[Floats, Sequences], Any]]:
    """Metric → what computes it, of those that the task has."""
    every = {"accuracy/eval": task.accuracy, "accuracy/all_right": getattr(task, "all_right", None)}
    known = {name: score for name, score in every.items() if score is not None}
    return {name: score for name, score in known.items() if score(np.zeros(sequences.y.shape), sequences) is not None}


def find_baselines(runs: Sequence[Run]) -> list[dict[str, float]]:
    """`baseline` of each run, where its task knows it; runs that fuse have the same task."""
    find = getattr(runs[0].task, "baseline", None)
    known = {} if find is None else {run.loss: find(run.loss) for run in runs}
    return [{"baseline": float(cost)} if (cost := known.get(run.loss)) is not None else {} for run in runs]


_TEST, _LENGTHS = 3, 6  # streams, see `seed_of`


@dataclass(frozen=True)
class SetToSee:
    """A set of each run that its network is seen on when training has ended, beside the evaluation: test, lengths.

    part  what stands in place of `eval` in the names of its metrics: test, eval_200
    key   of the stream that it is drawn from
    make  generator → the set; None where there is none
    """

    part: str
    key: tuple[int, ...]
    make: Callable[[Generator], Sequences | None]

    def draw(self, run: Run) -> Sequences | None:
        stream, *rest = self.key
        return self.make(make_generator(seed_of(run, stream), *rest))


def list_sets(task: Any) -> Iterator[SetToSee]:
    """The sets of a task's runs, beside the evaluation's."""
    if hasattr(task, "test"):
        yield SetToSee("test", (_TEST,), task.test)
    if hasattr(task, "at_length"):
        for length in task.eval_lengths:
            yield SetToSee(f"eval_{length}", (_LENGTHS, length), partial(task.at_length, length))


def name_in(metric: str, part: str) -> str:
    """A metric's name in a part: `accuracy/eval` in `eval_200` is `accuracy/eval_200`."""
    name, _, _ = metric.rpartition("/")
    return f"{name}/{part}"
