"""The command line in a process of its own, from a folder that knows nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.empty_store import put_empty_store
from tests.program import Folder, Run


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder whose store the tests share once the first run has made it."""
    return Folder(tmp_path_factory.mktemp("work"))


@pytest.fixture
def cold(tmp_path: Path) -> Folder:
    """A folder in which nothing was recorded yet."""
    return Folder(tmp_path)


@pytest.fixture
def empty(tmp_path: Path) -> Folder:
    """A folder with a store that holds nothing."""
    put_empty_store(tmp_path)
    return Folder(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(work: Folder) -> tuple[subprocess.CompletedProcess[str], Run]:
    """The first command ever in that folder, in a process as a user's, and its run."""
    done = work.bptt_afresh("train", "experiment=roelants_counting", "train.updates=60", "train.log_points=30")
    return done, work.newest
