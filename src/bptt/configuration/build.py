"""The one door from a configuration to a run: everything is checked here before anything starts.

configuration = checked(config)      # ConfigurationError says all that is wrong
configuration.run                    # what bptt.core trains
configuration.resolved               # the whole configuration as plain values, to be recorded
"""

from dataclasses import dataclass
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf

from bptt.configuration.combinations import check_combinations
from bptt.configuration.components import (
    build_component,
    build_initialisation,
    described,
    described_initialisation,
)
from bptt.configuration.paths import conf_folder
from bptt.configuration.problems import ConfigurationError, unknown_key
from bptt.configuration.resolving import conf_folders, keys, resolve
from bptt.configuration.values import construct, plain
from bptt.core.annotations import Range
from bptt.core.run import Run, Settings

_COMPONENTS = {
    "task": "bptt.tasks",
    "model": "bptt.core.models",
    "loss": "bptt.core.losses",
    "optimizer": "bptt.core.optimizers",
    "clip": "bptt.core.clips",
}


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where a run is recorded.

    uri         of the MLflow store; None: what MLFLOW_TRACKING_URI says, else MLflow's own default
    experiment  the name of the MLflow experiment
    enabled     False: nothing is recorded in MLflow
    checkpoint_seconds  how often a run that trains for long writes a checkpoint; None: never
    """

    uri: str | None
    experiment: str
    enabled: bool
    checkpoint_seconds: Annotated[float, Range(above=0)] | None = 60.0


@dataclass(frozen=True, kw_only=True)
class _Rest:
    """What a configuration holds beside its groups."""

    seed: Annotated[int, Range(at_least=0)]
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Configuration:
    """A configuration that was checked; `resolved` is its normal form: equal runs have equal ones."""

    run: Run
    tracking: Tracking
    resolved: dict[str, Any]


def checked(config: DictConfig | dict[str, Any]) -> Configuration:
    """Check a composed configuration, or a resolved one, and build what it describes.

    Raises ConfigurationError with a line for everything that is wrong.
    """
    composed = config if isinstance(config, DictConfig) else OmegaConf.create(config)
    problems: list[str] = []
    values = resolve(composed, problems)
    rest_names = ("seed", "allow")
    groups = (*_COMPONENTS, "init", "train", "tracking")
    known = (*groups, *rest_names)
    problems += [unknown_key(name, values[name], known, keys(values)) for name in values if name not in known]

    found: list[str] = []
    rest = _plain_group("", {name: values[name] for name in rest_names if name in values}, _Rest, found)
    allow = rest.allow if rest else ()
    built = {
        name: build_component(name, values.get(name), folder, allow, found) for name, folder in _COMPONENTS.items()
    }
    folders = conf_folders(composed) or [conf_folder()]
    init = build_initialisation(values.get("init"), folders, allow, found)
    train = _plain_group("train", values.get("train"), Settings, found)
    tracking = _plain_group("tracking", values.get("tracking"), Tracking, found)
    # A value that could not be had was told of already: that its key is missing would say so again.
    told = {line.partition("=")[0].partition(":")[0] for line in problems}
    problems += [line for line in found if line.partition(":")[0] not in told]
    if problems:
        raise ConfigurationError(problems)

    run = Run(**built, init=init, train=train, seed=rest.seed)
    if problems := check_combinations(run):
        raise ConfigurationError(problems)
    resolved = {name: described(component) for name, component in built.items()}
    resolved |= {"init": described_initialisation(run.init), "train": plain(train), "tracking": plain(tracking)}
    return Configuration(run, tracking, resolved | plain(rest))


def _plain_group(key: str, node: Any, kind: type, problems: list[str]) -> Any:
    if not isinstance(node, dict):
        problems.append(f"{key}: missing; choose one: {key}=default")
        return None
    return construct(key, node, kind, problems)
