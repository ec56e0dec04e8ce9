"""Curves by setting, of runs that have ended and of those that are trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.analysis.figures.material import tabulate_metric
from bptt.analysis.figures.panels import compute_quartiles
from bptt.analysis.sweep import load_sweep
from bptt.tracking.folder.points import PointsLog, place_points
from bptt.watch.curves import Portion, RecordedPortions, make_curve
from tests.recording import archived
from tests.watch.watching import points

INF = np.inf


def portion(ended: bool, updates: list[int], losses: list[list[float]], first: int = 0) -> Portion:
    values = np.array(losses, float)
    runs = np.arange(first, first + values.shape[1])
    outcome = ["completed" if ended else None] * len(runs)
    return Portion(
        runs,
        np.array(updates),
        {"loss/eval": values},
        ended,
        outcome,
        np.zeros(len(runs), bool),
        np.full(len(runs), np.nan),
    )


def every(*portions: Portion) -> dict[int, Any]:
    return {place: np.arange(len(one.runs)) for place, one in enumerate(portions)}


def test_a_curve_has_the_median_and_the_quartiles_of_runs() -> None:
    one = portion(True, [10, 20], [[1, 2, 3, 4, 5], [0.5, 1, 1.5, 2, INF]])
    curve = make_curve([one], every(one), "loss/eval")
    assert curve is not None
    assert curve.updates.tolist() == [10, 20]
    assert curve.quartiles.tolist() == [[2, 3, 4], [1, 1.5, 2]]
    assert curve.counts.tolist() == [5, 5]
    assert make_curve([one], every(one), "accuracy/eval") is None


def test_who_is_trained_counts_as_far_as_it_has_come_and_who_has_ended_to_the_end() -> None:
    ended = portion(True, [10, 20], [[4.0], [2.0]])
    longer = portion(True, [10, 20, 30], [[6.0], [6.0], [6.0]], first=1)
    going = portion(False, [10, 20], [[8.0], [7.0]], first=2)
    curve = make_curve([ended, longer, going], every(ended, longer, going), "loss/eval")
    assert curve is not None
    assert curve.updates.tolist() == [10, 20, 30]
    assert curve.counts.tolist() == [3, 3, 2]
    assert curve.quartiles[:, 1].tolist() == [6.0, 6.0, 4.0]


def test_a_long_curve_has_points_that_a_screen_can_show() -> None:
    one = portion(True, [*range(1, 5001)], [[float(n)] for n in range(1, 5001)])
    curve = make_curve([one], every(one), "loss/eval")
    assert curve is not None
    assert len(curve.updates) == 120
    assert (curve.updates[0], curve.updates[-1]) == (1, 5000)
    assert np.array_equal(curve.quartiles[:, 1], curve.updates)


def test_what_has_ended_means_what_it_means_in_a_reports_figures(tmp_path: Path) -> None:
    archive = archived(tmp_path / "s")
    found = RecordedPortions(archive)
    over, on = found.read(archive.blocks(), [], sealed=True)
    assert (over, on) == ({*range(8)}, set())
    sweep = load_sweep(tmp_path / "s")
    told = {run: list(one.outcome)[place] for one in found.every for place, run in enumerate(one.runs.tolist())}
    assert [told[run] for run in range(8)] == [one if isinstance(one, str) else None for one in sweep.runs["outcome"]][
        :8
    ]
    ended = sweep.runs[sweep.runs["outcome"].notna()].reset_index(drop=True)
    for metric in ("loss/eval", "accuracy/eval"):
        table = tabulate_metric(sweep.history, ended, metric)
        chosen = {
            place: np.array([column for column, run in enumerate(one.runs) if run in {*ended["run"]}])
            for place, one in enumerate(found.every)
        }
        curve = make_curve(found.every, {place: columns for place, columns in chosen.items() if len(columns)}, metric)
        assert curve is not None
        rows = np.searchsorted(table.updates, curve.updates)
        assert np.array_equal(table.updates[rows], curve.updates)
        assert np.array_equal(compute_quartiles(table.values)[rows], curve.quartiles)


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archived(tmp_path / "s")
    found = RecordedPortions(archive)
    read: list[int] = []
    inner = found._read_ended

    def note(number: int, sealed: bool) -> Portion:
        read.append(number)
        return inner(number, sealed)

    monkeypatch.setattr(found, "_read_ended", note)
    log = PointsLog(place_points(archive.place_sign(9)), [8], since=0)
    log.add(points(10, [3.0]))
    log.write()
    assert found.read({0, 1}, [9], sealed=True) == ({0, 1, 2, 3}, {8})
    assert found.read({0, 1}, [9], sealed=True) == (set(), set())
    assert found.running[9].values["loss/eval"].tolist() == [[3.0]]
    log.add(points(20, [2.0]))
    log.write()
    assert found.read({0, 1, 2}, [9], sealed=True) == ({4, 5}, {8})
    assert read == [0, 1, 2]
    assert found.running[9].updates.tolist() == [10, 20]
    # Its process was killed: what it had recorded is trained again.
    assert found.read({0, 1, 2}, [], sealed=True) == (set(), {8})
    assert found.running == {}
