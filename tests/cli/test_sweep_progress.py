import io
import re
from dataclasses import replace

import pytest

from bptt.cli.progress import SweepProgress
from bptt.tracking.folder.block import RunResult


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def results(*statuses: str) -> list[RunResult]:
    return [
        RunResult(job=job, status=status, record=None, error=None, began=0.0, ended=0.0)  # type: ignore[arg-type]
        for job, status in enumerate(statuses)
    ]


def test_elsewhere_it_writes_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    progress = SweepProgress(stream)
    progress.begin(40)
    for _ in range(3):
        now[0] += 3.0
        progress.ended(results("FINISHED", "FAILED"))
    progress.end()
    assert stream.getvalue().splitlines() == [
        "training 40 runs",
        "   10 %  4 of 40 runs, 2 failed, 0.667 runs/s; 54 s left",
    ]


def test_on_a_terminal_it_draws_one_bar() -> None:
    stream = Terminal()
    progress = SweepProgress(stream)
    progress.begin(4)
    progress.ended(results("FINISHED", "FAILED"))
    progress.end()
    assert "training" not in stream.getvalue()
    assert "2/4 runs, 1 failed" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())


def test_what_was_compiled_before_does_not_count_for_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: 5000.0 + now[0])
    stream = io.StringIO()
    progress = SweepProgress(stream)
    progress.begin(40)
    now[0] += 70.0  # of which the first sixty were no training
    block = [replace(result, began=5160.0) for result in results("FINISHED", "FINISHED")]
    progress.ended(block)
    assert stream.getvalue().splitlines()[1] == "    5 %  2 of 40 runs, 0.2 runs/s; 3 min 10 s left"
    # A clock of another machine that is ahead leads to no time below none.
    progress.begin(40)
    now[0] += 10.0
    progress.ended([replace(result, began=9e9) for result in block])
    assert stream.getvalue().splitlines()[-1].endswith("; 0 s left")
