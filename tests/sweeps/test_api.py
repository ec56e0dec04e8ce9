from pathlib import Path

import numpy as np
import pytest

import bptt
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.core.run import TIMED
from bptt.core.training import train
from bptt.sweeps.launch import _tell_of_same
from bptt.tracking.folder.files import LOCK
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.sweep import SweepFolder
from tests.recording import archived

SMALL = [
    "experiment=roelants_counting",
    "train.updates=60",
    "train.log_points=30",
    "hydra.launcher.workers=1",
    "report=false",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_sweep_from_python_returns_tidy_tables() -> None:
    swept = bptt.sweep([*SMALL, "optimizer.eta_plus=1.2,1.3", "seed=range(3)", "tracking.enabled=false"])
    assert swept.swept == ["optimizer.eta_plus", "seed"]
    assert swept.runs[["optimizer.eta_plus", "seed"]].to_numpy().tolist() == [
        [eta, seed] for eta in (1.2, 1.3) for seed in range(3)
    ]
    assert set(swept.runs["status"]) == {"FINISHED"}
    assert swept.folder is not None
    assert bptt.load(swept.folder).runs.equals(swept.runs)
    assert bptt.load("latest:eta_plus=1.3,seed=2").runs["run"].tolist() == [5]
    assert len(swept.history) == 6 * 30
    assert list(swept.gradient_flow) == ["run", "update", "lag", "norm"]
    (alone,) = train([check_configuration(compose([*SMALL[:3], "optimizer.eta_plus=1.3", "seed=2"])).run])
    mine = swept.history[swept.history["run"] == 5]
    for name in alone.history.keys() - TIMED:
        assert np.array_equal(mine[name], alone.history[name], equal_nan=True), name


def test_a_password_on_the_command_line_is_written_nowhere() -> None:
    secret = "-".join(("hidden", "word"))  # the work tree's patch holds this text
    store = f"tracking.uri=postgresql://me:{secret}@nowhere/db"
    swept = bptt.sweep([*SMALL, store, "seed=0,1", "tracking.enabled=false"])
    assert swept.folder is not None
    archive = SweepFolder.open(swept.folder)
    assert "tracking.uri=postgresql://me:***@nowhere/db" in archive.journal.command
    assert all(any("***@nowhere/db" in text for text in job.overrides) for job in archive.jobs())
    assert not [path for path in swept.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_choices_of_the_users_own() -> None:
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/short.yaml").write_text(
        "# @package _global_\ndefaults:\n  - roelants_counting\ntrain:\n  updates: 7\n", encoding="utf-8"
    )
    swept = bptt.sweep(
        ["experiment=short", "seed=0,1", "tracking.enabled=false", "hydra.launcher.workers=1", "report=false"],
        config_dir=Path("mine"),
    )
    assert swept.runs["updates"].tolist() == [7, 7]
    # What they were is in the sweep's folder, with the command that reads them again.
    assert swept.folder is not None
    journal = SweepFolder.open(swept.folder).journal
    own = Path("mine/experiment/short.yaml")
    assert journal.choices == {str(own): own.read_text(encoding="utf-8")}
    assert journal.command[2:5] == ["-m", "--config-dir", "mine"]


def test_what_is_wrong_is_raised_before_anything_is_trained() -> None:
    with pytest.raises(ConfigurationError) as caught:
        bptt.sweep([*SMALL, "optimizer.eta_plus=1.2,0.5", "seed=-1,0"])
    assert any("optimizer.eta_plus=0.5" in line for line in caught.value.lines)
    assert any("seed=-1" in line for line in caught.value.lines)
    assert list(Path().iterdir()) == []


def test_a_failing_run_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    import bptt.core.training as training

    init = training.Training.__init__

    def failing(self: training.Training, runs: list, *given: object) -> None:
        if any(run.seed == 1 for run in runs):
            raise RuntimeError("the planted error")
        init(self, runs, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(training.Training, "__init__", failing)
    swept = bptt.sweep([*SMALL, "seed=range(3)", "tracking.enabled=false"])
    assert swept.runs["status"].tolist() == ["FINISHED", "FAILED", "FINISHED"]
    errors = swept.runs["error"]
    assert [error is not None and "the planted error" in error for error in errors] == [False, True, False]


def test_a_sweep_that_another_one_trains_at_this_moment_is_told_of(tmp_path: Path) -> None:
    mine, other = tmp_path / "multirun" / "mine", archived(tmp_path / "multirun" / "other")
    digests = {job.digest for job in other.jobs()}
    assert [*_tell_of_same(mine, digests)] == []
    with file_lock(other.folder / LOCK):
        (line,) = _tell_of_same(mine, digests)
        assert line.startswith(f"{other.folder}: trains {len(digests)} of these runs at this moment; they are trained ")
        (line,) = _tell_of_same(mine, {min(digests), "another"})
        assert line.startswith(f"{other.folder}: trains one of these runs at this moment; ")
        assert [*_tell_of_same(mine, {"another"})] == []
        assert [*_tell_of_same(other.folder, digests)] == []
