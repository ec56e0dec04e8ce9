"""Tasks as their YAML files configure them."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIGURATIONS = Path(__file__).parents[2] / "conf" / "task"


@pytest.fixture
def build() -> Callable[..., Any]:
    """The task of a name, with its YAML's values or, where given, others."""

    def built(name: str, **changes: object) -> Any:
        values = yaml.safe_load((CONFIGURATIONS / f"{name}.yaml").read_text(encoding="utf-8"))
        module, kind = values.pop("_target_").rsplit(".", 1)
        del values["defaults"]
        assert not set(changes) - set(values)
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return getattr(importlib.import_module(module), kind)(**{**given, **changes})

    return built
