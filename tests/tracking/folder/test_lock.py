import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bptt.tracking.folder.lock import LockedError, file_lock, is_locked


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


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, pathlib, time\nfrom bptt.tracking.folder.lock import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(path)
        closing = threading.Timer(0.2, holder.stdin.close)
        closing.start()
        with file_lock(path):
            assert not closing.is_alive()
        assert holder.wait() == 0
    assert not is_locked(path)


def test_asking_whether_a_lock_is_held_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []
