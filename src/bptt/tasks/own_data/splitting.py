"""Which sequences train, which evaluate and which test: drawn at random by a seed of their own, or the last ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.random import Generator

Places = NDArray[np.int64]

#: Held out where nothing else is said, each for the evaluation and the test.
USUAL_SHARE: Final = 0.2
#: Of fewer sequences nothing is held out unless it is asked for.
FEWEST_TO_SPLIT: Final = 10


@dataclass(frozen=True, eq=False)
class Partition:
    """Places (n,) in ascending order; those of the evaluation and the test may be none."""

    training: Places
    evaluation: Places
    test: Places


def count_parts(count: int, eval_share: float, test_share: float) -> tuple[int, int]:
    """How many of so many evaluate and test: the share, rounded, and one at least where there is a share.

    Raises ValueError where none is left to train.
    """
    evaluating, testing = (max(1, round(share * count)) if share > 0 else 0 for share in (eval_share, test_share))
    if count - evaluating - testing < 1:
        raise ValueError(f"of {count:,} nothing is left to train on: {evaluating:,} evaluate, {testing:,} test")
    return evaluating, testing


def split_places(
    count: int, eval_share: float, test_share: float, *, seed: int | None, labels: Places | None = None
) -> Partition:
    """The parts of `count` things. Raises ValueError as `count_parts` does.

    seed    of the order in which they are drawn; None: the last ones test, and those before them evaluate
    labels  (count,) the class of each: every part then has of each class its share, within one
    """
    evaluating, testing = count_parts(count, eval_share, test_share)
    if seed is None:
        order = np.arange(count)[::-1]
    else:
        order = Generator(np.random.SeedSequence(seed)).permutation(count)
        if labels is not None:
            order = _interleave(order, labels)
    held = order[: testing + evaluating]
    return Partition(np.sort(order[testing + evaluating :]), np.sort(held[testing:]), np.sort(held[:testing]))


def _interleave(order: Places, labels: Places) -> Places:
    """The same places such that each beginning of them has of every class its share, within one.

    The r-th of the n of a class stands as far along as r + ½ of n.
    """
    along = np.empty(len(order))
    for label in np.unique(labels):
        chosen = np.flatnonzero(labels[order] == label)
        along[chosen] = (np.arange(len(chosen)) + 0.5) / len(chosen)
    return order[along.argsort(kind="stable")]


def split_rows(groups: Sequence[Places], eval_share: float, test_share: float) -> tuple[list[Places], ...]:
    """Series, each the rows (n,) in the order of time, cut into those that train, evaluate and test, the latest last.

    Raises ValueError as `count_parts` does.
    """
    parts: tuple[list[Places], ...] = ([], [], [])
    for group in groups:
        evaluating, testing = count_parts(len(group), eval_share, test_share)
        first, last = len(group) - evaluating - testing, len(group) - testing
        for part, rows in zip(parts, (group[:first], group[first:last], group[last:]), strict=True):
            if len(rows):
                part.append(rows)
    return parts
