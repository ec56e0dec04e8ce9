"""Progress in a notebook is a bar that is gone at the end; elsewhere nothing, unless it is asked for."""

from types import SimpleNamespace
from typing import Any

import pytest

from bptt.python import progress
from bptt.python.progress import NotebookProgress, Quiet, TerminalProgress, choose_reporter


class Shown:
    """What a notebook shows below a cell."""

    def __init__(self) -> None:
        self.contents: list[dict[str, str]] = []

    def display(self, content: dict[str, str], *, raw: bool, display_id: bool) -> "Shown":
        assert raw
        assert display_id
        self.contents.append(content)
        return self

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.contents.append(content)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(progress, "import_module", lambda _name: found)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.0)
    return found


def test_a_run_has_a_bar_that_goes(shown: Shown) -> None:
    with NotebookProgress().progress("<b>mine</b>", 100, 0) as told:
        told.point(40, {"loss/train": 0.25, "loss/eval": 0.5})
    first, middle, last = shown.contents
    assert "&lt;b&gt;mine" in first["text/html"]
    assert '<progress value="0.400" max="1">' in middle["text/html"]
    assert "update 40: loss 0.25, evaluation 0.5" in middle["text/plain"]
    assert last == {"text/plain": "", "text/html": ""}


def test_a_sweep_counts_its_runs(shown: Shown) -> None:
    reporter: Any = NotebookProgress()
    reporter.begin(4)
    reporter.ended([SimpleNamespace(status="FINISHED"), SimpleNamespace(status="FAILED")])
    reporter.end()
    assert shown.contents[0]["text/plain"] == "  0 %  training 4 runs"
    assert shown.contents[1]["text/plain"].startswith(" 50 %  2 of 4 runs, 1 failed")
    assert shown.contents[-1]["text/html"] == ""


def test_who_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(choose_reporter(None)) is Quiet  # a test has no terminal
    assert type(choose_reporter(True)) is TerminalProgress
    monkeypatch.setattr(progress, "_is_notebook", lambda: True)
    assert type(choose_reporter(None)) is NotebookProgress
    assert type(choose_reporter(False)) is Quiet
