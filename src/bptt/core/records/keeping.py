"""Which networks a lane keeps, some along its way and one at its end, and when it has waited long enough for a better.

What is kept at the end, and how long is waited, is decided by a metric at recorded updates. A lane's numbers are its
own: whoever stands beside it, it keeps the same networks, and stops at the same update.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.lanes import recorded_updates
from bptt.core.parameters import Parameter, to_named
from bptt.core.run import Run, Settings
from bptt.core.sequences import Floats

#: Of a kept network, in `Record.once`: the update that it is of, and what was recorded there, as `kept/loss/eval`.
KEPT = "kept/"
_RECORDED = ("loss/eval", "accuracy/eval", "accuracy/all_right")
_KEPT, _PATIENCE = "kept.", "patience."  # in a checkpoint


class Best:
    """The best value of a metric so far, of each lane: of losses the least, of accuracies the largest."""

    def __init__(self, metric: str, lanes: int) -> None:
        self._sign = -1.0 if metric.startswith("accuracy/") else 1.0
        self.cost = np.full(lanes, np.inf)

    def take(self, values: Floats, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(lanes,): of which of these lanes a value is better than all before; an equal one is not, nor is NaN."""
        costs = self._sign * values
        better: NDArray[np.bool_] = which & (costs < self.cost)
        self.cost[better] = costs[better]
        return better


class KeptNetworks:
    """The network that each lane keeps: its last one, or the best by `train.keep_by` at a recorded update.

    update  (lanes,): the recorded update that it is of; 0: the last one is kept, whichever that is
    """

    def __init__(self, settings: Settings, parameters: Floats, states: Floats) -> None:
        """parameters (lanes, P) and states (lanes, …): of the start, for their shapes."""
        self._metric = settings.keep_by
        self._best = Best(self._metric, len(parameters)) if settings.keep == "best" else None
        self.update = np.zeros(len(parameters), np.int64)
        if self._best is not None:
            self._parameters, self._states = np.zeros(parameters.shape), np.zeros(states.shape)

    def take(
        self, update: int, metrics: Mapping[str, Floats], parameters: Floats, states: Floats, which: NDArray[np.bool_]
    ) -> None:
        """Keep the networks of those of these lanes whose metric is better than at any recorded update before."""
        if self._best is None:
            return
        better = self._best.take(metrics[self._metric], which)
        self.update[better] = update
        self._parameters[better], self._states[better] = parameters[better], states[better]

    def choose(self, parameters: Floats, states: Floats) -> tuple[Floats, Floats]:
        """Of each lane the parameters and states that it keeps, of its last ones and what was taken."""
        taken = self.update > 0
        if self._best is None or not taken.any():
            return parameters, states
        wide = taken.reshape(-1, *[1] * (states.ndim - 1))
        return np.where(taken[:, None], self._parameters, parameters), np.where(wide, self._states, states)

    def describe(self, lane: int, history: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """What `Record.once` says of a lane's kept network; nothing where it is the last one, as always."""
        if not (update := int(self.update[lane])):
            return {}
        (place,) = np.flatnonzero(history["update"] == update)
        return {f"{KEPT}update": float(update)} | {
            f"{KEPT}{name}": float(history[name][place]) for name in _RECORDED if name in history
        }

    def saved(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint, lanes first."""
        return {_KEPT + name: array.copy() for name, array in self._arrays().items()}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `saved` gave."""
        for name, array in self._arrays().items():
            array[:] = saved[_KEPT + name]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        if self._best is None:
            return {}
        of_lanes = {"parameters": self._parameters, "states": self._states}
        return {"update": self.update, "cost": self._best.cost, **of_lanes}


class ImprovementWatch:
    """How many recorded updates each lane has waited for a better `train.early_stop.metric`, and how many it may."""

    def __init__(self, runs: Sequence[Run]) -> None:
        metric = runs[0].train.early_stop.metric
        self._most = np.array([run.train.early_stop.patience or np.inf for run in runs])
        self._best = None if metric is None else Best(metric, len(runs))
        self._waited = np.zeros(len(runs), np.int64)

    def take(self, values: Floats, running: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(lanes,): which have waited as long as they may; values: of the metric at the next recorded update."""
        assert self._best is not None
        better = self._best.take(values, running)
        self._waited[running] += 1
        self._waited[better] = 0
        return self._waited >= self._most

    def saved(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint, lanes first."""
        return {_PATIENCE + name: array.copy() for name, array in self._arrays().items()}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `saved` gave."""
        for name, array in self._arrays().items():
            array[:] = saved[_PATIENCE + name]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {} if self._best is None else {"cost": self._best.cost, "waited": self._waited}


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
