import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.run import Record
from bptt.sweeps import writer as module
from bptt.sweeps.writer import Writer
from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.runs import RunToWrite


class Store:
    """A sweep's record in a store that is away for a while."""

    def __init__(self) -> None:
        self.away = False
        self.refused = 0
        self.written: list[list[str]] = []
        self.kept: list[dict[str, int]] = []
        self.adopted: dict[str, str] = {}

    def adopt(self, settings: Mapping[str, str], tags: Mapping[str, str]) -> None:
        self.adopted |= settings

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        if self.away:
            self.refused += 1
            raise StoreError("it is away")
        self.written.append([run.name for run in runs])
        return {run.name: f"id of {run.name}" for run in runs}

    def find_ids(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: f"id of {key}" for key in keys}

    def keep(self, files: Mapping[str, bytes]) -> None:
        if self.away:
            self.refused += 1
            raise StoreError("it is away")
        self.kept.append({name: len(content) for name, content in files.items()})


class SlowStore(Store):
    """One that answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.going = threading.Event(), threading.Event()

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        self.begun.set()
        assert self.going.wait(20)
        return super().write(runs)


def result(job: int, **changes: Any) -> RunResult:
    record = Record(
        outcome="completed",
        updates=1,
        history={"update": np.array([1]), "loss/train": np.array([0.5])},
        flow=np.zeros((1, 2)),
        parameters={"readout.bias": np.zeros(1)},
        state=np.zeros((1, 1)),
    )
    values = {"job": job, "status": "FINISHED", "record": record, "error": None, "began": 1.0, "ended": 2.0}
    return RunResult(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def archive(tmp_path: Path) -> SweepFolder:
    journal = SweepJournal(
        name="sweep", command=[], began=1.0, uri=None, experiment=None, parent=None, numerical_version="v",
        current_folder="/", swept=["seed"], duplicates=0,
    )  # fmt: skip
    jobs = [
        SweepJob(number=n, name=f"seed={n}", digest=str(n), block=n, swept={"seed": str(n)}, overrides=[], config={})
        for n in range(4)
    ]
    return SweepFolder.create(tmp_path / "sweep", journal, jobs)


def writing(archive: SweepFolder, store: Store, *blocks: Sequence[RunResult]) -> Writer:
    writer = Writer(archive, archive.journal, archive.jobs(), store, {})  # type: ignore[arg-type]
    for number, results in enumerate(blocks):
        archive.write_block(number, results)
        writer.put(number, results)
    return writer


def test_a_disk_that_takes_no_marks_fails_nothing(archive: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    store = Store()
    monkeypatch.setattr(SweepFolder, "mark_stored", full)
    writer = writing(archive, store, [result(0), result(1)], [result(2)])
    writer.finish(lambda _: None)
    assert writer.trouble is None
    assert store.written == [["seed=0", "seed=1"], ["seed=2"]]


def test_each_block_is_written_and_marked(archive: SweepFolder) -> None:
    store = Store()
    writer = writing(archive, store, [result(0), result(1)], [result(2)])
    writer.finish(print)
    assert store.written == [["seed=0", "seed=1"], ["seed=2"]]
    assert archive.stored() == {0, 1}
    assert archive.run_ids() == {f"seed={number}": f"id of seed={number}" for number in range(3)}
    assert writer.trouble is None


def test_the_store_keeps_what_the_sweep_is_and_what_it_came_to(archive: SweepFolder) -> None:
    store = Store()
    writing(archive, store, [result(0)], [result(1)]).finish(print)
    begun = ["archive/sweep.json", "archive/jobs.parquet", "archive/reused.json"]
    ended = ["archive/runs.parquet", "archive/history.parquet", "archive/flow_ends.parquet"]
    assert [[*files] for files in store.kept] == [begun, begun + ended]
    assert all(size > 0 for files in store.kept for size in files.values())


def test_jobs_that_a_search_adds_are_kept_too(archive: SweepFolder) -> None:
    store = Store()
    jobs = [*archive.jobs()]
    more, jobs[2:] = jobs[2:], []
    writer = Writer(archive, archive.journal, jobs, store, {})  # type: ignore[arg-type]
    archive.write_jobs(jobs)
    for number in range(2):
        archive.write_block(number, [result(number)])
        writer.put(number, [result(number)])
    deadline = time.monotonic() + 10
    while len(store.written) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    jobs += more
    archive.write_jobs(jobs)
    archive.write_block(2, [result(2)])
    writer.put(2, [result(2)])
    writer.finish(print)
    before, after, end = (files["archive/jobs.parquet"] for files in store.kept)
    assert before < after == end


def test_what_was_reused_is_not_written_again(archive: SweepFolder) -> None:
    store = Store()
    writing(archive, store, [result(0), result(1, reused="abc")]).finish(print)
    assert store.written == [["seed=0"]]
    assert store.adopted == {"abc": ""}


def test_a_store_that_is_away_is_not_asked_for_every_block_and_gets_them_in_the_end(archive: SweepFolder) -> None:
    store = Store()
    store.away = True
    writer = writing(archive, store, [result(0)], [result(1)], [result(2)])
    while writer._queue.qsize():
        pass
    store.away = False
    writer.finish(print)
    assert store.refused == 1
    assert [sorted(names) for names in store.written] == [["seed=0"], ["seed=1"], ["seed=2"]]
    assert archive.stored() == {0, 1, 2}


def test_blocks_that_a_slow_store_leaves_waiting_are_read_from_the_folder(
    archive: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read, results = SlowStore(), list[int](), SweepFolder.results

    def note(self: SweepFolder, number: int) -> list[RunResult]:
        read.append(number)
        return results(self, number)

    monkeypatch.setattr(module, "_MOST_HELD", 1)
    monkeypatch.setattr(SweepFolder, "results", note)
    writer = writing(archive, store, *([result(number)] for number in range(4)))  # none of which waits
    assert len(writer._held) <= 1
    store.going.set()
    writer.finish(print)
    assert store.written == [["seed=0"], ["seed=1"], ["seed=2"], ["seed=3"]]
    assert len(read) >= 2
    assert set(read) < {0, 1, 2, 3}
    assert archive.stored() == {0, 1, 2, 3}


def test_one_that_hurries_leaves_out_what_waits_in_the_folder_alone(
    archive: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SlowStore()
    monkeypatch.setattr(module, "_MOST_HELD", 1)
    writer = writing(archive, store, [result(0)])
    assert store.begun.wait(20)  # nothing is held
    for number in range(1, 4):
        archive.write_block(number, [result(number)])
        writer.put(number, [result(number)])
    threading.Timer(0.2, store.going.set).start()
    writer.finish(print, hurry=True)
    assert store.written == [["seed=0"], ["seed=1"]]  # what was being written, and what was held
    assert writer.left_out
    assert archive.stored() == {0, 1}
    assert not any("archive/runs.parquet" in files for files in store.kept)
    again = Writer(archive, archive.journal, archive.jobs(), store, {})  # type: ignore[arg-type]
    for number in (2, 3):
        again.put(number, archive.results(number))
    again.finish(print)
    assert archive.stored() == {0, 1, 2, 3}
    assert not again.left_out


def test_one_that_gives_up_writes_nothing_more(archive: SweepFolder) -> None:
    store = SlowStore()
    writer = writing(archive, store, [result(0)], [result(1)], [result(2)])
    assert store.begun.wait(20)
    writer.give_up()
    store.going.set()
    writer.finish(print)
    assert store.written == [["seed=0"]]
    assert writer.left_out


def test_a_block_that_can_not_be_read_holds_up_no_other(archive: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(module, "_MOST_HELD", 0)
    results = SweepFolder.results

    def read(self: SweepFolder, number: int) -> list[RunResult]:
        if number == 1:
            raise ArchiveError("block 1: can't be read")
        return results(self, number)

    monkeypatch.setattr(SweepFolder, "results", read)
    writer = writing(archive, store, [result(0)], [result(1)], [result(2)])
    writer.finish(print)
    assert store.written == [["seed=0"], ["seed=2"]]
    assert writer.trouble == "block 1: can't be read"
    assert archive.stored() == {0, 2}


def test_a_store_that_stays_away_is_told_of(archive: SweepFolder) -> None:
    store = Store()
    store.away = True
    writer = writing(archive, store, [result(0)], [result(1)])
    writer.finish(print)
    assert writer.trouble == "it is away"
    assert archive.stored() == set()


def test_a_long_wait_is_told_of(archive: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_TO_BE_TOLD_OF", 0.0)
    told: list[str] = []
    store = Store()
    write = store.write

    def slow(runs: Sequence[RunToWrite]) -> dict[str, str]:
        while not told:
            pass
        return write(runs)

    monkeypatch.setattr(store, "write", slow)
    writing(archive, store, [result(0)]).finish(told.append)
    assert told == ["waiting for the store; Ctrl-C gives it up"]
    assert archive.stored() == {0}


def test_an_error_of_another_kind_comes_out(archive: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(store, "write", lambda runs: 1 / 0)
    writer = writing(archive, store, [result(0)])
    with pytest.raises(ZeroDivisionError):
        writer.finish(print)
