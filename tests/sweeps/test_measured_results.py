"""The root key `measure`: networks are measured at a sweep's end, before its report, as `bptt measure` would."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.cli.main import main
from bptt.sweeps import measuring
from bptt.tracking.folder.measures import MEASURES
from bptt.tracking.folder.sweep import SweepFolder

SMALL = ["task=leftbit", "train.updates=20", "train.log_points=3", "hydra.launcher.workers=1", "model.hidden_size=3"]
COLUMN = "dynamics/lyapunov_max"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(*words: str) -> int:
    return main(["train", "-m", *SMALL, "seed=0,1", *words])


def test_what_is_asked_for_is_measured_and_in_the_report_and_the_store() -> None:
    published = "{source: 'Them (2016)', rows: [{what: chaos, measure: dynamics/lyapunov_max, theirs: 0}]}"
    assert train("hydra.sweep.dir=own", "measure={lyapunov:last}", f"published={published}") == 0
    own = bptt.load("own")
    assert own.runs[COLUMN].notna().all()
    assert set(own.measures["update"]) == {20}
    assert "dynamics/sharpness" not in own.runs
    assert "## Beside what was published" in Path("own/report/report.md").read_text(encoding="utf-8")
    assert SweepFolder.open(Path("own")).journal.measure == {"lyapunov": "last"}
    with closing(sqlite3.connect("mlflow.db")) as store:
        rows = dict(store.execute("SELECT run_uuid, value FROM latest_metrics WHERE key = ?", [COLUMN]))
    assert rows == dict(zip(own.runs["run_id"], own.runs[COLUMN], strict=True))

    assert train("hydra.sweep.dir=other", "reuse=false", "tracking.enabled=false", "report=false") == 0
    assert COLUMN not in bptt.load("other").runs
    assert main(["measure", "other", "--lyapunov", "--at", "last", "--workers", "1"]) == 0
    np.testing.assert_array_equal(bptt.load("other").runs[COLUMN], own.runs[COLUMN])


def test_runs_that_tuned_are_not_measured() -> None:
    words = ("tune={optimizer.alpha:[0.01,0.1],seeds:1}", "measure={lyapunov:first}", "tracking.enabled=false")
    assert train("hydra.sweep.dir=own", "report=false", *words) == 0
    sweep = bptt.load("own")
    assert sweep.runs[f"first/{COLUMN}"].notna().all()
    assert (
        f"first/{COLUMN}" not in sweep.stages["tuning"].runs
        or sweep.stages["tuning"].runs[f"first/{COLUMN}"].isna().all()
    )


def test_an_interrupted_measuring_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:

        def interrupt(*_given: object) -> dict[str, str]:
            raise KeyboardInterrupt

        patch.setattr(measuring, "measure_missing", interrupt)
        assert train("hydra.sweep.dir=own", "measure={lyapunov:last}", "tracking.enabled=false") == 130
    assert SweepFolder.open(Path("own")).journal.status == "KILLED"
    assert not Path("own", MEASURES).exists()
    assert "bptt resume own" in capsys.readouterr().err
    assert main(["resume", "own"]) == 0
    assert SweepFolder.open(Path("own")).journal.status == "FINISHED"
    assert bptt.load("own").runs[COLUMN].notna().all()


def test_what_can_not_be_measured_is_told_and_the_report_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("measure={sharpness:last,lyapunov:last}", "train.truncation=1", "tracking.enabled=false")
    assert train("hydra.sweep.dir=own", *words) == 0
    told = capsys.readouterr().err
    assert "sharpness" in told
    assert Path("own/report/report.md").is_file()


@pytest.mark.parametrize(
    ("measure", "says"),
    [
        ({"lyapunow": "first"}, "measure.lyapunow=first: no such measure; did you mean measure.lyapunov?"),
        ({"lyapunov": "sometimes"}, "measure.lyapunov=sometimes: must be first, last or all"),
        (["lyapunov"], "measure=[lyapunov]: must be a mapping, as {lyapunov: first}"),
    ],
)
def test_a_sweep_that_another_program_wrote_measures_nothing_that_is_unknown(
    measure: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("hydra.sweep.dir=own", "tracking.enabled=false", "report=false") == 0
    archive = SweepFolder.open(Path("own"))
    archive.write_journal(replace(archive.journal, measure=measure, status="KILLED"))
    capsys.readouterr()
    assert main(["resume", "own"]) == 2
    assert capsys.readouterr().err.startswith(f"{Path('own/sweep.json').absolute()}: {says}")
    assert archive.journal.status == "KILLED"
