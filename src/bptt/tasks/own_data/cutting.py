"""How the rows of a table become sequences: which rows are the timesteps of which sequence, and where targets stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How a table is cut.

    row       what a row is: a timestep, or a whole sequence, whose inputs are the timesteps of the one input there is
    inputs    the columns of the inputs
    targets   the columns of the targets
    sequence  the column that says which sequence a timestep belongs to; None: all rows are one series
    time      the column by which a sequence's timesteps are ordered; None: they are in order
    window    timesteps of each sequence that is cut out of a series; None: sequences are whole
    stride    rows from the begin of a window to that of the next
    horizon   how many rows behind a timestep its target stands; 0: in the same row
    each      what has a target: every timestep, or every sequence at its last one
    """

    row: Literal["timestep", "sequence"]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    sequence: str | None = None
    time: str | None = None
    window: int | None = None
    stride: int = 1
    horizon: int = 0
    each: Literal["timestep", "sequence"] = "sequence"

    @classmethod
    def from_plain(cls, values: Any) -> "Cutting":
        """From a mapping in which tuples may be lists. Raises TypeError where it lacks something, or has more."""
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**given)

    @property
    def span(self) -> int:
        """Rows that a window needs, its target's too."""
        return (self.window or 1) + self.horizon


@dataclass(frozen=True, eq=False)
class Cut:
    """Sequences as places in a table.

    steps    (N, T) the row of each timestep; behind a sequence's end the row of its last
    lengths  (N,) valid timesteps
    targets  (N, T) or (N,): the row in which the target stands, of each timestep or of each sequence
    """

    steps: Rows
    lengths: Rows
    targets: Rows


def list_groups(names: Any) -> tuple[list[Any], list[Rows]]:
    """The distinct names of sequences in the order in which they first stand in (rows,), and the rows of each."""
    import pandas as pd

    codes, distinct = pd.factorize(names, sort=False)
    order = np.asarray(codes, np.int64).argsort(kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(distinct)))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    return list(distinct), [order[start:end] for start, end in zip(starts, ends, strict=True)]


def cut_whole(groups: Sequence[Rows], cutting: Cutting) -> Cut:
    """A sequence for each group of rows; with a horizon the last rows of each have no target, and are left out."""
    kept = [group[: len(group) - cutting.horizon] for group in groups]
    lengths = np.array([len(group) for group in kept], np.int64)
    steps = _stack(kept, lengths)
    shifted = _stack([group[cutting.horizon :] for group in groups], lengths)
    return Cut(steps, lengths, shifted if cutting.each == "timestep" else shifted[np.arange(len(kept)), lengths - 1])


def cut_windows(groups: Sequence[Rows], cutting: Cutting) -> Cut:
    """The windows of each group of rows, none of which, its target included, reaches into another group."""
    assert cutting.window is not None
    steps, targets = list[Rows](), list[Rows]()
    for group in groups:
        starts = np.arange(0, len(group) - cutting.span + 1, cutting.stride)
        places = starts[:, None] + np.arange(cutting.window)
        steps.append(group[places])
        targets.append(group[places + cutting.horizon])
    found, answers = np.concatenate(steps), np.concatenate(targets)
    lengths = np.full(len(found), cutting.window, np.int64)
    return Cut(found, lengths, answers if cutting.each == "timestep" else answers[:, -1])


def _stack(groups: Sequence[Rows], lengths: Rows) -> Rows:
    """(N, T): each group's rows, its last one repeated behind its end."""
    steps = np.empty((len(groups), int(lengths.max())), np.int64)
    for row, group in zip(steps, groups, strict=True):
        row[: len(group)] = group
        row[len(group) :] = group[-1]
    return steps
