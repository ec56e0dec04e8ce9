"""What is left to the slow tests holds no pair of values that the others don't, and what is left out no three."""

import itertools

import pytest

from tests.core.pairs import every_pair

AXES = [
    ("abcde", "xyz", (0, 1)),
    ("abc", "xyz", (0, 1)),
    ("ab", "xy"),
    ("abc", "xy", "12", "34"),
    ("abcd", *["xyz"] * 3),
]


def held(variants: list[tuple[object, ...]], places: tuple[int, ...]) -> set[tuple[object, ...]]:
    return {tuple(values[place] for place in places) for values in variants}


@pytest.mark.parametrize("axes", AXES)
def test_pairs_are_in_variants_that_are_not_slow_and_threes_in_all(axes: tuple[object, ...]) -> None:
    product = list(itertools.product(*axes))  # type: ignore[call-overload]
    variants = every_pair(*axes)  # type: ignore[arg-type]
    whole, quick = [one.values for one in variants], [one.values for one in variants if not one.marks]
    assert whole == [values for values in product if values in whole]
    for together, found in ((2, quick), (3, whole)):
        for places in itertools.combinations(range(len(axes)), together):
            assert held(found, places) == held(product, places)
    sizes = sorted(map(len, axes), reverse=True)  # type: ignore[arg-type]
    assert len(quick) <= sizes[0] * sizes[1] + 1
    assert len(whole) == len(product) if len(axes) < 4 else len(whole) <= 0.75 * len(product)
