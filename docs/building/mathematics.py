"""TeX in a page, as pymdownx.arithmatex marks it, becomes MathML, which browsers show without any program."""

import re
from html import unescape

from latex2mathml.converter import convert

_MARKED = re.compile(
    r"<(?P<tag>span|div) class=\"arithmatex\">(?:\\\((?P<inline>.+?)\\\)|\\\[(?P<block>.+?)\\\])</(?P=tag)>", re.DOTALL
)


def render(html: str) -> str:
    """The page with every formula as MathML."""
    return _MARKED.sub(_render_formula, html)


def _render_formula(found: re.Match[str]) -> str:
    block = found["block"] is not None
    tex = unescape(found["block"] if block else found["inline"]).strip()
    made = convert(tex, display="block" if block else "inline")
    return f'<div class="formula">{made}</div>' if block else made
