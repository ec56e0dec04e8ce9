"""What holds for all tests, whoever starts them."""

import logging
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.parameters import list_parameters
from bptt.tracking.store.connecting import set_environment
from tests import drawing, forking, sparing
from tests.ordering import longest_first

# MLflow is as quiet as the program has it, whichever test imports it first.
set_environment()
sparing.read_interpolations_once()
sparing.list_choices_where_asked()
sparing.compose_once()
# A shell that starts the tests in its background has them, and their children, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A make that starts the tests changes what another one says that a test starts.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes test side by side, one server forks the commands of all."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        forking.share()


@pytest.hookimpl(trylast=True)  # when those that are not asked for are gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes test side by side, the longest tests begin first."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        items[:] = longest_first(items, processes)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end."""
    sparing.collect_less_garbage()


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Libraries set variables for their own children, as Dask does the number of threads; the next test has none."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="module", autouse=True)
def blank_figures() -> Iterator[None]:
    """Figures are drawn where a test looks at them, which has another fixture of this name."""
    with drawing.blank():
        yield


@pytest.fixture(autouse=True)
def own_log_handlers() -> Iterator[None]:
    """Hydra gives the root logger handlers that hold a test's streams; they end with it, pytest's own stay."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    for handler in [*root.handlers]:
        if handler not in handlers and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[str]]:
    """What some choices need beside themselves: (group, choice) → overrides."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.Generator(np.random.PCG64(1))
    np.savez(folder / "data.npz", x=rng.random((5, 3, 2)), y=rng.random((5, 1)))
    rows = [f"{name},{x!r},{x / 2!r}" for name in "abcde" for x in rng.random(3).tolist()]
    (folder / "data.csv").write_text("\n".join(["name,x,y", *rows]) + "\n")
    run = check_configuration(compose()).run
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    np.savez(folder / "weights.npz", **{block.name: rng.random(block.shape) for block in blocks})  # type: ignore[arg-type]
    return {
        ("task", "arrays"): [f"task.path={folder / 'data.npz'}"],
        ("task", "table"): [f"task.path={folder / 'data.csv'}", "task.sequence=name"],
        ("init", "file"): [f"init.path={folder / 'weights.npz'}"],
        ("loss", "cross_entropy"): ["task=sentiment"],
    }
