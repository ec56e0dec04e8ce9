"""What all figures share: sizes, colours, axes with few, readable ticks, and files of the same bytes each time.

Every figure is one column of a paper wide (3.4 inches), with text of at least 7 points, and is told apart without
colour vision: line styles or markers differ beside the colours, and colour maps grow steadily in lightness.
"""

import re
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.printable import make_lines_printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLUMN: Final = 3.4
#: Okabe and Ito's palette in seaborn's "colorblind" variant, whose import would take longer than drawing.
BLUE: Final = "#0173b2"
ORANGE: Final = "#de8f05"
GREEN: Final = "#029e73"
VERMILION: Final = "#d55e00"
PURPLE: Final = "#cc78bc"
BROWN: Final = "#ca9161"
GREY: Final = "#949494"
BASELINE: Final = "baseline"  # the label of its line
PALETTE: Final = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, BROWN, "#56b4e9", "#000000")

STYLE: Final[Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    "figure.dpi": 200,
}

#: Text stays text in an SVG: smaller, and it can be searched and read aloud. The salt makes its ids the same each time.
_SAVED: Final[Any] = {"svg.hashsalt": "bptt", "svg.fonttype": "none", "pdf.fonttype": 42}
_UNDATED: Final[Any] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def write_power(value: float) -> str:
    """A tick's number: 0.01 to 1,000 in full, others with a power of ten (5·10⁻⁴); empty beyond all numbers."""
    if not np.isfinite(value):
        return ""
    if value == 0 or 0.01 <= abs(value) < 9999:
        return f"{value:,.6g}"
    digits, _, exponent = f"{value:.3e}".partition("e")
    # Matplotlib's own powers go through its mathematics parser, whose import takes as long as the rest of a figure.
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    factor = f"{float(digits):g}"
    return f"10{raised}" if factor == "1" else f"{factor}·10{raised}"


def clip_drawable(values: "NDArray[Any]") -> "NDArray[Any]":
    """The values without the outermost powers of ten, where Matplotlib's logarithmic axes overflow."""
    ordinary = np.isfinite(values) & (values > 0)
    return np.where(ordinary, np.clip(values, 1e-200, 1e200), values)


def set_logarithmic(axes: "Axes", values: "NDArray[Any]") -> None:
    """Make the y axis logarithmic, for these values; those that are not finite count for nothing."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    low, high = float(positive.min()), float(positive.max())
    if np.any(values == 0):
        # An exact zero has no place on a logarithmic axis, so a linear piece stands below the smallest loss.
        axes.set_yscale("symlog", linthresh=low)
    else:
        axes.set_yscale("log")
        if high < 3 * low:
            axes.set_ylim(low / 4, high * 4)
    set_logarithmic_ticks(axes.yaxis, low, high)


def set_logarithmic_ticks(axis: "Axis", low: float, high: float, close: bool = False) -> None:
    """Ticks of a logarithmic axis from low to high, each with its number; close: more of them than 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axis.get_scale() != "symlog":
        narrow = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0) if close else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=narrow if high < 30 * low else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write_power(value)))
    axis.set_minor_formatter(NullFormatter())


def are_logarithmic(updates: "NDArray[Any]") -> bool:
    """Whether updates, in their order, lie ever further apart."""
    steps = np.diff(updates)
    return len(steps) > 2 and bool(steps[-1] > 10 * steps[0])


def set_update_axis(
    axes: "Axes", updates: "NDArray[Any]", ticks: int = 5, logarithmic: bool | None = None, whole: bool = True
) -> None:
    """Make the x axis one of these updates, or of what they cost.

    logarithmic  None: where they are spaced so
    whole        whether ticks stand at whole numbers alone
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if len(updates) == 1:
        axes.set_xticks(updates, [f"{updates[0]:,}"])
        return
    if are_logarithmic(updates) if logarithmic is None else logarithmic:
        axes.set_xscale("log")
        set_logarithmic_ticks(axes.xaxis, float(updates[0]), float(updates[-1]))
        return
    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if whole else f"{value:,.4g}"))


def write_message(axes: "Axes", text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#555555")
    axes.set_axis_off()


def find_edges(centres: "NDArray[Any]") -> "NDArray[Any]":
    """The borders between cells around these centres; a single one is 1 wide."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[centres[0] - (middle[0] - centres[0])], middle, [centres[-1] + (centres[-1] - middle[-1])]])


def save_figure(
    figure: "Figure", to: "Path | str | IO[bytes]", format: Literal["png", "svg", "pdf"], dpi: int = 200
) -> None:
    """Write a figure to a path or into a buffer, without a date or a version, so that equal figures are equal files.

    dpi  of PNG, and of what is dense in SVG and PDF
    """
    import matplotlib as mpl

    # Ticks are made when they are first drawn, with the settings of that moment.
    # A tick that is beyond all numbers isn't shown.
    quiet = np.errstate(over="ignore", invalid="ignore")
    with mpl.rc_context({**STYLE, **_SAVED}), quiet, warnings.catch_warnings():
        # A name may have any letter; an SVG keeps it as text, which a browser has a font for.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from font")
        layout = figure.get_layout_engine()
        if layout is not None:
            # Once for all formats: they look the same, and it takes as long as drawing.
            layout.execute(figure)
            figure.set_layout_engine("none")
        content = BytesIO()
        _print(figure, content, format, dpi)
    written = content.getvalue()
    if format == "svg":  # XML has no control characters
        written = make_lines_printable(_shorten(written).decode()).encode()
    if isinstance(to, Path | str):
        Path(to).write_bytes(written)
    else:
        to.write(written)


def _print(figure: "Figure", to: BytesIO, format: Literal["png", "svg", "pdf"], dpi: int) -> None:
    """What `Figure.savefig` does, which would draw all once more before, for a layout that is there already."""
    from matplotlib.backend_bases import get_registered_canvas_class

    canvas, before = get_registered_canvas_class(format)(figure), figure.dpi
    figure.dpi = dpi
    try:
        getattr(canvas, f"print_{format}")(to, metadata=_UNDATED[format])
    finally:
        figure.dpi = before


def _shorten(svg: bytes) -> bytes:
    """The same with paths to a hundredth of a point, instead of a millionth: a third less."""
    return re.sub(
        rb' d="[^"]*"',
        lambda path: re.sub(rb"\d+\.\d{3,}", lambda number: b"%.2f" % float(number[0]), path[0]).replace(b"\n", b""),
        svg,
    )
