import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from bptt.core.run import Record
from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal, is_sweep
from bptt.tracking.store.runs import make_run_key


def record(seed: int, outcome: str = "completed", points: int = 3) -> Record:
    rng = np.random.Generator(np.random.PCG64(seed))
    return Record(
        outcome=outcome,  # type: ignore[arg-type]
        updates=10,
        history={"update": np.arange(1, points + 1), "loss/train": rng.random(points), "loss/eval": rng.random(points)},
        flow=rng.random((points, 4)),
        parameters={"cell.0.input": rng.random((2, 3)), "readout.weight": rng.random((3, 1))},
        state=rng.random((1, 4)),
        once={"loss/test": float(rng.random()), "baseline": 0.25} if seed % 2 else {},
    )


def result(job: int, **changes: object) -> RunResult:
    values: dict = {"job": job, "status": "FINISHED", "record": record(job), "error": None, "began": 1.5, "ended": 2.25}
    return RunResult(**(values | changes))


def job(number: int, block: int = 0) -> SweepJob:
    return SweepJob(
        number=number,
        name=f"alpha={number}",
        digest=f"{number:016x}",
        block=block,
        swept={"optimizer.alpha": f"0.{number}"},
        overrides=[f"optimizer.alpha=0.{number}", "init.input='{name: normal}'"],
        config={"seed": number, "optimizer": {"alpha": 0.1 * number, "ε": None}},
    )


def journal() -> SweepJournal:
    return SweepJournal(
        name="sweep", command=["bptt", "train", "-m", "seed=0,1"], began=12.5, uri=None, experiment=None, parent=None,
        numerical_version="v", current_folder="/", swept=["optimizer.alpha"], duplicates=1, settings={"workers": 2},
    )  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> SweepFolder:
    return SweepFolder.create(tmp_path / "sweep", journal(), [job(0), job(1), job(2, block=1)])


def assert_equal(first: RunResult, second: RunResult) -> None:
    assert (first.job, first.status, first.error, first.began, first.ended, first.reused) == (
        (second.job, second.status, second.error, second.began, second.ended, second.reused)
    )
    one, other = first.record, second.record
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert (one.outcome, one.updates) == (other.outcome, other.updates)
    for name in ("history", "parameters"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[key], theirs[key], equal_nan=True) for key in mine)
    assert np.array_equal(one.flow, other.flow, equal_nan=True)
    assert np.array_equal(one.state, other.state)
    assert one.once == other.once


def test_keys_of_runs_follow_their_numbers(archive: SweepFolder) -> None:
    one, other = (make_run_key(archive.journal, job(number)) for number in (1, 258))
    assert (one[-8:], other[-8:]) == ("00000001", "00000102")
    assert one[:-8] == other[:-8]
    assert len(one) == 32
    again = make_run_key(replace(archive.journal, began=archive.journal.began + 1), job(1))
    assert again[:-8] != one[:-8]


def test_keys_of_a_sweep_of_before_stay(archive: SweepFolder) -> None:
    path = archive.folder / "sweep.json"
    noted = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("numbered", "sha256")}
    path.write_text(json.dumps(noted))
    before = SweepFolder.open(archive.folder).journal
    told = " ".join([before.name, repr(before.began), before.current_folder, job(1).digest])
    assert make_run_key(before, job(1)) == sha256(told.encode()).hexdigest()[:32]


def test_what_was_asked_for_is_read_back(archive: SweepFolder) -> None:
    again = SweepFolder.open(archive.folder)
    assert [*again.jobs()] == [job(0), job(1), job(2, block=1)]
    assert again.journal == journal()
    assert is_sweep(archive.folder)
    assert not is_sweep(archive.folder.parent)


def test_a_block_is_read_back_bit_for_bit(archive: SweepFolder) -> None:
    diverged = record(1, "diverged", points=2)
    diverged.history["loss/eval"][-1] = np.nan
    diverged.flow[-1] = np.nan
    results = [
        result(0),
        result(1, record=diverged),
        result(2, status="FAILED", record=None, error="Traceback\n ValueError: ü"),
        result(5, reused="abc"),
    ]
    archive.write_jobs([job(number) for number in range(6)])
    archive.write_block(0, results)
    found = archive.results(0)
    assert len(found) == len(results)
    for mine, theirs in zip(results, found, strict=True):
        assert_equal(mine, theirs)
    assert [(ended.job, ended.status, ended.record) for ended in archive.ended()] == [
        (0, "FINISHED", None), (1, "FINISHED", None), (2, "FAILED", None), (5, "FINISHED", None),
    ]  # fmt: skip


def test_a_block_without_any_record(archive: SweepFolder) -> None:
    archive.write_block(3, [result(0, status="FAILED", record=None, error="x")])
    assert_equal(archive.results(3)[0], result(0, status="FAILED", record=None, error="x"))


def test_the_tables_join_the_blocks(archive: SweepFolder) -> None:
    archive.write_block(1, [result(2)])
    archive.write_block(0, [result(1, record=record(1, points=2)), result(0, status="FAILED", record=None, error="x")])
    tables = archive.tables()
    assert tables.runs["run"].tolist() == [0, 1, 2]
    assert tables.runs["status"].tolist() == ["FAILED", "FINISHED", "FINISHED"]
    assert tables.history[["run", "update"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2], [2, 3]]
    assert tables.history["loss/eval"].tolist() == [
        *record(1, points=2).history["loss/eval"],
        *record(2).history["loss/eval"],
    ]


def test_the_gradients_flow_has_a_row_per_run_update_and_lag(archive: SweepFolder) -> None:
    archive.write_block(0, [result(1), result(0)])
    flow = archive.gradient_flow()
    assert flow["run"].tolist() == [0] * 12 + [1] * 12
    assert flow["lag"].tolist() == [0, 1, 2, 3] * 6
    assert np.array_equal(flow["norm"][12:], record(1).flow.reshape(-1))
    ends = archive.gradient_flow(ends_only=True)
    assert ends[["run", "update"]].to_numpy()[::4].tolist() == [[0, 1], [0, 3], [1, 1], [1, 3]]
    assert np.array_equal(ends["norm"], np.stack([record(run).flow[[0, -1]] for run in (0, 1)]).reshape(-1))


def test_tables_of_nothing_are_empty(archive: SweepFolder) -> None:
    tables = archive.tables()
    assert (len(tables.runs), len(tables.history), len(archive.gradient_flow())) == (0, 0, 0)


def test_a_block_is_written_whole_or_not_at_all(archive: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(OSError, match="No space left"):
        archive.write_block(0, [result(0)])
    assert archive.blocks() == set()
    monkeypatch.undo()
    archive.write_block(0, [result(0)])
    assert archive.blocks() == {0}
    assert_equal(archive.results(0)[0], result(0))


def test_blocks_are_marked_as_stored(archive: SweepFolder) -> None:
    archive.mark_stored(3)
    archive.mark_stored(12, {"key": "id", "other": "another"})
    assert archive.stored() == {3, 12}
    assert archive.run_ids() == {"key": "id", "other": "another"}
    (archive.folder / "stored" / "000003").write_text("{")
    with pytest.raises(ArchiveError, match="stored/000003: can't be read"):
        archive.run_ids()


def test_what_is_damaged_is_told_in_one_line(archive: SweepFolder, tmp_path: Path) -> None:
    archive.write_block(0, [result(0)])
    weights = archive.folder / "blocks" / "000000" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(
        ArchiveError,
        match=r"weights.npz: cut off .*; delete .*000000, and `bptt resume` trains its runs",
    ):
        archive.results(0)
    with pytest.raises(ArchiveError, match="there is no such folder"):
        SweepFolder.open(tmp_path / "nowhere")
    with pytest.raises(ArchiveError, match=r"not the folder of a sweep \(it holds no sweep.json\)"):
        SweepFolder.open(tmp_path)
    (archive.folder / "sweep.json").write_text(json.dumps({"name": 1}))
    with pytest.raises(ArchiveError, match=r"sweep.json: can't be read"):
        _ = archive.journal
    (archive.folder / "jobs.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArchiveError, match=r"jobs.parquet: can't be read"):
        archive.jobs()
