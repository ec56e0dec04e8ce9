"""Tasks for workers, which import them from here."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.run import Run
from bptt.core.sequences import Floats, Generated, Page
from bptt.core.training import Training
from bptt.sweeps.workers.pool import Lost
from bptt.sweeps.workers.training import Checkpoint, LaneResult, LaneTask, train_lanes
from tests.core.comparing import assert_same_record, finished
from tests.core.making import Noise, make_model, make_run


def holds_interrupts(_: int) -> bool:
    """Whether the process was started with Ctrl-C held; it waits, so that another one takes the next task."""
    time.sleep(0.5)
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@dataclass(frozen=True)
class Raising:
    """An init that raises."""

    def parameters(self, seed: np.random.SeedSequence, blocks: tuple[Parameter, ...]) -> Floats:
        raise ArithmeticError("no such weights")

    def values(self, rng: Generator, block: Parameter) -> Floats:
        raise ArithmeticError("no such weights")


@dataclass(frozen=True, eq=False, kw_only=True)
class Vanishing(Generated):
    """Data that can't be made any more for one seed from some update on."""

    seed: int

    def page(self, seed: np.random.SeedSequence, update: int, batch: int) -> Page:
        if seed.entropy == self.seed and update >= 10:
            raise OSError("the data is gone")
        return super().page(seed, update, batch)


@dataclass(frozen=True, kw_only=True)
class Unreliable(Noise):
    """Data, a page per update, that vanishes for the runs with one seed."""

    seed: int

    def training(self) -> Generated:
        return Vanishing(self.make, 65536, seed=self.seed)


def lane(seed: int, **changes: Any) -> Run:
    """Runs that fuse, and differ in all that may differ."""
    settings = {
        "optimizer": Sgd(alpha=0.05 + 0.01 * seed),
        "init": Initialisation(Normal(scale=0.3 + 0.02 * seed)),
        "model": make_model("elman", readout="identity"),
        "updates": 20,
        "log_points": 5,
    }
    return make_run(seed=seed, **(settings | changes))


def block(number: int, runs: Sequence[Run], **changes: Any) -> LaneTask:
    settings: dict[str, Any] = {"update": runs[0].train.updates, "identity": f"block {number}"}
    return LaneTask(number=number, runs=tuple(runs), **(settings | changes))


def blocks() -> list[LaneTask]:
    """Three blocks; each diverges in one lane, fails in another one, and goes well in the others."""
    return [
        block(number, [*seeds, lane(50, optimizer=Sgd(alpha=1e200)), lane(60, init=Raising()), lane(70)])
        for number, seeds in enumerate([[lane(0)], [lane(seed) for seed in range(1, 4)], [lane(4), lane(5)]])
    ]


def assert_as_alone(tasks: Sequence[LaneTask], results: Sequence[LaneResult | Lost[LaneTask]]) -> None:
    """Every run of `blocks` has the bits that it has alone, in this process."""
    by_number = {result.number: result for result in results if isinstance(result, LaneResult)}
    assert sorted(by_number) == [task.number for task in tasks]
    for task in tasks:
        for run, result in zip(task.runs, by_number[task.number].lanes, strict=True):
            assert result.ended
            if isinstance(run.init, Raising):
                assert result.record is None
                assert result.error is not None
                assert "ArithmeticError: no such weights" in result.error
            else:
                assert result.error is None
                assert result.record is not None
                assert_same_record(result.record, finished([run])[0])


def double(number: int) -> int:
    return 2 * number


def where(number: int) -> int:
    """The process that computes it."""
    time.sleep(0.02)
    return os.getpid()


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def fail_for_three(number: int) -> int:
    if number == 3:
        raise ValueError("three is not allowed")
    return number


@dataclass(frozen=True)
class Mortal:
    """A task during which its worker may be killed: so often, counted by files in a folder."""

    number: int
    folder: Path
    deaths: int


def live(task: Mortal) -> int:
    for death in range(task.deaths):
        mark = task.folder / f"{task.number}-{death}"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return task.number


def busy(folder: Path) -> None:
    """Compute for ever, after telling in a folder who does."""
    (folder / str(os.getpid())).touch()
    while True:
        pass


def total(array: Floats) -> float:
    return float(array.sum())


@dataclass(frozen=True)
class Apart:
    """A block for a worker that sees no folder of the sweep's, and is killed once it has kept a checkpoint."""

    task: LaneTask
    mark: Path


def train_apart(apart: Apart) -> LaneResult:
    keep = Checkpoint.keep

    def keep_and_die(self: Checkpoint, training: Training) -> None:
        keep(self, training)
        if training.update > 1 and not apart.mark.exists():
            apart.mark.touch()
            time.sleep(0.3)  # until the event is on its way
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoint.keep = keep_and_die  # type: ignore[method-assign]
    try:
        return train_lanes(hide_folder(apart.task))
    finally:
        Checkpoint.keep = keep  # type: ignore[method-assign]


def hide_folder(task: LaneTask) -> LaneTask:
    """The task as it is on a machine that does not have the folder."""
    nowhere = Path("/nowhere")
    return replace(task, checkpoint=nowhere / "block.npz", sign=nowhere / "block.json")
