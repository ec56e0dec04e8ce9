"""Where a store looks for artifacts after it was copied or moved, and where it is left alone."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bptt.tracking.store.address import StoreError, resolve_address
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.whereabouts import find_moves, settle_artifacts
from tests.empty_store import put_empty_store

Places = dict[str, str]


def put(folder: Path, places: Places) -> None:
    """Have a store in a folder, with experiments of these names and places."""
    folder.mkdir(parents=True, exist_ok=True)
    put_empty_store(folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        for name, place in places.items():
            row = (name, place, "active")
            connection.execute(
                "INSERT INTO experiments (name, artifact_location, lifecycle_stage) VALUES (?, ?, ?)", row
            )
            number = connection.execute("SELECT experiment_id FROM experiments WHERE name = ?", (name,)).fetchone()[0]
            run = f"{number:032x}"
            connection.execute(
                "INSERT INTO runs (run_uuid, experiment_id, artifact_uri) VALUES (?, ?, ?)",
                (run, number, f"{place}/{run}/artifacts"),
            )


def noted(folder: Path) -> tuple[Places, Places]:
    """The places of experiments, but for MLflow's own, and those of their runs."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        found = connection.execute(
            "SELECT experiments.name, artifact_location, artifact_uri FROM experiments JOIN runs USING (experiment_id)"
        ).fetchall()
        places, runs = ({row[0]: row[column] for row in found} for column in (1, 2))
        return places, {name: uri.rpartition("/")[0].rpartition("/")[0] for name, uri in runs.items()}


def settle(folder: Path, uri: str | None = "sqlite:///mlflow.db") -> None:
    settle_artifacts(resolve_address(uri, folder))


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite:///{}/mlflow.db"])
@pytest.mark.parametrize("moved", [False, True])
def test_a_store_that_was_copied_or_moved(
    uri: str, moved: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "fi rst%", tmp_path / "second"
    put(first, {"bptt": f"{first.as_uri()}/mlruns/bptt", "a/b": f"{first.as_uri()}/mlruns/a%252Fb"})
    (first / "mlruns" / "bptt").mkdir(parents=True)
    (first.rename if moved else lambda to: shutil.copytree(first, to))(second)
    before = None if moved else (first / "mlflow.db").read_bytes()
    settle(second, uri.format(second))
    root = "mlruns" if uri.endswith("/mlflow.db") and "{" not in uri else f"{second.as_uri()}/mlruns"
    places = {"bptt": f"{root}/bptt", "a/b": f"{root}/a%252Fb"}
    assert noted(second) == (places, places)
    told = (
        f"{second}/mlflow.db: was copied or moved from {first}; the artifacts of bptt, a/b are now looked for beside it"
    )
    assert capfd.readouterr().err.splitlines() == [told] or moved
    settle(second, uri.format(second))
    assert capfd.readouterr().err == ""
    assert moved or (first / "mlflow.db").read_bytes() == before
    address = resolve_address(uri.format(second), second)
    assert find_local_folder(address, places["a/b"]) == second / "mlruns" / "a%2Fb"


def test_a_copy_without_artifacts_does_not_use_the_original_s(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    put(first, {"bptt": f"{first.as_uri()}/mlruns/bptt"})
    (first / "mlruns" / "bptt").mkdir(parents=True)
    second.mkdir()
    shutil.copy(first / "mlflow.db", second)
    settle(second)
    assert noted(second)[0] == {"bptt": "mlruns/bptt"}


def test_what_was_chosen_for_artifacts_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project, disk = tmp_path / "project", tmp_path / "disk"
    places = {
        "bptt": f"{disk.as_uri()}/mlruns/bptt",
        "other": f"{disk.as_uri()}/elsewhere",
        "mlflow's": f"{tmp_path}/mlruns/3",
        "in a bucket": "s3://bucket/mlruns/4",
        "of a server": "mlflow-artifacts:/5",
    }
    put(project, places)
    (disk / "mlruns" / "bptt").mkdir(parents=True)
    settle(project)
    assert noted(project) == (places, places)
    assert capfd.readouterr().err == ""


def test_a_run_that_was_being_trained_meanwhile_is_put_right_too(tmp_path: Path) -> None:
    put(tmp_path, {"bptt": f"{tmp_path.as_uri()}/mlruns/bptt"})
    settle(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE runs SET artifact_uri = ? || '/' || artifact_uri", (tmp_path.as_uri(),))
    assert noted(tmp_path)[1] == {"bptt": f"{tmp_path.as_uri()}/mlruns/bptt"}
    settle(tmp_path)
    assert noted(tmp_path)[1] == {"bptt": "mlruns/bptt"}


def test_one_that_is_named_by_its_whole_path_keeps_whole_paths(tmp_path: Path) -> None:
    places = {"bptt": f"{tmp_path.as_uri()}/mlruns/bptt"}
    put(tmp_path, places)
    settle(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    assert noted(tmp_path) == (places, places)
    assert find_moves(resolve_address(None, tmp_path), relative=False) == []


def test_a_moved_store_that_can_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"bptt": "file:///gone/mlruns/bptt"})
    real: Callable[..., sqlite3.Connection] = sqlite3.connect

    def read_only(database: Path, **settings: float) -> sqlite3.Connection:
        return real(f"{database.as_uri()}?mode=ro", uri=True, **settings)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(StoreError, match=r"mlflow\.db: was copied or moved from /gone, .* readonly") as caught:
        settle(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_a_server_keeps_beside_itself_are_not_looked_for_here(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the server keeps these files in mlruns/bptt"):
        find_local_folder(resolve_address("http://127.0.0.1:9"), "mlruns/bptt")
    assert find_local_folder(resolve_address("http://127.0.0.1:9"), "mlflow-artifacts:/1") is None
