"""What is in the way of a store, made for real, and mended by the command that is printed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bptt.doctor import store
from bptt.doctor.finding import Finding, Situation
from bptt.doctor.store import find_holders
from bptt.tracking.store.address import Address, resolve_address
from bptt.tracking.store.opening import open_store, open_to_delete
from bptt.tracking.store.schema import read_revisions
from bptt.tracking.store.state import _examine_database
from tests.doctor.faults import (
    carried_out,
    empty_database,
    folder_of_nobody,
    held,
    of,
    old_database,
    only_posix,
    wrong,
)
from tests.serving import free_port

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def found(folder: Path, uri: str | None = None, **variables: str) -> list[Finding]:
    return list(store.examine(Situation(uri=uri, folder=folder, variables=variables)))


def test_there_is_no_store_yet_and_none_is_made(here: Path) -> None:
    findings = found(here)
    assert [finding.mark for finding in findings] == ["ok", "ok"]
    assert of(findings, "address").says == f"sqlite:///{here}/mlflow.db (the default)"
    assert of(findings, "contents").says == "not there yet: `bptt train` makes it"
    assert list(here.iterdir()) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of three runs that nobody has open."""
    from bptt.tracking.store.tables import Database

    folder = tmp_path_factory.mktemp("made")
    opened = open_store(f"sqlite:///{folder}/mlflow.db", "bptt")
    for _ in range(3):
        opened.client.create_run(opened.experiment_id)
    database = Database.of(opened.address, opened.client)
    assert database is not None
    database.engine.dispose()
    return folder


def test_a_store_as_it_should_be_stays_as_it_is(here: Path, made: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    findings = found(made)
    assert wrong(findings) == []
    assert of(findings, "contents").says == "2 experiments, 3 runs"
    (head,) = read_revisions().heads
    assert of(findings, "tables").says.startswith(f"version {head}, as MLflow ")
    assert of(findings, "file").says.endswith(", journal mode wal")
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


@pytest.mark.slow
def test_an_older_store_is_upgraded(here: Path) -> None:
    version = old_database(here / "mlflow.db")
    tables = of(found(here), "tables")
    assert tables.mark == "wrong"
    assert tables.says.startswith(f"version {version}, older than MLflow ")
    carried_out(tables.command, here)
    assert (here / "mlflow.db.backup").is_file()
    assert wrong(found(here)) == []


def test_a_newer_store_needs_a_newer_mlflow(here: Path) -> None:
    empty_database(here / "mlflow.db", "ffffffffffff")
    tables = of(found(here), "tables")
    assert (tables.mark, tables.command) == ("wrong", "python -m pip install --upgrade mlflow")
    assert tables.says.startswith("version ffffffffffff, which MLflow ")


def test_a_file_store_is_moved_away(here: Path) -> None:
    for experiment in ("0", "123"):
        (here / "mlruns" / experiment).mkdir(parents=True)
        (here / "mlruns" / experiment / "meta.yaml").write_text("name: old\n")
    (here / "mlruns" / "bptt").mkdir()
    (address,) = wrong(found(here))
    assert address.says == f"{here}/mlruns: holds 2 experiments of an old MLflow file store"
    carried_out(address.command, here)
    assert wrong(found(here)) == []
    assert {path.name for path in (here / "mlruns-file-store").iterdir()} == {"0", "123"}
    assert [path.name for path in (here / "mlruns").iterdir()] == ["bptt"]


@only_posix
def test_who_holds_a_locked_store_is_ended(here: Path) -> None:
    file = here / "mlflow.db"
    empty_database(file, next(iter(read_revisions().heads)))
    with held(file) as process:
        assert [one.number for one in find_holders(file)] == [process.pid]
        answer = of(found(here), "answer")
        assert (answer.mark, answer.says) == ("wrong", "locked: database is locked")
        assert answer.command == f"kill {process.pid}"
        carried_out(answer.command, here)
        process.wait(timeout=10)
        assert wrong(found(here)) == []


@pytest.mark.parametrize("content", ["", "tables"])
def test_what_is_no_store_is_moved_away(content: str, here: Path) -> None:
    file = here / "mlflow.db"
    if content == "tables":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE notes (text TEXT)")
            connection.commit()
    else:
        file.write_text("not a database, but a text that is long enough to have a header" * 9)
    (trouble,) = wrong(found(here))
    assert trouble.command == f"mv {file} {file}.damaged"
    carried_out(trouble.command, here)
    assert wrong(found(here)) == []


@only_posix
def test_a_store_that_cannot_be_written() -> None:
    with folder_of_nobody() as folder:
        file = folder / "mlflow.db"
        empty_database(file, next(iter(read_revisions().heads)))
        file.chmod(0o444)
        answer = of(found(folder), "answer")
        assert answer.says == "read-only: its file can't be written"
        carried_out(answer.command, folder)
        assert wrong(found(folder)) == []


def test_a_server_that_does_not_answer(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    findings = found(here, MLFLOW_TRACKING_URI=uri)
    assert of(findings, "address").says == f"{uri} (MLFLOW_TRACKING_URI)"
    (answer,) = wrong(findings)
    assert answer.says == "unreachable: [Errno 111] Connection refused"
    assert answer.command == f"mlflow server --host 127.0.0.1 --port {port}"


def test_a_database_server_that_does_not_answer(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql+psycopg://me:secret@127.0.0.1:1/db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    findings = found(here, MLFLOW_TRACKING_URI=uri)
    (answer,) = wrong(findings)
    assert answer.says.startswith("unreachable: ")
    assert answer.command == "unset MLFLOW_TRACKING_URI"
    assert "secret" not in repr(findings)


def test_a_database_server_is_asked_as_a_file_is(made: Path) -> None:
    address = resolve_address(f"sqlite:///{made}/mlflow.db")
    state = _examine_database(Address(uri=address.uri, database=None, artifacts=address.artifacts, lock=address.lock))
    assert (state.trouble, state.revision, state.experiments, state.runs) == ("none", *read_revisions().heads, 2, 3)


def test_an_address_that_means_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    (address,) = wrong(found(here, MLFLOW_TRACKING_URI="./mlruns"))
    assert address.says.startswith("MLFLOW_TRACKING_URI=./mlruns: names a folder")
    assert address.command == "unset MLFLOW_TRACKING_URI"


def test_a_copied_store_looks_for_its_artifacts_where_it_lay(here: Path, tmp_path: Path) -> None:
    original, copied = tmp_path / "original", tmp_path / "copied"
    original.mkdir()
    opened = open_store(f"sqlite:///{original}/mlflow.db", "bptt")
    assert [finding.subject for finding in wrong(found(original))] == []
    copied.mkdir()
    with (
        closing(sqlite3.connect(original / "mlflow.db")) as source,
        closing(sqlite3.connect(copied / "mlflow.db")) as to,
    ):
        source.backup(to)
    (trouble,) = wrong(found(copied))
    assert trouble.subject == "artifacts"
    assert trouble.says == (
        f"the store was copied or moved from {original}, and looks there for the artifacts of Default, bptt"
    )
    assert trouble.command == "bptt ui"
    opened.close()
    open_to_delete(None, copied).close()
    assert wrong(found(copied)) == []
    assert [finding.subject for finding in wrong(found(original))] == []
