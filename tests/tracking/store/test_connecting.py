from pathlib import Path

import pytest

from bptt.tracking.store.address import StoreError, resolve_address
from bptt.tracking.store.connecting import explain_refusal, search_runs
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

AUTOFLUSHED = """(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block)
(sqlite3.OperationalError) database is locked
[SQL: UPDATE runs SET status=? WHERE runs.run_uuid = ?]
(Background on this error at: https://sqlalche.me/e/20/e3q8)"""


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/db")


def refused(error: Exception) -> str:
    with pytest.raises(StoreError) as caught, explain_refusal(resolve_address(None)):
        raise error
    return str(caught.value)


def test_what_a_store_says_is_told_in_one_line() -> None:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    locked = "postgresql://me:***@host/db: database is locked"
    assert refused(MlflowException(AUTOFLUSHED)) == locked
    assert refused(OperationalError("UPDATE", {}, Exception("no answer\nfrom it"))).endswith(
        "(builtins.Exception) no answer"
    )
    assert refused(MlflowException("Run with id=0 not found")).endswith("db: Run with id=0 not found")
    assert refused(FileNotFoundError(2, "No such file or directory", "a/b")).endswith(
        "db: a/b: No such file or directory"
    )
    assert refused(OSError("too bad")).endswith("db: too bad")
    psycopg = "(psycopg.OperationalError) connection to postgresql://me:secret@host/db failed\nmore"
    assert refused(MlflowException(psycopg)).endswith("connection to postgresql://me:***@host/db failed")


def test_what_is_no_refusal_passes() -> None:
    with pytest.raises(KeyError), explain_refusal(resolve_address("postgresql://host/db")):
        raise KeyError


def test_every_page_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.tracking.store.opening import open_store

    store = open_store(put_empty_store(tmp_path), "bptt")
    client, experiments = store.client, [store.experiment_id]
    made = [client.create_run(store.experiment_id, start_time=place).info.run_id for place in range(1, 6)]
    client.delete_run(made[0])
    monkeypatch.setattr("bptt.tracking.store.connecting._PAGE", 2)
    assert [run.info.run_id for run in search_runs(client, experiments, "")] == made[:0:-1]
    assert [run.info.run_id for run in search_runs(client, experiments, "", deleted=True)] == made[::-1]
    assert list(search_runs(client, experiments, "attributes.status = 'FAILED'")) == []
