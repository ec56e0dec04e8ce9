"""Variants of a test: those that have every pair of values together, and for `make test-slow` every three."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest


def every_pair(*axes: Iterable[Any]) -> list[Any]:
    """Of the product of these values few that have all pairs, and slow ones that with them have every three values.

    What goes wrong with four certain values alone is found by neither.
    """
    variants = list(itertools.product(*axes))
    pairs = _cover(variants, 2, [])
    return [
        pytest.param(*variants[number], marks=() if number in pairs else pytest.mark.slow)
        for number in _cover(variants, min(3, len(variants[0])), pairs)
    ]


def _cover(variants: list[tuple[Any, ...]], together: int, chosen: list[int]) -> list[int]:
    """Numbers of variants, those that are chosen among them, that have all of so many values; in their order."""
    missing = {values for variant in variants for values in _parts(variant, together)}
    found = {*chosen}
    for number in chosen:
        missing -= _parts(variants[number], together)
    while missing:
        best = max(range(len(variants)), key=lambda number: len(missing & _parts(variants[number], together)))
        found.add(best)
        missing -= _parts(variants[best], together)
    return sorted(found)


def _parts(variant: tuple[Any, ...], together: int) -> set[Any]:
    return set(itertools.combinations(enumerate(variant), together))
