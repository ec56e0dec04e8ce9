"""The one door from a configuration to a run: everything is checked here before anything starts.

configuration = check_configuration(config)  # ConfigurationError says all that is wrong
configuration.run                            # what bptt.core trains
configuration.resolved                       # the whole configuration as plain values, to be recorded
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bptt.configuration.checks import check_combinations, check_remedies, check_sizes
from bptt.configuration.components import (
    build_component,
    build_initialisation,
    describe,
    describe_initialisation,
    find_unknown_gates,
)
from bptt.configuration.errors import ConfigurationError, suggest, write_problem
from bptt.configuration.fields import construct, is_number, make_plain
from bptt.configuration.fitting import fit_to_targets
from bptt.configuration.measuring import Kind, When, read_measuring
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.published import Published, read_published
from bptt.configuration.trust import MAY_READ_ENVIRONMENT, REFUSAL, find_unasked, refuse_environment, was_refused
from bptt.configuration.user_tags import read_tags
from bptt.configuration.vocabulary import find_conf_folder, write_unknown_key
from bptt.core.annotations import InvalidValue, Range
from bptt.core.run import Clip, Loss, Model, Optimizer, Regularizer, Run, Schedule, Settings, Task

SEEDS: Final = 5
_SEEDS_KEY: Final = "seeds"
_LOG: Final = "log"
_DIGITS: Final = 3
_MOST: Final = 1_000  # values of a key


@dataclass(frozen=True)
class Tuning:
    """What a sweep tunes.

    values  key → the values that are tried, in order; each combination is
    seeds   with how many seeds each is
    """

    values: tuple[tuple[str, tuple[Any, ...]], ...]
    seeds: int = SEEDS

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(key for key, _ in self.values)


def read_tuning(node: Any, problems: list[str]) -> Tuning | None:
    """What the root key `tune` says: `{optimizer.alpha: {log: [1e-4, 1, 9]}, seeds: 5}`; None: nothing is tuned.

    Values are a list, or `log: [low, high, count]`, evenly spaced on a logarithmic scale, to three digits.
    `problems` gets a line for everything that is wrong.
    """
    if node is None:
        return None
    if not isinstance(node, Mapping):
        problems.append(write_problem("tune", node, "must be a mapping, as {optimizer.alpha: {log: [1e-4, 1, 9]}}"))
        return None
    before = len(problems)
    seeds = node.get(_SEEDS_KEY, SEEDS)
    if type(seeds) is not int or not 1 <= seeds <= _MOST:
        problems.append(
            write_problem(f"tune.{_SEEDS_KEY}", seeds, f"must be a whole number at least 1 and at most {_MOST:,}")
        )
    keys = [str(key) for key in node if key != _SEEDS_KEY]
    if not keys:
        problems.append(write_problem("tune", dict(node), "names no key; give one, as optimizer.alpha"))
    values = tuple((key, _read_values(f"tune.{key}", node[key], problems)) for key in keys)
    return None if len(problems) > before else Tuning(values, seeds)


def write_log_values(low: float, high: float, count: int) -> list[float]:
    """So many values from low to high, evenly spaced on a logarithmic scale, to three digits."""
    return [float(f"{value:.{_DIGITS}g}") for value in np.geomspace(low, high, count)]


def _read_values(where: str, node: Any, problems: list[str]) -> tuple[Any, ...]:
    if isinstance(node, Mapping):
        return _read_log(where, node, problems)
    if not isinstance(node, list) or not all(_is_scalar(value) for value in node):
        problems.append(write_problem(where, node, "must be a list of values, or log: [low, high, count]"))
        return ()
    if len({repr(value) for value in node}) < len(node) or len(node) < 2:
        problems.append(write_problem(where, node, "must hold two different values or more, each once"))
    return tuple(node)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | str) or is_number(value)


def _read_log(where: str, node: Mapping[Any, Any], problems: list[str]) -> tuple[Any, ...]:
    if list(node) != [_LOG]:
        unknown = [str(name) for name in node if name != _LOG]
        meant = suggest(unknown[0], [_LOG], f"{where}.") if unknown else ""
        problems.append(write_problem(where, dict(node), f"must be log: [low, high, count]{meant}"))
        return ()
    ends = node[_LOG]
    if not (isinstance(ends, list) and len(ends) == 3 and all(is_number(end) for end in ends)):
        problems.append(write_problem(f"{where}.{_LOG}", ends, "must be three numbers: low, high, count"))
        return ()
    low, high, count = ends
    if not 0 < low < high or not 2 <= count <= _MOST or not math.isclose(count, int(count)):
        says = f"must be 0 < low < high, and a whole count from 2 to {_MOST:,}"
        problems.append(write_problem(f"{where}.{_LOG}", ends, says))
        return ()
    values = write_log_values(low, high, int(count))
    if len({*values}) < len(values):
        problems.append(write_problem(f"{where}.{_LOG}", ends, f"holds values that are equal to {_DIGITS} digits"))
    return tuple(values)


#: Of each group the package with the classes that are shipped, and what a class must have.
_COMPONENTS: Final[dict[str, tuple[str, type]]] = {
    "task": ("bptt.tasks", Task),
    "model": ("bptt.core.models", Model),
    "loss": ("bptt.core.losses", Loss),
    "optimizer": ("bptt.core.optimizers", Optimizer),
    "schedule": ("bptt.core.schedules", Schedule),
    "regularizer": ("bptt.core.regularizers", Regularizer),
    "clip": ("bptt.core.clips", Clip),
}


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where a run is recorded.

    uri         of the MLflow store; None: what MLFLOW_TRACKING_URI says, else MLflow's own default
    experiment  the name of the MLflow experiment; None: what MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID say
    enabled     False: nothing is recorded in MLflow
    checkpoint_seconds  how often a run that trains for long writes a checkpoint; None: never
    detail      what MLflow gets of each run of a sweep: all, what was recorded last, or nothing
    """

    uri: str | None
    experiment: str | None
    enabled: bool
    checkpoint_seconds: Annotated[float, Range(above=0)] | None = 60.0
    detail: Literal["full", "last", "sweep"] = "full"

    def __post_init__(self) -> None:
        if self.experiment is not None and not self.experiment.strip():
            raise InvalidValue("experiment", self.experiment, "must be a name")


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep treats its runs; no part of what a run is.

    reuse       whether a run that the store holds already, finished, is taken from there
    on_error    what becomes of the other runs when one fails
    question    what the sweep asks, for its report
    solved      when a run has solved its task: `accuracy/eval>=1`; None: see `bptt.analysis.sweep`
    conditions  swept keys that make the question harder or easier, and no answer better; None: those of the task
    tune        keys whose values each setting chooses on seeds of their own; None: none
    confirm     on how many fresh seeds the best setting of each condition is trained again; None: it is not
    measure     what is measured of its networks before the report, and of which of them
    published   what it is held against, for its report; None: nothing
    report      whether it ends by writing its report
    """

    reuse: bool = True
    on_error: Literal["continue", "stop"] = "continue"
    question: str | None = None
    solved: str | None = None
    conditions: tuple[str, ...] | None = None
    tune: Tuning | None = None
    confirm: Annotated[int, Range(at_least=1)] | None = None
    measure: tuple[tuple[Kind, When], ...] = ()
    published: Published | None = None
    report: bool = True


@dataclass(frozen=True, kw_only=True)
class _Rest:
    """What a configuration holds beside its groups."""

    seed: Annotated[int, Range(at_least=0)]
    allow: tuple[str, ...] = ()


_PLAIN_GROUPS = {"train": Settings, "tracking": Tracking}
_GROUPS = (*_COMPONENTS, "init", *_PLAIN_GROUPS)
_REST = tuple(field.name for field in fields(_Rest))
_SWEEP = tuple(field.name for field in fields(SweepSettings))
_NESTED = ("tune", "measure", "published")  # that are read by functions of their own
_TAGS = "tags"
_KNOWN = (*_GROUPS, *_REST, *_SWEEP, _TAGS)
#: Of each group that a run can do without: what its absence means, as in what was recorded before there was the group.
_ABSENT = {field.name: describe(field.default) for field in fields(Run) if field.default is not MISSING}


@dataclass(frozen=True)
class Configuration:
    """A configuration that was checked; `resolved` is the normal form of its run: equal runs have equal ones, but for
    the tags that a user gave them.

    told  what was chosen by the task's targets, in a line; None: nothing was
    """

    run: Run
    tracking: Tracking
    sweep: SweepSettings
    resolved: dict[str, Any]
    told: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def with_seed(self, seed: int) -> "Configuration":
        """The same with another seed, from 0 on."""
        return replace(self, run=replace(self.run, seed=seed), resolved=self.resolved | {"seed": seed})


def check_configuration(config: DictConfig | dict[str, Any], allow: Collection[str] | None = None) -> Configuration:
    """Check a composed configuration, or a resolved one, and build what it describes.

    allow  packages whose classes it may name, if it was recorded; None: it is the user's own, and says so itself

    Raises ConfigurationError with a line for everything that is wrong.
    """
    composed = config if isinstance(config, DictConfig) else OmegaConf.create(config)
    problems: list[str] = []
    values = resolve_config(composed, problems)
    return Checker(list_conf_folders(composed) or [find_conf_folder()], allow).check(values, problems)


@dataclass(frozen=True)
class _Entry:
    """What an entry of the configuration describes, its normal form, and what is wrong with it."""

    made: Any
    resolved: Any
    problems: list[str]


class Checker:
    """Checks many configurations: what is equal in several of them is built once, and is the same object in all.

    folders  where the choices lie, first the one with precedence
    allow    packages whose classes they may name; None: those that each of them says
    """

    def __init__(self, folders: Sequence[Path], allow: Collection[str] | None = None) -> None:
        check_kernel_folder()  # a task that is built draws its evaluation
        self._folders, self._allow = folders, allow
        self._parts: dict[tuple[str, str, tuple[str, ...]], _Entry] = {}
        self._combinations: dict[tuple[Any, ...], list[str]] = {}

    def check(self, values: Mapping[str, Any], problems: Iterable[str] = (), task: Task | None = None) -> Configuration:
        """Check the values of a configuration, and build what they describe; `problems` are those of resolving it.

        task  one that is there already, in place of what the values say

        Raises ConfigurationError with a line for everything that is wrong.
        """
        lines = [*problems]
        lines += [
            write_unknown_key(name, values[name], _KNOWN, list_keys(values), self._folders)
            for name in values
            if name not in _KNOWN
        ]
        found: list[str] = []
        rest = construct("", {name: values[name] for name in _REST if name in values}, _Rest, found)
        sweep = construct("", {n: values[n] for n in _SWEEP if n in values and n not in _NESTED}, SweepSettings, found)
        nested = {
            "tune": read_tuning(values.get("tune"), found),
            "measure": read_measuring(values.get("measure"), found),
            "published": read_published(values.get("published"), found),
        }
        tags = read_tags(values.get(_TAGS), found)
        allow = rest.allow if rest else ()
        if self._allow is not None:
            lines += find_unasked(allow, self._allow)
            allow = tuple(package for package in allow if package in self._allow)
        given = {} if task is None else {"task": _Entry(task, None, [])}

        def part_of(name: str, node: Any) -> _Entry:
            return given[name] if name in given else self._part(name, node, allow)

        values, told = fit_to_targets(values, lambda node: part_of("task", node).made, found)
        parts = {name: part_of(name, values.get(name, _ABSENT.get(name))) for name in _GROUPS}
        for part in parts.values():
            found += part.problems
        found += find_unknown_gates(values.get("init"), parts["model"].made)
        # A value that could not be had was told of already: that its key is missing would say so again.
        known = {line.partition("=")[0].partition(":")[0] for line in lines}
        lines += [line for line in found if line.partition(":")[0] not in known]
        if lines:
            raise ConfigurationError(lines)

        made = {name: part.made for name, part in parts.items()}
        tracking = made.pop("tracking")
        run = Run(**made, seed=rest.seed)
        find = (
            self._check_combinations if task is None else check_combinations
        )  # a given one's id may be another's soon
        if lines := check_sizes(run) or check_remedies(run) or find(run):
            raise ConfigurationError(lines)
        resolved = {name: part.resolved for name, part in parts.items()}
        resolved |= make_plain(rest) | ({_TAGS: tags} if tags else {})
        return Configuration(run, tracking, replace(sweep, **nested), resolved, told=told, tags=tags)

    def _part(self, name: str, node: Any, allow: tuple[str, ...]) -> _Entry:
        key = (name, repr(node), allow)
        if key not in self._parts:
            problems: list[str] = []
            made = self._build(name, node, allow, problems)
            self._parts[key] = _Entry(made, None if made is None else _normalise(name, made), problems)
        return self._parts[key]

    def _build(self, name: str, node: Any, allow: tuple[str, ...], problems: list[str]) -> Any:
        if name in _COMPONENTS:
            return build_component(name, node, *_COMPONENTS[name], allow, problems, folders=self._folders)
        if name == "init":
            return build_initialisation(node, self._folders, allow, problems)
        if isinstance(node, dict):
            return construct(name, node, _PLAIN_GROUPS[name], problems, folders=self._folders)
        problems.append(f"{name}: missing; choose one: {name}=default")
        return None

    def _check_combinations(self, run: Run) -> list[str]:
        # What was built stays in `_parts`, so that its id means it.
        looked_at = (id(run.task), id(run.model), id(run.loss), id(run.init), run.train.early_stop, run.train.keep_by)
        if looked_at not in self._combinations:
            self._combinations[looked_at] = check_combinations(run)
        return self._combinations[looked_at]


def _normalise(name: str, made: Any) -> dict[str, Any]:
    if name in _COMPONENTS:
        return describe(made)
    return describe_initialisation(made) if name == "init" else make_plain(made)


def resolve_config(config: DictConfig, problems: list[str]) -> dict[str, Any]:
    """The configuration without `hydra`, as a dict; a value that can't be had is left out and told in `problems`."""
    found: dict[str, Any] = {}
    for name in config:
        if name != "hydra":
            found |= resolve_entry(config, name, problems)
    return found


def resolve_entry(config: DictConfig, name: Any, problems: list[str]) -> dict[str, Any]:
    """What `resolve_config` makes of an entry of the configuration's top: `{name: value}`, or {} without a value."""
    return _resolve_entry(config, name, str(name), problems)


def _resolve(node: Container, prefix: str, problems: list[str]) -> Any:
    if isinstance(node, ListConfig):
        return [_resolve_value(node, index, f"{prefix}[{index}]", problems) for index in range(len(node))]
    assert isinstance(node, DictConfig)
    found: dict[str, Any] = {}
    for key in node:
        found |= _resolve_entry(node, key, f"{prefix}.{key!s}", problems)
    return found


def _resolve_entry(node: DictConfig, key: Any, name: str, problems: list[str]) -> dict[str, Any]:
    before = len(problems)
    value = _resolve_value(node, key, name, problems)
    return {str(key): value} if len(problems) == before or isinstance(value, dict) else {}


def _resolve_value(node: Any, key: Any, name: str, problems: list[str]) -> Any:
    if OmegaConf.is_missing(node, key):
        problems.append(f"{name}: missing; give it a value: {name}=…")
        return None
    follows = OmegaConf.is_interpolation(node, key) and name not in MAY_READ_ENVIRONMENT
    try:
        with refuse_environment() if follows else nullcontext():
            value = node[key]
    except OmegaConfBaseException as error:
        raw = OmegaConf.to_container(node, resolve=False)
        assert isinstance(raw, dict | list)
        says = REFUSAL if was_refused(error) else f"can't be followed ({str(error).splitlines()[0]})"
        problems.append(write_problem(name, raw[key], says))
        return None
    return _resolve(value, name, problems) if isinstance(value, Container) else value


def locate_files(config: Mapping[str, Any], home: Path | None) -> dict[str, Any]:
    """A resolved configuration whose relative paths are meant from a folder, for use from any other.

    What is called `path`, or `y_path`, and names a file from `home` has its place in full; None: nothing is changed.
    """
    if home is None:
        return dict(config)

    def locate(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: locate(name, inner) for name, inner in value.items()}
        names = key.rpartition("_")[2] == "path" and isinstance(value, str)
        return str(home / value) if names and (home / value).is_file() else value

    return {key: locate(key, value) for key, value in config.items()}


def relate_files(config: Mapping[str, Any], home: Path | None) -> dict[str, Any]:
    """The configuration as it is recorded, of one that `locate_files` has made."""
    prefix = f"{home}/"

    def relate(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: relate(name, inner) for name, inner in value.items()}
        names = key.rpartition("_")[2] == "path" and isinstance(value, str)
        return value.removeprefix(prefix) if names else value

    return dict(config) if home is None else {key: relate(key, value) for key, value in config.items()}


def list_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of nested mappings, in full."""
    for name, value in values.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from list_keys(value, f"{prefix}{name}.")


def list_conf_folders(config: DictConfig) -> list[Path]:
    """The folders that Hydra composed a configuration from, first the one with precedence, if it says."""
    if (hydra := config.get("hydra")) is None:
        from hydra.core.hydra_config import HydraConfig

        if not HydraConfig.initialized():
            return []
        hydra = HydraConfig.get()
    sources = [source for source in hydra.runtime.config_sources if source.schema == "file"]
    return [Path(source.path) for source in sources]
