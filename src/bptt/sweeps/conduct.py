"""How a sweep is trained, from the values of `hydra.launcher` and `on_error`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bptt.configuration.problems import ConfigurationError
from bptt.configuration.values import construct
from bptt.sweeps.workers import Settings


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """By which workers a sweep is trained, what an error does to the other runs, how often a block is checkpointed."""

    workers: Settings
    on_error: Literal["continue", "stop"]
    checkpoint_seconds: float | None


def worker_settings(values: Mapping[str, Any]) -> Settings:
    """The values of hydra.launcher, checked. Raises ConfigurationError."""
    problems: list[str] = []
    given = {str(name): value for name, value in values.items() if name != "_target_"}
    settings = construct("hydra.launcher", given, Settings, problems)
    if problems:
        raise ConfigurationError(problems)
    assert isinstance(settings, Settings)
    return settings
