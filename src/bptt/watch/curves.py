"""Metrics through training by setting, the median and the quartiles of its runs: of those that have ended, and of those
that are trained now as far as they have come.

What has ended is read once, block by block, and means what it means in the figures of a report: a run that diverged is
infinitely bad from there on, one that was stopped early stays as it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from bptt.analysis.figures.material import find_display, tabulate_metric
from bptt.analysis.figures.panels import compute_quartiles
from bptt.analysis.tables import KEPT_LOSS
from bptt.tracking.folder.block import open_block
from bptt.tracking.folder.files import HISTORY
from bptt.tracking.folder.points import WATCHED, place_points, read_points

if TYPE_CHECKING:
    import pandas as pd

    from bptt.tracking.folder.block import Block
    from bptt.tracking.folder.sweep import SweepFolder

_MOST_POINTS: Final = 120  # of a curve that is shown


@dataclass(frozen=True)
class Portion:
    """What runs of one block have recorded.

    runs     (R,) their numbers
    updates  (U,) at which any of them recorded
    values   metric → (U, R), what each recorded last until there; shares in percent; nan before its first
    ended    whether there is no more to come
    outcome  (R,) how each that has ended did; None: it failed, was given up by halving, or goes on
    failed   (R,) whether it FAILED
    kept     (R,) the loss of the network that it keeps, where that is its best one; else nan
    """

    runs: NDArray[np.int64]
    updates: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    ended: bool
    outcome: Sequence[str | None]
    failed: NDArray[np.bool_]
    kept: NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A metric of a setting through training.

    updates    (U,)
    quartiles  (U, 3)
    counts     (U,) of how many runs
    """

    updates: NDArray[np.int64]
    quartiles: NDArray[np.float64]
    counts: NDArray[np.int64]


class RecordedPortions:
    """What the runs of a sweep have recorded so far: of blocks that have ended, and of those that are trained now."""

    def __init__(self, archive: "SweepFolder", beside: Sequence[str] = ()) -> None:
        """beside: metrics that are wanted beside those of WATCHED."""
        self._archive = archive
        self._metrics = tuple(dict.fromkeys([*WATCHED, *beside]))
        self.ended: dict[int, Portion] = {}
        self.running: dict[int, Portion] = {}
        self._seen: dict[int, tuple[int, int]] = {}

    def read(self, blocks: Iterable[int], running: Iterable[int], sealed: bool) -> tuple[set[int], set[int]]:
        """Read what is new; the runs of blocks that have ended since, and of those that have come further.

        blocks   the numbers of those that have ended; running: of those that are trained
        sealed   as in the sweep's journal

        Raises ArchiveError where a block can't be read.
        """
        over, on = set[int](), set[int]()
        for number in sorted(set(blocks) - self.ended.keys()):
            self.ended[number] = portion = self._read_ended(number, sealed)
            over |= {*portion.runs.tolist()}
            self.running.pop(number, None)
        gone = self.running.keys() - {*running}
        for number in gone:  # its process was killed, or goes on with it later
            on |= {*self.running.pop(number).runs.tolist()}
        for number in sorted(set(running) - self.ended.keys()):
            on |= self._read_running(number)
        return over, on - over

    @property
    def every(self) -> list[Portion]:
        """All of them."""
        return [*self.ended.values(), *self.running.values()]

    def _read_ended(self, number: int, sealed: bool) -> Portion:
        block = open_block(self._archive.place_block(number), sealed=sealed)
        return make_portion(block, self._metrics)

    def _read_running(self, number: int) -> set[int]:
        path = place_points(self._archive.place_sign(number))
        try:
            held = path.stat()
        except OSError:
            return set()
        version = held.st_mtime_ns, held.st_size
        if self._seen.get(number) == version and number in self.running:
            return set()
        found = read_points(path)
        if found is None or not len(found.updates):
            return set()
        self._seen[number] = version
        runs = len(found.runs)
        values = {name: _carry_on(_scale(name, table)) for name, table in found.values.items()}
        none, unknown = np.zeros(runs, bool), np.full(runs, np.nan)
        self.running[number] = Portion(found.runs, found.updates, values, False, [None] * runs, none, unknown)
        return {*found.runs.tolist()}


def make_portion(block: "Block", metrics: Sequence[str]) -> Portion:
    """What the runs of a block that has ended recorded. Raises ArchiveError where that can't be read."""
    runs: pd.DataFrame = block.runs.to_pandas(use_threads=False)
    table = block.table(HISTORY)
    there = [name for name in metrics if name in table.column_names]
    history = table.select(["run", "update", *there]).to_pandas(use_threads=False)
    values, updates = {}, np.empty(0, np.int64)
    every = np.unique(history["update"].to_numpy(np.int64))
    for name in there:
        told = tabulate_metric(history, runs, name)
        # At an update that was a diverged run's last, and no other's, a figure has no point.
        rows = np.searchsorted(told.updates, every, side="right") - 1
        values[name] = (
            np.where(rows[:, None] >= 0, told.values[rows], np.nan)
            if len(told.updates)
            else _make_empty(len(every), len(runs))
        )
        updates = every
    ends = zip(runs["status"], runs["outcome"], strict=True)
    outcomes = [outcome if status == "FINISHED" and isinstance(outcome, str) else None for status, outcome in ends]
    failed = runs["status"].eq("FAILED").to_numpy(bool)
    kept = runs[KEPT_LOSS].to_numpy(float) if KEPT_LOSS in runs else np.full(len(runs), np.nan)
    return Portion(runs["run"].to_numpy(np.int64), updates, values, True, outcomes, failed, kept)


def _make_empty(points: int, runs: int) -> NDArray[np.float64]:
    return np.full((points, runs), np.nan)


def _scale(name: str, table: NDArray[np.float32]) -> NDArray[np.float64]:
    return table.astype(np.float64) * (100 if find_display(name).scale == "percent" else 1)


def _carry_on(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column with what it had last where there was something."""
    rows = np.maximum.accumulate(np.where(np.isnan(table), 0, np.arange(len(table))[:, None]), axis=0)
    return np.take_along_axis(table, rows, axis=0)


def make_curve(portions: Iterable[Portion], chosen: Mapping[int, NDArray[np.int64]], metric: str) -> Curve | None:
    """A metric of some runs through training; None: nothing of it was recorded.

    chosen  place of a portion → places of the runs in it
    """
    parts = [
        (portion.updates, portion.values[metric][:, chosen[place]], portion.ended)
        for place, portion in enumerate(portions)
        if place in chosen and metric in portion.values and len(portion.updates)
    ]
    if not parts:
        return None
    every = np.unique(np.concatenate([updates for updates, _, _ in parts]))
    shown = every[np.unique(np.linspace(0, len(every) - 1, _MOST_POINTS).round().astype(int))]
    columns = []
    for updates, values, ended in parts:
        rows = np.searchsorted(updates, shown, side="right") - 1
        there = rows >= 0 if ended else (rows >= 0) & (shown <= updates[-1])  # what is to come is not known
        columns.append(np.where(there[:, None], values[rows], np.nan))
    table = np.concatenate(columns, axis=1)
    counts = np.sum(~np.isnan(table), axis=1)
    kept = counts > 0
    return Curve(shown[kept], compute_quartiles(table[kept]), counts[kept]) if kept.any() else None
