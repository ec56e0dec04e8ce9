r"""Text as each format shows it, whatever it holds: what a format would take for its own is escaped.

HTML is escaped by Jinja's autoescape. Line breaks become spaces, since a value with one would break a row.
"""

import re
from typing import Final

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]#!|~$])")
_LIST_ITEM: Final = re.compile(r"^(\s*)(?:([-+=])|(\d{1,9})([.)]))(?=[\s=-]|$)")  # or a line below a heading
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "∞": r"$\infty$",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "‖": r"$\|$",
    "∂": r"$\partial$",
    "²": r"\textsuperscript{2}",
    "½": r"\textonehalf{}",
    "·": r"$\cdot$",
}
_LETTERS: Final = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "η": "eta", "θ": "theta", "λ": "lambda",
    "μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "ω": "omega", "Δ": "Delta",
}  # fmt: skip
_POWER: Final = re.compile(r"·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_PLAIN_DIGITS: Final = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
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
    """Text that LaTeX sets as it is. Letters beyond ASCII that have no command here stay, as UTF-8."""
    parts = _POWER.split(join_lines(text))
    # Between the texts stand the exponents.
    return "".join(
        rf"$\cdot10^{{{part.translate(_PLAIN_DIGITS)}}}$" if place % 2 else _escape_ascii(part)
        for place, part in enumerate(parts)
    )


def _escape_ascii(text: str) -> str:
    # Two hyphens would be one long dash.
    return re.sub("-(?=-)", "-{}", "".join(map(_escape_letter, text)))


def _escape_letter(letter: str) -> str:
    return rf"$\{_LETTERS[letter]}$" if letter in _LETTERS else _LATEX.get(letter, letter)
