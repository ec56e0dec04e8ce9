"""What runs that are trained now have recorded so far, beside the sign of their block."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.training import Training
from bptt.sweeps.workers.training import LaneTask, train_lanes
from bptt.tracking.folder import progress
from bptt.tracking.folder.points import PointsLog, place_points, read_points
from bptt.tracking.folder.progress import BlockBeacon, remove_sign
from tests.watch.watching import points


def test_points_come_back_as_they_were_told(tmp_path: Path) -> None:
    log = PointsLog(tmp_path / "points", [7, 9], since=0)
    log.add(points(10, [1.0, 2.0]))
    assert not (tmp_path / "points").exists()
    log.write()
    log.add(points(20, [0.5, np.nan]))
    log.add(points(30, [0.25, np.nan], recorded=[True, False]))
    log.write()
    log.write()
    found = read_points(tmp_path / "points")
    assert found is not None
    assert (found.runs.tolist(), found.updates.tolist()) == ([7, 9], [10, 20, 30])
    # One that recorded no loss diverged there; one that recorded nothing had ended before.
    assert np.array_equal(found.values["loss/eval"], np.array([[1, 2], [0.5, np.inf], [0.25, np.nan]]), equal_nan=True)
    assert np.array_equal(found.values["grad/norm"], np.array([[2, 4], [1, np.nan], [0.5, np.nan]]), equal_nan=True)


def test_who_goes_on_keeps_what_was_told_before_and_no_more(tmp_path: Path) -> None:
    killed = PointsLog(tmp_path / "points", [7], since=0)
    for update in (10, 20, 30):
        killed.add(points(update, [1 / update]))
    killed.write()
    log = PointsLog(tmp_path / "points", [7], since=20)  # its checkpoint was of that update
    log.add(points(30, [3.0]))
    log.write()
    found = read_points(tmp_path / "points")
    assert found is not None
    assert found.updates.tolist() == [10, 20, 30]
    assert np.array_equal(found.values["loss/eval"][:, 0], np.array([0.1, 0.05, 3.0], np.float32))
    others = PointsLog(tmp_path / "points", [8], since=20)  # of other runs nothing is kept
    others.add(points(30, [4.0]))
    others.write()
    found = read_points(tmp_path / "points")
    assert found is not None
    assert (found.runs.tolist(), found.updates.tolist()) == ([8], [30])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]\n",
        b'{"runs": [], "metrics": ["loss/eval"]}\n',
        b'{"runs": [1], "metrics": ["x"]}\n',
        b'{"runs": "x", "metrics": ["loss/eval"]}\n',
        b'{"runs": [1], "metrics": 3}\n',
        b'{"runs": [1], "metrics": ["loss/eval"]}\n' + b"\xff" * 24,  # updates below 1
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "points").write_bytes(content)
    assert read_points(tmp_path / "points") is None


def test_what_is_being_written_counts_when_it_is_whole(tmp_path: Path) -> None:
    log = PointsLog(tmp_path / "points", [7, 9], since=0)
    for update in (10, 20):
        log.add(points(update, [1.0, 2.0]))
    log.write()
    content = (tmp_path / "points").read_bytes()
    (tmp_path / "points").write_bytes(content[:-3])
    found = read_points(tmp_path / "points")
    assert found is not None
    assert found.updates.tolist() == [10]


def test_a_full_disk_costs_nothing_but_the_points(tmp_path: Path) -> None:
    log = PointsLog(tmp_path / "nowhere" / "points", [7], since=0)
    log.add(points(10, [1.0]))
    log.write()
    log.add(points(20, [1.0]))
    log.write()
    assert list(tmp_path.iterdir()) == []


def test_a_beacon_tells_the_points_of_its_runs(tmp_path: Path) -> None:
    sign = tmp_path / "block-12.progress.json"
    assert place_points(sign) == tmp_path / "block-12.points"
    beacon = BlockBeacon(sign, 1, first=0, last=100, numbers=[5])
    beacon.tell(10, points(10, [1.0]))  # within the same second
    assert not place_points(sign).exists()
    beacon._next = 0.0
    beacon.tell(20, points(20, [0.5]))
    found = read_points(place_points(sign))
    assert found is not None
    assert (found.runs.tolist(), found.updates.tolist()) == ([5], [10, 20])
    remove_sign(sign)
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_is_trained_is_watched_and_trains_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.0)
    run = check_configuration(compose(["task=leftbit", "train.updates=40", "train.log_points=4"])).run
    kept: list[Any] = []
    monkeypatch.setattr(BlockBeacon, "tell", watch(BlockBeacon.tell, tmp_path / "block-0.points", kept))
    task = LaneTask(number=0, runs=(run,), update=40, sign=tmp_path / "block-0.progress.json", numbers=(3,))
    (lane,) = train_lanes(task).lanes
    assert list(tmp_path.iterdir()) == []
    assert lane.record is not None
    found = kept[-1]
    assert (found.runs.tolist(), found.updates.tolist()) == ([3], lane.record.history["update"].tolist())
    for name in ("loss/eval", "accuracy/eval", "loss/train", "grad/norm"):
        assert np.array_equal(found.values[name][:, 0], lane.record.history[name].astype(np.float32))
    training = Training([run])
    while training.advance() is not None:
        pass
    (alone,) = training.records()
    assert all(np.array_equal(lane.record.parameters[name], alone.parameters[name]) for name in alone.parameters)


def watch(tell: Any, path: Path, kept: list[Any]) -> Any:
    def told(beacon: BlockBeacon, update: int, points: Any = None) -> None:
        tell(beacon, update, points)
        kept.append(read_points(path))

    return told
