"""Figures and reports, as they are drawn."""

from collections.abc import Iterator

import pytest

from tests import drawing


@pytest.fixture(scope="module", autouse=True)
def blank_figures() -> None:
    """None: all are drawn."""


@pytest.fixture
def blank() -> Iterator[None]:
    """For what does not depend on what a figure shows."""
    with drawing.blank():
        yield
