"""Configurations that differ in plain values only: the values are set anew in one that Hydra composed."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.resolving import resolve_entry

# Hydra's node, and resolvers other than OmegaConf's own and `now`, which a sweep asks once, may differ between jobs.
_OF_THE_JOB = re.compile(r"\$\{.*hydra|\$\{\s*(?!oc\.|now:)[A-Za-z_][\w.]*\s*:")


def depends_on_the_job(text: str) -> bool:
    """Whether an interpolation may have another value in each job although no override says so."""
    return "${" in text and _OF_THE_JOB.search(text) is not None


def texts(values: Any) -> Iterator[str]:
    """Every text in nested plain values."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping | list):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from texts(value)


class Variant:
    """A composed configuration to which Hydra's code applies the overrides of one job after the other.

    The first job's overrides are applied to a copy, in their order. Another job may follow when it has scalars for the
    same keys and all its other overrides in common; those of its scalars are applied that are not there already. Then
    only what lies under the same entries of the configuration's top is resolved again, and what follows interpolations.

    Raises what Hydra raises.
    """

    def __init__(self, base: DictConfig, overrides: Sequence[Override]) -> None:
        self._config = copy.deepcopy(base)
        _apply(overrides, self._config)
        self._applied = {override.key_or_group: override for override in overrides}
        raw = OmegaConf.to_container(self._config)
        assert isinstance(raw, dict)
        self._follow = {name for name, value in raw.items() if any("${" in text for text in texts(value))}
        self._entries: dict[Any, tuple[dict[str, Any], list[str]]] = {}
        self._resolve(raw)

    def values(self, overrides: Sequence[Override]) -> tuple[dict[str, Any], list[str]]:
        """The job's configuration as `resolve` gives it, and what is wrong with it."""
        changed = [override for override in overrides if self._applied[override.key_or_group] is not override]
        if changed:
            _apply(changed, self._config)
            self._applied |= {override.key_or_group: override for override in changed}
            self._resolve({override.key_or_group.partition(".")[0] for override in changed} | self._follow)
        found: dict[str, Any] = {}
        problems: list[str] = []
        for entry, lines in self._entries.values():
            found |= entry
            problems += lines
        return found, problems

    def _resolve(self, names: Any) -> None:
        for name in names:
            lines: list[str] = []
            self._entries[name] = resolve_entry(self._config, name, lines), lines


def _apply(overrides: Sequence[Override], config: DictConfig) -> None:
    ConfigLoaderImpl._apply_overrides_to_config([*overrides], config)
