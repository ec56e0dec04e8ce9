"""What is left to the slow tests holds no pair of values that the others don't."""

import itertools

import pytest

from tests.core.pairs import every_pair


@pytest.mark.parametrize(
    "axes", [("abcde", "xyz", (0, 1)), ("abc", "xyz", (0, 1)), ("ab", "xy"), ("abc", "xy", "12", "34")]
)
def test_every_pair_is_in_a_variant_that_is_not_slow(axes: tuple[object, ...]) -> None:
    variants = every_pair(*axes)  # type: ignore[arg-type]
    assert [variant.values for variant in variants] == list(itertools.product(*axes))  # type: ignore[call-overload]
    quick = [variant.values for variant in variants if not variant.marks]
    for first, second in itertools.combinations(range(len(axes)), 2):
        held = {(values[first], values[second]) for values in quick}
        assert held == set(itertools.product(axes[first], axes[second]))  # type: ignore[call-overload]
    largest = sorted(map(len, axes), reverse=True)[:2]  # type: ignore[arg-type]
    assert len(quick) <= largest[0] * largest[1] + 1
