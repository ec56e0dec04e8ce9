"""The command line in a process of its own, from a folder that knows nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.program import Folder, Run


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder whose store the tests share once the first run has made it."""
    return Folder(tmp_path_factory.mktemp("work"))


@pytest.fixture
def cold(tmp_path: Path) -> Folder:
    """A folder in which nothing was recorded yet."""
    return Folder(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(work: Folder) -> tuple[subprocess.CompletedProcess[str], Run]:
    """The first command ever in that folder, and its run."""
    done = work.bptt("train", "experiment=roelants_counting", "train.updates=60", "train.log_points=30")
    return done, work.newest
