from pathlib import Path

import pytest

from bptt.tracking.address import StoreError, artifact_location, resolve, without_password


def test_default_is_mlflow_db_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    address = resolve(None, tmp_path)
    assert address.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert address.database == tmp_path / "mlflow.db"
    assert artifact_location(address, "bptt") == (tmp_path / "mlruns" / "bptt").as_uri()


def test_environment_then_configuration_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///from_environment.db")
    assert resolve(None, tmp_path).database == tmp_path / "from_environment.db"
    assert resolve("sqlite:///given.db", tmp_path).database == tmp_path / "given.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert resolve(None, tmp_path).database == tmp_path / "mlflow.db"


def test_sqlite_artifacts_lie_beside_the_database(tmp_path: Path) -> None:
    address = resolve("sqlite:////data/my%20runs/all.db", tmp_path)
    assert address.uri == "sqlite:////data/my runs/all.db"
    assert address.artifacts == Path("/data/my runs/mlruns")
    assert artifact_location(address, "..") == "file:///data/my%20runs/mlruns/%252E%252E"
    assert artifact_location(address, "a/b") == "file:///data/my%20runs/mlruns/a%252Fb"


def test_server_decides_where_artifacts_are(tmp_path: Path) -> None:
    address = resolve("https://user:secret@tracking.example:5000", tmp_path)
    assert address.database is None
    assert artifact_location(address, "bptt") is None
    assert address.shown == "https://user:***@tracking.example:5000"


def test_other_databases_keep_artifacts_in_the_current_folder(tmp_path: Path) -> None:
    address = resolve("postgresql+psycopg://u:p@host/db", tmp_path)
    assert address.artifacts == tmp_path / "mlruns"
    assert without_password(address.uri) == "postgresql+psycopg://u:***@host/db"


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///tmp/runs", "file:runs", "C:\\runs", "/tmp/runs"])
def test_a_folder_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^tracking\.uri=.*: names a folder.*sqlite:///mlflow\.db") as caught:
        resolve(uri, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["sqlite:///:memory:", "sqlite:///"])
def test_memory_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="memory"):
        resolve(uri, tmp_path)


def test_an_old_file_store_in_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlruns" / "bptt" / "run").mkdir(parents=True)
    assert resolve(None, tmp_path).database == tmp_path / "mlflow.db"
    (tmp_path / "mlruns" / "0").mkdir()
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    with pytest.raises(StoreError, match="old MLflow file store"):
        resolve(None, tmp_path)
    assert resolve("sqlite:///mlflow.db", tmp_path).database == tmp_path / "mlflow.db"
