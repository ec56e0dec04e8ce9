"""The machine has no more of something: a line says what, with the right exit code, and nothing waits for ever."""

import errno
import json
import resource
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from bptt.cli import main as program
from bptt.configuration.errors import explain_shortage
from bptt.sweeps.workers import processes
from bptt.sweeps.workers.calls import TooLittleMemory, WorkersError, answer
from bptt.sweeps.workers.kernels import check_address_space, compile_kernels
from tests.recording import archived


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "out of memory: fewer workers, as hydra.launcher.workers=1, need less"),
        (OSError(errno.ENOMEM, "no"), "out of memory: fewer workers, as hydra.launcher.workers=1, need less"),
        (
            ImportError("x.so: failed to map segment from shared object"),
            "out of memory: fewer workers, as hydra.launcher.workers=1, need less",
        ),
        (
            RuntimeError("can't start new thread"),
            "out of memory, or of processes: no more can be started; fewer workers need less",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: can't be used: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "a/b"), "a/b: can't be used: Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: can't be used: Permission denied"),
        (OSError(errno.EINVAL, "Invalid argument", "a"), None),
        (ImportError("No module named x"), None),
        (RuntimeError("a bug"), None),
        (KeyError("a bug"), None),
    ],
)
def test_what_a_machine_has_no_more_of_is_named(error: BaseException, says: str | None) -> None:
    assert explain_shortage(error) == says


def test_a_command_that_gets_no_more_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bptt.cli import doctor

    def fail(_argv: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", ".sweep.json.part")

    monkeypatch.setattr(doctor, "main", fail)
    assert program.main(["doctor"]) == 1
    assert capsys.readouterr().err == ".sweep.json.part: can't be used: No space left on device\n"
    monkeypatch.setattr(doctor, "main", lambda _: int("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        program.main(["doctor"])


@pytest.mark.parametrize("name", ["ExecutorManagerThread", "QueueFeederThread"])
def test_a_thread_of_loky_s_that_ends_is_told_to_who_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from joblib.externals.loky import reusable_executor

    broken: list[BaseException] = []
    waiting: Future[int] = Future()
    executor = SimpleNamespace(
        _flags=SimpleNamespace(flag_as_broken=broken.append),
        _pending_work_items={0: SimpleNamespace(future=waiting)},
    )
    monkeypatch.setattr(reusable_executor, "_executor", executor)

    def fail() -> None:
        raise MemoryError

    with processes._threads_watched():
        thread = threading.Thread(target=fail, name=name)
        thread.start()
        thread.join()
    with pytest.raises(WorkersError, match="worker processes can't be had: out of memory"):
        waiting.result(0)
    assert len(broken) == 1


_READ = """
import json, resource, sys
from pathlib import Path
import pandas, pyarrow.parquet, pyarrow.compute, pyarrow.acero
from bptt.tracking.folder.sweep import SweepFolder
folder = SweepFolder(Path(sys.argv[1]))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 10**6,) * 2)
tables = folder.tables()
print(json.dumps([len(tables.runs), len(tables.history), len(folder.gradient_flow(ends_only=True))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux")
def test_an_archive_is_read_where_no_thread_can_be_started(tmp_path: Path) -> None:
    """A thread's stack takes half a gigabyte of address space, of which there are 200 MB more."""
    archive = archived(tmp_path / "sweep")
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(archive.folder)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (2**29, -1)),
    )
    assert done.returncode == 0, done.stderr
    tables = archive.tables()
    flow = archive.gradient_flow(ends_only=True)
    assert json.loads(done.stdout) == [len(tables.runs), len(tables.history), len(flow)]
    assert len(flow) > 0


def test_what_llvm_would_end_the_process_for_is_an_error_before(monkeypatch: pytest.MonkeyPatch) -> None:
    check_address_space()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 150 * 2**20, -1))
    with pytest.raises(TooLittleMemory, match=r"out of memory: of [\d,]+ MiB \(ulimit -v\) 1[45]\d are left"):
        check_address_space()
    assert str(answer(0, compile_kernels, [], None).refused).startswith(f"{socket.gethostname()}: out of memory: of ")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 400 * 2**20, -1))
    check_address_space()
