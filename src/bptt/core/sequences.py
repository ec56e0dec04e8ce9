"""Sequences, and the streams that say which of them serve which update."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bptt.core.random import Generator, make_generator

Floats = NDArray[np.float64]


def measure_memory() -> int:
    """Bytes of this machine's memory; where the system does not say, what an address can name."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**63


@dataclass(frozen=True, eq=False)
class Sequences:
    """N sequences with their targets.

    x        (N, T, inputs)
    y        (N, T, outputs): a target at every timestep; or (N, outputs): one, at the last timestep
    lengths  (N,) valid timesteps of each sequence, 1..T; None: all T. Values behind a sequence's end are ignored.
    scored   (T,) or (N, T) bool: the timesteps whose target counts; None: all. Only with targets at every timestep.

    Several sets together have one more axis before N.
    """

    x: Floats
    y: Floats
    lengths: NDArray[np.int64] | None = None
    scored: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        return self.x.shape[-3]

    @property
    def timesteps(self) -> int:
        return self.x.shape[-2]

    @property
    def last_only(self) -> bool:
        """Whether only the last timestep has a target."""
        return self.y.ndim < self.x.ndim

    @cached_property
    def full_lengths(self) -> NDArray[np.int64]:
        """(N,): `lengths`, with T where it is None."""
        if self.lengths is not None:
            return np.ascontiguousarray(self.lengths, np.int64)
        return np.full(self.x.shape[:-2], self.timesteps, np.int64)

    @cached_property
    def full_scored(self) -> NDArray[np.bool_]:
        """(N, T): which timesteps count, from `scored`, `lengths` and the targets' shape together."""
        steps = np.arange(self.timesteps)
        if self.last_only:
            return steps == self.full_lengths[..., None] - 1
        inside = steps < self.full_lengths[..., None]
        return inside if self.scored is None else inside & self.scored


@dataclass(frozen=True, eq=False)
class Page:
    """The data of consecutive updates, counted from 0: update `first + i` takes the sequences `rows[i]`, (batch,)."""

    sequences: Sequences
    rows: NDArray[np.int64]
    first: int

    @property
    def end(self) -> int:
        """The first update behind the page."""
        return self.first + len(self.rows)


class Stream(Protocol):
    """Training data without end, in pages.

    A page is a pure function of the seed and its place, so a resumed run, or one that records at other updates, sees
    the same data. A stream may have a method more:
    until(stop)  a stream of the same data, of which no update from `stop` on is asked for
    """

    def page(self, seed: np.random.SeedSequence, update: int, batch: int) -> Page:
        """The page that holds this update's data."""
        ...


#: Rows of a pool in an order of its own: (a run's seed, the first one's place, how many) → (many,).
Rows = Callable[[np.random.SeedSequence, int, int], NDArray[np.int64]]

_FIRST_ROWS = 4096  # of a pool's first page; each page is twice as long as the one before, so that
_MOST_ROWS = 65536  # neither a short training draws in vain nor a long one often
_PAGE_NUMBERS = 65536  # float64 numbers in a generated page: half a megabyte
_MOST_UPDATES = 4096  # of a generated page


@dataclass(frozen=True, eq=False)
class Pool:
    """A fixed set of N sequences.

    order: random, each row of a batch drawn uniformly with replacement; shuffled, every sequence once per epoch in an
    order drawn anew each epoch (a batch may span two epochs); sequential, row r of update u is sequence
    (u·batch + r) mod N; or a function, which gives the sequence of row r of update u at the place u·batch + r.
    stop: the update at which the last page may end; None: pages have their whole length.
    """

    sequences: Sequences
    order: Literal["random", "shuffled", "sequential"] | Rows
    stop: int | None = None

    def until(self, stop: int) -> "Pool":
        """The same rows, and none drawn for updates from `stop` on."""
        return replace(self, stop=stop)

    def page(self, seed: np.random.SeedSequence, update: int, batch: int) -> Page:
        number, first, updates = _doubling(update, max(1, _FIRST_ROWS // batch), max(1, _MOST_ROWS // batch))
        if self.stop is not None and update < self.stop:
            updates = min(updates, self.stop - first)
        count, place, size = self.sequences.count, first * batch, updates * batch
        if callable(self.order):
            rows = self.order(seed, place, size)
        elif self.order == "random":
            rows = make_generator(seed, number).integers(count, size=size)
        elif self.order == "shuffled":
            epochs = range(place // count, (place + size - 1) // count + 1)
            order = np.concatenate([make_generator(seed, epoch).permutation(count) for epoch in epochs])
            rows = order[place - epochs.start * count :][:size]
        else:
            rows = np.arange(place, place + size) % count
        return Page(self.sequences, rows.reshape(updates, batch), first)


def _doubling(update: int, least: int, most: int) -> tuple[int, int, int]:
    """(number, first update, updates) of the page with this update, where pages double from `least` up to `most`."""
    number, first, updates = 0, 0, least
    while update >= first + updates and updates < most:
        number, first, updates = number + 1, first + updates, min(2 * updates, most)
    skipped = (update - first) // updates
    return number + skipped, first + skipped * updates, updates


@dataclass(frozen=True, eq=False)
class Generated:
    """Sequences made afresh for every update by `make(rng, count)`; `numbers` counts what one holds, x and y.

    make_batches(rng, updates, batch)  in place of `make`, where the sequences of an update have something in common;
                                       they stand side by side
    """

    make: Callable[[Generator, int], Sequences]
    numbers: int
    make_batches: Callable[[Generator, int, int], Sequences] | None = None

    def page(self, seed: np.random.SeedSequence, update: int, batch: int) -> Page:
        updates = max(1, min(_PAGE_NUMBERS // self.numbers, _MOST_UPDATES) // batch)
        number = update // updates
        rng = make_generator(seed, number)
        made = self.make(rng, updates * batch) if self.make_batches is None else self.make_batches(rng, updates, batch)
        return Page(made, np.arange(updates * batch).reshape(updates, batch), number * updates)
