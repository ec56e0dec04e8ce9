"""A search: how it goes about it, the values of `hydra.sweeper`, and what it varies, in Hydra's grammar.

For each key numbers between two ends, or a list of values:

interval(0.01, 1)            any number between both ends
interval(1, 16)              whole numbers, unless the key holds a number with a point; int(interval(…)) in any case
tag(log, interval(0.01, 1))  evenly on a logarithmic scale
range(2, 20, 2)              the numbers of the range
8,16 or choice(8, 16)        one of these, in no order; so is a list in YAML
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import numpy as np
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.compose import parse_overrides
from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.configuration.fields import construct
from bptt.core.annotations import Range
from bptt.core.lanes import recorded_updates
from bptt.core.run import Settings
from bptt.sweeps.jobs.grammar import MOST, expand_override, expand_values, strip_key
from bptt.sweeps.search.objectives import Direction, Metric, Objective, read_objectives
from bptt.tracking.folder.sweep import Searched

Sampler = Literal["tpe", "cmaes", "gp", "qmc", "random", "grid", "nsgaii"]

_ROUNDS: Final = 3  # of halving, where nothing says how many


@dataclass(frozen=True, kw_only=True)
class HalvingSettings:
    """Successive halving: at each rung the runs that fall behind are stopped.

    eta          of the runs that reach a rung, the best one of so many goes on
    min_updates  the first rung; each next one is eta times as far. None: such that there are three
    """

    eta: Annotated[int, Range(at_least=2)] = 3
    min_updates: Annotated[int, Range(at_least=1)] | None = None

    def count_best(self, count: int) -> int:
        """How many of so many that have come to a rung go on."""
        return max(1, count // self.eta)

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

    trials        how many there are in all, those of earlier commands with the same storage among them; with the
                  sampler grid no more than that has, and all of it where nothing is said
    batch         how many are asked for at once; with halving, how many are trained side by side
    metric        of which the last value counts
    direction     None: minimize for a loss, maximize for an accuracy
    objectives    what counts in place of the metric, one or several, see `bptt.sweeps.search.objectives`
    sampler       see `bptt.sweeps.search.samplers`
    sampler_seed  the same seed asks for the same trials
    halving       None: every run is trained to its end
    storage       the SQLite file of Optuna's study; None: study.db in the sweep's folder
    """

    trials: Annotated[int, Range(at_least=1)]
    batch: Annotated[int, Range(at_least=1)] = 64
    metric: Metric = "loss/eval"
    direction: Direction | None = None
    objectives: tuple[Objective, ...] = ()
    sampler: Sampler = "tpe"
    sampler_seed: Annotated[int, Range(at_least=0)] = 0
    halving: HalvingSettings | None = None
    storage: Path | None = None
    study_name: str = "search"

    @property
    def goals(self) -> tuple[Objective, ...]:
        """What counts, one or several."""
        return self.objectives or (Objective.of(self.metric, self.direction),)

    @property
    def goal(self) -> Objective:
        """The one that runs are compared by before their end; the first, where there are several."""
        return self.goals[0]


@dataclass(frozen=True, kw_only=True)
class GridHalving(HalvingSettings):
    """Successive halving of a grid's settings: those that fall behind are given up, with all of their seeds.

    metric  by whose median over the seeds settings are compared, in each condition
    """

    metric: Metric = "loss/eval"

    @property
    def goal(self) -> Objective:
        """What settings are compared by."""
        return Objective.of(self.metric)

    def describe(self) -> Searched:
        """What the sweep's journal keeps of it."""
        return Searched(objectives={self.metric: self.goal.direction}, halving=asdict(self))


def read_grid_halving(sweeper: Mapping[str, Any]) -> GridHalving | None:
    """The halving of a sweep that is no search, from the node hydra.sweeper; None: all runs are trained to their end.

    Raises ConfigurationError.
    """
    given = sweeper.get("halving")
    if given is None:
        return None
    problems: list[str] = []
    if not isinstance(given, Mapping):
        raise ConfigurationError([write_problem("hydra.sweeper.halving", given, "must be a mapping, as {eta: 3}")])
    halving = construct(
        "hydra.sweeper.halving", {str(key): value for key, value in given.items()}, GridHalving, problems
    )
    if problems:
        raise ConfigurationError(problems)
    assert isinstance(halving, GridHalving)
    return halving


def search_settings(sweeper: Mapping[str, Any]) -> SearchSettings:
    """The settings that stand in the node hydra.sweeper. Raises ConfigurationError."""
    problems: list[str] = []
    # A sweep's file chooses its sweeper by `_target_`, so that the default one's settings stand there too, empty.
    own = {field.name for field in fields(SearchSettings)}
    values = {name: value for name, value in sweeper.items() if name in own or value not in (None, [], {})}
    values = {name: value for name, value in values.items() if name not in ("_target_", "params", "objectives")}
    if values.get("trials") is None:
        values = {name: value for name, value in values.items() if name != "trials"}
        values |= {"trials": MOST} if sweeper.get("sampler") == "grid" else {}
    objectives = read_objectives(sweeper.get("objectives"), values, problems)
    settings = construct("hydra.sweeper", values, SearchSettings, problems, hidden=["params"])
    if settings is not None:
        settings = replace(settings, objectives=objectives)
        problems += _find_conflicts(settings)
    if problems:
        raise ConfigurationError(problems)
    return settings


def _find_conflicts(settings: SearchSettings) -> list[str]:
    """What settings that are right by themselves can't be together."""
    several = len(settings.goals) > 1
    found = []
    if several and settings.sampler == "cmaes":
        found.append("hydra.sweeper.sampler=cmaes: knows one objective alone; several take tpe, nsgaii, gp or another")
    if several and settings.halving is not None:
        found.append("hydra.sweeper.halving: compares by one objective, and there are several")
    if settings.halving is not None and settings.goal.metric not in get_args(Metric):
        found.append(
            f"hydra.sweeper.halving: compares by what is recorded through training ({', '.join(get_args(Metric))}), and"
            f" {settings.goal.metric} is not"
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Numbers from `low` to `high`, both included; whole ones where both are int. step: from low on; None: all."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """Values as they are typed."""

    texts: tuple[str, ...]


def describe_values(of: Numbers | Choices) -> dict[str, Any]:
    """What a journal keeps of a key's values."""
    if isinstance(of, Choices):
        return {"choices": [*of.texts]}
    return {"low": of.low, "high": of.high, "step": of.step, "log": of.log}


@dataclass(frozen=True)
class Space:
    """fixed: the overrides that all trials have; varied: by key."""

    fixed: tuple[str, ...]
    varied: Mapping[str, Numbers | Choices]

    def overrides(self, values: Mapping[str, float | str]) -> list[str]:
        """The overrides by which a trial differs from the others."""
        return [f"{key}={self._text(key, value)}" for key, value in values.items()]

    def samples(self) -> list[list[str]]:
        """The overrides of a few trials, among which each choice stands once or more."""
        first = {key: of.texts[0] if isinstance(of, Choices) else of.low for key, of in self.varied.items()}
        others = [
            first | {key: text} for key, of in self.varied.items() if isinstance(of, Choices) for text in of.texts[1:]
        ]
        return [[*self.fixed, *self.overrides(values)] for values in (first, *others)]

    def _text(self, key: str, value: float | str) -> str:
        numbers = self.varied[key]
        if isinstance(value, float) and isinstance(numbers, Numbers):
            short = f"{value:.6g}"  # which can be read, and typed again
            if numbers.low <= float(short) <= numbers.high:
                return short
        return str(value)


def search_space(config: DictConfig, params: Any, overrides: Sequence[str], loader: ConfigLoader | None) -> Space:
    """The space of hydra.sweeper.params and the command line; what that says of a key replaces what params say.

    config  without what is varied

    Raises ConfigurationError with a line for everything that is wrong.
    """
    problems: list[str] = []
    keys = {strip_key(text) for text in overrides}
    fixed: list[str] = []
    varied: dict[str, Numbers | Choices] = {}

    def take(texts: Sequence[str]) -> None:
        parsed, unread = parse_overrides(texts, loader)
        problems.extend(unread)
        for override in parsed:
            numbers = _numbers(override, config, problems)
            if numbers is not None:
                varied[override.get_key_element()] = numbers
            elif not override.is_sweep_override() or override.is_discrete_sweep():
                _add(expand_override(override, problems), fixed, varied)

    for key, values in (params or {}).items():
        if strip_key(str(key)) in keys:
            continue
        if isinstance(values, str):
            take([f"{key}={values}"])
        else:
            _add(expand_values(str(key), values, loader, problems), fixed, varied)
    take(overrides)
    if not varied and not problems:
        problems.append(
            "hydra.sweeper: nothing is varied; give some key an interval, a range or several values:"
            " optimizer.alpha=interval(0.01,1)"
        )
    if problems:
        raise ConfigurationError(problems)
    return Space(tuple(fixed), varied)


def _add(texts: Sequence[str], fixed: list[str], varied: dict[str, Numbers | Choices]) -> None:
    if len(texts) == 1:
        fixed.append(texts[0])
    elif texts:
        key = texts[0].partition("=")[0]
        varied[key] = Choices(tuple(dict.fromkeys(text.partition("=")[2] for text in texts)))


def _numbers(override: Override, config: DictConfig, problems: list[str]) -> Numbers | None:
    """What an interval or a range gives; None where the override is neither, or is wrong."""
    swept, line = override.value(), override.input_line
    if isinstance(swept, IntervalSweep | RangeSweep) and (unknown := swept.tags - {"log"}):
        problems.append(f"{line}: unknown tag {', '.join(sorted(unknown))} (allowed: log)")
        return None
    if isinstance(swept, IntervalSweep):
        return _interval(override, swept, config, problems)
    if isinstance(swept, RangeSweep) and not swept.shuffle and swept.step:
        values = sorted(swept.range())
        if len(values) > 1:
            whole = all(isinstance(value, int) for value in values)
            # 0.8 + 3 · 0.05 is meant to be 0.95.
            ends = values if whole else [float(f"{value:.12g}") for value in values]
            return Numbers(low=ends[0], high=ends[-1], step=abs(swept.step))
    return None


def _interval(override: Override, swept: IntervalSweep, config: DictConfig, problems: list[str]) -> Numbers | None:
    low, high, line = swept.start, swept.end, str(override.input_line)
    assert low is not None
    assert high is not None
    # Hydra makes both ends numbers with a point, however they are written, unless int(…) is around them.
    if _written_whole(line) and not isinstance(OmegaConf.select(config, override.key_or_group), float):
        low, high = int(low), int(high)
    if low >= high:
        problems.append(f"{line}: must begin below where it ends")
    elif "log" in swept.tags and low <= 0:
        problems.append(f"{line}: a logarithmic scale begins above 0")
    else:
        return Numbers(low=low, high=high, log="log" in swept.tags)
    return None


def _written_whole(line: str) -> bool:
    found = re.search(r"interval\s*\(([^()]*)\)", line)
    ends = found[1].split(",") if found else []
    return all(re.fullmatch(r"\s*(\w+\s*=)?\s*[+-]?\d+\s*", end) for end in ends)
