"""Figures of their size and format, with nothing in them: of many commands, drawing is half of what they do.

Tests that look at figures have them drawn, with a fixture `blank_figures` of their own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Where this variable is set, forked commands leave figures blank too.
_BLANK = "PYTEST_BLANK_FIGURES"


def blank_where_asked() -> None:
    """Leave figures blank from now on, in a process that was forked for a test which looks at none."""
    from bptt.analysis import figures

    if _BLANK in os.environ:
        figures.save_figure = _save_blank


@contextmanager
def blank() -> Iterator[None]:
    """Within it figures are left blank, here and in commands that are forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_BLANK, "1")
        patch.setattr("bptt.analysis.figures.save_figure", _save_blank)
        yield


def _save_blank(
    figure: "Figure", to: "Path | str | IO[bytes]", format: Literal["png", "svg", "pdf"], dpi: int = 200
) -> None:
    """In the place of `save_figure`, from which it takes but the size."""
    width, height = figure.get_size_inches()
    content = _make_blank(float(width), float(height), format, dpi)
    if isinstance(to, Path | str):
        Path(to).write_bytes(content)
    else:
        to.write(content)


@cache
def _make_blank(width: float, height: float, format: Literal["png", "svg", "pdf"], dpi: int) -> bytes:
    from matplotlib.figure import Figure

    from bptt.analysis.style import save_figure

    written = BytesIO()
    save_figure(Figure((width, height)), written, format, dpi)
    return written.getvalue()
