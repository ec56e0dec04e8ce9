"""A program of its own in a folder of its own: how long it takes, its processor time and its memory."""

import atexit
import functools
import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

_SECONDS_BETWEEN_LOOKS = 0.2


class ProgramFailed(Exception):
    """A program that was to be measured did not do what it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a program took.

    began       seconds since 1970
    cpu         seconds of the program's own process, without those that it started
    peak_bytes  of all its processes together
    others      share of the machine's cores that other programs had meanwhile
    """

    began: float
    seconds: float
    cpu: float
    peak_bytes: int
    others: float


def make_folder() -> Path:
    """An empty folder, which is deleted when this program ends.

    Not before: where many files were deleted, ext4 searches for minutes for numbers that were not, and a sweep whose
    forerunner was deleted would take several seconds more.
    """
    return Path(tempfile.mkdtemp(dir=_make_parent()))


@functools.cache
def _make_parent() -> str:
    folder = tempfile.TemporaryDirectory(prefix="bptt-bench-")
    atexit.register(folder.cleanup)
    return folder.name


def measure_program(command: Sequence[str], folder: Path) -> Usage:
    """Run a program in a folder to its end. Raises ProgramFailed with its last words where it fails."""
    said = folder / "said.txt"
    with said.open("wb") as output:
        busy, own = _read_busy(), _read_own()
        began, start = time.time(), time.perf_counter()
        with subprocess.Popen(command, cwd=folder, env=_make_environment(), stdout=output, stderr=output) as program:
            watch = _Watch(program.pid)
            watch.start()
            code = program.wait()
            seconds = time.perf_counter() - start
            watch.stop()
        busy, own = _read_busy() - busy, _read_own() - own
    if code:
        raise ProgramFailed(f"{' '.join(command)} ended with {code}:\n{said.read_text(errors='replace')[-2000:]}")
    return Usage(
        began=began,
        seconds=seconds,
        cpu=watch.cpu,
        peak_bytes=watch.peak_bytes,
        others=compute_others_share(busy, own, seconds * (os.cpu_count() or 1)),
    )


def sum_memory(processes: Iterable[tuple[int, int]]) -> int:
    """Bytes of processes, each (resident, of these shared): what each has alone, and what is shared once.

    They run the same program, so the one that shares most has nearly all that is shared. The exact figure (PSS) would
    cost a walk over all pages, some 10 ms for each process and look.
    """
    found = list(processes)
    return sum(resident - shared for resident, shared in found) + max((shared for _, shared in found), default=0)


def compute_others_share(busy: float, own: float, available: float) -> float:
    """Of the core-seconds that were available, those that were busy with something else than our own."""
    return max(0.0, busy - own) / available


def _make_environment() -> Mapping[str, str]:
    """Without settings that would change what is measured; compiled kernels are taken where they are always kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "BPTT_"))}
    if "BPTT_CACHE_DIR" in os.environ:
        kept["BPTT_CACHE_DIR"] = os.environ["BPTT_CACHE_DIR"]
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}


def _read_busy() -> float:
    """Seconds that all cores together were busy since the machine started."""
    times = psutil.cpu_times()._asdict()
    return float(sum(times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")))


def _read_own() -> float:
    """Seconds of this process and of those that it, or a child of it, has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class _Watch(threading.Thread):
    """Looks at a process, and at those that it started, again and again.

    cpu  of the process at the last look
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.cpu, self.peak_bytes = 0.0, 0
        self._process, self._ended = psutil.Process(pid), threading.Event()

    def run(self) -> None:
        while True:
            self._look()
            if self._ended.wait(_SECONDS_BETWEEN_LOOKS):
                return

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _look(self) -> None:
        try:
            times = self._process.cpu_times()
            family = [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        self.cpu = times.user + times.system
        memory = [found for found in map(_read_memory, family) if found is not None]
        self.peak_bytes = max(self.peak_bytes, sum_memory(memory))


def _read_memory(process: Any) -> tuple[int, int] | None:
    try:
        found = process.memory_info()
    except psutil.NoSuchProcess:
        return None
    return found.rss, getattr(found, "shared", 0)  # only Linux tells what is shared
