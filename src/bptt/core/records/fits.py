"""How well outputs fit their targets: how many are right, in one compiled call for many networks; and of tasks that say
what their targets are `rmse`, `mae`, `r2`, or the metrics of classes.

Outputs are (…, N, T, outputs), or (…, N, outputs) where only the last timestep has a target; what stands before N are
networks, and sequences may have such axes too. Only what is scored counts. A number is one for each network.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from bptt.core.elementwise import add_up, compute_log
from bptt.core.kernel import UNITS, Kernel
from bptt.core.run import Run, Target
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.core.simd import inline

_LEAST = 2.0**-52  # of a probability whose logarithm is taken: what a float64 can differ from 1


def list_fits(run: Run) -> dict[str, Callable[[Floats, Sequences], Any]]:
    """Metric of the evaluation set, as `rmse/eval` → what computes it; none where the task says no `target`."""
    target: Target | None = getattr(run.task, "target", None)
    if target == "numbers":
        numbers = NumberFits(run.task)
        return {"rmse/eval": numbers.rmse, "mae/eval": numbers.mae, "r2/eval": numbers.r2}
    if target is None or (target == "two_classes" and run.task.outputs > 1):  # bits, each of two classes of its own
        return {}
    readout = "sigmoid" if target == "two_classes" else "softmax"
    likely = {"log_loss/eval": log_loss} if run.model.readout == readout else {}  # its outputs are probabilities
    return {"balanced_accuracy/eval": balanced_accuracy, **likely}


class NumberFits:
    """How far numbers are from their targets, in the data's own units where the task has a `preparation`."""

    def __init__(self, task: Any) -> None:
        self._task = task
        preparation = getattr(task, "preparation", None)
        self._scale = 1.0 if preparation is None else np.asarray(preparation.target_scale, np.float64)
        self._mean: Floats | None = None

    def rmse(self, output: Floats, sequences: Sequences) -> Any:
        """√⟨(y − target)²⟩, the mean over all scored numbers."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = add_up(_sum_scored(self._errors(output, sequences) ** 2, sequences))
        return np.sqrt(squares / (count_scored(sequences) * output.shape[-1]))

    def mae(self, output: Floats, sequences: Sequences) -> Any:
        """⟨|y − target|⟩, the mean over all scored numbers."""
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = add_up(_sum_scored(np.abs(self._errors(output, sequences)), sequences))
        return sizes / (count_scored(sequences) * output.shape[-1])

    def r2(self, output: Floats, sequences: Sequences) -> Any:
        """1 − Σ(y − target)² / Σ(naive − target)² of each output, and the mean of these; NaN where naive is right."""
        naive = self._forecast(sequences)
        if naive is None:
            return np.full(_networks(output, sequences), np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            own = _sum_scored((output - sequences.y) ** 2, sequences)
            others = np.broadcast_to(_sum_scored((naive - sequences.y) ** 2, sequences), own.shape)
            share = np.divide(own, others, out=np.full(own.shape, np.nan), where=others != 0)
        return 1.0 - add_up(share) / output.shape[-1]

    def _errors(self, output: Floats, sequences: Sequences) -> Any:
        return self._scale * (output - sequences.y)

    def _forecast(self, sequences: Sequences) -> Floats | None:
        """What the task says is naive; else the mean of the targets of a fixed training set, (outputs,)."""
        given = getattr(self._task, "naive", None)
        if given is not None and (naive := given(sequences)) is not None:
            return np.asarray(naive, np.float64)
        if self._mean is None and isinstance(stream := self._task.training(), Pool):
            self._mean = _sum_scored(stream.sequences.y, stream.sequences) / count_scored(stream.sequences)
        return self._mean


def balanced_accuracy(output: Floats, sequences: Sequences) -> Any:
    """The mean over the classes that targets have of the share of each that is found."""
    truth, found, scored = _find_classes(sequences.y), _find_classes(output), _find_scored(sequences)
    shares, classes = np.zeros(_networks(output, sequences)), np.zeros(_networks(output, sequences))
    for own in (scored & (truth == number) for number in range(max(2, output.shape[-1]))):
        there, right = (_count(one, sequences, shares.shape) for one in (own, own & (found == truth)))
        shares = shares + np.divide(right, there, out=np.zeros(shares.shape), where=there > 0)
        classes = classes + (there > 0)
    return shares / classes


def log_loss(output: Floats, sequences: Sequences) -> Any:
    """−⟨ln p⟩, the mean over scored timesteps, p the probability that was given to the target's class."""
    target, given = sequences.y, output
    if output.shape[-1] == 1:  # of the second of two classes
        target, given = (np.concatenate([1.0 - array, array], axis=-1) for array in (target, given))
    logs = compute_log(np.clip(given, _LEAST, 1.0))
    return -add_up(_sum_scored(target * logs, sequences)) / count_scored(sequences)


def count_classes(output: Floats, sequences: Sequences) -> Floats:
    """(…, classes, classes): how many scored timesteps of each class (the row) were taken for each (the column).

    The class of a timestep is where its largest number stands, the first of equal ones; of a single output 1 where that
    is above a half. Of an output that is NaN it is none.
    """
    truth, found, scored = _find_classes(sequences.y), _find_classes(output), _find_scored(sequences)
    networks, classes = _networks(output, sequences), range(max(2, output.shape[-1]))
    counts = np.zeros((*networks, len(classes), len(classes)))
    for row in classes:
        for column in classes:
            counts[..., row, column] = _count(scored & (truth == row) & (found == column), sequences, networks)
    return counts


def _networks(output: Floats, sequences: Sequences) -> tuple[int, ...]:
    """The shape of what there is one of for each network."""
    return output.shape[: output.ndim - (2 if sequences.last_only else 3)]


def _count(which: NDArray[np.bool_], sequences: Sequences, networks: tuple[int, ...] = ()) -> Floats:
    """How many are, of each network: which (…, N) or (…, N, T), or without the networks' axes, of all alike."""
    own = which.reshape(*which.shape[: which.ndim - (1 if sequences.last_only else 2)], -1)
    counts = add_up(own.astype(np.float64))
    return np.broadcast_to(counts, networks or counts.shape)


def _find_scored(sequences: Sequences) -> NDArray[np.bool_]:
    return np.ones(sequences.y.shape[:-1], bool) if sequences.last_only else sequences.full_scored


def _find_classes(numbers: Floats) -> NDArray[np.int64]:
    if numbers.shape[-1] == 1:
        found = np.where(numbers[..., 0] > 0.5, 1, 0)
    else:
        found = numbers.argmax(axis=-1)
    return np.where(np.isnan(numbers).any(axis=-1), -1, found)


def count_scored(sequences: Sequences) -> Any:
    """(…): how many timesteps have a target that counts."""
    return _count(_find_scored(sequences), sequences)


def _sum_scored(numbers: Any, sequences: Sequences) -> Floats:
    """(…, outputs): sums of numbers, of outputs' shape, over the timesteps that are scored."""
    if not sequences.last_only:
        numbers = np.where(sequences.full_scored[..., None], numbers, 0.0)
        numbers = numbers.reshape(*numbers.shape[:-3], -1, numbers.shape[-1])
    return add_up(np.asarray(numbers).swapaxes(-1, -2))


_ROUNDED, _CLOSE, _CLASS = range(3)  # what is right


class Right(NamedTuple):
    """How many are right, (…) each: numbers, or timesteps of classes; sequences in which all is; scored: timesteps."""

    right: Any
    sequences: Any
    scored: Any


def count_rounded(output: Floats, sequences: Sequences) -> Right:
    """Output numbers that round to their targets, which are whole numbers."""
    return _count_right_of(output, sequences, _ROUNDED)


def count_close(output: Floats, sequences: Sequences, error: float) -> Right:
    """Output numbers that are less than `error` away from their targets."""
    return _count_right_of(output, sequences, _CLOSE, error)


def count_classes_right(output: Floats, sequences: Sequences) -> Right:
    """Timesteps at which the largest output, the first of equal ones, stands where the one-hot target has its 1."""
    return _count_right_of(output, sequences, _CLASS)


def _count_right_of(output: Floats, sequences: Sequences, right: int, error: float = 0.0) -> Right:
    last = sequences.last_only
    networks = output.shape[: -2 if last else -3]
    shape = (-1, sequences.count, 1 if last else sequences.timesteps, output.shape[-1])
    target = np.ascontiguousarray(sequences.y, np.float64).reshape(shape)
    scored = np.ones((1, 1, 1), bool) if last else sequences.full_scored.reshape(-1, *shape[1:3])
    given = np.ascontiguousarray(output, np.float64).reshape(shape)
    if len(target) not in (1, len(given)):
        raise ValueError(f"outputs of shape {output.shape} for targets of shape {sequences.y.shape}")
    counts = np.empty((3, len(given)), np.int64)
    count_right.compile(UNITS).entry_point(given, target, np.ascontiguousarray(scored), right, error, counts)
    return Right(*(own.reshape(networks) if networks else own[0] for own in counts))


@inline
def _is_right(output, target, right, error):
    """Whether one number is; NaN is not."""
    if right == _ROUNDED:
        return np.rint(output) == target
    return abs(output - target) < error


@inline
def _is_class(output, target, net, n, t, own):
    """Whether the first of the largest outputs stands where the first of the largest targets does."""
    found, truth = 0, 0
    for o in range(output.shape[3]):
        if np.isnan(output[net, n, t, o]):
            return False
        if output[net, n, t, o] > output[net, n, t, found]:
            found = o
        if target[own, n, t, o] > target[own, n, t, truth]:
            truth = o
    return found == truth


def _count_right(output, target, scored, right, error, counts):
    for net in range(output.shape[0]):
        own, rows = min(net, target.shape[0] - 1), min(net, scored.shape[0] - 1)
        good, whole, places = 0, 0, 0
        for n in range(output.shape[1]):
            wrong = 0
            for t in range(output.shape[2]):
                if scored[rows, min(n, scored.shape[1] - 1), t]:
                    places += 1
                    if right == _CLASS:
                        one = 1 if _is_class(output, target, net, n, t, own) else 0
                        good += one
                        wrong += 1 - one
                    else:
                        for o in range(output.shape[3]):
                            one = 1 if _is_right(output[net, n, t, o], target[own, n, t, o], right, error) else 0
                            good += one
                            wrong += 1 - one
            whole += 1 if wrong == 0 else 0
        counts[0, net], counts[1, net], counts[2, net] = good, whole, places


_NUMBERS = types.Array(types.float64, 4, "C")
#: count_right(outputs (networks, N, T, outputs), targets and scored of each or of all, what is right, error, counts
#: (3, networks)): as of `Right`
count_right = Kernel(
    _count_right,
    {
        UNITS: types.void(
            *(_NUMBERS, _NUMBERS, types.Array(types.boolean, 3, "C"), types.int64, types.float64),
            types.Array(types.int64, 2, "C"),
        )
    },
)
