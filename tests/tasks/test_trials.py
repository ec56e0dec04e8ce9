"""The flip-flop task, matching to sample, the perceptual decision, random labels and digits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue

Build = Callable[..., Any]


def test_the_flip_flop_keeps_the_sign_of_the_last_pulse(build: Build) -> None:
    task = build("flip_flop", length=20, bits=2, pulse=0.3)
    sequences = task.make(np.random.default_rng(0), 300)
    for x, y in zip(sequences.x, sequences.y, strict=True):
        for bit in range(2):
            held = 0.0
            for t in range(20):
                held = x[t, bit] or held
                assert y[t, bit] == held
    assert {*sequences.x.ravel().tolist()} == {-1.0, 0.0, 1.0}
    assert abs((sequences.x[:, 1:] != 0).mean() - 0.3) < 0.02
    assert task.accuracy(sequences.y * 0.1, sequences) == 1
    assert task.accuracy(-sequences.y, sequences) == 0
    assert task.all_right(np.where(np.arange(300)[:, None, None] < 3, -1, 1) * sequences.y, sequences) == 0.99


def test_a_match_is_asked_for_when_fixation_ends(build: Build) -> None:
    task = build("match_to_sample", delay=4, noise=0.0)
    sequences = task.make(np.random.default_rng(0), 200)
    for x, y in zip(sequences.x, sequences.y.argmax(-1).tolist(), strict=True):
        assert x[:, 0].tolist() == [1.0] * 17 + [0.0] * 9
        shown = [tuple(row) for row in x[:, 1:].tolist()]
        assert shown[:3] == [(0, 0)] * 3
        assert shown[8:12] == [(0, 0)] * 4
        assert shown[17:] == [(0, 0)] * 9
        sample, test = {*shown[3:8]}, {*shown[12:17]}
        assert len(sample) == len(test) == 1
        assert sample <= {(0, 1), (1, 0)}
        assert y == [0] * 17 + [1 if sample == test else 2] * 9
    wait = np.zeros_like(sequences.y)
    wait[..., 0] = 1
    assert task.accuracy(wait, sequences) == 0


def test_the_stronger_channel_is_asked_for(build: Build) -> None:
    task = build("perceptual_decision", noise=0.0)
    sequences = task.make(np.random.default_rng(0), 500)
    apart = set()
    for x, y in zip(sequences.x, sequences.y.argmax(-1).tolist(), strict=True):
        assert x[:, 0].tolist() == [1.0] + [0.0] * 21
        assert y[:-1] == [0] * 21
        difference = x[1:-1, y[-1]] - x[1:-1, 3 - y[-1]]
        assert not x[[0, -1], 1:].any()
        apart |= {round(float(value), 6) for value in difference}
    assert apart == {0.0, 0.064, 0.128, 0.256, 0.512}
    noisy = build("perceptual_decision").make(np.random.default_rng(0), 500).x[:, 1:-1, 1:]
    assert abs((noisy[:, :, 0] - noisy[:, :, 0].mean(axis=1)[:, None]).std() - 0.1) < 0.005


def test_random_labels_are_the_same_for_all_runs(build: Build) -> None:
    task = build("random_labels", patterns=500)
    trained, seen = task.training().sequences, task.evaluation(None)
    assert trained is seen
    assert {*trained.x.ravel().tolist()} == {-1.0, 1.0}
    assert abs(trained.y.mean() - 0.5) < 0.1
    assert np.array_equal(build("random_labels", patterns=500).evaluation(None).x, seen.x)
    assert not np.array_equal(build("random_labels", patterns=500, draw=1).evaluation(None).x, seen.x)


def test_digits_come_by_rows_or_by_pixels_in_parts_that_share_none(build: Build) -> None:
    rows, pixels, mixed = (build("digits", by=by) for by in ("rows", "pixels", "permuted"))
    assert (rows.timesteps, rows.inputs) == (8, 8)
    assert (pixels.timesteps, pixels.inputs) == (64, 1)
    sets = [(task.training().sequences, task.evaluation(None), task.test(None)) for task in (rows, pixels, mixed)]
    assert [part.count for part in sets[0]] == [1197, 300, 300]
    for by_rows, by_pixels, permuted in zip(*sets, strict=True):
        assert np.array_equal(by_rows.x.reshape(-1, 64, 1), by_pixels.x)
        assert np.array_equal(np.sort(by_pixels.x, axis=1), np.sort(permuted.x, axis=1))
        assert not np.array_equal(by_pixels.x, permuted.x)
        assert np.array_equal(by_rows.y, permuted.y)
        assert by_rows.x.min() == 0
        assert by_rows.x.max() == 1
    every = np.concatenate([part.x.reshape(-1, 64) for part in sets[0]])
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    assert np.array_equal(np.sort(every @ np.arange(64.0)), np.sort(digits.data / 16 @ np.arange(64.0)))
    with pytest.raises(InvalidValue, match="below 1797"):
        build("digits", eval_size=1500)


def test_digits_need_scikit_learn(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.tasks.sets import digits

    digits._load.cache_clear()
    monkeypatch.setattr(digits, "find_spec", lambda _name: None)
    with pytest.raises(InvalidValue, match="pip install scikit-learn"):
        build("digits")
