"""How well outputs fit the targets of a task that says what they are: `rmse`, `mae`, `r2`, or those of classes.

Outputs are (…, N, T, outputs), or (…, N, outputs) where only the last timestep has a target; what stands before N are
networks, and sequences may have such axes too. Only what is scored counts. A number is one for each network.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.elementwise import add_up, compute_log
from bptt.core.run import Run, Target
from bptt.core.sequences import Floats, Pool, Sequences

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
