from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import bptt
from bptt.analysis.sweep import Sweep, load_sweep, pick_best
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.history.find import SourceError, find_past_runs
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.opening import open_store
from tests.analysis.report.planted import planted
from tests.recording import REUSED, archived, config, jobs, stored, strip_digests

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


@dataclass(frozen=True)
class Place:
    """A sweep that is in a folder, and in a store."""

    archive: SweepFolder
    record: SweepLog
    uri: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    archive = archived(folder / "multirun" / "the sweep")
    uri = f"sqlite:///{folder}/mlflow.db"
    return Place(archive, stored(archive, open_store(uri, "an experiment of its own")), uri)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder from which the sweep's own can't be seen."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ended(place: Place, elsewhere: None) -> Iterator[Sweep]:
    place.record.close("KILLED", None, {}, {})
    yield load_sweep("the sweep", uri=place.uri)
    SweepLog.reopen(place.record.store, place.record.parent, "the sweep")


@pytest.fixture
def going_on(place: Place, elsewhere: None) -> Sweep:
    return load_sweep(place.record.parent, uri=place.uri)


@pytest.fixture
def from_folder(place: Place) -> Sweep:
    return load_sweep(place.archive.folder)


def test_a_run_has_all_that_it_came_to(from_folder: Sweep) -> None:
    runs = from_folder.runs
    assert list(runs)[:7] == ["run", "name", "status", "outcome", "updates", "given_up", "model"]
    assert runs["run"].tolist() == list(range(9))
    killed, failed = ["KILLED"], ["FAILED"]
    assert runs["status"].fillna("").tolist() == ["FINISHED"] * 4 + failed * 2 + killed + ["FINISHED", ""]
    # What a run that FAILED had recorded is no outcome.
    assert runs["outcome"].fillna("").tolist() == [
        *("completed", "completed", "diverged", "early_stopped", "", "", "", "completed", "")
    ]
    nan = np.nan
    columns = {
        "loss/eval": [0.1, 1.0, np.inf, 0.0, 5.0, nan, 5.0, 0.125, nan],
        "best/loss/eval": [0.1, 0.5, 3.0, 0.0, 5.0, nan, 5.0, 0.125, nan],
        "best/accuracy/eval": [1.0, 0.75, 0.5, 1.0, 0.0, nan, 0.25, 1.0, nan],
        "solved_update": [40, nan, nan, 40, nan, nan, nan, 100, nan],
        # One that diverged is censored at the end of its training; one that halving gave up counts nowhere.
        "observed": [40, 100, 100, 40, nan, nan, nan, 100, nan],
        "seconds": [1.0] * 6 + [2.0, nan, nan],
        "loss/test": [0.11, 1.01, nan, 0.01, 5.01, nan, 5.01, 0.135, nan],
        "baseline": [2.0, 2.0, 2.0, 2.0, 2.0, nan, 2.0, 2.0, nan],
    }
    for name, values in columns.items():
        np.testing.assert_array_equal(runs[name], values, name)
    assert "loss/test" not in from_folder.history
    assert runs["solved"].tolist() == [True, False, False, True, False, False, False, True, False]
    assert [error and error.splitlines()[-1] for error in runs["error"]] == [
        *[None] * 4, *["RuntimeError: the planted error"] * 2, *[None] * 3
    ]  # fmt: skip
    assert runs["digest"].tolist() == [job.digest for job in jobs()]


def test_weights_of_runs_that_are_alike_stand_in_one_array(from_folder: Sweep, place: Place) -> None:
    some = load_sweep(f"{place.archive.folder}:optimizer.alpha=0.1")
    numbers = some.runs["run"].tolist()
    left = [from_folder._recording.record(run) for run in numbers]
    assert len(left) > 1
    found = some.parameters()
    assert left[0] is not None
    assert found.keys() == left[0].parameters.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, [record.parameters[name] for record in left if record is not None])


def test_weights_that_runs_did_not_leave_are_told_in_a_line(from_folder: Sweep) -> None:
    with pytest.raises(ValueError, match=r"^the sweep: .* left no weights; load runs that did$"):
        from_folder.parameters()


def test_what_is_known_of_a_sweep(from_folder: Sweep, place: Place) -> None:
    assert from_folder.name == "the sweep"
    assert from_folder.folder == place.archive.folder
    assert from_folder.run_id == place.record.parent
    assert from_folder.swept == ["model", "optimizer.alpha"]
    assert from_folder.command == ["bptt", "train", "-m", "model=elman,lstm"]
    assert (from_folder.began, from_folder.ended, from_folder.status) == (999.0, 1042.0, "KILLED")
    assert str(from_folder.solved) == "accuracy/eval>=1"
    assert from_folder.duplicates == 3
    assert from_folder.configs == {number: config(number) for number in range(9)}
    assert from_folder.overrides[3] == ["model=lstm", "optimizer.alpha=0.1"]


def test_the_store_says_the_same_of_a_sweep_that_has_ended(ended: Sweep, from_folder: Sweep) -> None:
    same(ended, from_folder)
    assert ended.folder is None
    assert ended.runs["run_id"][7] == REUSED
    for name in ("name", "run_id", "swept", "command", "began", "status", "solved", "duplicates"):
        assert getattr(ended, name) == getattr(from_folder, name), name


def test_and_of_one_that_goes_on(going_on: Sweep, from_folder: Sweep) -> None:
    assert going_on.status == "RUNNING"
    assert going_on.runs["run_id"][7] == REUSED
    same(going_on, from_folder)


def test_runs_that_a_query_finds(place: Place, elsewhere: None) -> None:
    query = "tags.bptt.sweep = 'the sweep' AND params.optimizer.alpha != '0.1' AND attributes.status != 'RUNNING'"
    found = load_sweep(query, uri=place.uri)
    assert found.name == query
    assert found.runs["name"].tolist() == [
        "alpha=0.0 model=elman",
        "alpha=0.0 model=lstm",
        "alpha=0.2 model=elman",
        "alpha=0.2 model=lstm",
        "alpha=0.3 model=elman",
    ]
    # The choice of a model decides its class, which is no value of its own.
    assert found.swept == ["model", "optimizer.alpha"]
    assert found.runs["optimizer.alpha"].tolist() == [0.0, 0.0, 0.2, 0.2, 0.3]
    assert found.runs["observed"].tolist()[:2] == [40, 100]
    assert found.configs[3] == config(5)
    assert load_sweep(f"{query}:model=lstm", uri=place.uri).runs["run"].tolist() == [1, 3]


@pytest.mark.parametrize(
    "query",
    [
        "metrics.`loss/eval` < 1",
        "attributes.status = 'FAILED' and params.model like 'lst%'",
        "attributes.run_name = 'alpha=0.0 model=lstm'",
        "tags.bptt.outcome = 'diverged' AND params.`optimizer.alpha` = '0.1'",
    ],
)
def test_a_query_finds_what_mlflow_finds(place: Place, elsewhere: None, query: str) -> None:
    from bptt.tracking.store.client import ClientStore
    from bptt.tracking.store.opening import open_to_read

    reader = open_to_read(place.uri)
    found = reader.search(query)
    assert found == ClientStore(reader.address).search(query)
    assert found


def test_one_run_of_the_store(place: Place, elsewhere: None) -> None:
    everything = load_sweep("the sweep", uri=place.uri)
    alone = load_sweep(everything.runs["run_id"][2], uri=place.uri)
    assert alone.swept == []
    assert alone.runs["run"].tolist() == [0]
    assert alone.runs["outcome"].tolist() == ["diverged"]
    assert np.isposinf(alone.history["loss/eval"].iloc[-1])
    assert alone.gradient_flow["norm"].tolist() == (np.arange(8.0) / 3.0).tolist()


def test_metrics_of_the_store_where_there_is_no_file(place: Place, elsewhere: None) -> None:
    from bptt.tracking.store.client import ClientStore
    from bptt.tracking.store.opening import open_to_read

    reader = open_to_read(place.uri)
    own = reader.find_run(place.record.parent)
    assert own is not None
    rows = {7 + number: row for number, row in enumerate(reader.find_below(own))}
    by_statement, by_client = (
        one.read_histories(rows).sort_values(["run", "update"], ignore_index=True)
        for one in (reader, ClientStore(reader.address))
    )
    assert_frame_equal(by_statement, by_client, check_like=True, check_dtype=False)
    # MLflow stores an infinity as the largest number.
    assert np.isposinf(by_statement.loc[by_statement["run"] == 9, "loss/eval"]).tolist() == [False, True]
    assert np.isnan(by_statement.loc[by_statement["run"] == 9, "accuracy/eval"]).tolist() == [False, True]


def test_a_part_of_a_sweep(place: Place, from_folder: Sweep) -> None:
    part = load_sweep(f"{place.archive.folder}:alpha=0.1,0.2,model=lstm", solved="loss/eval<=0.5")
    assert part.name == "the sweep:alpha=0.1,0.2,model=lstm"
    assert part.runs["run"].tolist() == [3, 5]
    assert part.swept == ["optimizer.alpha"]
    assert set(part.history["run"]) == {3}
    assert part.runs["solved_update"].tolist()[0] == 40
    flow = from_folder.gradient_flow
    assert_frame_equal(part.gradient_flow, flow[flow["run"] == 3].reset_index(drop=True))
    assert set(part.configs) == {3, 5}


def test_the_best_run(place: Place) -> None:
    # 0, 3 and 7 solved their task, 0 and 3 before the other, and 3 with the smaller loss.
    assert load_sweep(f"{place.archive.folder}:best").runs["run"].tolist() == [3]
    assert load_sweep(f"{place.archive.folder}:model=elman:best").runs["run"].tolist() == [0]
    assert [run.number for run in find_past_runs(f"{place.archive.folder}:best", choose=pick_best)] == [3]
    with pytest.raises(SourceError, match="the sweep:best: no run ended with a finite loss"):
        load_sweep(f"{place.archive.folder}:alpha=0.4:best")


def test_of_the_best_setting_the_run_with_the_smallest_last_loss() -> None:
    sweep = planted(kinds=("a", "b"), seeds=4, outcomes={3: "diverged"})
    assert sweep.recording is not None
    # All of a but the diverged run solved it, of b one: the losses of b are smaller.
    assert pick_best(sweep.recording, range(8)) == [2]
    assert pick_best(sweep.recording, range(4, 8)) == [7]
    assert pick_best(sweep.recording, range(8), conditions=["model.kind"]) == [2, 7]


def test_a_sweep_in_which_nothing_has_ended_yet(tmp_path: Path) -> None:
    from shutil import rmtree

    archive = archived(tmp_path / "sweep", status="RUNNING")
    rmtree(archive.folder / "blocks")
    (archive.folder / "blocks").mkdir()
    sweep = load_sweep(archive.folder)
    assert (sweep.status, sweep.ended) == ("RUNNING", None)
    assert sweep.runs["run"].tolist() == list(range(9))
    assert sweep.runs[["status", "outcome", "updates", "observed", "solved_update"]].isna().all().all()
    assert not sweep.runs["solved"].any()
    assert sweep.history.empty
    assert sweep.gradient_flow.empty


def test_a_criterion_is_of_the_whole_sweep(tmp_path: Path) -> None:
    archive = archived(tmp_path / "sweep", solved=None)
    strip_digests(archive.folder)
    for path in archive.folder.glob("blocks/*/history.parquet"):
        pd.read_parquet(path).drop(columns="accuracy/eval").to_parquet(path)
    everything, part = load_sweep(archive.folder), load_sweep(f"{archive.folder}:2")
    # A hundredth of the median of 1, 2, …, 7.
    assert str(everything.solved) == str(part.solved) == "loss/eval<=0.04"
    assert everything.runs["solved_update"].dropna().to_dict() == {3: 40.0}


def test_a_criterion_that_can_not_be_is_refused(place: Place) -> None:
    with pytest.raises(SourceError, match="solved=los/eval<=1: los/eval is not recorded; did you mean loss/eval"):
        load_sweep(place.archive.folder, solved="los/eval<=1")


def test_bptt_load_is_it(place: Place) -> None:
    assert_frame_equal(bptt.load(place.archive.folder).runs, load_sweep(place.archive.folder).runs)


def test_recorded_runs_are_whole(place: Place, ended: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    from_store = find_past_runs("the sweep", place.uri)
    monkeypatch.chdir(place.archive.folder)
    from_folder = find_past_runs(Path())
    monkeypatch.chdir("/")  # where they are read is another folder
    assert [run.number for run in from_folder] == list(range(9))
    for one, other in zip(from_folder, from_store, strict=True):
        for name in ("name", "number", "run_id", "digest", "status", "outcome", "numerical_version", "config"):
            assert getattr(one, name) == getattr(other, name), (one, name)
        if one.outcome is None:
            continue
        left, right = one.record, other.record
        assert left is not None
        assert right is not None
        assert (left.outcome, left.updates) == (right.outcome, right.updates)
        assert (left.state.shape, right.state.shape) == ((1, 2), (0, 0))
        for name, values in [*left.history.items(), *left.parameters.items()]:
            assert np.array_equal(values, {**right.history, **right.parameters}[name], equal_nan=True), name
        assert np.array_equal(left.flow, right.flow)
    assert from_folder[5].record is None
    assert from_folder[8].record is None
    assert from_store[8].status == "KILLED"
    # The folder that it was begun in is gone: its project is the one that it lies in now.
    assert from_folder[0].current_folder == place.archive.folder.parents[1]
    assert str(from_store[0].current_folder) == "/nowhere"


def same(one: Sweep, other: Sweep) -> None:
    assert_frame_equal(one.runs, other.runs, check_dtype=False)
    assert_frame_equal(one.history, other.history)
    assert_frame_equal(one.flow_ends, other.flow_ends)
    assert one.configs == other.configs
    assert one.overrides == other.overrides
    assert_frame_equal(one.gradient_flow, other.gradient_flow)
