"""What goes wrong with one run of a block hits that one alone, and a killed block goes on from where it was."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.optimizers.sgd import Sgd
from bptt.core.training import Training
from bptt.sweeps.workers import training as checkpoints
from bptt.sweeps.workers.training import LaneTask, train_lanes
from tests.core.comparing import assert_same_record, finished
from tests.sweeps.working import Raising, Unreliable, assert_as_alone, block, blocks, lane

RUNS = [lane(seed) for seed in range(11)]


def test_lanes_of_a_block_are_the_runs_alone() -> None:
    before = time.time()
    task = block(7, RUNS)
    found = train_lanes(task)
    assert_as_alone([task], [found])
    assert found.number == 7
    assert before <= found.began <= found.ended <= time.time()
    assert found.state is None


def test_what_hits_one_run_hits_no_other() -> None:
    tasks = blocks()
    found = [train_lanes(task) for task in tasks]
    assert_as_alone(tasks, found)
    for result in found:
        outcomes = [end.record.outcome for end in result.lanes if end.record is not None]
        assert outcomes[-2:] == ["diverged", "completed"]


def test_a_run_that_raises_later_leaves_what_it_recorded() -> None:
    task = block(0, [lane(seed, task=Unreliable(seed=3)) for seed in range(6)])
    found = train_lanes(task).lanes
    assert [result.error is None for result in found] == [True] * 3 + [False] + [True] * 2
    whole = [finished([run])[0] for seed, run in enumerate(task.runs) if seed != 3]
    for result, expected in zip([end for end in found if end.error is None], whole, strict=True):
        assert result.record is not None
        assert_same_record(result.record, expected)
    failed = found[3]
    assert failed.error is not None
    assert failed.error.endswith("OSError: the data is gone\n")
    assert failed.record is not None
    assert failed.record.history["update"].tolist() == [1, 6, 10]
    course = finished([lane(3, task=Unreliable(seed=-1))])[0].history["loss/train"]
    assert np.array_equal(failed.record.history["loss/train"], course[:3])


def test_all_runs_may_raise() -> None:
    found = train_lanes(block(0, [lane(seed, init=Raising()) for seed in range(3)])).lanes
    assert all(result.error and "no such weights" in result.error for result in found)


class Killed(BaseException):
    pass


class Clock:
    """A clock that goes on by a second whenever somebody looks, and that kills at some second."""

    def __init__(self, last: int) -> None:
        self.now, self.last = 0, last

    def __call__(self) -> float:
        self.now += 1
        if self.now > self.last:
            raise Killed
        return self.now


@pytest.fixture
def advances(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The updates from which `Training.advance` was called."""
    begun: list[int] = []
    real = Training.advance

    def counting(training: Training) -> Any:
        begun.append(training.update)
        return real(training)

    monkeypatch.setattr(Training, "advance", counting)
    return begun


def checkpointed(folder: Path, **changes: Any) -> LaneTask:
    return block(0, RUNS, checkpoint=folder / "block.npz", checkpoint_seconds=0.5, **changes)


def kill(task: LaneTask, monkeypatch: pytest.MonkeyPatch, after: int = 6) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "monotonic", Clock(after))
        with pytest.raises(Killed):
            train_lanes(task)


def test_a_killed_block_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advances: list[int]
) -> None:
    task = checkpointed(tmp_path)
    kill(task, monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == ["block.npz"]
    advances.clear()
    found = train_lanes(task)
    assert advances == [10, 15]  # recorded are 1, 6, 10, 15 and 20
    assert list(tmp_path.iterdir()) == []
    assert_as_alone([task], [found])


def test_a_checkpoint_of_another_block_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advances: list[int]
) -> None:
    kill(checkpointed(tmp_path), monkeypatch)
    advances.clear()
    task = checkpointed(tmp_path, identity="another")
    found = train_lanes(task)
    assert advances[0] == 0
    assert_as_alone([task], [found])


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advances: list[int]) -> None:
    task = checkpointed(tmp_path)
    kill(task, monkeypatch)
    assert task.checkpoint is not None
    whole = task.checkpoint.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:3000] + bytes(100) + whole[3100:]):
        task.checkpoint.write_bytes(damaged)
        advances.clear()
        assert_as_alone([task], [train_lanes(task)])
        assert advances[0] == 0


def test_nothing_is_kept_where_the_folder_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = checkpointed(tmp_path / "elsewhere")
    assert_as_alone([task], [train_lanes(task)])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_fails_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_bytes", full)
    monkeypatch.setattr(checkpoints, "monotonic", Clock(1000))
    task = checkpointed(tmp_path)
    assert_as_alone([task], [train_lanes(task)])


def test_a_failing_block_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "monotonic", Clock(1000))
    runs = [lane(seed, task=Unreliable(seed=3)) for seed in range(6)]
    task = block(0, runs, checkpoint=tmp_path / "block.npz", checkpoint_seconds=0.5)
    assert [result.error is None for result in train_lanes(task).lanes].count(False) == 1
    assert list(tmp_path.iterdir()) == []


def test_interrupts_are_no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(training: Training) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_lanes(block(0, RUNS[:2]))


def test_a_single_run_that_diverges_is_finished() -> None:
    (result,) = train_lanes(block(0, [lane(0, optimizer=Sgd(alpha=1e200))])).lanes
    assert result.error is None
    assert result.record is not None
    assert result.record.outcome == "diverged"
