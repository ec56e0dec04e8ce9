"""Our side of a sweep: `bptt train -m …`, and what its archive says of it."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sweeps.program import ProgramFailed, Usage, make_folder, measure_program
from bptt.sweeps.workers.pool import WorkerSettings
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.sweep import SweepFolder

_RATES = 20


@dataclass(frozen=True, kw_only=True)
class OurSweep:
    """A sweep that was measured.

    training     seconds that blocks were trained, those of all workers added
    first_block  seconds from the command to the first block's begin
    """

    usage: Usage
    runs: int
    workers: int
    training: float
    first_block: float

    @property
    def seconds(self) -> float:
        return self.usage.seconds

    @property
    def not_training(self) -> float:
        """Seconds per run that a worker trained nothing."""
        return (self.seconds * self.workers - self.training) / self.runs


def choose_rates(runs: int) -> list[str]:
    """20 learning rates, or fewer where the runs can't be shared out among so many."""
    return [f"{(place + 1) / 100:g}" for place in range(math.gcd(runs, _RATES))]


def list_adder_overrides(runs: int, updates: int) -> list[str]:
    """The overrides of so many runs of the adder."""
    alphas = choose_rates(runs)
    return [
        "experiment=zhu_adder",
        "task.eval_size=256",
        "task.test_size=0",  # the usual way has none
        f"train.updates={updates}",
        "reuse=false",
        f"optimizer.alpha={','.join(alphas)}",
        f"seed=range({runs // len(alphas)})",
    ]


def list_trivial_overrides(runs: int) -> list[str]:
    """The overrides of so many runs in which next to nothing is trained."""
    return [
        "task=adder",
        "train.updates=20",
        "train.log_points=2",
        "task.eval_size=16",
        "task.test_size=0",
        f"seed=range({runs})",
    ]


def run_sweep(overrides: Sequence[str], runs: int) -> OurSweep:
    """Run a sweep in a fresh folder. Raises ProgramFailed where not every run ended well and was recorded."""
    folder = make_folder()
    usage = measure_program([sys.executable, "-m", "bptt", "train", "-m", *overrides], folder)
    results = check_ended(folder, overrides, runs)
    return OurSweep(
        usage=usage,
        runs=runs,
        workers=WorkerSettings().wanted,
        training=sum_training_seconds(results),
        first_block=min(result.began for result in results) - usage.began,
    )


def check_ended(current: Path, overrides: Sequence[str], runs: int) -> list[RunResult]:
    """How the runs of a sweep ended, which had this current folder. Raises ProgramFailed like `run_sweep`."""
    (folder,) = (current / "multirun").iterdir()
    archive = SweepFolder.open(folder)
    results = [*archive.ended()]
    finished = sum(result.status == "FINISHED" for result in results)
    if finished != runs or archive.stored() != archive.blocks():
        raise ProgramFailed(f"{' '.join(overrides)}: {finished} of {runs} runs finished, or not all were recorded")
    return results


def sum_training_seconds(results: Iterable[RunResult]) -> float:
    """Seconds of all blocks together; the results of one block all have its begin and its end."""
    return sum(ended - began for began, ended in {(result.began, result.ended) for result in results})
