"""Parameters that are kept along the way of a training, beside those of its end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.lanes import recorded_updates
from bptt.core.parameters import Parameter, to_named
from bptt.core.run import Settings
from bptt.core.sequences import Floats


def snapshot_updates(settings: Settings) -> NDArray[np.int64]:
    """The updates after which parameters are kept: 0, the start, and some `snapshots` of those that are recorded.

    They are the recorded updates that are nearest to evenly or logarithmically spaced ones; the first and the last
    always are among them. None at all where `snapshots` is 0.
    """
    if settings.snapshots == 0:
        return np.empty(0, np.int64)
    recorded = recorded_updates(settings.updates, settings.log_points, settings.log_spacing)
    most = min(settings.snapshots, len(recorded))
    wanted = recorded_updates(settings.updates, most, settings.snapshot_spacing)
    after = np.searchsorted(recorded, wanted)
    before = np.maximum(after - 1, 0)
    nearer = wanted - recorded[before] <= recorded[after] - wanted
    return np.unique(np.append(recorded[np.where(nearer, before, after)], 0)).astype(np.int64)


class KeptParameters:
    """What lanes keep: a flat row of parameters of each, at each of `snapshot_updates` that it came to."""

    def __init__(self, settings: Settings, start: Floats) -> None:
        """start: (lanes, P), the parameters before the first update."""
        self._updates = snapshot_updates(settings)
        self._rows = np.empty((len(self._updates), *start.shape))
        self._taken = np.zeros((len(self._updates), len(start)), bool)
        self.keep(0, start, slice(None))

    def keep(self, update: int, parameters: Floats, which: Any) -> None:
        """Keep (lanes, P) of these lanes where the update is one of those."""
        for place in np.flatnonzero(self._updates == update):
            self._rows[place] = np.nan
            self._rows[place][which] = parameters[which]
            self._taken[place][which] = True

    def of_lane(self, lane: int, blocks: tuple[Parameter, ...]) -> dict[int, dict[str, Floats]]:
        """Update → name → array."""
        return {
            int(update): to_named(blocks, self._rows[place, lane])
            for place, update in enumerate(self._updates)
            if self._taken[place, lane]
        }

    def saved(self, update: int) -> dict[str, NDArray[Any]]:
        """For a checkpoint after an update, lanes first."""
        if not len(self._updates):
            return {}
        so_far = int(np.searchsorted(self._updates, update, "right"))
        return {
            "snapshots": self._rows[:so_far].swapaxes(0, 1).copy(),
            "snapshots.taken": self._taken[:so_far].swapaxes(0, 1).copy(),
        }

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `saved` gave."""
        if len(self._updates):
            so_far = saved["snapshots"].shape[1]
            self._rows[:so_far] = saved["snapshots"].swapaxes(0, 1)
            self._taken[:so_far] = saved["snapshots.taken"].swapaxes(0, 1)
