"""What is done to a fit's sequences before they are trained on: a part is held back, and numbers are standardised."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from bptt.core.sequences import Floats, Sequences
from bptt.tasks.own_data.preparation import Preparation

Rows = NDArray[np.int64]


def hold_back(count: int, share: float | None, classes: NDArray[Any] | None, seed: int) -> tuple[Rows, Rows]:
    """(rows to train on, rows held back), each in order; share None: none is held back.

    One is held back at least. Where every class has enough, all have their share of both parts.
    Raises ValueError where nothing would be left to train on.
    """
    rows = np.arange(count)
    if share is None:
        return rows, rows[:0]
    held = max(1, round(share * count))
    if held >= count:
        raise ValueError(f"n_samples={count}: with validation_fraction={share:g} none is left to train on")
    stratify = None
    if classes is not None:
        sizes = np.unique(classes, return_counts=True)[1]
        stratify = classes if sizes.min() > 1 and min(held, count - held) >= len(sizes) else None
    kept, back = train_test_split(rows, test_size=held, random_state=seed, stratify=stratify)
    return np.sort(kept), np.sort(back)


def pick_rows(sequences: Sequences, rows: Rows) -> Sequences:
    """These sequences, in this order."""
    lengths = None if sequences.lengths is None else sequences.lengths[rows]
    return Sequences(sequences.x[rows], sequences.y[rows], lengths)


def measure_scales(sequences: Sequences, labels: tuple[int | str, ...] | None, scale: bool) -> Preparation:
    """How numbers are standardised: inputs, and targets that are numbers, to mean 0 and standard deviation 1.

    labels of classes; None: targets are numbers. What does not vary, or can't be squared, is moved to 0 alone; scale
    False: nothing changes.
    """
    steps = np.arange(sequences.timesteps) < sequences.full_lengths[:, None]
    of_x, of_y = _measure(sequences.x[steps], scale), _measure(sequences.y, scale and labels is None)
    return Preparation(
        inputs=tuple(f"x{number}" for number in range(len(of_x[0]))),
        input_mean=of_x[0],
        input_scale=of_x[1],
        targets=("y",) if labels is not None else tuple(f"y{number}" for number in range(len(of_y[0]))),
        target_mean=of_y[0],
        target_scale=of_y[1],
        classes=labels,
        kind="numbers" if labels is None else "classes",
    )


def _measure(numbers: Floats, scale: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, scale) of each column of numbers (n, columns)."""
    columns = numbers.shape[1]
    if not scale:
        return (0.0,) * columns, (1.0,) * columns
    with np.errstate(over="ignore"):
        deviations = numbers.std(axis=0)
    # The mean of equal numbers is rounded, so that they seem to vary a little.
    varies = (numbers != numbers[:1]).any(axis=0) & (deviations > 0) & np.isfinite(deviations)
    return tuple(numbers.mean(axis=0).tolist()), tuple(np.where(varies, deviations, 1.0).tolist())
