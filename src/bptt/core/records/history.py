"""What lanes record: a row of numbers for each metric and recorded update."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats


@dataclass(frozen=True)
class Points:
    """What was recorded at one update.

    update       the update, from 1
    metrics      name → (lanes,)
    flow         (lanes, timesteps), lag 0 first
    recorded     (lanes,): who recorded; a lane that had stopped before did not
    lane_update  (lanes,): the update of each lane's values; below `update` for a lane that diverged in between
    """

    update: int
    metrics: Mapping[str, Floats]
    flow: Floats
    recorded: NDArray[np.bool_]
    lane_update: NDArray[np.int64]


class LaneHistory:
    """What lanes recorded, a row of numbers for each metric and point, in memory that is taken as it is written."""

    def __init__(self, names: Sequence[str], points: int, lanes: int, timesteps: int) -> None:
        self._names = names
        self._metrics = np.empty((len(names), points, lanes))
        self._flow = np.empty((points, lanes, timesteps))
        self._recorded = np.empty((points, lanes), bool)
        self._lane_update = np.empty((points, lanes), np.int64)

    def begin(self, point: int, update: int) -> Points:
        """The arrays of a point, to be filled: NaN so far."""
        self._metrics[:, point], self._flow[point] = np.nan, np.nan
        metrics = dict(zip(self._names, self._metrics[:, point], strict=True))
        return Points(update, metrics, self._flow[point], self._recorded[point], self._lane_update[point])

    def by_lane(self, points: int) -> Iterator[tuple[dict[str, NDArray[Any]], Floats]]:
        """`Record.history` and `Record.flow` of each lane, of the first points."""
        numbers = np.ascontiguousarray(self._metrics[:, :points].transpose(2, 0, 1))
        for lane, rows in enumerate(numbers):
            recorded = self._recorded[:points, lane]
            kept = rows if recorded.all() else rows[:, recorded]
            named = dict(zip(self._names, kept, strict=True))
            yield {"update": self._lane_update[:points, lane][recorded], **named}, self._flow[:points, lane][recorded]

    def saved(self, points: int) -> dict[str, NDArray[Any]]:
        """For a checkpoint, lanes first."""
        return {name: array.swapaxes(0, 1).copy() for name, array in self._named(points)}

    def restore(self, saved: Mapping[str, NDArray[Any]], points: int) -> None:
        for name, array in self._named(points):
            array[:] = saved[name].swapaxes(0, 1)

    def _named(self, points: int) -> Iterator[tuple[str, NDArray[Any]]]:
        yield "history.flow", self._flow[:points]
        yield "history.recorded", self._recorded[:points]
        yield "history.lane_update", self._lane_update[:points]
        for name, array in zip(self._names, self._metrics, strict=True):
            yield f"metric.{name}", array[:points]
