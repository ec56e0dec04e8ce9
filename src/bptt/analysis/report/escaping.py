r"""Text as each format shows it, whatever it holds: what a format would take for its own is escaped.

HTML is escaped by Jinja's autoescape. Line breaks become spaces, since a value with one would break a row. LaTeX's
commands for what is no ASCII are those of pylatexenc.
"""

import re
from functools import cache, partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

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
