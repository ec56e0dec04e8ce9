"""How long a user waits: `bptt train` as a program of its own, in a fresh folder, the first time and afterwards."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Spread, summarise

COMMAND = ("train", "experiment=roelants_counting", "train.updates=100")
TARGETS = {"cold": 60.0, "warm": 1.2}


@dataclass(frozen=True, kw_only=True)
class Start:
    """Seconds from the command on.

    cold          to its end, the first time ever on a machine
    first_update  until the first update is trained and recorded, with compiled kernels
    warm          to its end, with compiled kernels
    compiling     what the first run took longer
    """

    cold: float
    first_update: Spread
    warm: Spread
    compiling: float


def _time_run(cache: Path) -> tuple[float, float]:
    """(to the first update, to the end) of one run in a new folder; raises RuntimeError when it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "BPTT_"))}
    with tempfile.TemporaryDirectory(prefix="bptt-bench-") as folder:
        began, start = time.time(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "bptt", *COMMAND],
            cwd=folder,
            env=kept | {"BPTT_CACHE_DIR": str(cache)},
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"bptt {' '.join(COMMAND)} failed:\n{done.stderr[-2000:]}")
        with closing(sqlite3.connect(Path(folder) / "mlflow.db")) as store:
            [(milliseconds,)] = store.execute("SELECT min(timestamp) FROM metrics WHERE step = 1")
        return milliseconds / 1e3 - began, seconds


def measure(rounds: int) -> Start:
    """Once without compiled kernels, then `rounds` times with them."""
    with tempfile.TemporaryDirectory(prefix="bptt-bench-") as cache:
        _, cold = _time_run(Path(cache))
        first, whole = zip(*(_time_run(Path(cache)) for _ in range(rounds)), strict=True)
    warm = summarise(whole)
    return Start(cold=cold, first_update=summarise(first), warm=warm, compiling=cold - warm.median)
