"""A sweep's report and its answers, made by a process that imports what they take while runs are still being trained.

Where this process has imported that already, or no other can be had, they are made in it; what is made is the same.
"""

import base64
import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from bptt.tracking.provenance.blas import use_one_blas_thread

if TYPE_CHECKING:
    from bptt.analysis.report.writing import Drawing
    from bptt.analysis.sweep import Sweep

#: What takes long to import; imported again it takes no time.
_NEEDED: Final = (
    "scipy.stats",
    "matplotlib.figure",
    "seaborn",
    "bptt.analysis.figures",
    "bptt.analysis.report.findings",
    "bptt.analysis.report.writing",
)
_SILENCE: Final = 20.0  # seconds of waiting for it that need no word
_DRAW, _MAKE = "draw", "make"  # what the process is told
_PROGRAM: Final = "import sys; sys.path[:] = {path!r}; from bptt.sweeps.reporting import serve; serve()"


@dataclass(frozen=True, kw_only=True)
class MadeReport:
    """What was made of a sweep.

    files    of the report, by their place in its folder; none where it can't be made
    answers  what follows from the runs, in a sentence or two
    says     a line about everything that can't be made
    """

    files: dict[str, bytes]
    answers: list[str]
    says: list[str]

    def pack(self) -> bytes:
        """As it goes from one process to another."""
        files = {name: base64.b64encode(content).decode() for name, content in self.files.items()}
        return json.dumps({"files": files, "answers": self.answers, "says": self.says}).encode()

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """What was packed. Raises ValueError."""
        found = json.loads(content)
        files = {name: base64.b64decode(text) for name, text in found["files"].items()}
        return cls(files=files, answers=found["answers"], says=found["says"])


def make_whole_report(sweep: "Sweep", drawing: "Drawing | None" = None) -> MadeReport:
    """The report of a sweep and its answers, as far as they can be made: what was trained is worth more.

    drawing: its figures; None: they are not drawn yet
    """
    says: list[str] = []
    files = _make_files(sweep, drawing, says.append)
    return MadeReport(files=files, answers=answer_sweep(sweep, says.append), says=says)


def _make_files(sweep: "Sweep", drawing: "Drawing | None", say: Callable[[str], None]) -> dict[str, bytes]:
    try:
        from bptt.analysis.report.writing import make_report_files

        missing: list[str] = []
        files = make_report_files([sweep], missing=missing, drawings=None if drawing is None else [drawing])
        for line in missing:
            say(f"the report: {line[0].lower()}{line[1:]}")
        return files
    except Exception as error:
        say(f"the report can't be made: {error!r}")
    return {}


def answer_sweep(sweep: "Sweep", say: Callable[[str], None]) -> list[str]:
    """What follows from the runs; nothing, and why is said, where they can't be compared."""
    try:
        from bptt.analysis.report.findings import Findings

        with use_one_blas_thread():  # as for a report
            findings = Findings(sweep)
            return [*findings.leading, *findings.notes]
    except Exception as error:
        say(f"the runs can't be compared: {error!r}")
    return []


class ReportProcess:
    """The process that makes a sweep's report: begun while runs are trained; told to draw the figures when all have
    ended, while the store takes what it lacks; and asked for the report when that is known which it says of the end.

    It sees no Ctrl-C, and ends when whoever began it has, however that ended.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Let it start and import; nothing where it has begun, or where it would gain nothing."""
        from joblib import cpu_count

        here = "matplotlib.figure" in sys.modules or _NEEDED[-1] in sys.modules
        if self._process is not None or here or cpu_count() < 2:
            return
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with suppress(OSError, ValueError):  # without memory, or processes, the report is made in this one
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # where it fails, this process makes the report and tells of it
                env={**os.environ, **one},
                start_new_session=True,
            )

    def draw(self, folder: Path) -> None:
        """Have the figures of the sweep in this folder drawn, all of whose runs are there, by the process that has
        begun.
        """
        self._tell(_DRAW, folder)

    def ask(self, folder: Path) -> None:
        """Have the report of the sweep in this folder made, by the process that has begun."""
        self._tell(_MAKE, folder)

    def _tell(self, what: str, folder: Path) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # of one that has died
                self._process.stdin.write(f"{json.dumps([what, str(folder.absolute())])}\n".encode())
                self._process.stdin.flush()

    def take(self, say: Callable[[str], None]) -> MadeReport | None:
        """What it has made of what it was asked for; None: it has not begun, or has died. A long wait is told."""
        if self._process is None:
            return None
        try:
            content, _ = self._process.communicate(timeout=_SILENCE)
        except subprocess.TimeoutExpired:
            say("waiting for the report")
            content, _ = self._process.communicate()
        self._process = None
        try:
            return MadeReport.parse(content)
        except (ValueError, KeyError):
            return None

    def close(self) -> None:
        """End it, whatever it is at."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            with suppress(OSError), process:  # which closes its pipes, one with nobody at its end too, and waits for it
                pass


def serve() -> None:
    """What the process does: it imports, draws the figures of a sweep where it is told to, and writes what it has made
    of the sweep when it is asked.
    """
    answers_to = os.dup(1)
    os.dup2(2, 1)  # what others print is no part of the answer
    gc.disable()  # a fifth of the time would go into searching what is being imported for garbage
    for name in _NEEDED:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    from bptt.analysis.report.writing import draw_report_figures
    from bptt.analysis.sweep import load_sweep

    drawing: Drawing | None = None
    for line in sys.stdin:
        what, folder = json.loads(line)
        if what == _DRAW:
            with suppress(Exception):  # whatever it is, it is told when the report is made
                drawing = draw_report_figures(load_sweep(Path(folder)))
            continue
        with suppress(OSError), os.fdopen(answers_to, "wb") as to:  # whoever asked may have gone
            to.write(make_whole_report(load_sweep(Path(folder)), drawing).pack())
        return
