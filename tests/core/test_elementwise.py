"""Functions of arrays: accuracy against many digits over the whole range, special values, and no bit from a place."""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from bptt.core.elementwise import (
    LARGEST_ANGLE,
    add_up,
    compute_exp,
    compute_log,
    compute_sine,
    normal_quantile,
)
from bptt.core.sequences import Floats
from tests.core.test_simd import over_vectors

compute_normal_quantile = over_vectors(normal_quantile)

RNG = np.random.default_rng(5)
COUNT = 1500


def find_worst(found: Floats, x: Floats, exact: Callable[[Any], Any]) -> float:
    """The largest error in units of the exact result's last place."""
    worst = 0.0
    with mpmath.workprec(220):
        for given, value in zip(x.tolist(), found.tolist(), strict=True):
            wanted = exact(mpmath.mpf(given))
            worst = max(
                worst, float(abs(mpmath.mpf(value) - wanted) / mpmath.mpf(float(np.spacing(abs(float(wanted))))))
            )
    return worst


def powers(low: float, high: float) -> Floats:
    return 10.0 ** RNG.uniform(low, high, COUNT)


def quantile(p: Any) -> Any:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


NEAR_ONE = 1.0 + RNG.uniform(-0.5, 0.5, COUNT) * powers(-15, 0)
ANGLES = np.concatenate(
    [RNG.uniform(-7, 7, COUNT), RNG.uniform(-(2.0**30), 2.0**30, COUNT), powers(-300, 9), np.arange(1, 999) * np.pi / 2]
)
SHARES = np.concatenate([RNG.random(COUNT), powers(-15.9, -1), 1 - powers(-15.9, -1)])


@pytest.mark.parametrize(
    ("compute", "x", "exact", "ulps"),
    [
        (compute_exp, RNG.uniform(-708, 709, COUNT), mpmath.exp, 1.1),
        (compute_log, np.concatenate([powers(-323, 308), NEAR_ONE]), mpmath.log, 1.0),
        (compute_sine, ANGLES, mpmath.sin, 1.0),
        # To any precision it takes a millisecond each.
        (compute_normal_quantile, SHARES[(SHARES > 0) & (SHARES < 1)][::4], quantile, 4.0),
    ],
    ids=["exp", "log", "sine", "normal quantile"],
)
def test_errors_are_below_what_is_said(compute: Any, x: Floats, exact: Any, ulps: float) -> None:
    worst = find_worst(compute(x), x, exact)
    assert 0.4 < worst <= ulps  # less than 0.4 would be better than correctly rounded


def test_special_values() -> None:
    assert compute_log(np.array([0.0, np.inf, 1.0, 2.0**-1074])).tolist() == [-np.inf, np.inf, 0.0, -744.4400719213812]
    assert np.isnan(compute_log(np.array([-1.0, -np.inf, np.nan]))).all()
    zeros = compute_sine(np.array([0.0, -0.0]))
    assert zeros.tolist() == [0.0, 0.0]
    assert np.signbit(zeros).tolist() == [False, True]
    assert np.isnan(compute_sine(np.array([np.nan, np.inf, -np.inf]))).all()
    assert compute_exp(np.array([-np.inf, 0.0, np.inf])).tolist() == [0.0, 1.0, np.inf]
    assert compute_normal_quantile(np.array([0.5])).tolist() == [0.0]


def test_an_angle_that_is_too_large_is_refused() -> None:
    assert compute_sine(np.array([LARGEST_ANGLE])).shape == (1,)
    with pytest.raises(ValueError, match=r"more than 1\.07374e\+09"):
        compute_sine(np.array([1.0, -1.1 * LARGEST_ANGLE]))


@pytest.mark.parametrize("compute", [compute_exp, compute_log, compute_sine])
def test_shape_and_place_change_no_bit(compute: Any) -> None:
    x = RNG.uniform(0.01, 0.99, (3, 7, 5))
    found = compute(x)
    assert found.shape == x.shape
    assert np.array_equal(compute(np.ascontiguousarray(x.T)).T, found)
    assert [compute(np.array([number]))[0] for number in x.ravel()[:20]] == found.ravel()[:20].tolist()
    assert compute(np.empty((0, 3))).shape == (0, 3)


def test_sums_run_from_the_first_number_to_the_last() -> None:
    numbers = RNG.standard_normal((4, 1000)) * 10.0 ** RNG.integers(-8, 8, (4, 1000))
    expected = []
    for row in numbers.tolist():
        total = 0.0
        for number in row:
            total += number
        expected.append(total)
    assert add_up(numbers).tolist() == expected
    assert add_up(np.asfortranarray(numbers)).tolist() == expected
