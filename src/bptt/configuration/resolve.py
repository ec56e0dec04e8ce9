"""A composed configuration as plain values: interpolations followed, gaps reported."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bptt.configuration.errors import write_problem
from bptt.configuration.trust import MAY_READ_ENVIRONMENT, REFUSAL, refuse_environment, was_refused


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
