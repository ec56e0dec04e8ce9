"""How a search goes about it: the values of `hydra.sweeper`, and where its runs are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.fields import construct
from bptt.core.annotations import Range
from bptt.core.lanes import recorded_updates
from bptt.core.run import Settings

_ROUNDS = 3  # of halving, where nothing says how many


@dataclass(frozen=True, kw_only=True)
class HalvingSettings:
    """Successive halving: at each rung the runs that fall behind are stopped.

    eta          of the runs that reach a rung, the best one of so many goes on
    min_updates  the first rung; each next one is eta times as far. None: such that there are three
    """

    eta: Annotated[int, Range(at_least=2)] = 3
    min_updates: Annotated[int, Range(at_least=1)] | None = None

    def rungs(self, train: Settings) -> tuple[int, ...]:
        """The updates, all recorded ones, at which runs with these settings are compared."""
        recorded = recorded_updates(train.updates, train.log_points, train.log_spacing)
        rung = self.min_updates or max(1, train.updates // self.eta**_ROUNDS)
        found = []
        while rung < train.updates:
            found.append(int(recorded[np.searchsorted(recorded, rung)]))
            rung *= self.eta
        return tuple(rung for rung in dict.fromkeys(found) if rung < train.updates)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """A search.

    trials        how many there are in all, those of earlier commands with the same storage among them
    batch         how many are asked for at once; with halving, how many are trained side by side
    metric        of which the last value counts
    direction     None: minimize for a loss, maximize for an accuracy
    sampler_seed  the same seed asks for the same trials
    halving       None: every run is trained to its end
    storage       the SQLite file of Optuna's study; None: study.db in the sweep's folder
    """

    trials: Annotated[int, Range(at_least=1)]
    batch: Annotated[int, Range(at_least=1)] = 64
    metric: Literal["loss/eval", "loss/train", "accuracy/eval"] = "loss/eval"
    direction: Literal["minimize", "maximize"] | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    sampler_seed: Annotated[int, Range(at_least=0)] = 0
    halving: HalvingSettings | None = None
    storage: Path | None = None
    study_name: str = "search"

    @property
    def minimize(self) -> bool:
        return self.direction == "minimize" or (self.direction is None and self.metric != "accuracy/eval")

    @property
    def worst(self) -> float:
        """What a run is worth that has no value: one that diverged."""
        return float("inf") if self.minimize else float("-inf")


def search_settings(sweeper: Mapping[str, Any]) -> SearchSettings:
    """The settings that stand in the node hydra.sweeper. Raises ConfigurationError."""
    problems: list[str] = []
    # A sweep's file chooses its sweeper by `_target_`, so that the default one's settings stand there too, empty.
    own = {field.name for field in fields(SearchSettings)}
    values = {name: value for name, value in sweeper.items() if name in own or value not in (None, [], {})}
    values = {name: value for name, value in values.items() if name not in ("_target_", "params")}
    settings = construct("hydra.sweeper", values, SearchSettings, problems, hidden=["params"])
    if problems:
        raise ConfigurationError(problems)
    return settings
