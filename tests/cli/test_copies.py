"""A project's folder is copied, renamed or moved: all work goes on where it is, and the original stays as it was."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest

from bptt.cli.main import main
from bptt.cli.progress import SweepProgress
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.whereabouts import find_whereabouts
from tests.empty_store import put_empty_store
from tests.sweeping import held

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ("experiment=roelants_counting", "train.updates=4", "train.log_points=2")
SWEEP = ("-m", *SMALL, "seed=0,1", "hydra.launcher.workers=1", "reuse=false", "report=false")


def bptt(folder: Path, *arguments: str) -> int:
    """Run a command in a folder, without connections of an earlier one to what was a store's file then."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()
    with chdir(folder):
        return main(arguments)


def ask(folder: Path, statement: str) -> list[Any]:
    """Ask the project's store."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return [row[0] for row in connection.execute(statement)]


def places(folder: Path) -> list[str]:
    """Where the project's store looks for artifacts."""
    return ask(folder, "SELECT artifact_location FROM experiments UNION ALL SELECT artifact_uri FROM runs")


def runs_of(folder: Path, sweep: str) -> list[str]:
    """The ids of the runs that the project's store has of a sweep, its own among them."""
    return ask(folder, f"SELECT run_uuid FROM tags WHERE key = 'bptt.sweep' AND value = '{sweep}'")


def make_earlier(project: Path) -> None:
    """Have a project as earlier versions left it: whole paths everywhere."""
    with closing(sqlite3.connect(project / "mlflow.db")) as connection, connection:
        root = project.as_uri()
        connection.execute("UPDATE experiments SET artifact_location = ? || '/' || artifact_location", (root,))
        connection.execute("UPDATE runs SET artifact_uri = ? || '/' || artifact_uri", (root,))
    for journal in project.rglob("*.json"):
        noted = json.loads(journal.read_text())
        if "place" in noted:
            del noted["place"]
            noted.pop("sha256", None)  # of what is noted now; the store's copy has none
            journal.write_text(json.dumps(noted | {"uri": f"sqlite:///{project}/mlflow.db"}, indent=1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run, a sweep `whole`, and a sweep `broken`, which was interrupted after its first block."""
    project = tmp_path_factory.mktemp("trained") / "first place"
    project.mkdir()
    put_empty_store(project)
    assert bptt(project, "train", *SMALL, "hydra.run.dir=multirun/runs/alone") == 0
    assert bptt(project, "train", *SWEEP, "hydra.sweep.dir=multirun/whole") == 0
    with pytest.MonkeyPatch.context() as patch:
        told: Any = SweepProgress.ended

        def interrupted(self: SweepProgress, results: Any) -> None:
            told(self, results)
            raise KeyboardInterrupt

        patch.setattr(SweepProgress, "ended", interrupted)
        two = ("model=linear,elman", "model.hidden_size=1")  # so small that both seeds of each are a block
        assert bptt(project, "train", *SWEEP, *two, "hydra.sweep.dir=multirun/broken") == 130
    archive = SweepFolder.open(project / "multirun" / "broken")
    assert (archive.journal.status, len([*archive.ended()]), archive.count()) == ("KILLED", 2, 4)
    project.rename(project.with_name("kept"))
    return project


@pytest.fixture
def origin(trained: Path) -> Iterator[Callable[[bool], Path]]:
    """Puts that project where it was trained, as this or, where `earlier`, a former version of bptt left it."""

    def make(earlier: bool) -> Path:
        shutil.copytree(trained.with_name("kept"), trained)
        if earlier:
            make_earlier(trained)
        return trained

    yield make
    shutil.rmtree(trained, ignore_errors=True)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_copy_is_gone_on_with_and_deleted_from_without_touching_the_original(
    earlier: bool, origin: Callable[[bool], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    original = origin(earlier)
    before = held(original)
    copied, project = tmp_path / "a copy", tmp_path / "renamed 50%? #é"
    shutil.copytree(original, copied)
    copied.rename(project)
    broken, whole = project / "multirun" / "broken", project / "multirun" / "whole"
    capfd.readouterr()

    assert bptt(project, "resume", "multirun/broken") == 0
    told = capfd.readouterr().err
    moved = f"{project}/mlflow.db: was copied or moved from {original}; the artifacts of Default, bptt are now looked"
    assert (moved in told) is earlier
    assert {place.split("/")[0] for place in places(project)} == {"mlruns"}
    assert SweepFolder.open(broken).journal.status == "FINISHED"
    assert set(ask(project, "SELECT status FROM runs")) == {"FINISHED"}
    assert len(runs_of(project, "broken")) == 5
    own = find_whereabouts(broken, SweepFolder.open(broken).journal, None)
    assert (own.home, own.original, own.outside) == (project, None, False)

    assert bptt(tmp_path, "sync", str(whole)) == 0
    assert bptt(tmp_path, "report", str(whole), "-o", str(tmp_path / "report")) == 0
    assert bptt(project, "report", runs_of(project, "broken")[0], "-o", str(tmp_path / "of the store")) == 0
    assert bptt(tmp_path, "export", f"{whole}:1", "--log") == 0
    (model,) = ask(project, "SELECT artifact_location FROM logged_models")
    assert (project / model / "MLmodel").is_file()
    assert bptt(project, "train", *SMALL, "seed=7") == 0
    assert len(list((project / "mlruns" / "bptt").glob("*/artifacts/weights.npz"))) == 2 + 2 + 4
    doomed = [*runs_of(project, "whole"), model.split("/")[3]]
    assert bptt(tmp_path, "rm", "--yes", str(whole)) == 0
    assert not whole.exists()
    assert runs_of(project, "whole") == []
    assert [run for run in doomed if (project / "mlruns" / "bptt" / run).exists()] == []

    assert held(original) == before
    assert not copied.exists()
    assert {path.name for path in tmp_path.iterdir()} == {project.name, "report", "of the store"}


@pytest.mark.parametrize("earlier", [False, True])
def test_what_was_moved_is_found_where_it_is_now(earlier: bool, origin: Callable[[bool], Path], tmp_path: Path) -> None:
    original = origin(earlier)
    project = tmp_path / "moved" / "here"
    project.parent.mkdir()
    original.rename(project)
    assert bptt(tmp_path, "resume", str(project / "multirun" / "broken")) == 0
    assert bptt(project, "sync", "multirun/whole") == 0
    assert len(runs_of(project, "broken")) == 5
    assert {path.name for path in (project / "mlruns" / "bptt").iterdir()} == set(
        ask(project, "SELECT run_uuid FROM runs")
    )
    assert not original.exists()


def test_a_store_as_earlier_versions_left_it_is_addressed_anew_where_it_is(
    origin: Callable[[bool], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    project = origin(True)
    capfd.readouterr()
    line = f"{project}/mlflow.db: the artifacts of Default, bptt are now addressed relative to it"
    for told in ([f"{line}, so that its folder can be moved"], []):
        assert bptt(project, "train", *SMALL) == 0
        assert [line for line in capfd.readouterr().err.splitlines() if "mlflow.db" in line] == told
        assert {place.split("/")[0] for place in places(project)} == {"mlruns"}


def test_a_copy_of_a_sweep_s_folder_leaves_the_runs_to_the_first_one(
    origin: Callable[[bool], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    project = origin(False)
    first, second = project / "multirun" / "whole", project / "multirun" / "second"
    shutil.copytree(first, second)
    before = places(project)
    assert bptt(project, "rm", "--yes", "multirun/second") == 0
    assert f"  runs    those of {first}, which this is a copy of, stay\n" in capfd.readouterr().out
    assert not second.exists()
    assert places(project) == before
    first.rename(second)
    assert bptt(project, "rm", "--yes", "multirun/second") == 0
    assert runs_of(project, "whole") == []


def test_a_sweep_s_folder_without_its_project_leads_nowhere(
    origin: Callable[[bool], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = origin(False)
    before = held(project)
    alone = tmp_path / "elsewhere" / "whole"
    shutil.copytree(project / "multirun" / "whole", alone)
    capfd.readouterr()
    lost = (
        f"{alone}: was begun as multirun/whole in the folder that has its store, and no longer lies there; put it back,"
        " or copy or move that whole folder"
    )
    for command, more in (("resume", ""), ("sync", ""), ("rm", "; --store URI names the store to delete its runs in")):
        assert bptt(tmp_path, command, str(alone), *(["--yes"] if command == "rm" else [])) == 2
        assert capfd.readouterr().err == f"{lost}{more}\n"
    assert bptt(tmp_path, "report", str(alone)) == 0
    assert held(project) == before
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere"}


@pytest.fixture
def shared(tmp_path: Path) -> str:
    """The address of a store beside the projects."""
    (tmp_path / "shared").mkdir()
    put_empty_store(tmp_path / "shared")
    return f"sqlite:///{tmp_path}/shared/mlflow.db"


def test_a_store_that_was_named_elsewhere_keeps_the_runs_of_the_original(
    shared: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    original, copied = tmp_path / "original", tmp_path / "copied"
    original.mkdir()
    assert bptt(original, "train", *SWEEP, f"tracking.uri={shared}", "hydra.sweep.dir=multirun/one") == 0
    shutil.copytree(original, copied)
    store = tmp_path / "shared"
    assert f"{store.as_uri()}/mlruns/bptt" in places(store)
    before, files = places(store), held(store / "mlruns")
    capfd.readouterr()
    told = f"multirun/one: is a copy of {original}/multirun/one, and has the same runs in the same store\n"
    for check in ([], ["--check"]):
        assert bptt(copied, "sync", *check, "multirun/one") == 0
        assert capfd.readouterr() == (f"{told}multirun/one: the store has all of it, 2 runs\n", "")
    assert bptt(copied, "rm", "--yes", "multirun/one") == 0
    assert "which this is a copy of, stay" in capfd.readouterr().out
    assert (places(store), held(store / "mlruns").keys()) == (before, files.keys())
    shutil.copytree(original, copied, dirs_exist_ok=True)
    shutil.rmtree(original)
    assert bptt(copied, "sync", "multirun/one") == 0
    assert f"multirun/one: its store is outside of {copied}, and the one that it had before: {shared}\n" in (
        capfd.readouterr().out
    )
    assert bptt(copied, "rm", "--yes", "multirun/one") == 0
    assert runs_of(store, "one") == []
