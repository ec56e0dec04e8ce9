"""Variants of a test: those that have every pair of values together, and all others for `make test-slow`."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest


def every_pair(*axes: Iterable[Any]) -> list[Any]:
    """The product of these values as parameters; slow where others have its pairs.

    Of three axes or more few variants have all pairs; what goes wrong with three certain values alone is left to the
    others.
    """
    variants = list(itertools.product(*axes))
    chosen, missing = set[int](), {pair for variant in variants for pair in _pairs(variant)}
    while missing:
        best = max(range(len(variants)), key=lambda number: len(missing & _pairs(variants[number])))
        chosen.add(best)
        missing -= _pairs(variants[best])
    return [
        pytest.param(*variant, marks=() if number in chosen else pytest.mark.slow)
        for number, variant in enumerate(variants)
    ]


def _pairs(variant: tuple[Any, ...]) -> set[Any]:
    return set(itertools.combinations(enumerate(variant), 2))
