"""What can't be done is said in one line for each thing that is wrong, with exit code 2, and nothing is left behind."""

from pathlib import Path

import pytest

from tests.bad_input.case import Case, Place, outcome, unchanged
from tests.bad_input.table import TABLE
from tests.empty_store import put_empty_store
from tests.program import Folder

CASES = [pytest.param(case, id=f"{kind}: {case}") for kind, cases in TABLE.items() for case in cases]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, a run and a sweep of two runs, `multirun/sweep`."""
    folder = tmp_path_factory.mktemp("recorded")
    put_empty_store(folder)
    small = ["train.updates=2", "model.hidden_size=2", "task=xor", "task.length=3", "report=false"]
    sweep = ["hydra.sweep.dir=multirun/sweep", "hydra.launcher.workers=1", "seed=1,2"]
    run = f"assert main({['train', *small, 'hydra.run.dir=multirun/runs/run']}) == 0"
    done = Folder(folder).bptt("train", "-m", *small, *sweep, first=f"from bptt.cli.main import main; {run}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("case", CASES)
def test_refused(case: Case, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    place = Place(tmp_path, recorded)
    case.given(place)
    written = {"{folder}": str(tmp_path), "{recorded}": str(recorded)}
    arguments, says = (
        [_filled(text, written) for text in case.arguments],
        [_filled(text, written) for text in case.says],
    )
    with unchanged(tmp_path):
        found = outcome(arguments)
    assert len(found.lines) == len(says), found
    assert all(line.isprintable() for line in found.lines)
    assert [(line, part) for line, part in zip(found.lines, says, strict=True) if part not in line] == []
    assert (found.code, found.output) == (case.code, "")


def _filled(text: str, written: dict[str, str]) -> str:
    for name, value in written.items():
        text = text.replace(name, value)
    return text
