"""A store that the tests share, each with an experiment of its own: making one takes seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bptt.tracking.store.base import Store
from bptt.tracking.store.opening import open_store


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store with a space")


@pytest.fixture
def open_experiment(store_folder: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    return lambda: open_store(f"sqlite:///{store_folder}/mlflow.db", request.node.name)
