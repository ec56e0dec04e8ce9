"""A report is made by a process of its own, beside the training; what it makes is what this process would make."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bptt.analysis.report.writing import draw_report_figures, make_report_files
from bptt.analysis.sweep import load_sweep
from bptt.cli.main import main
from bptt.cli.progress import SweepProgress
from bptt.sweeps.reporting import MadeReport, ReportProcess, make_whole_report
from bptt.sweeps.session import Session
from bptt.sweeps.workers.pool import Conduct, WorkerSettings
from bptt.sweeps.writer import Writer
from bptt.tracking.folder.sweep import TunedSetting
from tests.program import Folder
from tests.recording import archived

SMALL = ("task=leftbit", "train.updates=20", "train.log_points=5", "task.eval_size=32")
SWEEP = ("train", "-m", *SMALL, "optimizer.alpha=0.01,0.1", "seed=range(3)", "reuse=false")

TUNING = [TunedSetting(seeds=[0], trials=[[0], [1]])]

# Says what of this was imported by the time when all is over, and how many processes it took.
COMMAND = """
import subprocess, sys
begun, original = [], subprocess.Popen.__init__
def noting(self, arguments, *more, **options):
    begun.append(arguments)
    original(self, arguments, *more, **options)
subprocess.Popen.__init__ = noting
from bptt.cli.main import main
code = main(sys.argv[1:])
heavy = ("matplotlib", "scipy.stats", "seaborn", "mlflow", "sqlalchemy", "scipy.linalg")
print([name for name in heavy if name in sys.modules])
print(sum("import serve" in str(arguments) for arguments in begun))
print("joblib.externals.loky.backend.popen_loky_posix" in sys.modules)
raise SystemExit(code)
"""


@pytest.fixture
def blank_figures() -> None:
    """None: reports are compared with that of a process of its own, which draws them."""


def run_afresh(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env=Folder.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_a_small_sweep_imports_nothing_of_a_report_and_starts_no_workers(tmp_path: Path) -> None:
    assert main(["warm", *SWEEP[1:]]) == 0  # else there are workers, to compile the kernels
    done = run_afresh(tmp_path, *SWEEP, "hydra.sweep.dir=s")
    assert done.returncode == 0, done.stderr
    *said, imported, reports, workers = done.stdout.splitlines()
    assert (imported, reports, workers) == ("[]", "1", "False")
    written = {
        path.relative_to(tmp_path / "s/report").as_posix(): path.read_bytes()
        for path in (tmp_path / "s/report").rglob("*")
        if path.is_file()
    }
    here = make_whole_report(load_sweep(tmp_path / "s"))
    assert written == here.files
    assert any(name.startswith("figures/") for name in written)
    assert here.says == []
    assert " ".join(here.answers) in " ".join(" ".join(said).split())
    kept = {path.name for path in (tmp_path / "mlruns").rglob("report/*")}
    assert {"report.html", "report.md"} <= kept


@pytest.mark.parametrize("end", [["-c", "pass"], ["-c", "import os; os._exit(1)"], ["-c", "print('{')"]])
def test_where_the_process_has_died_there_is_no_report_of_it(end: list[str], tmp_path: Path) -> None:
    maker = ReportProcess()
    maker._process = subprocess.Popen([sys.executable, *end], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    maker._process.wait()
    maker.ask(tmp_path)
    assert maker.take(print) is None
    assert maker.take(print) is None
    maker.close()


@pytest.mark.parametrize(
    ("more", "order"),
    [
        ([], ["drawn", "sent", "asked"]),
        (["measure={lyapunov: last}"], ["sent", "asked"]),  # which figures show, too
        (["report=false"], ["sent"]),
        (["tracking.enabled=false"], ["asked"]),
    ],
)
def test_figures_are_drawn_while_the_store_takes_what_it_lacks(
    more: list[str], order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    send = Writer.finish

    def sending(writer: Writer, say: Callable[[str], None], hurry: bool) -> None:
        told.append("sent")
        send(writer, say, hurry)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ReportProcess, "draw", lambda _, folder: told.append("drawn"))
    monkeypatch.setattr(ReportProcess, "ask", lambda _, folder: told.append("asked"))
    monkeypatch.setattr(Writer, "finish", sending)
    assert main([*SWEEP, "hydra.launcher.workers=1", *more]) == 0
    assert told == order


def test_what_was_drawn_before_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SWEEP, "tracking.enabled=false", "report=false", "hydra.sweep.dir=s"]) == 0
    sweep = load_sweep(Path("s"))
    drawing = draw_report_figures(sweep)
    here = make_report_files([sweep])
    monkeypatch.setattr("bptt.analysis.figures.draw_sweep", None)
    # Read once more, as when the store has given its runs their ids.
    assert make_report_files([load_sweep(Path("s"))], drawings=[drawing]) == here
    assert {name for name in here if name.startswith("figures/")} == {
        f"figures/{one.name}.svg" for one in drawing.figures
    }


def begin(monkeypatch: pytest.MonkeyPatch) -> tuple[ReportProcess, "subprocess.Popen[bytes]"]:
    """One that has begun, as in a process that has imported nothing of what it takes, on two cores."""
    for name in ("matplotlib.figure", "bptt.analysis.report.writing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    maker = ReportProcess()
    maker.begin()
    assert maker._process is not None
    return maker, maker._process


def test_one_that_is_not_asked_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, process = begin(monkeypatch)
    maker.begin()
    assert maker._process is process
    maker.close()
    assert process.returncode is not None
    assert maker.take(print) is None


def test_it_ends_with_whoever_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, process = begin(monkeypatch)
    assert process.stdin is not None
    process.stdin.close()  # as the system does where its other end has died
    assert process.wait(120) == 0
    maker.close()


@pytest.mark.parametrize(("cores", "imported"), [(1, False), (2, True)])
def test_it_is_not_begun_where_nothing_is_gained(cores: int, imported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib.figure", "bptt.analysis.report.writing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    if imported:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", sys)
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    maker = ReportProcess()
    maker.begin()
    assert maker._process is None


@pytest.mark.parametrize(
    ("stage", "noted", "begun"),
    [
        ("result", {}, True),
        ("result", {"report": False}, False),
        ("result", {"tuning": TUNING}, True),
        ("tuning", {"tuning": TUNING}, False),
        ("result", {"confirm": 3}, False),
        ("confirming", {"confirm": 3}, True),
    ],
)
def test_it_is_not_begun_where_a_stage_follows(
    stage: Any, noted: dict[str, Any], begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(ReportProcess, "begin", lambda _: told.append("begun"))
    archive = archived(tmp_path / "s", **noted)
    how = Conduct(workers=WorkerSettings(), on_error="continue", checkpoint_seconds=None)
    session = Session(archive, [replace(job, stage=stage) for job in archive.jobs()], None, how, SweepProgress())
    session._prepare_report()
    session.close_log()
    assert bool(told) == begun


def test_what_was_made_comes_whole() -> None:
    made = MadeReport(files={"a/b.svg": b"\x00\xff", "c": b""}, answers=["α > β."], says=["one"])
    found: Any = MadeReport.parse(made.pack())
    assert found == made
    with pytest.raises(ValueError, match="Expecting value"):
        MadeReport.parse(b"")
