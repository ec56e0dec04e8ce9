"""What a search found: its trials, which of them no other one beats, and what the best depend on.

Importances are PED-ANOVA's (Watanabe, Bansal and Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter
Importance in Arbitrary Subspaces"), as Optuna computes them: how much the values of a key among the best tenth of the
trials differ from those among all. They describe these trials, which a sampler chose; they are no estimate of what
would be so elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.statistics.intervals import ENTROPY
from bptt.analysis.tables import take_final, write_settings

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bptt.core.run import Record
    from bptt.tracking.folder.sweep import Searched

#: Of so many trials that were trained to their end importances are told; the best tenth are two then.
LEAST: Final = 20
REPEATS: Final = 50  # of the importances, on trials drawn from the trials
_PARAMETERS: Final = "parameters"
_SHOWN: Final = 0.95  # of the resamples, between the ends of an importance's range


@dataclass(frozen=True)
class Trials:
    """The runs of a search, as its trials.

    runs      as of `bptt.load(…).runs`
    searched  what was asked for; None: it is no search
    record    gives what a run recorded, by its number
    """

    runs: "pd.DataFrame"
    searched: "Searched | None"
    record: "Callable[[int], Record | None]"

    @property
    def is_search(self) -> bool:
        """Whether there is anything to be told."""
        return self.searched is not None and self.searched.sampler is not None and bool(self.keys)

    @cached_property
    def objectives(self) -> dict[str, str]:
        """Metric → minimize or maximize."""
        return {} if self.searched is None else dict(self.searched.objectives)

    @cached_property
    def keys(self) -> list[str]:
        """What was searched, as far as the runs differ in it."""
        space = {} if self.searched is None else self.searched.space
        return [key for key in space if key in self.runs and len(self.runs[key].unique()) > 1]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """A row per run, in the order in which they were asked for: run, name, status, updates, the searched keys, the
        objectives; `ended`: whether it was trained to its end, with a value of every objective; given_up.

        What was given up has the values that it had then, which are not comparable.
        """
        values = {name: self._measure(name).to_numpy() for name in self.objectives}
        table = self.runs[["run", "name", "status", "updates", *self.keys]].assign(**values)
        table["given_up"] = self.runs.get("given_up")
        finite = np.isfinite(table[[*self.objectives]].to_numpy(dtype=float)).all(axis=1)
        table["ended"] = self.runs["outcome"].notna().to_numpy() & finite
        return table.sort_values("run", kind="stable", ignore_index=True)

    @cached_property
    def ended(self) -> "pd.DataFrame":
        """Those of the table that were trained to their end."""
        return self.table[self.table["ended"]].reset_index(drop=True)

    @cached_property
    def costs(self) -> "NDArray[np.float64]":
        """Of each that ended its objectives (ended, objectives), the smaller the better."""
        signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in self.objectives.values()])
        found: NDArray[np.float64] = self.ended[[*self.objectives]].to_numpy(dtype=float) * signs
        return found

    @cached_property
    def front(self) -> "pd.DataFrame":
        """The trials that no other one is as good as in every objective and better in one, by the first objective."""
        first = next(iter(self.objectives), None)
        chosen = self.ended[find_front(self.costs)]
        return chosen if first is None else chosen.sort_values([*self.objectives], kind="stable", ignore_index=True)

    @cached_property
    def importances(self) -> "pd.DataFrame":
        """Of each key, the most important first: key, objective, importance (they add to 1), and low and high, between
        which it lies in 95 % of resamples of the trials; empty where there are too few, or Optuna is missing.
        """
        import pandas as pd

        if len(self.ended) < LEAST or not self.keys or find_spec("optuna") is None:
            return pd.DataFrame({"key": [], "objective": [], "importance": [], "low": [], "high": []})
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(ENTROPY)))
        rows = []
        for place, name in enumerate(self.objectives):
            costs = self.costs[:, place]
            every = np.arange(len(costs))
            whole = self._weigh(every, costs)
            again = [self._weigh(rng.choice(every, len(every)), costs) for _ in range(REPEATS)]
            for key in sorted(whole, key=lambda key: -whole[key]):
                ends = np.quantile([one.get(key, 0.0) for one in again], [(1 - _SHOWN) / 2, (1 + _SHOWN) / 2])
                rows.append({"key": key, "objective": name, "importance": whole[key], "low": ends[0], "high": ends[1]})
        return pd.DataFrame(rows)

    def write_best(self) -> str:
        """What the search found, in a sentence; empty where it is none, or found nothing."""
        if not self.is_search or self.ended.empty:
            return ""
        many, names = f"{len(self.ended):,} trials that were trained to their end", [*self.objectives]
        if len(names) > 1:
            return (
                f"Of {many}, {len(self.front):,} are on the Pareto front of {' and '.join(names)}: no other one is as"
                " good in every objective and better in one."
            )
        best = self.ended.iloc[int(np.argmin(self.costs[:, 0]))]
        (setting,) = write_settings(self.ended[self.ended["run"] == best["run"]], self.keys)
        return (
            f"The best of {many} has {names[0]} {best[names[0]]:.3g}, with {setting}. It was picked as the best of"
            " these, and owes some of that to its seed."
        )

    def rank_keys(self) -> list[str]:
        """The searched keys, the most important for the first objective first, as far as that is known."""
        table = self.importances
        first = next(iter(self.objectives), "")
        known = table.loc[table["objective"] == first, "key"].tolist()
        return [*known, *(key for key in self.keys if key not in known)]

    def is_logarithmic(self, key: str) -> bool:
        """Whether a key was searched on a logarithmic scale."""
        assert self.searched is not None
        return bool(self.searched.space.get(key, {}).get("log"))

    def is_number(self, key: str) -> bool:
        """Whether a key was searched between two ends."""
        assert self.searched is not None
        return "low" in self.searched.space.get(key, {})

    def _measure(self, name: str) -> "pd.Series":
        """An objective of every run."""
        import pandas as pd

        runs = self.runs
        if name == _PARAMETERS:
            return pd.Series([self._count_parameters(int(run)) for run in runs["run"]], index=runs.index)
        return take_final(runs, "updates" if name == "update" else name)

    def _count_parameters(self, run: int) -> float:
        record = self.record(run)
        return np.nan if record is None else float(sum(np.size(array) for array in record.parameters.values()))

    def _weigh(self, rows: "NDArray[np.intp]", costs: "NDArray[np.float64]") -> dict[str, float]:
        """Optuna's importances in a study of these trials."""
        import warnings

        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study()
        spaces = {key: self._make_distribution(key) for key in self.keys}
        trials = self.ended.iloc[rows].to_dict("records")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study.add_trials(
                [
                    optuna.trial.create_trial(
                        params={key: _take_value(trial[key], space) for key, space in spaces.items()},
                        distributions=spaces,
                        value=float(cost),
                    )
                    for trial, cost in zip(trials, costs[rows], strict=True)
                ]
            )
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            found: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return found

    def _make_distribution(self, key: str) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        assert self.searched is not None
        space, values = self.searched.space[key], self.ended[key]
        if "low" not in space:
            return CategoricalDistribution(sorted(map(str, values.unique())))
        # Values are shortened to be read and typed again, and may lie a digit beyond where they were drawn.
        low, high = (
            pick(end, value) for pick, end, value in zip((min, max), _find_ends(space), _find_ends(values), strict=True)
        )
        if values.dtype.kind == "i":
            return IntDistribution(int(low), int(high), log=bool(space.get("log")))
        return FloatDistribution(float(low), float(high), log=bool(space.get("log")))


def _find_ends(of: Any) -> tuple[Any, Any]:
    return (of["low"], of["high"]) if isinstance(of, dict) else (of.min(), of.max())


def _take_value(value: Any, space: Any) -> Any:
    return str(value) if hasattr(space, "choices") else value


def find_front(costs: "NDArray[np.float64]") -> "NDArray[np.bool_]":
    """Which rows (points, objectives) no other one is as small as in every column and smaller in one; of equal ones
    all are.
    """
    found = np.ones(len(costs), bool)
    for place, own in enumerate(costs):
        found[place] = not ((costs <= own).all(axis=1) & (costs < own).any(axis=1)).any()
    return found
