"""What a run has cost until a recorded update: gradient evaluations, and processor time."""

import dataclasses
import time

import numpy as np
import pytest

from bptt.core.lane_block import FusedRuns
from bptt.core.lane_report import LaneReport
from bptt.core.optimizers.sgd import Sgd
from bptt.core.run import EarlyStop
from bptt.core.training import WORK, Training
from bptt.core.updates import EVALUATIONS
from tests.core.comparing import finished
from tests.core.making import Noise, make_model, make_run


def test_an_update_evaluates_one_gradient_whatever_its_batch_and_takes_time() -> None:
    run = make_run(updates=300, log_points=4, batch_size=3, task=Noise(timesteps=40))
    history = finished([run])[0].history
    assert history["work/gradients"].tolist() == history["update"].tolist() == [1, 101, 200, 300]
    assert (np.diff(history["work/seconds"]) > 0).all()
    began = time.thread_time()
    first = finished([run])[0].history["work/seconds"][-1]
    assert 0 < first < time.thread_time() - began


def test_work_adds_up_over_what_was_broken_off_and_ends_with_a_lane() -> None:
    stopping = EarlyStop(metric="loss/train", threshold=1e9)  # reached at the first recorded update
    runs = [make_run(seed=seed, updates=30, log_points=4) for seed in range(2)]
    runs += [dataclasses.replace(run, train=dataclasses.replace(run.train, early_stop=stopping)) for run in runs[:1]]
    training = Training(runs[:2])
    training.advance()
    training.advance()
    saved, before = training.checkpoint(), training.records()
    for record, half in zip(finished(runs[:2], saved), before, strict=True):
        np.testing.assert_array_equal(record.history["work/seconds"][:2], half.history["work/seconds"])
        assert (np.diff(record.history["work/seconds"]) > 0).all()
        assert record.history["work/gradients"].tolist() == [1, 11, 20, 30]
    assert finished(runs[2:])[0].history["work/gradients"].tolist() == [1]


def test_gradients_beyond_one_an_update_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an optimizer would that evaluates more of them: lane l two and a half times its number at each call."""
    train_lanes = FusedRuns.train

    def train_more(lanes: FusedRuns, since: int, update: int) -> LaneReport:
        report = train_lanes(lanes, since, update)
        report.numbers[:, EVALUATIONS] += 2.5 * np.arange(len(report.numbers))
        return report

    monkeypatch.setattr(FusedRuns, "train", train_more)
    runs = [make_run(seed=seed, updates=30, log_points=4) for seed in range(3)]
    for lane, record in enumerate(finished(runs)):
        assert (
            record.history["work/gradients"].tolist()
            == (record.history["update"] + 2.5 * lane * np.arange(1, 5)).tolist()
        )


def test_a_run_that_diverges_counts_no_work_at_its_end() -> None:
    history = finished([make_run(optimizer=Sgd(alpha=1e200), updates=30, model=make_model("linear"))])[0].history
    assert len(history["update"]) > 1
    assert np.isnan([history[name][-1] for name in WORK]).all()
