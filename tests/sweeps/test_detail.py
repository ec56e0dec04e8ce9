"""What a store gets of a sweep's runs, `tracking.detail`: with less of it there, nothing else is any different."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.cli.main import main
from bptt.core.run import TIMED, Record
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.history.find import find, find_past_runs
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.opening import open_store
from tests.empty_store import put_empty_store
from tests.sweeping import assert_same_results

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

DETAILS = ("full", "last", "sweep")
SETTINGS = (
    *("task=leftbit", "train.updates=20", "train.log_points=3", "report=false", "reuse=false"),
    *("hydra.launcher.workers=1", "model.hidden_size=2,3", "seed=0,1"),
)
RUNS, POINTS = 4, 3


def train(detail: str, *more: str) -> None:
    bptt.sweep([*SETTINGS, f"tracking.detail={detail}", f"hydra.sweep.dir=multirun/{detail}", *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep of each detail, in one store."""
    folder = tmp_path_factory.mktemp("work")
    put_empty_store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for detail in DETAILS:
            train(detail)
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which a test may write."""
    shutil.copytree(trained, tmp_path / "work", symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # The artifacts of the copy: the store names them where they were.
    with closing(sqlite3.connect("mlflow.db")) as connection:
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
            statement = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            connection.execute(statement, (str(trained), str(tmp_path / "work")))
        connection.commit()
    return tmp_path / "work"


def read(statement: str, *values: str) -> list[Any]:
    with closing(sqlite3.connect("mlflow.db")) as connection:
        return connection.execute(statement, values).fetchall()


def find_ids(detail: str) -> list[str]:
    """The runs that the store has below the sweep's own."""
    below = (
        "SELECT run_uuid FROM tags WHERE key = 'bptt.sweep' AND value = ?"
        " AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
    )
    return sorted(run_id for (run_id,) in read(below, detail))


def count(table: str, run_ids: list[str]) -> int:
    places = ", ".join("?" * len(run_ids))
    return int(read(f"SELECT count(*) FROM {table} WHERE run_uuid IN ({places})", *run_ids)[0][0])


def list_artifacts(run_ids: list[str]) -> list[str]:
    return sorted(
        path.name for run_id in run_ids for path in Path("mlruns").rglob(f"*{run_id}/artifacts/**/*") if path.is_file()
    )


def compare(first: "pd.DataFrame", second: "pd.DataFrame", *left_out: str) -> None:
    """But for the time that training took, which is another in each of the sweeps."""
    mine, theirs = (table.drop(columns=[*left_out, *(TIMED & {*table})]) for table in (first, second))
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True, check_like=False)


def test_the_store_has_what_was_asked_for(place: Path) -> None:
    ids = {detail: find_ids(detail) for detail in DETAILS}
    assert {detail: len(found) for detail, found in ids.items()} == {"full": RUNS, "last": RUNS, "sweep": 0}
    names = {name for (name,) in read("SELECT DISTINCT key FROM metrics WHERE run_uuid = ?", ids["full"][0])}
    once = names & {"loss/test", "accuracy/test", "baseline"}
    assert count("metrics", ids["full"]) == RUNS * (POINTS * len(names - once) + len(once))
    assert count("metrics", ids["last"]) == count("latest_metrics", ids["last"]) == RUNS * len(names)
    assert count("latest_metrics", ids["full"]) == RUNS * len(names)
    assert count("params", ids["last"]) == count("params", ids["full"])
    assert count("tags", ids["last"]) == count("tags", ids["full"]) + RUNS  # each says how much there is of it
    files = ["config.yaml", "gradient_flow.parquet", "history.parquet", "weights.npz"]
    assert list_artifacts(ids["full"]) == sorted(files * RUNS)
    assert list_artifacts(ids["last"]) == []
    latest = "SELECT key, value FROM latest_metrics WHERE run_uuid = ? AND key <> 'work/seconds'"
    of_digest = "SELECT run_uuid FROM tags WHERE key = 'bptt.digest' AND value = ?"
    for run_id in ids["last"]:
        ((digest,),) = read("SELECT value FROM tags WHERE key = 'bptt.digest' AND run_uuid = ?", run_id)
        (other,) = ({found for (found,) in read(of_digest, digest)} & {*ids["full"]},)
        assert sorted(read(latest, run_id)) == sorted(read(latest, *other))


def test_everything_else_is_the_same(place: Path) -> None:
    folders = {detail: SweepFolder.open(Path("multirun", detail)) for detail in DETAILS}
    loaded = {detail: bptt.load(detail) for detail in DETAILS}
    own = ("run_id", "seconds")
    for detail in ("last", "sweep"):
        assert_same_results(folders["full"], folders[detail])
        compare(loaded["full"].runs, loaded[detail].runs, *own)
        compare(loaded["full"].history, loaded[detail].history)
        compare(loaded["full"].gradient_flow, loaded[detail].gradient_flow)
    assert loaded["sweep"].runs["run_id"].isna().all()
    assert sorted(loaded["last"].runs["run_id"]) == find_ids("last")


def test_tables_are_read_back_from_the_store_alone(place: Path) -> None:
    here = {detail: bptt.load(detail) for detail in DETAILS}
    flow = {detail: here[detail].flow_ends for detail in DETAILS}
    shutil.rmtree("multirun")
    for detail in DETAILS:
        stored = bptt.load(detail)
        assert stored.folder is None
        compare(here[detail].runs, stored.runs)
        compare(here[detail].history, stored.history)
        compare(flow[detail], stored.flow_ends)
        assert stored.configs[1]["tracking"]["detail"] == detail
    assert isinstance(find("full:1").recording.record(1), Record)
    with pytest.raises(StoreError, match=r"without curves and files \(tracking.detail=last\); its sweep's folder has"):
        find("last:1").recording.record(1)
    with pytest.raises(StoreError, match=r"has no run 1 of sweep \(tracking.detail=sweep\); the sweep's folder has it"):
        find("sweep:1").recording.record(1)
    alone = bptt.load(find_ids("last")[0])
    assert len(alone.history) == 1
    assert alone.history["loss/eval"].iloc[0] in set(here["last"].runs["loss/eval"])


@pytest.mark.parametrize("detail", ["last", "sweep"])
def test_one_run_is_sent_in_full_on_demand(place: Path, detail: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = find_ids(detail)
    assert main(["sync", detail, "--check"]) == 0
    assert main(["sync", f"{detail}:1", "--full", "--check"]) == 1
    assert f"bptt sync {detail}:1 --full" in capfd.readouterr().out
    assert find_ids(detail) == before
    assert main(["sync", f"{detail}:1", "--full"]) == 0
    capfd.readouterr()
    for again in (["sync", f"{detail}:1", "--full"], ["sync", f"{detail}:1", "--full", "--check"]):
        assert main(again) == 0
        assert "the store has all of it, 1 run" in capfd.readouterr().out
    assert main(["sync", detail, "--check"]) == 0
    run_id = bptt.load(detail).runs.set_index("run").loc[1, "run_id"]
    assert {*find_ids(detail)} == {*before, run_id}
    (twin,) = bptt.load("full").runs.set_index("run").loc[[1], "run_id"]
    points = "SELECT key, value, step FROM metrics WHERE run_uuid = ? AND key <> 'work/seconds' ORDER BY key, step"
    assert read(points, run_id) == read(points, twin)
    (own,), (theirs,) = (list(Path("mlruns").rglob(f"*{one}/artifacts")) for one in (run_id, twin))
    assert (own / "gradient_flow.parquet").read_bytes() == (theirs / "gradient_flow.parquet").read_bytes()
    compare(*(pd.read_parquet(there / "history.parquet") for there in (own, theirs)))
    shutil.rmtree("multirun")
    assert_record_equal(find(f"{detail}:1").recording.record(1), find("full:1").recording.record(1))


def assert_record_equal(first: Record | None, second: Record | None) -> None:
    assert first is not None
    assert second is not None
    metrics = second.history.keys() - TIMED
    assert all(np.array_equal(first.history[name], second.history[name], equal_nan=True) for name in metrics)
    assert all(np.array_equal(first.parameters[name], second.parameters[name]) for name in second.parameters)
    assert np.array_equal(first.flow, second.flow)


def test_a_part_of_a_sweep_is_none_by_itself(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    for part in ("last:1", "multirun/last:hidden_size=3"):
        assert main(["sync", part]) == 2
        whole = part.partition(":")[0]
        says = f"{part}: a part of a sweep; name the whole one: {whole}; with --full its runs are meant\n"
        assert capfd.readouterr().err == says
    assert main(["sync", "nothing:1"]) == 2
    assert capfd.readouterr().err.endswith("/nothing:1: there is no such folder\n")


def test_parts_of_a_sweep_are_sent_in_full(place: Path) -> None:
    assert main(["sync", "sweep:hidden_size=3", "--full"]) == 0
    assert len(find_ids("sweep")) == 2
    assert main(["sync", "last:best", "--full"]) == 0
    tagged = "SELECT run_uuid FROM tags WHERE key = 'bptt.detail' AND value = 'full'"
    assert len(read(tagged)) == 3
    assert main(["sync", "last", "--full"]) == 0
    assert count("metrics", find_ids("last")) == count("metrics", find_ids("full"))
    # What is there in full stays so when the sweep is sent again.
    for detail in DETAILS:
        assert main(["sync", detail]) == 0
    assert len(read(tagged)) == 2 + RUNS


@pytest.mark.parametrize("detail", ["last", "sweep"])
def test_what_the_store_lost_comes_back_as_it_was(place: Path, detail: str) -> None:
    before, runs = find_ids(detail), bptt.load(detail).runs
    Path("mlflow.db").unlink()
    put_empty_store(place)
    assert main(["sync", detail, "--check"]) == 1
    assert main(["sync", detail]) == 0
    assert len(find_ids(detail)) == len(before)
    assert list_artifacts(find_ids(detail)) == []
    assert main(["sync", detail, "--check"]) == 0
    compare(runs, bptt.load(detail).runs, "run_id")


def test_of_a_store_that_is_gone_no_more_is_missed_than_it_was_to_have(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("mlflow.db").unlink()
    capfd.readouterr()
    assert main(["sync", "sweep", "--check"]) == 1
    assert capfd.readouterr().out.startswith("multirun/sweep: the store lacks something of the sweep's own run\n")


@pytest.mark.parametrize("detail", DETAILS)
def test_a_sweep_that_was_broken_off_ends_the_same(place: Path, detail: str) -> None:
    whole, folder = bptt.load(detail), Path("multirun", detail)
    archive = SweepFolder.open(folder)
    lost = max(archive.blocks())
    shutil.rmtree(folder / "blocks" / f"{lost:06d}")
    (folder / "stored" / f"{lost:06d}").unlink()
    with closing(sqlite3.connect("mlflow.db")) as connection:
        gone = [(run_id,) for run_id in {*find_ids(detail)} - {*archive.run_ids().values()}]
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            connection.executemany(f"DELETE FROM {table} WHERE run_uuid = ?", gone)
        connection.commit()
    assert main(["resume", str(folder)]) == 0
    assert_same_results(SweepFolder.open(folder), SweepFolder.open(Path("multirun/full")))
    compare(whole.runs, bptt.load(detail).runs, "seconds")
    assert main(["sync", detail, "--check"]) == 0
    assert len(find_ids(detail)) == (0 if detail == "sweep" else RUNS)


@pytest.mark.parametrize("detail", ["last", "sweep"])
def test_commands_read_the_folder(place: Path, detail: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", f"{detail}:best", "-o", f"{detail}-model"]) == 0
    assert main(["export", "full:best", "-o", "full-model"]) == 0
    assert main(["reproduce", detail]) == 0
    assert main(["reproduce", f"{detail}:2"]) == 0
    assert main(["compare", "full:hidden_size=2", f"{detail}:hidden_size=3"]) == 0
    assert main(["report", detail, "-o", f"report-{detail}"]) == 0
    assert main(["status", detail]) == 0
    capfd.readouterr()
    main(["doctor"])
    found = capfd.readouterr().out
    assert "sync" not in found
    weights = [find_past_runs(f"{name}:best", choose=lambda recording, numbers: [0])[0] for name in ("full", detail)]
    assert_record_equal(weights[0].record, weights[1].record)


def test_runs_that_are_there_in_part_are_not_taken_over(place: Path) -> None:
    digests = [job.digest for job in SweepFolder.open(Path("multirun/last")).jobs()]
    store = open_store("sqlite:///mlflow.db", "bptt")
    assert {*store.find_finished(digests).values()} == {*find_ids("full")}
    with closing(sqlite3.connect("mlflow.db")) as connection:
        full = [(run_id,) for run_id in find_ids("full")]
        connection.executemany("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", full)
        connection.commit()
    assert store.find_finished(digests) == {}
    assert main(["sync", "last:1", "--full"]) == 0
    assert [*store.find_finished(digests)] == [digests[1]]


def test_a_sweep_takes_runs_over_whatever_it_records(place: Path) -> None:
    for detail in ("last", "sweep"):
        settings = [text for text in SETTINGS if text != "reuse=false"]
        bptt.sweep([*settings, f"tracking.detail={detail}", f"hydra.sweep.dir=multirun/{detail}-again"])
        assert {*bptt.load(f"{detail}-again").runs["run_id"]} == {*find_ids("full")}
        assert find_ids(f"{detail}-again") == []
        assert main(["sync", f"{detail}-again", "--check"]) == 0


def test_runs_that_never_began_are_marked_as_far_as_asked(place: Path) -> None:
    for detail in ("last", "sweep"):
        folder = Path("multirun", f"{detail}-broken")
        with pytest.warns(UserWarning, match="-broken: interrupted when 0 of "):
            interrupt(detail, folder)
        states = {
            status
            for run in find_ids(folder.name)
            for (status,) in read("SELECT status FROM runs WHERE run_uuid = ?", run)
        }
        assert states == (set() if detail == "sweep" else {"KILLED"})
        assert main(["resume", str(folder)]) == 0
        assert_same_results(SweepFolder.open(folder), SweepFolder.open(Path("multirun/full")))


def interrupt(detail: str, folder: Path) -> None:
    from bptt.sweeps.session import Session

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "advance", stop)
        bptt.sweep([*SETTINGS, f"tracking.detail={detail}", f"hydra.sweep.dir={folder}"])


def test_a_single_run_is_recorded_in_full(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for detail in ("last", "sweep"):
        assert main(["train", *SETTINGS[:3], f"tracking.detail={detail}"]) == 2
        says = "is for the runs of a sweep, which takes -m; a single run is recorded in full"
        assert f"tracking.detail={detail}: {says}" in capfd.readouterr().err
    assert main(["train", *SETTINGS[:3], "tracking.detail=full"]) == 0
