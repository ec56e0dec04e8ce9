"""Kernels that are missing are compiled once, by whichever process comes first."""

import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bptt.sweeps.workers import kernels as compiling
from bptt.sweeps.workers.kernels import compile_kernels
from tests.lacking import copy_kernels
from tests.sweeps.working import blocks, lane

ROOT = Path(__file__).parents[3]


@dataclass(eq=False)
class Recipe:
    """Stands for a kernel: its first compilation waits until another kernel is being compiled, too."""

    name: str
    begun: threading.Event
    other: threading.Event
    compiled: list[str] = field(default_factory=list)

    @property
    def dispatcher(self) -> Any:
        return SimpleNamespace(__name__=self.name)

    def compile(self, mode: str) -> None:
        self.begun.set()
        assert self.other.wait(20)
        self.compiled.append(mode)


def test_two_processes_compile_different_kernels_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = threading.Event(), threading.Event()
    kernels = [Recipe("one", one, two), Recipe("two", two, one)]
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling, "needs_compiling", lambda runs: True)
    monkeypatch.setattr(compiling, "general_kernels_of", lambda runs: [(kernel, "lanes") for kernel in kernels])
    monkeypatch.setattr(compiling, "made_kernels_of", lambda runs: [])
    threads = [threading.Thread(target=compile_kernels, args=([lane(0)],), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    # Each thread had each of them: what the other one compiled, a process would find on disk.
    assert [kernel.compiled for kernel in kernels] == [["lanes"] * 2] * 2


def test_where_nothing_can_be_kept_nothing_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(compiling, "needs_compiling", lambda runs: True)
    compile_kernels([lane(0)])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_worker_processes_compile_each_kernel_once(tmp_path: Path) -> None:
    lacking = [
        "squared_error",
        "no_clip",
        "sgd",
        "_count_right",
        "_slope",
        "_log_each",
        "_draw_uniform",
        "_draw_normal",
    ]
    copy_kernels(tmp_path, [run for task in blocks() for run in task.runs], lacking)
    code = """
from bptt.sweeps.workers.training import train_lanes
from bptt.sweeps.workers.pool import WorkerSettings, Workers
from tests.sweeps.working import assert_as_alone, blocks
tasks = blocks()
with Workers(WorkerSettings(workers=2)) as workers:
    results = list(workers.run(train_lanes, tasks))
assert_as_alone(tasks, results)
"""
    environment = os.environ | {"BPTT_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    saved = [line.rpartition("/")[2] for line in done.stdout.splitlines() if "data saved" in line]
    assert {name.partition("-")[0].partition(".")[2] for name in saved} == {*lacking}
    assert len(set(saved)) == len(saved) > len(lacking)
