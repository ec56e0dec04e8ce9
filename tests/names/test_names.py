"""The fast core of what is tried with every name: addresses and places lead to the folder that is meant."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy

from bptt.cli.main import main
from bptt.tracking.store.address import StoreError, locate_artifacts, resolve_address, write_sqlite_uri
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.whereabouts import find_whereabouts, note_place, note_store
from tests.names import page
from tests.names.table import NAMES
from tests.names.trial import COMMANDS, try_described

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


@dataclass(frozen=True)
class Journal:
    """What matters of a journal here."""

    current_folder: str
    place: str | None
    uri: str | None


def is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("what", [what for what, name in NAMES.items() if is_text(name)])
@pytest.mark.parametrize("uri", [None, "sqlite:///of%20the%25 name.db"])
def test_a_store_s_address_leads_to_its_file(
    what: str, uri: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = tmp_path / os.fsdecode(NAMES[what])
    project.mkdir()
    address = resolve_address(uri, project)
    file = project / ("mlflow.db" if uri is None else "of the% name.db")
    assert (address.database, address.at_home) == (file, True)
    assert address.uri.isprintable() or not str(project).isprintable()
    with sqlalchemy.create_engine(address.uri).connect() as connection:
        connection.exec_driver_sql("CREATE TABLE made (here)")
    with closing(sqlite3.connect(file)) as found:
        assert found.execute("SELECT name FROM sqlite_master").fetchall() == [("made",)]
    assert [path.name for path in tmp_path.iterdir()] == [project.name]
    assert resolve_address(address.uri, Path("/")).database == file
    place = locate_artifacts(address, f"of {what}/%20?")
    assert place is not None
    folder = find_local_folder(address, place)
    assert folder is not None
    assert folder.parent == project / "mlruns"


@pytest.mark.parametrize("what", [what for what, name in NAMES.items() if is_text(name)])
def test_what_a_journal_notes_leads_back(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    name = os.fsdecode(NAMES[what])
    project, copied = tmp_path / "original" / name, tmp_path / "copied" / name
    sweep = Path("multirun", name)
    for one in (project, copied):
        (one / sweep).mkdir(parents=True)
    address = resolve_address(f"sqlite:///{write_sqlite_uri(Path(name)).partition('///')[2]}.db", project)
    assert address.database == project / f"{name}.db"
    noted = Journal(str(project), note_place(project / sweep, project), note_store(address, project))
    assert noted.place == sweep.as_posix()
    for one in (project, copied):
        where = find_whereabouts(one / sweep, noted, None)
        assert (where.home, where.original, where.outside) == (one, None, False)
        assert where.address is not None
        assert where.address.database == one / f"{name}.db"


@pytest.mark.parametrize("what", [what for what, name in NAMES.items() if not is_text(name)])
def test_a_name_that_is_no_text_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = tmp_path / os.fsdecode(NAMES[what])
    project.mkdir()
    with pytest.raises(StoreError, match="this name is not UTF-8, and can't be recorded") as caught:
        resolve_address(None, project)
    assert str(caught.value).isprintable()


def test_a_path_that_is_too_long_for_sqlite_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = tmp_path / ("d" * 200) / ("e" * 200) / ("f" * 200)
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    small = ("experiment=roelants_counting", "train.updates=4", "train.log_points=2")
    for arguments in (small, ("-m", *small, "seed=0,1", "hydra.launcher.workers=1")):
        assert main(("train", *arguments)) == 2
        told = capfd.readouterr().err.splitlines()
        assert [line.partition(": its path has ")[2] for line in told] == [told[0].partition(": its path has ")[2]]
        assert told[0].endswith(" bytes, and SQLite takes no more than 480")
        assert list(project.iterdir()) == []


#: Some of the names; all are tried by `python -m tests.names`, which writes the page.
SOME = sorted(NAMES)[::16]


@pytest.mark.slow
@pytest.mark.parametrize("what", SOME)
def test_every_command_works_or_is_refused(what: str) -> None:
    found = try_described(what)
    assert {outcome.says for outcome in found.values()} in ({"works"}, {"refused"})
    assert [command for command, outcome in found.items() if outcome.says == "refused" and outcome.seconds > 10] == []


def test_the_page_has_what_was_measured() -> None:
    found, about = page.read()
    assert page.table_of(page.PAGE.read_text(encoding="utf-8")) == page.as_markdown(found, about)
    assert set(found) <= set(NAMES)
    assert len(found) >= 40
    assert {frozenset(outcome.says for outcome in row.values()) for row in found.values()} == {
        frozenset({"works"}),
        frozenset({"refused"}),
    }
    assert {tuple(row) for row in found.values()} == {COMMANDS}
