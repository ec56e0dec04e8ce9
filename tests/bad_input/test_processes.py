"""What holds inside a process holds for one of its own, also for a user who may not write."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.case import Case, Place, unchanged
from tests.bad_input.table import TABLE
from tests.program import Folder

#: One of each kind that needs nothing but its own folder.
FIRST = {kind: cases[0] for kind, cases in TABLE.items() if kind != "archives"}
NOBODY = "nobody"


@pytest.mark.parametrize("case", FIRST.values(), ids=FIRST)
def test_in_a_process_of_its_own(case: Case, tmp_path: Path) -> None:
    case.given(Place(tmp_path, tmp_path))
    with unchanged(tmp_path):
        done = Folder(tmp_path).bptt(*case.arguments)
    assert (done.returncode, done.stdout) == (case.code, "")
    lines = done.stderr.splitlines()
    assert len(lines) == len(case.says)
    assert all(part in line for part, line in zip(case.says, lines, strict=True))


def _may_not_write(folder: Path) -> str:
    """A user who may not write into the folder, or this one, who may not from now on."""
    folder.chmod(0o555)
    return NOBODY if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize("arguments", [["train", "train.updates=2"], ["train", "-m", "train.updates=2", "seed=0,1"]])
def test_a_folder_that_may_not_be_written(arguments: list[str], tmp_path: Path) -> None:
    if os.geteuid() == 0 and not _readable_by_nobody():
        pytest.skip("run by root, from folders that no one else may read")
    place = Path("/tmp") / f"bptt-{os.getpid()}"
    place.mkdir()
    try:
        user = _may_not_write(place)
        command = [sys.executable, "-m", "bptt", *arguments]
        done = subprocess.run(
            command,
            cwd=place,
            env=Folder.environment() | {"HOME": "/nonexistent", "NUMBA_CACHE_DIR": str(tmp_path)},
            user=user if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 2, done.stderr
        assert "Permission denied" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert list(place.iterdir()) == []
    finally:
        place.chmod(0o755)
        place.rmdir()


def _readable_by_nobody() -> bool:
    """Whether another user may start this Python and read the program."""
    done = subprocess.run([sys.executable, "-c", "import bptt"], user=NOBODY, cwd="/", capture_output=True, check=False)
    return done.returncode == 0
