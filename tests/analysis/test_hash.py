"""The hash of a sweep's results: of every number to the bit, and of nothing else."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.analysis.bits import hash_runs
from bptt.analysis.sweep import Sweep, hash_results
from bptt.cli.report import main
from tests.recording import archived


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return bptt.load(archived(tmp_path / "multirun" / "s").folder)


def test_it_is_of_every_number(sweep: Sweep) -> None:
    found = hash_results([sweep])
    history = sweep.history.copy()
    for column in history.columns.drop("run"):
        changed = history.copy()
        changed[column] = changed[column].astype("float64")
        changed.loc[1, column] = np.nextafter(changed.loc[1, column], np.inf)
        assert hash_results([replace(sweep, history=changed)]) != found, column
    for column in ("outcome", "updates", "digest"):
        runs = sweep.runs.copy()
        runs.loc[0, column] = 7 if column == "updates" else "another"
        assert hash_results([replace(sweep, runs=runs)]) != found, column


def test_it_is_what_is_said_of_it() -> None:
    """Digest, status, outcome and updates as lines, then each metric that the run has as bytes, by update."""
    history = pd.DataFrame(
        {
            "run": [7, 2, 7, 2, 9],
            "update": [5, 1, 1, 5, 1],
            "loss/eval": [0.5, np.nan, np.inf, -0.0, np.nan],
            "accuracy/eval": [np.nan, 1.0, np.nan, 0.25, np.nan],
        }
    )
    runs = pd.DataFrame(
        {
            "run": [9, 7, 2, 4],
            "digest": ["d9", "d7", "d2", "d4"],
            "status": ["FINISHED"] * 3 + ["FAILED"],
            "outcome": ["diverged", "completed", "completed", None],
            "updates": [1.0, 5.0, 5.0, np.nan],
        }
    )
    largest = np.finfo(float).max  # stands for infinity
    parts: dict[int, tuple[Any, ...]] = {
        9: ("d9", "FINISHED", "diverged", 1.0, {"update": [1]}),
        7: ("d7", "FINISHED", "completed", 5.0, {"update": [1, 5], "loss/eval": [largest, 0.5]}),
        2: (
            *("d2", "FINISHED", "completed", 5.0),
            {"update": [1, 5], "accuracy/eval": [1.0, 0.25], "loss/eval": [np.nan, -0.0]},
        ),
        4: ("d4", "FAILED", "", None, {}),
    }
    found = hash_runs(runs, history)
    for row, run in zip(found, runs["run"], strict=True):
        *told, updates, metrics = parts[run]
        values = [*told, "" if updates is None else float(updates).hex()]
        names = ("digest", "status", "outcome", "updates")
        text = "\n".join(f"{name} {value}" for name, value in zip(names, values, strict=True)).encode()
        for name, numbers in metrics.items():
            text += f"\n{name} ".encode() + np.array(numbers, "<f8").tobytes()
        assert row.tobytes() == sha256(text).digest(), run


def test_neither_order_nor_time_nor_name_counts(sweep: Sweep) -> None:
    found = hash_results([sweep])
    runs = sweep.runs.iloc[::-1].reset_index(drop=True).assign(seconds=9.0, name="other")
    history = sweep.history.sample(frac=1, random_state=1).reset_index(drop=True)
    assert hash_results([replace(sweep, runs=runs, history=history, name="other", began=0.0)]) == found
    assert len(found) == 16


def test_a_sweep_none_of_whose_runs_recorded_anything_has_one(sweep: Sweep) -> None:
    empty = replace(sweep, history=sweep.history.iloc[:0])
    failed = replace(empty, runs=empty.runs.assign(status="FAILED"))
    assert len({hash_results([one]) for one in (sweep, empty, failed)}) == 3


def test_a_report_tells_it_and_verifies_it(sweep: Sweep, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = hash_results([sweep])
    assert main([str(sweep.folder), "-o", str(tmp_path / "r")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "r/report.html"), f"results sha256 {found}"]
    assert found in (tmp_path / "r/report.html").read_text()
    assert main([str(sweep.folder), "--verify", found.upper()]) == 0
    assert capsys.readouterr().out == f"results sha256 {found}: the same\n"
    other = "0" * 16
    assert main([str(sweep.folder), "--verify", other]) == 1
    assert capsys.readouterr().err.startswith(f"results sha256 {found}: NOT {other}")
    with pytest.raises(SystemExit, match="2"):
        main([str(sweep.folder), "--verify", "abc"])
    assert "abc: sixteen hexadecimal characters are needed" in capsys.readouterr().err
