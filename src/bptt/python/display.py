"""What a notebook shows of a run, a sweep and a figure."""

import html
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from bptt.printable import make_printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_DPI = 160


def write_html_table(title: str, rows: Mapping[str, str], links: Mapping[str, str] | None = None) -> str:
    """A table of two columns below a title; what is in it stays text.

    links  rows whose text leads somewhere → where, a page of http
    """
    found = links or {}

    def write(key: str, text: str) -> str:
        shown = html.escape(make_printable(text))
        return f'<a href="{html.escape(found[key])}" target="_blank">{shown}</a>' if key in found else shown

    cells = "".join(
        f'<tr><th style="text-align: left">{html.escape(make_printable(key))}</th>'
        f'<td style="text-align: left">{write(key, text)}</td></tr>'
        for key, text in rows.items()
        if text
    )
    return f"<div><b>{html.escape(make_printable(title))}</b><table>{cells}</table></div>"


def make_shown(figure: "Figure") -> "Figure":
    """The same figure, which a notebook shows whether or not it has asked for Matplotlib's inline figures."""

    def draw() -> bytes:
        from bptt.analysis.figures import save_figure

        content = BytesIO()
        save_figure(figure, content, "png", dpi=_SHOWN_DPI)
        return content.getvalue()

    figure._repr_png_ = draw  # type: ignore[attr-defined]
    return figure
