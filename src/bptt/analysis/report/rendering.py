"""A report's pages: HTML in one file, and Markdown.

A table's values as they are written, in LaTeX too: numbers to three or four digits, shares in percent, intervals behind
them.
"""

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from bptt import __version__
from bptt.analysis.report.document import Column, Figures, Report, ShownTable
from bptt.printable import make_lines_printable

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment, Template
    from pylatexenc.latexencode import UnicodeToLatexEncoder

    from bptt.analysis.figures import SweepFigure

_DIGITS: Final = 3


_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


#: What a missing value is written as.
MISSING: Final = "–"


@dataclass(frozen=True)
class Number:
    """A number as it is written, and as it is: `value` is what the table's CSV file holds."""

    text: str
    value: str


@dataclass(frozen=True)
class TableCell:
    """A value, with the count that it is a part of and its interval where it has them; mono: a program's word."""

    shown: str | Number
    mono: bool = False
    of: Number | None = None
    low: str | Number | None = None
    high: str | Number | None = None


def write_rows(table: ShownTable) -> list[list[TableCell]]:
    """What a reader sees of a table, row by row."""
    return [
        [_write_cell(row, column) for column in table.columns] for row in _list_records(table.frame.head(table.most))
    ]


def write_number(value: float) -> str:
    """A number to three digits: `0.0404`, `1,250`, `3.5·10⁻⁴`, `∞`."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{_DIGITS}g}")
    if 1e-3 <= abs(rounded) < 1e6:
        if abs(rounded) >= 100:
            return f"{value:,.0f}".replace("-", "−")
        return f"{value:#.{_DIGITS}g}".rstrip(".").replace("-", "−")
    digits, _, exponent = f"{value:.{_DIGITS - 1}e}".partition("e")
    return f"{digits.replace('-', '−')}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def write_share(value: float) -> str:
    """A share in percent: `67 %`; to a tenth near none and all, so that 0 % and 100 % are what they say."""
    if math.isnan(value):
        return MISSING
    percent = 100 * value
    near = 0 < percent < 1 or 99 < percent < 100
    return (f"{percent:.1f} %" if near else f"{percent:.0f} %").replace("-", "−")


def _write_cell(row: Mapping[str, Any], column: Column) -> TableCell:
    shown = _write_value(row[column.key], column.form)
    after = MISSING if column.after is None else _write_value(row[column.after], column.form)
    if isinstance(shown, Number) and isinstance(after, Number) and after.text != shown.text:
        shown = Number(f"{after.text}–{shown.text}", shown.value)
    of = None if column.of is None or _is_missing(row[column.of]) else _make_number(row[column.of], "count")
    mono = column.mono and shown not in ("", MISSING)
    if column.low is None or column.high is None or not isinstance(shown, Number):
        return TableCell(shown, mono, of)
    low, high = (_write_value(row[end], column.form) for end in (column.low, column.high))
    if not (isinstance(low, Number) or isinstance(high, Number)):
        return TableCell(shown, mono, of)
    return TableCell(shown, mono, of, low, high)


def _write_value(value: Any, form: str) -> str | Number:
    if _is_missing(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if form == "text" or isinstance(value, str) else _make_number(value, form)


def _make_number(value: Any, form: str) -> Number:
    exact = value if isinstance(value, int) else float(value)
    if form == "share":
        text = write_share(exact)
    elif form == "exact":
        text = str(exact) if isinstance(exact, int) else f"{exact:.6g}"
    else:
        text = f"{exact:,.0f}" if form == "count" and math.isfinite(exact) else write_number(exact)
    return Number(text, repr(exact))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _list_records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    import pandas as pd

    plain = frame.astype(object).where(frame.notna(), None)
    assert isinstance(plain, pd.DataFrame)
    return [
        {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
        for row in plain.to_dict("records")
    ]


# Nothing is loaded, run or sent; the page's own style is known by its digest.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"

_PIXELS: Final = 96  # to an inch, of CSS


_LONG: Final = 32  # characters of a text that may be broken


def render_pages(report: Report, images: Mapping[str, bytes], linked: str) -> dict[str, bytes]:
    """report.html and report.md.

    images  each figure's name → SVG, which report.html holds
    linked  the format of the files in figures/ that report.md shows
    """
    numbers = {id(item): place for kind in (report.tables, report.figures) for place, item in enumerate(kind, 1)}
    sections = [
        {
            "id": section.id,
            "title": section.title,
            "elements": [_view(element, numbers, images) for element in section.elements],
        }
        for section in report.sections
    ]
    css = _make_environment().get_template("report.css").render()
    policy = _POLICY.format(b64encode(sha256(css.encode()).digest()).decode())
    whole = {"title": report.title, "facts": report.facts, "sections": sections}
    values = {"report": whole, "version": __version__, "linked": linked, "css": css, "policy": policy}
    pages = {f"report.{ending}": load_template(f"report.{ending}.j2").render(values) for ending in ("html", "md")}
    return {name: make_lines_printable(page).encode() for name, page in pages.items()}


def _view(element: Any, numbers: Mapping[int, int], images: Mapping[str, bytes]) -> Any:
    """An element with all that a template needs of it."""
    if isinstance(element, ShownTable):
        return _view_table(element, numbers[id(element)])
    if isinstance(element, Figures):
        return {
            "kind": "figures",
            "figures": [_view_figure(drawn, numbers[id(drawn)], images[drawn.name]) for drawn in element.drawn],
        }
    return element


def _view_table(table: ShownTable, number: int) -> dict[str, Any]:
    columns = [_view_column(table, column) for column in table.columns]
    shown = [list(zip(columns, row, strict=True)) for row in write_rows(table)]
    kinds = ["csv", "tex"] if table.latex else ["csv"]
    return {
        "kind": "table",
        "number": number,
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "columns": columns,
        "rows": shown,
        "left": len(table.frame) - len(shown),
        "folded": table.folded,
        "files": [f"tables/{table.name}.{kind}" for kind in kinds],
    }


def _view_column(table: ShownTable, column: Column) -> dict[str, Any]:
    longest = max((len(str(value)) for value in table.frame[column.key].head(table.most)), default=0)
    css = "n" if column.numeric else "t" if longest > _LONG else "s"
    return {"heading": column.heading, "numeric": column.numeric, "css": css}


def _view_figure(drawn: "SweepFigure", number: int, image: bytes) -> dict[str, Any]:
    width, height = (round(_PIXELS * inches) for inches in drawn.figure.get_size_inches())
    return {
        "number": number,
        "name": drawn.name,
        "title": drawn.title,
        "caption": drawn.caption,
        "alt": drawn.alt,
        "image": b64encode(image).decode(),
        "width": width,
        "height": height,
    }


def load_template(name: str) -> "Template":
    """A template of this package."""
    return _make_environment().get_template(name)


@cache
def _make_environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("bptt.analysis.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "line": join_lines,
        "md": escape_markdown,
        "code": escape_markdown_code,
        "fence": choose_fence,
    }
    return found


_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]#!|~$])")
_LIST_ITEM: Final = re.compile(r"^(\s*)(?:([-+=])|(\d{1,9})([.)]))(?=[\s=-]|$)")  # or a line below a heading
#: What pdfLaTeX takes for its own, or sets as something else: `--` is one dash, and a row's first [ or * an option.
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\u2011": "-{}",
} | {letter: f"\\{letter}" for letter in "{}$&#%_"}
#: Letters, Greek, punctuation, arrows and operators: those that LaTeX has, with T1 fonts and amssymb.
_KNOWN: Final = re.compile("[\u00a0-\u017f\u0370-\u03ff\u2000-\u22ff]")
#: Those of them whose command in the library's table is of another package, or of none.
_UNDEFINED: Final = "ŉΐϒℋℐℒℛℬℰℱℳ⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↜↝⇅⇵∟∬∭∯∰∱∻∾≆≋≌≙≛≸≹⊧⊨⊫⊶⊷⊹⊾⋘⋙⋨⋰"
_SUPERSCRIPTS: Final = "⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹"
_SUBSCRIPTS: Final = "₋₊₀₁₂₃₄₅₆₇₈₉"
_PLAIN_DIGITS: Final = str.maketrans(_SUPERSCRIPTS + _SUBSCRIPTS, 2 * "-+0123456789")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


def join_lines(text: str) -> str:
    """The text on one line, without control characters."""
    return _CONTROL.sub(" ", text)


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    escaped = _MARKDOWN.sub(r"\\\1", join_lines(text))
    escaped = _LIST_ITEM.sub(lambda found: f"{found[1]}{found[3] or ''}\\{found[2] or found[4]}", escaped)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Or an address would become a link.
    return escaped.replace("://", "&#58;//").replace("www.", "www&#46;")


def escape_markdown_code(text: str) -> str:
    """A span of code, which HTML's own element holds: its text may have backticks and bars."""
    return (
        f"<code>{escape_markdown(text)}</code>"
        if re.search(r"[`|\\]", text) or not text.strip()
        else f"`{join_lines(text)}`"
    )


def choose_fence(text: str) -> str:
    """The fence of a listing: longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def escape_latex(text: str) -> str:
    """Text that pdfLaTeX sets as it is, in ASCII alone; a character that its fonts lack is named: ⟨U+65E5⟩."""
    return str(_make_latex_encoder().unicode_to_latex(join_lines(text)))


@cache
def _make_latex_encoder() -> "UnicodeToLatexEncoder":
    from pylatexenc.latexencode import (
        RULE_DICT,
        RULE_REGEX,
        UnicodeToLatexConversionRule,
        UnicodeToLatexEncoder,
        get_builtin_uni2latex_dict,
    )

    table = {
        code: command
        for code, command in get_builtin_uni2latex_dict().items()
        if _KNOWN.fullmatch(chr(code)) and chr(code) not in _UNDEFINED
    }
    runs = [
        (re.compile(f"·10([{_SUPERSCRIPTS}]+)"), partial(_raise_digits, r"$\cdot10^{{{}}}$")),
        (re.compile(f"([{_SUPERSCRIPTS}]+)"), partial(_raise_digits, r"\textsuperscript{{{}}}")),
        (re.compile(f"([{_SUBSCRIPTS}]+)"), partial(_raise_digits, r"\textsubscript{{{}}}")),
        (re.compile("[-,](?=[-,])"), r"\g<0>{}"),  # two are a ligature
    ]
    return UnicodeToLatexEncoder(
        conversion_rules=[
            UnicodeToLatexConversionRule(RULE_REGEX, runs),
            UnicodeToLatexConversionRule(RULE_DICT, {ord(letter): command for letter, command in _LATEX.items()}),
            UnicodeToLatexConversionRule(RULE_DICT, table),
        ],
        replacement_latex_protection="braces-after-macro",
        unknown_char_policy="unihex",
        unknown_char_warning=False,
    )


def _raise_digits(form: str, found: "re.Match[str]") -> str:
    return form.format(found[1].translate(_PLAIN_DIGITS))
