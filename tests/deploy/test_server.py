"""Sweeps on a lab's server: two at once, read back, taken up again after it crashed, deleted."""

import gc
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import psutil  # type: ignore[import-untyped]
import pytest
from pandas.testing import assert_frame_equal

import bptt
from bptt.analysis.sweep import load_sweep
from bptt.cli.main import main
from bptt.core.run import TIMED
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.opening import open_store
from tests.deploy.lab import Lab, new_lab, until
from tests.program import Folder

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

SWEEP = ("experiment=roelants_counting", "train.updates=60", "train.log_points=5", "report=false")
LONG = ("experiment=roelants_counting", "train.updates=100000", "train.log_points=5", "report=false")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with new_lab() as lab:
        lab.start()
        yield lab


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture(scope="module")
def sweeps(lab: Lab, place: Folder) -> list[Path]:
    """The folders of two sweeps that were begun at the same time, as the first ones ever on this server."""
    seeds = ("0,1", "2,3")
    begun = [
        begin(place, lab, *SWEEP, f"seed={given}", f"hydra.sweep.dir=multirun/seeds_{given[0]}") for given in seeds
    ]
    for process in begun:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    return [place.path / "multirun" / f"seeds_{given[0]}" for given in seeds]


def begin(place: Folder, lab: Lab, *overrides: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        place.command("train", "-m", *overrides),
        cwd=place.path,
        env=place.environment() | {"MLFLOW_TRACKING_URI": lab.uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_sweeps_at_once_record_what_a_local_one_does(lab: Lab, sweeps: list[Path], here: Path) -> None:
    local = bptt.sweep([*SWEEP, "seed=range(4)"])
    runs = lab.runs()
    children = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert sorted(children) == [f"seed={seed}" for seed in range(4)]
    assert len(runs) == 4 + 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    for number, sweep in enumerate(sweeps):
        there = load_sweep(sweep.name, uri=lab.uri)
        assert there.folder is None
        mine = local.history[local.history["run"].isin([2 * number, 2 * number + 1])]
        assert_same_but_for_time(there.history, mine.assign(run=mine["run"] - 2 * number).reset_index(drop=True))
    for name, run in children.items():
        files = here / "mlruns" / "bptt" / local.runs.set_index("name")["run_id"][name] / "artifacts"
        for file in sorted(path.name for path in files.iterdir()):
            there_too, here_too = over_http(lab, run, file), (files / file).read_bytes()
            if file == "history.parquet":
                assert_same_but_for_time(*(pd.read_parquet(BytesIO(content)) for content in (there_too, here_too)))
            else:
                assert there_too == here_too, file
        assert {"config.yaml", "weights.npz"} <= {path.name for path in files.iterdir()}


def assert_same_but_for_time(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert_frame_equal(found.drop(columns=[*TIMED]), expected.drop(columns=[*TIMED]))


def over_http(lab: Lab, run: Any, file: str) -> bytes:
    place = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    with urllib.request.urlopen(f"{lab.uri}/api/2.0/mlflow-artifacts/artifacts/{place}/{file}") as answer:
        return bytes(answer.read())


def test_sweeps_are_read_back_from_the_server_alone(
    lab: Lab, sweeps: list[Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (sweep.name for sweep in sweeps)
    assert main(["report", first, "--uri", lab.uri, "-o", "found"]) == 0
    assert "<html" in Path("found/report.html").read_text(encoding="utf-8")
    assert main(["compare", first, second, "--uri", lab.uri]) == 0
    capsys.readouterr()
    assert main(["reproduce", f"{first}:1", "--uri", lab.uri]) == 0
    assert "bits" in capsys.readouterr().out


@pytest.fixture
def no_connection_left() -> Iterator[None]:
    """Close what MLflow would keep open until the interpreter ends, where a warning is an error."""
    yield
    from sqlalchemy.engine import Engine

    for engine in [thing for thing in gc.get_objects() if type(thing) is Engine]:
        engine.dispose()


@pytest.mark.usefixtures("no_connection_left")
def test_the_database_is_a_store_too(lab: Lab, sweeps: list[Path], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", lab.password)
    with pytest.raises(StoreError, match=r"the files of experiment bptt are behind a tracking server") as caught:
        open_store(lab.database, "bptt")
    assert "\n" not in str(caught.value)
    swept = bptt.sweep([*SWEEP, "seed=0,1", f"tracking.uri={lab.database}", "tracking.experiment=direct"])
    monkeypatch.chdir(lab.folder)  # where the sweep has no folder to be read from
    there = load_sweep(swept.name, uri=lab.database)
    assert there.folder is None
    assert_same_but_for_time(there.history, load_sweep(sweeps[0]).history)
    assert sorted(run.info.status for run in lab.runs("direct")) == ["FINISHED"] * 3
    monkeypatch.setenv("PGPASSWORD", "another")
    with pytest.raises(
        StoreError, match=r"can't be reached: .*password authentication failed for user .bptt.$"
    ) as caught:
        open_store(lab.database, "direct")
    assert "\n" not in str(caught.value)


def test_a_server_that_crashed_gets_the_rest_when_it_is_back(
    lab: Lab, sweeps: list[Path], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {run.info.run_id for run in lab.runs()}
    process = begin(Folder(here), lab, *LONG, "seed=range(24)")
    (mark,) = until(lambda: list(here.glob("multirun/*/stored/*")))[:1]
    lab.crash()
    code, said = lab.stop(by=None)
    assert (code, said) == (1, f"PostgreSQL has ended (see {lab.folder}/kept/postgresql.log)\n")
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 1, errors
    folder = mark.parent.parent
    archive = SweepFolder.open(folder)
    assert len(archive.stored()) < len(archive.blocks())
    assert re.search(rf"later: bptt sync multirun/{folder.name}", errors), errors
    assert "Traceback" not in out + errors

    lab.start()
    capsys.readouterr()
    assert main(["sync", str(folder), "--store", lab.uri]) == 0
    assert "training" not in capsys.readouterr().err
    new = [run for run in lab.runs() if run.info.run_id not in before]
    assert {run.info.run_id for run in lab.runs()} > before
    children = sorted(run.info.run_name for run in new if "mlflow.parentRunId" in run.data.tags)
    assert children == sorted(f"seed={seed}" for seed in range(24))
    assert len(new) == 25
    assert {run.info.status for run in new} == {"FINISHED"}
    monkeypatch.chdir(lab.folder)
    there = load_sweep(folder.name, uri=lab.uri)
    assert there.folder is None
    assert_frame_equal(there.history, load_sweep(folder).history)


def test_a_sweep_is_deleted(lab: Lab, sweeps: list[Path], place: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.path)
    assert main(["rm", sweeps[1].name, "--yes", "--store", lab.uri]) == 0
    assert not sweeps[1].exists()
    assert sweeps[0].exists()
    left = [run.info.run_name for run in lab.runs() if run.data.tags["bptt.sweep"] in {sweep.name for sweep in sweeps}]
    assert sorted(left) == ["seed=0", "seed=1", sweeps[0].name]


def test_it_ends_in_good_order(lab: Lab) -> None:
    again = subprocess.run(
        [*map(str, lab.process.args), "--port", "0"],  # type: ignore[union-attr, arg-type]
        env=lab.environment,
        capture_output=True,
        text=True,
    )
    assert (again.returncode, again.stderr) == (2, f"{lab.folder}/kept: another server runs on it\n")
    begun = psutil.Process(lab.process.pid).children(recursive=True)  # type: ignore[union-attr]
    assert {"postgres", "python"} <= {re.split(r"[\d.: ]", process.name())[0] for process in begun}
    assert lab.stop() == (0, "")
    assert not [process for process in begun if process.is_running()]
    assert not list(lab.folder.glob("bptt-server-*"))
    log = (lab.folder / "kept" / "postgresql.log").read_text()
    assert log.rstrip().endswith("database system is shut down")
