from pathlib import Path

import pytest

from bptt.tracking.store.address import StoreError, hide_passwords, locate_artifacts, resolve_address


def test_default_is_mlflow_db_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    address = resolve_address(None, tmp_path)
    assert address.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert address.database == tmp_path / "mlflow.db"
    assert locate_artifacts(address, "bptt") == (tmp_path / "mlruns" / "bptt").as_uri()


def test_environment_then_configuration_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///from_environment.db")
    assert resolve_address(None, tmp_path).database == tmp_path / "from_environment.db"
    assert resolve_address("sqlite:///given.db", tmp_path).database == tmp_path / "given.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert resolve_address(None, tmp_path).database == tmp_path / "mlflow.db"


def test_sqlite_artifacts_lie_beside_the_database(tmp_path: Path) -> None:
    address = resolve_address("sqlite:////data/my%20runs/all.db", tmp_path)
    assert address.uri == "sqlite:////data/my runs/all.db"
    assert address.artifacts == Path("/data/my runs/mlruns")
    assert locate_artifacts(address, "..") == "file:///data/my%20runs/mlruns/%252E%252E"
    assert locate_artifacts(address, "a/b") == "file:///data/my%20runs/mlruns/a%252Fb"


def test_server_decides_where_artifacts_are(tmp_path: Path) -> None:
    address = resolve_address("https://tracking.example:5000", tmp_path)
    assert address.database is None
    assert locate_artifacts(address, "bptt") is None
    assert address.pages == "https://tracking.example:5000"


def test_pages_are_opened_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@tracking.example/lab/")
    assert resolve_address(None).pages == "http://tracking.example/lab"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:secret@tracking.example/lab")
    assert resolve_address(None).pages is None


def test_other_databases_keep_artifacts_in_the_current_folder(tmp_path: Path) -> None:
    assert resolve_address("postgresql+psycopg://u@host/db", tmp_path).artifacts == tmp_path / "mlruns"


SHOWN = {
    "https://user:secret@tracking.example:5000": "https://user:***@tracking.example:5000",
    "postgresql+psycopg://u:secret@host/db": "postgresql+psycopg://u:***@host/db",
    "postgresql://u:%73%65cret%40@host": "postgresql://u:***@host",
    "postgresql://:secret@host": "postgresql://:***@host",
    "https://secret@host/path": "https://***@host/path",
    "postgresql://host/db?user=u&password=secret&sslmode=require": "postgresql://host/db?user=u&password=***&sslmode=require",
    "postgresql://host/db?sslpassword=secret": "postgresql://host/db?sslpassword=***",
    "u:secret@host at (http://a:secret@b, http://c:secret@d)": "u:secret@host at (http://a:***@b, http://c:***@d)",
}


@pytest.mark.parametrize("given", SHOWN)
def test_passwords_are_blotted_out(given: str) -> None:
    assert hide_passwords(given) == SHOWN[given]
    assert hide_passwords(SHOWN[given]) == SHOWN[given]


@pytest.mark.parametrize("given", ["http://host:5000/a/b", "postgresql+psycopg://u@host:5432/db", "me@host:a/b@c"])
def test_what_holds_no_password_stays(given: str) -> None:
    assert hide_passwords(given) == given


@pytest.mark.parametrize("given", [uri for uri in SHOWN if " " not in uri])
def test_a_password_is_taken_from_the_environment_alone(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(StoreError, match=r"^tracking\.uri=.*\*\*\*.*: a password is taken from the env") as caught:
        resolve_address(given, tmp_path)
    assert "secret" not in str(caught.value).partition(": a password")[0]
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    for address in (resolve_address(None, tmp_path), resolve_address(given, tmp_path)):
        assert (address.uri, address.shown) == (given, SHOWN[given])


@pytest.mark.parametrize("given", ["http://u:a/secret@host", "postgresql://u:a@secret@host/db"])
def test_an_address_that_would_be_read_otherwise_is_refused(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    told = "MLFLOW_TRACKING_URI: can't be read; in a user's name and password @ and / are written %40 and %2F"
    with pytest.raises(StoreError) as caught:
        resolve_address(None, tmp_path)
    assert str(caught.value) == told


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///tmp/runs", "file:runs", "C:\\runs", "/tmp/runs"])
def test_a_folder_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^tracking\.uri=.*: names a folder.*sqlite:///mlflow\.db") as caught:
        resolve_address(uri, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["sqlite:///:memory:", "sqlite:///"])
def test_memory_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="memory"):
        resolve_address(uri, tmp_path)


def test_an_old_file_store_in_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlruns" / "bptt" / "run").mkdir(parents=True)
    assert resolve_address(None, tmp_path).database == tmp_path / "mlflow.db"
    (tmp_path / "mlruns" / "0").mkdir()
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    with pytest.raises(StoreError, match="old MLflow file store"):
        resolve_address(None, tmp_path)
    assert resolve_address("sqlite:///mlflow.db", tmp_path).database == tmp_path / "mlflow.db"
