"""Which network a lane keeps, and when it has waited long enough for a better one: by a metric at recorded updates.

A lane's numbers are its own: whoever stands beside it, it keeps the same network, and stops at the same update.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
