"""What workers tell their command: checkpoints and signs come, go on elsewhere, and leave nothing behind."""

from pathlib import Path
from typing import Any

import pytest

from bptt.core.training import Training
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import Lost, Workers, WorkerSettings
from bptt.sweeps.workers.relay import Inbox, Places, fetch_kept, find_relay, name_block
from bptt.sweeps.workers.training import LaneTask, hand_out, train_lanes
from bptt.tracking.folder.files import parse_arrays
from bptt.tracking.folder.progress import read_sign
from tests.sweeps.working import Apart, assert_as_alone, block, lane, train_apart

RUNS = [lane(seed) for seed in range(3)]
NAME = name_block("block 0")


def kept_block(folder: Path, **changes: Any) -> LaneTask:
    files = {"checkpoint": folder / "block.npz", "sign": folder / "block.json"}
    return block(0, RUNS, checkpoint_seconds=0.0, **files, **changes)


def test_a_block_is_named_by_its_runs() -> None:
    assert name_block("one two") == name_block("one two") != name_block("one three")
    assert name_block("x" * 10_000).startswith("bptt-")
    assert len(name_block("x" * 10_000)) == 37


def test_nobody_is_told_where_there_is_no_cluster() -> None:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'bptt[dask]'")
    assert find_relay() is None


def test_an_inbox_takes_what_it_waits_for_and_no_more(tmp_path: Path) -> None:
    places = Places(tmp_path / "a.npz", tmp_path / "a.json")
    inbox = Inbox({"a": places, "b": Places(tmp_path / "b.npz", None)})
    for name in ("a", "b", "another", "../../escaped"):
        inbox.take(name, b"first")
        inbox.take(name, {"update": 3})
    inbox.take("a", b"second")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.npz": "second",
        "a.json": '{"update": 3}\n',
        "b.npz": "first",
    }
    inbox.close("a")
    inbox.take("a", b"late")
    inbox.close("never")
    assert [path.name for path in tmp_path.iterdir()] == ["b.npz"]


def test_a_folder_that_is_gone_fails_nothing(tmp_path: Path) -> None:
    inbox = Inbox({"a": Places(tmp_path / "gone" / "a.npz", tmp_path / "gone" / "a.json")})
    inbox.take("a", b"first")
    inbox.take("a", {"update": 3})
    assert list(tmp_path.iterdir()) == []


def test_a_block_goes_on_where_another_worker_died_without_a_folder_in_common(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'bptt[dask]'")
    folder = tmp_path / "sweep"
    folder.mkdir()
    task = kept_block(folder)
    assert task.checkpoint is not None
    inbox = Inbox({NAME: Places(task.checkpoint, task.sign)})
    with Workers(WorkerSettings(backend="dask", workers=2)) as workers:
        assert workers.can_be_heard
        workers.listen(inbox.take)
        (found,) = workers.run(train_apart, [Apart(task, tmp_path / "died")])
        assert not isinstance(found, Lost)
        assert_as_alone([task], [found])
        assert (tmp_path / "died").exists()
        sign = read_sign(folder / "block.json")
        assert sign is not None
        assert (sign.runs, sign.first, sign.last) == (3, 6, 20)  # recorded are 1, 6, 10, 15 and 20
        assert parse_arrays(task.checkpoint.read_bytes())["bptt.identity"] == "block 0"
        assert fetch_kept(workers._pool._cluster._client, NAME) is None  # type: ignore[attr-defined]
    inbox.close(NAME)
    assert list(folder.iterdir()) == []


def test_a_command_takes_a_checkpoint_to_workers_that_do_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `bptt resume` does on a cluster; what the workers get is looked at on its way."""
    tasks = []

    class Hearing(Workers):
        can_be_heard = True

        def listen(self, hear: Any) -> None: ...

        def run(self, function: Any, given: Any, retried: Any = None) -> Any:
            tasks.extend(given)
            return super().run(function, given, retried)

    task = kept_block(tmp_path)
    assert task.checkpoint is not None
    task.checkpoint.write_bytes(b"what was kept")
    with Hearing(WorkerSettings(workers=1)) as workers, Interrupts() as interrupts:
        (result,) = hand_out([task], workers, interrupts)
    assert_as_alone([task], [result])
    assert [given.kept for given in tasks] == [b"what was kept"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_of_lost_runs_goes_with_them(tmp_path: Path) -> None:
    class Losing(Workers):
        def run(self, function: Any, given: Any, retried: Any = None) -> Any:
            return iter([Lost(task, "its workers died") for task in given])

    task = kept_block(tmp_path)
    assert task.checkpoint is not None
    assert task.sign is not None
    task.checkpoint.touch()
    task.sign.touch()
    with Losing(WorkerSettings(workers=1)) as workers, Interrupts() as interrupts:
        (result,) = hand_out([task], workers, interrupts)
    assert [lane.error for lane in result.lanes] == ["its workers died"] * len(task.runs)
    assert list(tmp_path.iterdir()) == []


def test_what_was_taken_along_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.sweeps.workers import training

    kept: list[bytes] = []
    with monkeypatch.context() as patch:
        patch.setattr(training, "write_bytes", lambda path, content: kept.append(content))
        train_lanes(kept_block(tmp_path))
    updates = []
    advance = Training.advance

    def look(self: Training) -> Any:
        updates.append(self.update)
        return advance(self)

    monkeypatch.setattr(Training, "advance", look)
    task = kept_block(tmp_path / "elsewhere", kept=kept[1])
    assert_as_alone([task], [train_lanes(task)])
    assert updates[0] == 6
