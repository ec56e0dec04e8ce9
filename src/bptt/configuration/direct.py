"""A run from keys and values alone, for a task that is an object: none of Hydra's state, no file but the choices'."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from bptt.configuration.build import Checker, resolve_config
from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.configuration.vocabulary import find_conf_folder, list_choices, suggest_choice
from bptt.core.run import Run, Task


def build_run(task: Task, given: Mapping[str, Any]) -> Run:
    """The run that these keys make of a task, each as on the command line; what is not given is as in `conf`.

    Loss and read-out follow the task's `target`.
    given  a group's name → the name of a choice, `{"model": "gru"}`; a value's key → the value,
           `{"optimizer.alpha": 0.1, "seed": 3}`

    Raises ConfigurationError with a line for everything that is wrong.
    """
    folder = find_conf_folder()
    root, defaults = _read_root(folder)
    problems: list[str] = []
    parts: list[dict[str, Any]] = [root]
    for group, choice in (defaults | {key: value for key, value in given.items() if key in defaults}).items():
        choices = list_choices(group, [folder])
        if choice in choices:
            parts.append({group: _read_choice(choices[choice])})
        else:
            meant = suggest_choice(group, choice, [*choices])
            problems.append(write_problem(group, choice, f"no such choice{meant} (choices: {', '.join(choices)})"))
    if problems:
        raise ConfigurationError(problems)
    config = OmegaConf.merge(*map(OmegaConf.create, parts))
    for key, value in given.items():
        if key not in defaults:
            OmegaConf.update(config, key, _make_plain(value), force_add=True)
    values = resolve_config(config, problems)  # type: ignore[arg-type]
    return Checker([folder]).check(values, problems, task).run


@cache
def _read_root(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What stands at the top of the configuration, and the usual choice of each group but the task."""
    root: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    listed = [entry for entry in root.pop("defaults") if isinstance(entry, dict)]
    del root["hydra"]
    usual = {group: choice for entry in listed for group, choice in entry.items() if choice is not None}
    usual = {group: str(name) for group, name in usual.items() if group != "task" and "hydra" not in group}
    return root | {"task": {"readout": "auto"}}, usual | {"loss": "auto"}


@cache
def _read_choice(path: Path) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    return values


def _make_plain(value: Any) -> Any:
    """A value without NumPy's types, which no YAML could have held."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_make_plain(item) for item in value]
    return {key: _make_plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
