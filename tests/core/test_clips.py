"""Clips: below the threshold the identity to the bit, above it the stated formula, at any size of the gradient."""

import math
from typing import Any

import numpy as np
import pytest

from bptt.core.clips.none import NoClip
from bptt.core.clips.norm import Norm
from bptt.core.clips.value import Value
from bptt.core.kernel import LANES, MODES, UNITS
from bptt.core.optimizers.sgd import Sgd
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH
from tests.core.calling import clip
from tests.core.comparing import finished
from tests.core.discovering import components
from tests.core.making import make_run

COUNT = 2 * WIDTH + 3  # parameters: the last vector of one run is not full


def gradients(mode: str, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal((COUNT, WIDTH) if mode == LANES else COUNT)


def per_lane(gradient: Floats) -> list[Floats]:
    """Each lane's gradient; of one run, its own for every number of a vector."""
    return list(gradient.T) if gradient.ndim == 2 else [gradient] * WIDTH


def exact_norm(gradient: Floats) -> float:
    return math.hypot(*gradient)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", components("clips"))
def test_below_the_threshold_it_is_the_identity_to_the_bit(name: str, mode: str) -> None:
    gradient = gradients(mode)
    gradient[1] = -0.0
    gradient[2] = 5e-324
    found, clipped = clip(components("clips")[name], mode, gradient, [1000.0])
    assert found.tobytes() == gradient.tobytes()
    assert (clipped == 0.0).all()


@pytest.mark.parametrize("mode", MODES)
def test_no_clip_changes_nothing_whatever_comes(mode: str) -> None:
    gradient = gradients(mode)
    gradient[:4] = np.array([np.nan, np.inf, -np.inf, 1e308]).reshape((4, 1)[: gradient.ndim])
    found, clipped = clip(NoClip, mode, gradient, [0.0])
    assert found.tobytes() == gradient.tobytes()
    assert (clipped == 0.0).all()


@pytest.mark.parametrize("mode", MODES)
def test_value_bounds_each_element(mode: str) -> None:
    gradient = gradients(mode)
    gradient[0], gradient[1] = np.inf, -np.inf
    gradient[2], gradient[3] = 0.5, -0.5  # on the threshold: not above
    found, clipped = clip(Value, mode, gradient, [0.5])
    assert np.array_equal(found, np.clip(gradient, -0.5, 0.5))
    assert (clipped == 1.0).all()
    edge = np.zeros_like(gradient)
    edge[0], edge[5] = 0.5, -0.5
    found, clipped = clip(Value, mode, edge, [0.5])
    assert np.array_equal(found, edge)
    assert (clipped == 0.0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_value_says_when_a_single_element_was_clipped(mode: str, sign: float) -> None:
    for place in range(COUNT):
        gradient = np.zeros((COUNT, WIDTH) if mode == LANES else COUNT)
        gradient[place] = sign
        found, clipped = clip(Value, mode, gradient, [0.25])
        assert (clipped == 1.0).all()
        assert np.array_equal(found, 0.25 * gradient)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", components("clips"))
def test_nan_passes(name: str, mode: str) -> None:
    gradient = gradients(mode)
    gradient[3] = np.nan
    found, _ = clip(components("clips")[name], mode, gradient, [0.5])
    assert np.isnan(found[3]).all()
    if name == "value":
        others = np.arange(COUNT) != 3
        assert np.array_equal(found[others], np.clip(gradient, -0.5, 0.5)[others])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1.0, 1e200, 1e-200, 1e305, 1e-300, 2.0**501, 2.0**-501])
def test_norm_scales_the_whole_gradient(size: float, mode: str) -> None:
    gradient = gradients(mode) * size
    found, clipped = clip(Norm, mode, gradient, [0.5 * size])
    assert (clipped == 1.0).all()
    for before, after in zip(per_lane(gradient), per_lane(found), strict=True):
        length = exact_norm(before)
        np.testing.assert_allclose(after, before * (0.5 * size / length), rtol=1e-14)
        np.testing.assert_allclose(exact_norm(after), 0.5 * size, rtol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_norm_of_gradients_that_mix_huge_and_tiny(mode: str) -> None:
    gradient = gradients(mode)
    gradient[0], gradient[1] = 3e200, 4e200
    gradient[2:] *= 1e-200
    found, clipped = clip(Norm, mode, gradient, [1.0])
    np.testing.assert_allclose(found[0], 0.6, rtol=1e-15)
    np.testing.assert_allclose(found[1], 0.8, rtol=1e-15)
    assert (found[2:] == 0.0).all()  # 1e-200 / 5e200 is below the smallest number
    assert (clipped == 1.0).all()


@pytest.mark.parametrize("mode", MODES)
def test_norm_stands_between_below_and_above(mode: str) -> None:
    gradient = np.zeros((COUNT, WIDTH) if mode == LANES else COUNT)
    gradient[0], gradient[COUNT - 1] = 3.0, 4.0
    at, clipped = clip(Norm, mode, gradient, [5.0])
    assert at.tobytes() == gradient.tobytes()
    assert (clipped == 0.0).all()
    above, clipped = clip(Norm, mode, gradient, [np.nextafter(5.0, 0.0)])
    np.testing.assert_allclose(above, gradient, rtol=1e-15)
    assert (clipped == 1.0).all()


def test_lanes_are_clipped_each_by_its_own_norm_and_threshold() -> None:
    gradient = gradients(LANES) * np.logspace(-3, 3, WIDTH)
    norms = np.array([exact_norm(column) for column in gradient.T])
    thresholds = norms * np.where(np.arange(WIDTH) % 2 == 0, 0.5, 2.0)
    found, clipped = clip(Norm, LANES, gradient, thresholds[None])
    assert np.array_equal(clipped, (np.arange(WIDTH) % 2 == 0).astype(float))
    np.testing.assert_allclose(found, gradient * np.where(clipped == 1.0, 0.5, 1.0), rtol=1e-14)
    values, clipped = clip(Value, LANES, gradient, thresholds[None])
    assert np.array_equal(values, np.clip(gradient, -thresholds, thresholds))
    assert np.array_equal(clipped, (np.abs(gradient) > thresholds).any(axis=0).astype(float))


def test_one_run_counts_all_its_parameters() -> None:
    gradient = np.zeros(COUNT)
    gradient[[0, WIDTH, COUNT - 1]] = [2.0, 3.0, 6.0]  # in different vectors and at different places in them: norm 7
    found, _ = clip(Norm, UNITS, gradient, [3.5])
    np.testing.assert_allclose(found, gradient / 2, rtol=1e-15)


@pytest.mark.parametrize("batch_size", [1, 9])
def test_the_recorded_share_counts_the_updates_since_the_last_point(batch_size: int) -> None:
    def history(component: Any, log_points: int) -> Any:
        run = make_run(
            updates=21, log_points=log_points, batch_size=batch_size, clip=component, optimizer=Sgd(alpha=0.5)
        )
        return finished([run])[0].history

    norms = history(NoClip(), 21)["grad/norm"]
    assert (history(NoClip(), 21)["grad/clipped"] == 0.0).all()
    threshold = float(np.median(norms))
    every = history(Norm(threshold=threshold), 21)
    assert np.array_equal(every["grad/clipped"], (every["grad/norm"] > threshold).astype(float))
    some = history(Norm(threshold=threshold), 5)
    assert some["update"].tolist() == [1, 6, 11, 16, 21]
    shares = [every["grad/clipped"][start:stop].mean() for start, stop in ((0, 1), (1, 6), (6, 11), (11, 16), (16, 21))]
    np.testing.assert_allclose(some["grad/clipped"], shares, rtol=1e-15)
    assert 0.0 < np.mean(shares) < 1.0
    assert np.array_equal(some["grad/norm"], every["grad/norm"][[0, 5, 10, 15, 20]])  # measured before clipping
