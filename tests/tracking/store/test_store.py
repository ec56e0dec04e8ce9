import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from bptt.tracking.folder.files import make_key
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Store
from bptt.tracking.store.connecting import limit_patience, wait_while_locked
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.tags import KEY_TAG
from tests import forking

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def test_a_new_store_writes_ahead_and_has_absolute_artifacts(
    open_experiment: Callable[[], Store], store_folder: Path
) -> None:
    store = open_experiment()
    again = open_experiment()
    assert again.experiment_id == store.experiment_id
    with closing(sqlite3.connect(store_folder / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    run = store.client.create_run(store.experiment_id)
    location = store_folder / "mlruns" / store.experiment / run.info.run_id / "artifacts"
    assert run.info.artifact_uri == location.as_uri()


def test_a_deleted_experiment_is_told(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(StoreError, match=r"this experiment was deleted.*mlflow experiments restore"):
        open_experiment()


def test_other_tables_than_this_mlflows_are_told(store_folder: Path, open_experiment: Callable[[], Store]) -> None:
    open_experiment()
    copy = store_folder / "old.db"
    with (
        closing(sqlite3.connect(store_folder / "mlflow.db")) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        target.commit()
    with pytest.raises(StoreError, match=r"version 451aebb31d03.*mlflow db upgrade sqlite:///") as caught:
        open_store(f"sqlite:///{copy}", "bptt")
    assert "\n" not in str(caught.value)
    with closing(sqlite3.connect(copy)) as target:
        target.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        target.commit()
    with pytest.raises(StoreError, match=r"install the newer MLflow.*mlflow db upgrade"):
        open_store(f"sqlite:///{copy}", "bptt")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database, but a text that is long enough to have a header" * 9)
    with pytest.raises(StoreError, match=r"notes\.db: can't be used as an SQLite database"):
        open_store(f"sqlite:///{path}", "bptt")
    assert path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be opened"):
        open_store(f"sqlite:///{tmp_path}/file/mlflow.db", "bptt")


def test_a_server_that_is_not_there_is_told_within_seconds() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"http://127.0.0.1:{port}: the store can't be reached") as caught:
        open_store(f"http://127.0.0.1:{port}", "bptt")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 30


def test_a_database_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me:secret@127.0.0.1:1/db")
    with pytest.raises(StoreError, match=r"//me:\*\*\*@127\.0\.0\.1:1/db: the database can't be reached"):
        open_store(None, "bptt")


def test_a_driver_that_is_missing_is_told() -> None:
    if find_spec("pymysql") is not None:
        pytest.skip("pymysql is installed")
    with pytest.raises(StoreError) as caught:
        open_store("mysql+pymysql://me@127.0.0.1:1/db", "bptt")
    told = "mysql+pymysql://me@127.0.0.1:1/db: the database's driver is missing: No module named 'pymysql'"
    assert str(caught.value) == f"{told} (bptt[server] brings psycopg, for postgresql+psycopg://)"


def test_a_creation_that_is_broken_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    def interrupted(_uri: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", interrupted)
        patch.setenv("BPTT_CACHE_DIR", str(tmp_path / "cache"))  # where there is no template
        with pytest.raises(KeyboardInterrupt):
            open_store(f"sqlite:///{tmp_path}/mlflow.db", "bptt")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_patience_is_the_users_own_where_they_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with limit_patience():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_processes_that_open_a_cold_store_at_once_all_get_it(tmp_path: Path) -> None:
    code = "import bptt.tracking.store.opening as s; print(s.open_store(None, 'together').experiment_id)"
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    started = [
        subprocess.Popen(
            forking.command(code),
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    results = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], results
    assert {out for out, _ in results} == {"1\n"}
    assert {err for _, err in results} == {""}


MAKING = """
import os, signal, sys, threading, time
from pathlib import Path
from bptt.tracking.store.opening import open_store
part = Path(sys.argv[1]) / ".mlflow.db.part"
def end():
    while not part.exists() or part.stat().st_size < 100_000:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=end, daemon=True).start()
open_store(f"sqlite:///{sys.argv[1]}/mlflow.db", "bptt")
"""


def test_a_store_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    done = subprocess.run(forking.command(MAKING, str(tmp_path)), check=False)
    assert done.returncode == -9
    assert not (tmp_path / "mlflow.db").exists()
    assert open_store(f"sqlite:///{tmp_path}/mlflow.db", "bptt").experiment_id == "1"
    assert list(tmp_path.glob(".mlflow.db.part*")) == []


def test_a_database_that_another_process_holds_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [StoreError("sqlite:///mlflow.db: database is locked")] * 2

    @wait_while_locked
    def ask(answer: int) -> int:
        if refusals:
            raise refusals.pop()
        return answer

    assert ask(3) == 3
    refusals = [StoreError("sqlite:///mlflow.db: database is locked")] * 2
    monkeypatch.setattr("bptt.tracking.store.connecting._SECONDS_OF_PATIENCE", -1.0)
    with pytest.raises(StoreError, match="locked"):
        ask(3)
    assert len(refusals) == 1


def test_a_run_is_found_by_its_key(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    key = make_key("one", "run")
    assert store.find_by_key(key) is None
    run = store.client.create_run(store.experiment_id, tags={KEY_TAG: key})
    store.client.create_run(store.experiment_id, tags={KEY_TAG: make_key("another")})
    assert store.find_by_key(key) == run.info.run_id
