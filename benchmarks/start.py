"""How long a user waits: `bptt train` as a program of its own, in a fresh folder, the first time and afterwards."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Spread, spread

COMMAND = ("train", "experiment=roelants_counting")
TARGETS = {"cold": 60.0, "warm": 5.0}


@dataclass(frozen=True, kw_only=True)
class Start:
    """Seconds from start to end of the program. compiling: what the first run took longer."""

    cold: float
    warm: Spread
    compiling: float


def _seconds(cache: Path) -> float:
    """One run in a new folder; raises RuntimeError when it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "BPTT_"))}
    with tempfile.TemporaryDirectory(prefix="bptt-bench-") as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "bptt", *COMMAND],
            cwd=folder,
            env=kept | {"BPTT_CACHE_DIR": str(cache)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"bptt {' '.join(COMMAND)} failed:\n{done.stderr[-2000:]}")
        return time.perf_counter() - start


def measure(rounds: int) -> Start:
    """Once without compiled kernels, then `rounds` times with them."""
    with tempfile.TemporaryDirectory(prefix="bptt-bench-") as cache:
        cold = _seconds(Path(cache))
        warm = spread(_seconds(Path(cache)) for _ in range(rounds))
    return Start(cold=cold, warm=warm, compiling=cold - warm.median)
