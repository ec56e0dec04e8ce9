import json
import os
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bptt.tracking.folder import progress
from bptt.tracking.folder.files import LOCK, PROGRESS
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.progress import (
    Beacon,
    BlockBeacon,
    estimate_left,
    is_at_work,
    make_sign,
    read_sign,
    remove_sign,
    write_sign,
)


def test_a_beacon_tells_how_far_it_is_and_goes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.01)
    path = tmp_path / PROGRESS
    with Beacon(tmp_path, worked=7.0, last=100) as beacon:
        first = read_sign(path)
        assert first is not None
        assert (first.host, first.pid, first.update, first.last) == (socket.gethostname(), os.getpid(), 0, 100)
        beacon.tell(update=60)
        until = time.monotonic() + 10
        while (seen := read_sign(path)) is None or seen.update != 60:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert seen.share == 0.6
        assert 7.0 <= beacon.seconds < 17.0
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_is_set_back_takes_no_time_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.01)
    monkeypatch.setattr(progress, "_SECONDS_TO_BE_SEEN", 0.01)
    with Beacon(tmp_path, worked=7.0) as beacon:
        began, clock = beacon.sign.began, time.time
        monkeypatch.setattr(time, "time", lambda: clock() - 3600.0)
        until = time.monotonic() + 10
        while (seen := read_sign(tmp_path / PROGRESS)) is None or seen.seen == began:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert 0.0 < seen.seen - began < 10.0
        assert 7.0 < beacon.seconds < 17.0


def test_the_time_of_a_process_that_was_killed_counts(tmp_path: Path) -> None:
    killed = make_sign()
    write_sign(tmp_path / PROGRESS, replace(killed, began=1000.0, seen=1040.0))
    with Beacon(tmp_path, worked=7.0) as beacon:
        assert 47.0 <= beacon.seconds < 57.0


def test_a_block_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "block-12.progress.json"
    beacon = BlockBeacon(path, runs=8, first=20, last=100)
    sign = read_sign(path)
    assert sign is not None
    assert (sign.runs, sign.update, sign.share, sign.own_share) == (8, 20, 0.2, 0.0)
    beacon.tell(60)  # within the same second
    assert read_sign(path) == sign
    beacon._next = 0.0
    beacon.tell(70)
    later = read_sign(path)
    assert later is not None
    assert (later.update, round(later.own_share, 9)) == (70, 0.5)
    remove_sign(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["nowhere/block-12.progress.json", None])
def test_where_the_folder_is_out_of_reach_nothing_is_written(tmp_path: Path, where: str | None) -> None:
    path = None if where is None else tmp_path / where
    BlockBeacon(path, runs=8, first=0, last=100).tell(60)
    remove_sign(path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_nothing_but_the_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress, "write_text", refuse)
    with Beacon(tmp_path) as beacon:
        beacon.tell(update=1)
    BlockBeacon(tmp_path / "block-0.progress.json", 1, 0, 1).tell(1)
    assert list(tmp_path.iterdir()) == []


GOOD: dict[str, Any] = asdict(make_sign(last=10))


BAD: list[dict[str, Any]] = [
    *({"pid": "x"}, {"began": None}, {"last": -1}, {"seen": 1e300}, {"runs": []}),
    *({"worked": float("nan")}, {"update": float("inf")}),
]


@pytest.mark.parametrize(
    "content",
    [*("", "{", "[]", "null", "3", '"x"', "{}", "[" * 5000), *(json.dumps(GOOD | changes) for changes in BAD)],
)
def test_what_is_no_sign_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / PROGRESS).write_text(content)
    assert read_sign(tmp_path / PROGRESS) is None


def test_who_is_at_work_is_known_by_the_lock_and_elsewhere_by_the_sign(tmp_path: Path) -> None:
    here = make_sign()
    there = replace(here, host="another machine")
    assert not is_at_work(tmp_path, None)
    with file_lock(tmp_path / LOCK):
        assert is_at_work(tmp_path, None)
        assert is_at_work(tmp_path, here)
    write_sign(tmp_path / PROGRESS, there)
    assert not is_at_work(tmp_path, here)  # of this machine, whose lock is free
    assert is_at_work(tmp_path, there)
    os.utime(tmp_path / PROGRESS, (time.time() - 100,) * 2)
    assert not is_at_work(tmp_path, there)


def test_a_name_with_control_characters_is_shown_without(tmp_path: Path) -> None:
    write_sign(tmp_path / PROGRESS, replace(make_sign(), host="a\x1b[2Jb\n"))
    found = read_sign(tmp_path / PROGRESS)
    assert found is not None
    assert found.host == "a[2Jb"


def test_what_is_left_is_estimated_from_what_was_done() -> None:
    assert estimate_left(10, 30, 5.0) == 15.0
    assert estimate_left(0, 30, 5.0) is None
    assert estimate_left(2.5, 0, 5.0) == 0.0
    assert estimate_left(1, 1, -3.0) == 0.0  # of another machine's clock
