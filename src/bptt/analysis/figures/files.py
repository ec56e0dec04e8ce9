"""Figures as files: the same bytes each time they are made of the same data."""

import re
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from bptt.analysis.style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Text stays text in an SVG: smaller, and it can be searched and read aloud. The salt makes its ids the same each time.
_SETTINGS: Final[Any] = {"svg.hashsalt": "bptt", "svg.fonttype": "none", "pdf.fonttype": 42}
_UNDATED: Final[Any] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def save_figure(
    figure: "Figure", to: "Path | str | IO[bytes]", format: Literal["png", "svg", "pdf"], dpi: int = 200
) -> None:
    """Write a figure to a path or into a buffer, without a date or a version, so that equal figures are equal files.

    dpi  of PNG, and of what is dense in SVG and PDF
    """
    import matplotlib as mpl

    # Ticks are made when they are first drawn, with the settings of that moment.
    with mpl.rc_context({**STYLE, **_SETTINGS}):
        layout = figure.get_layout_engine()
        if layout is not None:
            # Once for all formats: they look the same, and it takes as long as drawing.
            layout.execute(figure)
            figure.set_layout_engine("none")
        content = BytesIO()
        figure.savefig(content, format=format, dpi=dpi, metadata=_UNDATED[format])
    written = _shorten(content.getvalue()) if format == "svg" else content.getvalue()
    if isinstance(to, Path | str):
        Path(to).write_bytes(written)
    else:
        to.write(written)


def _shorten(svg: bytes) -> bytes:
    """The same with paths to a hundredth of a point, instead of a millionth: a third less."""
    return re.sub(
        rb' d="[^"]*"',
        lambda path: re.sub(rb"\d+\.\d{3,}", lambda number: b"%.2f" % float(number[0]), path[0]).replace(b"\n", b""),
        svg,
    )
