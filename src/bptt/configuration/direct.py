"""A run from keys and values alone, for a task that is an object: none of Hydra's state, no file but the choices'."""

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from bptt.configuration.build import Checker, resolve_config
from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.configuration.vocabulary import find_conf_folder, list_choices, suggest_choice
from bptt.core.run import Run, Task


def make_checker() -> Checker:
    """What `assemble_run` checks by; one for many runs builds what they have in common once."""
    return Checker([find_conf_folder()])


def assemble_run(task: Task, given: Mapping[str, Any], checker: Checker | None = None) -> Run:
    """The run that these keys make of a task, each as on the command line; what is not given is as in `conf`.

    Loss and read-out follow the task's `target`.

    given  a group's name → the name of a choice, `{"model": "gru"}`; a value's key → the value,
           `{"optimizer.alpha": 0.1, "seed": 3}`

    Raises ConfigurationError with a line for everything that is wrong.
    """
    folder = find_conf_folder()
    _, usual = _read_root(folder)
    chosen = usual | {key: value for key, value in given.items() if key in usual}
    problems = []
    for group, choice in chosen.items():
        choices = _find_choices(group, folder)
        if not isinstance(choice, str) or choice not in choices:
            meant = suggest_choice(group, choice, [*choices])
            problems.append(write_problem(group, choice, f"no such choice{meant} (choices: {', '.join(choices)})"))
    if problems:
        raise ConfigurationError(problems)
    values = deepcopy(_compose_choices(folder, tuple(chosen.items())))
    for key, value in given.items():
        if key not in usual:
            _set_value(values, key, _make_plain(value))
    return (checker or make_checker()).check(values, task=task).run


@lru_cache
def _read_root(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What stands at the top of the configuration, and the usual choice of each group but the task."""
    root: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    listed = [entry for entry in root.pop("defaults") if isinstance(entry, dict)]
    del root["hydra"]
    usual = {group: choice for entry in listed for group, choice in entry.items() if choice is not None}
    usual = {group: str(name) for group, name in usual.items() if group != "task" and "hydra" not in group}
    return root | {"task": {"readout": "auto"}}, usual | {"loss": "auto"}


@lru_cache
def _compose_choices(folder: Path, chosen: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The values of a configuration of these choices, not to be changed; one that a choice leaves open is left out."""
    paths = [(group, _find_choices(group, folder)[choice]) for group, choice in chosen]
    parts = [OmegaConf.create({group: OmegaConf.load(path)}) for group, path in paths]
    return resolve_config(OmegaConf.merge(_read_root(folder)[0], *parts), [])  # type: ignore[arg-type]


@lru_cache
def _find_choices(group: str, folder: Path) -> dict[str, Path]:
    return list_choices(group, [folder])


def _set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a value by its key, `optimizer.alpha`; what leads to it is made where it is not there."""
    *way, last = key.split(".")
    for name in way:
        inner = values.get(name)
        values[name] = values = {**inner} if isinstance(inner, dict) else {}
    values[last] = value


def _make_plain(value: Any) -> Any:
    """A value without NumPy's types, which no YAML could have held."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_make_plain(item) for item in value]
    return {key: _make_plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
