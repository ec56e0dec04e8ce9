"""`bptt` as a process that can be disturbed, with all that it starts."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from tests.program import Folder

_TRIAL = "BPTT_FAULTS_TRIAL"  # an environment variable by which all processes of a trial are found


@dataclass(frozen=True)
class Program:
    """A command that runs, the leader of a process group of its own as on a terminal."""

    process: subprocess.Popen[bytes]
    words: tuple[str, ...]
    output: Path
    errors: Path
    began: float

    @classmethod
    def start(
        cls, folder: Path, *words: str, first: str = "", env: Mapping[str, str] | None = None, **options: Any
    ) -> "Program":
        """Run `bptt` with these words in a folder.

        first    Python statements before it begins
        env      environment variables, besides the usual ones
        options  of `subprocess.Popen`
        """
        for ignored in (signal.SIGINT, signal.SIGHUP):
            # Below `nohup`, or in the background of a script, they are ignored, and so they would be in the process.
            if signal.getsignal(ignored) is signal.SIG_IGN:
                signal.signal(ignored, lambda *_: None)
        said = folder / "said"
        said.mkdir(exist_ok=True)
        number = sum(path.suffix == ".err" for path in said.iterdir())
        output, errors = said / f"{number}.out", said / f"{number}.err"
        began = time.monotonic()
        with output.open("wb") as out, errors.open("wb") as err:
            how: dict[str, Any] = {"stdout": out, "stderr": err, "start_new_session": True, **options}
            process = subprocess.Popen(
                Folder.command(*words, first=first), cwd=folder, env=environment(folder) | {**(env or {})}, **how
            )
        return cls(process, words, output, errors, began)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def listens(self) -> bool:
        """Whether it has come so far that it catches SIGTERM, which Python by itself does not; asked of Linux."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
        return False

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.began

    def wait(self, seconds: float = 180) -> int:
        """Its exit code, once it has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} hangs: {self.told()}") from None

    def runs_for(self, seconds: float) -> bool:
        """Whether it still runs after so long; it is not waited for longer than it does."""
        return not until(lambda: not self.running, seconds)

    def ended_with(self, *codes: int) -> float:
        """The seconds it took, once it has ended with one of these exit codes and without a traceback."""
        code = self.wait()
        assert code in codes, f"{self} ended with {code}: {self.told()}"
        assert "Traceback" not in self.told(), f"{self}: {self.told()}"
        return self.seconds

    def signal(self, number: signal.Signals, group: bool = False) -> None:
        """Send it a signal, or to all processes of its group."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def kill(self, group: bool = False) -> None:
        """As kill -9 does."""
        self.signal(signal.SIGKILL, group)
        self.process.wait()

    def told(self) -> str:
        """What it has written on stderr."""
        return self.errors.read_text(errors="replace")

    def workers(self) -> list[psutil.Process]:
        """loky's processes."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children()
            return [child for child in children if _says(child, "popen_loky_posix")]
        return []

    def __str__(self) -> str:
        return f"bptt {' '.join(self.words)}"


def environment(folder: Path) -> dict[str, str]:
    """What a trial's processes see: no MLflow of a developer's, and temporary files where they are found again."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return Folder.environment() | {"TMPDIR": str(temporary), _TRIAL: str(folder)}


def of_trial(folder: Path) -> list[psutil.Process]:
    """The processes of a trial that still run."""
    return [process for process in psutil.process_iter() if _environ(process).get(_TRIAL) == str(folder)]


def end_all(folder: Path) -> None:
    """Kill what a trial that went wrong has left running."""
    for process in of_trial(folder):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def until(found: Callable[[], bool], seconds: float, pause: float = 0.001) -> bool:
    """Whether it came to be within so many seconds."""
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def _says(process: psutil.Process, word: str) -> bool:
    with suppress(psutil.Error):
        return word in " ".join(process.cmdline())
    return False


def _environ(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ()
    return {}
