"""What a sweep's folder holds is trained again: whole, changed by a bit, damaged, or without what it needs."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bptt.analysis.bits import FLOW, STATE, Deviation, RunComparison
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.sweeps import reproduce as retraining
from bptt.sweeps.reproduce import NotCompared, Verdict, reproduce
from bptt.sweeps.workers.pool import WorkerSettings
from bptt.sweeps.workers.training import LaneTask, train_lanes
from bptt.tracking.folder.block import RunResult, read_table, write_table
from bptt.tracking.folder.files import Status, read_arrays
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.history.find import find_past_runs
from bptt.tracking.provenance.digest import compute_digest, compute_version
from tests.recording import strip_digests

COMMON = ("experiment=outlace_leftbit", "model.hidden_size=2", "train.updates=60", "train.log_points=6")
FAILING = {"_target_": "tests.sweeps.working.Raising"}
FAILS = "failed: ArithmeticError: no such weights"


class Silent:
    """Nobody is told anything but how many runs there are."""

    def __init__(self) -> None:
        self.runs, self.results = 0, list[RunResult]()

    def say(self, text: str) -> None: ...

    def begin(self, runs: int) -> None:
        self.runs = runs

    def ended(self, results: Sequence[RunResult]) -> None:
        self.results += results

    def end(self) -> None: ...


def job(number: int, *overrides: str, **changes: Any) -> SweepJob:
    config = check_configuration({**check_configuration(compose([*COMMON, *overrides])).resolved, **changes}).resolved
    own = compute_digest(config, compute_version())
    # As in a search, whose blocks are others than the one that is noted first.
    return SweepJob(number=number, name=f"run {number}", digest=own, block=99, swept={}, overrides=[], config=config)


def archive_of(folder: Path, jobs: Sequence[SweepJob], results: Sequence[RunResult]) -> Path:
    journal = SweepJournal(
        name=folder.name,
        command=["bptt", "train"],
        began=1.0,
        uri=None,
        experiment=None,
        parent=None,
        numerical_version=compute_version(),
        current_folder=str(Path.cwd()),
        swept=[],
        duplicates=0,
        status="KILLED",
    )
    archive = SweepFolder.create(folder, journal, jobs)
    for result in results:
        archive.write_block(result.job, [result])
    return folder


def trained(one: SweepJob) -> RunResult:
    run = check_configuration(one.config).run
    done = train_lanes(LaneTask(number=0, runs=(run,), update=run.train.updates))
    (lane,) = done.lanes
    status: Status = "FINISHED" if lane.error is None else "FAILED"
    return RunResult(
        job=one.number, status=status, record=lane.record, error=lane.error, began=done.began, ended=done.ended
    )


def stopped(one: SweepJob, until: int) -> RunResult:
    """As a search leaves a run that it stopped."""
    stage = LaneTask(number=0, runs=(check_configuration(one.config).run,), update=until, compared=True)
    record = train_lanes(stage).lanes[0].record
    assert record is not None
    return RunResult(
        job=one.number,
        status="KILLED",
        record=replace(record, outcome="early_stopped"),
        error=None,
        began=0.0,
        ended=1.0,
    )


def interrupted(one: SweepJob) -> RunResult:
    return RunResult(job=one.number, status="KILLED", record=None, error=None, began=0.0, ended=1.0)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes the folder of a sweep with runs that ended in every way there is; of before there were digests, which would
    tell of what tests change in it.
    """
    jobs = [
        job(0),
        job(1, "seed=1"),
        job(2, "loss.weight=1e300", "optimizer.alpha=1e300"),
        job(3, "train.early_stop.metric=loss/train", "train.early_stop.threshold=1e9"),
        job(4, "seed=4"),
        job(5, init=FAILING, allow=["tests"]),
        job(6, "seed=6"),
        job(7, "seed=7"),
    ]
    middle = int(trained(jobs[4]).record.history["update"][3])  # type: ignore[union-attr]
    ends = [*map(trained, jobs[:4]), stopped(jobs[4], middle), trained(jobs[5]), interrupted(jobs[6])]
    assert [end.record and end.record.outcome for end in ends] == [
        "completed", "completed", "diverged", "early_stopped", "early_stopped", None, None,
    ]  # fmt: skip
    assert [end.status for end in ends] == ["FINISHED"] * 4 + ["KILLED", "FAILED", "KILLED"]

    def make(folder: Path) -> Path:
        made = archive_of(folder / "a sweep", jobs, ends)
        strip_digests(made)
        return made

    return make


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraining, "_SETTINGS", WorkerSettings(workers=1))


def verdicts(folder: Path, *numbers: int, tolerance: float | None = None) -> list[Verdict]:
    runs = find_past_runs(folder)
    return reproduce([run for run in runs if run.number in numbers or not numbers], tolerance, Silent(), ["tests"])


def compared(verdict: Verdict) -> RunComparison:
    assert isinstance(verdict.found, RunComparison), verdict.found
    return verdict.found


def told(verdict: Verdict) -> NotCompared:
    assert isinstance(verdict.found, NotCompared)
    return verdict.found


def test_every_run_gives_the_same_bits(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    reporter = Silent()
    found = reproduce(find_past_runs(sweep(tmp_path)), None, reporter, ["tests"])
    assert [verdict.run.number for verdict in found] == list(range(8))
    assert [verdict.same for verdict in found] == [True] * 6 + [False] * 2
    assert all(compared(verdict).same_bits for verdict in found[:6])
    names = [part.name for part in compared(found[0]).parts]
    assert {"loss/train", "loss/eval", "accuracy/eval", "grad/decay", FLOW, STATE, "cell.0.recurrent"} <= set(names)
    assert sum(part.values for part in compared(found[0]).parts) > 100
    # A run that a search stopped is trained to where it was stopped, and its outcome was the search's.
    stopped_early = {part.name: part for part in compared(found[4]).parts}
    assert "outcome" not in stopped_early
    assert stopped_early["loss/eval"].values == 4
    # One that failed fails again.
    assert [part.name for part in compared(found[5]).parts] == ["end"]
    assert [verdict.empty for verdict in found[6:]] == [True, True]
    assert told(found[6]) == NotCompared("empty", "was interrupted before it had recorded anything")
    assert told(found[7]).kind == "empty"
    assert reporter.runs == 6
    assert sorted(result.job for result in reporter.results) == list(range(6))


def test_worker_processes_give_the_same_bits(
    sweep: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "_SETTINGS", WorkerSettings(workers=2))
    monkeypatch.chdir(tmp_path)
    sweep(tmp_path)
    assert [compared(verdict).same_bits for verdict in verdicts(Path("a sweep"), 0, 1, 2)] == [True] * 3


def change_table(folder: Path, name: str, column: str, place: int) -> tuple[float, float]:
    """Turn over the lowest bit of a number in the first run's table; that number, and what becomes of it."""
    path = folder / "blocks" / "000000" / name
    table = read_table(path).to_pandas()
    before = float(table.loc[place, column])
    after = table[column].to_numpy(np.float64, copy=True)
    after.view(np.int64)[place] ^= 1
    table[column] = after
    write_table(path, pa.Table.from_pandas(table, preserve_index=False))
    return before, float(after[place])


@pytest.mark.parametrize(
    ("name", "column", "part", "place", "where"),
    [
        ("history.parquet", "loss/eval", "loss/eval", 2, ""),
        ("history.parquet", "weights/spectral_radius", "weights/spectral_radius", 2, ""),
        ("gradient_flow.parquet", "norm", FLOW, 2 * 3, "lag"),
    ],
)
def test_a_bit_that_was_changed_in_a_table_is_found(
    sweep: Callable[[Path], Path], tmp_path: Path, name: str, column: str, part: str, place: int, where: str
) -> None:
    folder = sweep(tmp_path)
    table = read_table(folder / "blocks" / "000000" / name).to_pandas()
    row = int(np.flatnonzero(table["update"] == sorted(set(table["update"]))[2])[0])
    then, now = change_table(folder, name, column, row)[::-1]
    assert then != now
    first, second = verdicts(folder, 0, 1)
    assert second.same
    assert not first.same
    found = compared(first).first
    assert found is not None
    lag = f"lag {int(table.loc[row, 'lag'])}" if where else ""
    assert (found[0].name, found[1]) == (part, Deviation(int(table.loc[row, "update"]), lag, then, now))
    assert [one.name for one in compared(first).parts if one.first is not None] == [part]
    (near,) = verdicts(folder, 0, tolerance=1e-12)
    assert near.same
    assert not compared(near).same_bits


@pytest.mark.parametrize("name", ["weights/cell.0.recurrent", "weights/readout.weight", "state"])
def test_a_bit_that_was_changed_in_the_weights_is_found(
    sweep: Callable[[Path], Path], tmp_path: Path, name: str
) -> None:
    folder = sweep(tmp_path)
    path = folder / "blocks" / "000000" / "weights.npz"
    arrays = read_arrays(path)
    assert name in arrays
    place = np.unravel_index(arrays[name].size - 1, arrays[name].shape)
    now = float(arrays[name][place])
    arrays[name].view(np.int64)[place] ^= 1
    then = float(arrays[name][place])
    np.savez(path, allow_pickle=False, **arrays)
    (verdict,) = verdicts(folder, 0)
    found = compared(verdict).first
    assert found is not None
    part = STATE if name == "state" else name.removeprefix("weights/")
    assert found[0].name == part
    assert found[1] == Deviation(None, str([int(index) for index in place[1:]]), then, now)


def test_a_bit_that_was_changed_in_the_file_itself_is_found(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    path = folder / "blocks" / "000000" / "weights.npz"
    content = bytearray(path.read_bytes())
    content[content.index(read_arrays(path)["weights/cell.0.input"].tobytes())] ^= 1
    path.write_bytes(content)
    first, second = verdicts(folder, 0, 1)
    assert told(first).kind == "damaged"
    assert "damaged" in told(first).why
    assert second.same


def test_a_run_that_is_gone_is_found(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    archive = SweepFolder.open(folder)
    archive.write_journal(replace(archive.journal, status="FINISHED"))
    shutil.rmtree(folder / "blocks" / "000001")
    assert [told(verdict).kind for verdict in verdicts(folder, 1, 7)] == ["damaged", "damaged"]
    assert "no longer there" in told(verdicts(folder, 1)[0]).why


def test_another_end_is_found(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    for block, change in ((0, {"outcome": "diverged"}), (5, {"error": "Traceback\nValueError: another one"})):
        path = folder / "blocks" / f"{block:06d}" / "runs.parquet"
        rows = [row | change for row in pq.read_table(path).to_pylist()]
        write_table(path, pa.Table.from_pylist(rows, schema=pq.read_schema(path)))
    completed, failed = verdicts(folder, 0, 5)
    assert compared(completed).first is not None
    assert compared(completed).first[1] == Deviation(None, "", "diverged", "completed")  # type: ignore[index]
    assert compared(failed).first[1] == Deviation(  # type: ignore[index]
        None, "", "failed: ValueError: another one", FAILS
    )


def test_a_run_that_fails_now_alone_is_found(tmp_path: Path) -> None:
    jobs = [job(0, init=FAILING, allow=["tests"]), job(1)]
    folder = archive_of(tmp_path / "a", jobs, [dataclasses.replace(trained(jobs[1]), job=0), trained(jobs[1])])
    fails, well = verdicts(folder)
    assert compared(fails).first is not None
    assert compared(fails).first[1].then == "finished"  # type: ignore[index]
    assert compared(fails).first[1].now == FAILS  # type: ignore[index]
    assert compared(well).same_bits


def test_a_changed_configuration_is_found(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    archive = SweepFolder.open(folder)
    jobs = [*archive.jobs()]
    jobs[0].config["seed"] = 9
    archive.write_jobs(jobs)
    first, second = verdicts(folder, 0, 1)
    assert told(first).kind == "damaged"
    assert "configuration" in told(first).why
    assert second.same


def test_metrics_that_only_one_program_records_are_said(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    path = folder / "blocks" / "000000" / "history.parquet"
    table = read_table(path).rename_columns(
        {name: {"update/ratio": "old/one"}.get(name, name) for name in read_table(path).column_names}
    )
    write_table(path, table)
    (verdict,) = verdicts(folder, 0)
    assert compared(verdict).same_bits
    assert (compared(verdict).only_then, compared(verdict).only_now) == (("old/one",), ("update/ratio",))


def test_files_that_a_configuration_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[tuple[str, str], list[str]]
) -> None:
    begun, elsewhere = tmp_path / "begun", tmp_path / "elsewhere"
    begun.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(begun)
    (data,) = files["task", "arrays"]
    content = Path(data.partition("=")[2]).read_bytes()
    (begun / "data.npz").write_bytes(content)
    one = job(0, "task=arrays", "task.path=data.npz", "model=elman")
    folder = archive_of(tmp_path / "sweep", [one], [trained(one)])
    monkeypatch.chdir(elsewhere)
    (verdict,) = verdicts(folder)
    assert compared(verdict).same_bits
    assert Path.cwd() == elsewhere
    assert [compared(verdict).same_bits for verdict in verdicts(Path("../sweep"))] == [True]
    x = read_arrays(begun / "data.npz")
    np.savez(begun / "data.npz", **{**x, "x": x["x"] + 1})  # type: ignore[arg-type]
    (verdict,) = verdicts(folder)
    assert told(verdict) == NotCompared(
        "untrainable", "data.npz, or its configuration, was changed since it was trained"
    )
    (begun / "data.npz").unlink()
    (verdict,) = verdicts(folder)
    assert told(verdict) == NotCompared("untrainable", f"task.path=data.npz: there is no such file in {begun}")


def test_a_configuration_that_this_program_does_not_take(tmp_path: Path) -> None:
    one = job(0)
    result = trained(one)
    config = {**one.config, "optimizer": {**one.config["optimizer"], "gone": 1}}
    old = SweepJob(**{**vars(one), "config": config, "digest": compute_digest(config, compute_version())})
    (verdict,) = verdicts(archive_of(tmp_path / "a", [old], [result]))
    assert told(verdict).kind == "untrainable"
    assert "optimizer.gone" in told(verdict).why
    assert "\n" not in told(verdict).why


def test_another_numerical_version_is_no_obstacle(sweep: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    journal = json.loads((folder / "sweep.json").read_text())
    archive = SweepFolder.open(folder)
    jobs = [SweepJob(**{**vars(one), "digest": compute_digest(one.config, "0123")}) for one in archive.jobs()]
    archive.write_jobs(jobs)
    (folder / "sweep.json").write_text(json.dumps({**journal, "numerical_version": "0123"}))
    assert [verdict.same for verdict in verdicts(folder, 0, 1)] == [True, True]
