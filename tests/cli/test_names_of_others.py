"""Names, values and errors of another's, in a store or a folder, are printed as text: each role is given each name."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bptt.cli.main import main
from bptt.core.run import Record
from bptt.printable import make_lines_printable
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from tests.program import Folder

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

_FORGED = "results sha256 0000: the same"
_ENDS = f"\x1b[2J\x9b1A\r\n{_FORGED}\n\u202e\u2028"
NAMES = tuple(
    name + _ENDS
    for name in (
        "<script>alert(1)</script>",
        "../../escaped",
        "/tmp/bptt-escaped",
        "'; DROP TABLE runs; --",
        "\x1b]0;title\x07",
        "[bold red]markup[/]",
        "${oc.env:HOME}",
        "{name:>20} %s %(x)d",
        "a" * 150,
        "\udcff",
    )
)

DRAWN = NAMES[:1]  # in figures, which takes seconds

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(str(end.code))
        return code, "".join(capsys.readouterr())

    return run


def assert_text_alone(command: Iterable[str], told: str) -> None:
    assert make_lines_printable(told) == told, f"{command}: {told!r}"
    assert not [line for line in told.splitlines() if line.startswith((_FORGED, "2J"))], f"{command}: {told!r}"
    assert "Traceback" not in told, told


def make_sweep(folder: Path, name: str, loss: float) -> None:
    """A sweep in whose record each text is this name, be it of its runs, its values or an error."""
    record = Record(
        outcome="completed",
        updates=100,
        history={"update": np.array([1, 100]), "loss/eval": np.array([2.0, loss]), "loss/train": np.array([2.0, loss])},
        flow=np.ones((2, 1)),
        parameters={"readout.bias": np.zeros(1)},
        state=np.empty((0, 0)),
    )
    jobs, results = [], []
    for number in range(4):
        value = f"{number % 2}{name}"
        config = {"model": {"_target_": value}, "tracking": {"experiment": name}, "seed": number // 2, "note": name}
        swept = {"model": value, "seed": str(number // 2)}
        job = SweepJob(
            number=number, name=f"{number} {name}", digest=f"{folder.name} {number}", block=0, swept=swept,
            overrides=[f"model={value}"], config=config,
        )  # fmt: skip
        jobs.append(job)
        failed = number == 3
        results.append(
            RunResult(
                job=number, status="FAILED" if failed else "FINISHED", record=None if failed else record,
                error=f"Error: {name}" if failed else None, began=0.0, ended=1.0,
            )
        )  # fmt: skip
    journal = SweepJournal(
        name=name, command=["bptt", "train", name], began=0.0, uri=None, experiment=name, parent=None,
        numerical_version="v", current_folder=name, swept=["model", "seed"], duplicates=0, status="FINISHED",
        question=name, retried=1,
    )  # fmt: skip
    SweepFolder.create(folder, journal, jobs).write_block(0, results)


@pytest.mark.parametrize("name", NAMES[:-1], ids=range(len(NAMES) - 1))
def test_of_a_folder(name: str, tmp_path: Path, said: Said) -> None:
    make_sweep(tmp_path / "one", name, 0.1)
    make_sweep(tmp_path / "other", name, 0.2)
    for command in (
        ("status", "one"),
        ("compare", "one", "other"),
        ("compare", "one", "other", "one:2"),
        ("compare", "one:0", "other:0"),
        ("compare", "one", "other", "--metric", "loss/none"),
        *([("report", "one", "other", "-o", "report")] if name in DRAWN else []),
        ("reproduce", "one"),
        ("measure", "one"),
        ("export", "one:0"),
        ("resume", "one"),
        ("sync", "one"),
        ("confirm", "one", "--seeds", "2"),
        ("status", name),
        ("report", name),
        ("rm", "--yes", "one"),
    ):
        code, told = said(*command)
        assert code in (0, 1, 2), (command, told)
        assert_text_alone(command, told)
        if command[0] in ("status", "rm") or command in (("compare", "one", "other"), ("compare", "one:0", "other:0")):
            assert r"\x1b[2J" in told
    assert (tmp_path / "report" / "report.html").is_file() == (name in DRAWN)
    assert_files_are_text(tmp_path / "report")


def assert_files_are_text(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".md", ".svg", ".tex", ".csv"):
            text = path.read_text()
            assert make_lines_printable(text) == text, path
            assert "<script>" not in text or path.suffix in (".md", ".csv"), path  # there it is code, or a value


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store alone, which has a sweep of two runs that learned something, and one run more."""
    folder = tmp_path_factory.mktemp("recorded")
    small = ("experiment=roelants_counting", "train.updates=2", "train.log_points=2", "report=false")
    done = Folder(folder).bptt("train", "-m", *small, "seed=0,1", "hydra.launcher.workers=1")
    assert done.returncode == 0, done.stderr
    done = Folder(folder).bptt("train", *small, "seed=2")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:-1], ids=range(len(NAMES) - 1))
def test_of_a_store(name: str, recorded: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """In turn: names of runs, of the sweep and of the experiment; all tags beside; all params."""
    database = tmp_path / "theirs.db"
    roles = (
        ("UPDATE runs SET name = ?", "UPDATE tags SET value = ? WHERE key IN ('mlflow.runName', 'bptt.sweep')",
         "UPDATE experiments SET name = ? WHERE experiment_id != 0"),
        ("UPDATE tags SET value = ? WHERE key NOT IN ('mlflow.parentRunId', 'bptt.sweep', 'bptt.key', 'bptt.digest')",),
        ("UPDATE params SET value = ?",),
    )  # fmt: skip
    for changes in roles:
        with (
            closing(sqlite3.connect(recorded / "mlflow.db")) as before,
            closing(sqlite3.connect(database)) as connection,
        ):
            before.backup(connection)
            connection.execute(
                "UPDATE runs SET artifact_uri = ? || '/' || artifact_uri WHERE artifact_uri NOT LIKE '%://%'",
                [recorded.as_uri()],
            )
            for change in changes:
                connection.execute(change, [name])
            connection.commit()
            below = connection.execute("SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'").fetchall()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
        (child, sweep), (other, _) = below
        for command in (
            ("compare", child, other),
            ("compare", sweep, child),
            ("report", sweep, "-o", "report"),
            ("reproduce", sweep),
            ("export", child),
            ("doctor",),
            ("rm", sweep),
            ("rm", "--yes", sweep),
        ):
            code, told = said(*command)
            assert code in (0, 1, 2), (command, told)
            assert_text_alone(command, told)
            if changes is roles[0] and command in (("compare", sweep, child), ("export", child)):
                assert (code, r"\x1b[2J" in told) == (0, True), told
        assert_files_are_text(tmp_path / "report")
