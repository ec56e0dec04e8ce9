import subprocess
import sys
from pathlib import Path

import pytest

from bptt.tracking.folder.lock import LockedError, file_lock


def test_a_held_lock_is_refused_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with file_lock(path), pytest.raises(LockedError), file_lock(path, wait=False):
        pass
    with file_lock(path, wait=False):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import os, sys, pathlib\nfrom bptt.tracking.folder.lock import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    with file_lock(path, wait=False):
        pass
