"""What holds inside a process holds for one of its own, also for a user who may not write."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.case import Case, Place, unchanged
from tests.bad_input.table import TABLE
from tests.program import Folder

#: One of each kind that needs nothing but its own folder.
FIRST = {kind: cases[0] for kind, cases in TABLE.items() if kind != "archives"}
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1  # of Linux


@pytest.mark.parametrize("case", FIRST.values(), ids=FIRST)
def test_in_a_process_of_its_own(case: Case, tmp_path: Path) -> None:
    case.given(Place(tmp_path, tmp_path))
    with unchanged(tmp_path):
        done = Folder(tmp_path).bptt(*case.arguments)
    assert (done.returncode, done.stdout) == (case.code, "")
    lines = done.stderr.splitlines()
    assert len(lines) == len(case.says)
    assert all(part in line for part, line in zip(case.says, lines, strict=True))


@pytest.mark.skipif(
    os.geteuid() == 0 and sys.platform != "linux", reason="only on Linux can root's right to write anywhere be given up"
)
@pytest.mark.parametrize("arguments", [["train", "train.updates=2"], ["train", "-m", "train.updates=2", "seed=0,1"]])
def test_a_folder_that_may_not_be_written(arguments: list[str], tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-m", "bptt", *arguments],
        cwd=tmp_path,
        env=Folder.environment(),
        preexec_fn=_like_any_other_user if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    assert "Permission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def _like_any_other_user() -> None:
    """Give up root's right to write where the permissions of a folder forbid it."""
    if ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) != 0:
        raise OSError("a capability can't be dropped")
