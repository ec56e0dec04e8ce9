"""What a page loads from elsewhere: scripts, styles, fonts, images, frames. Links that a reader may follow are none."""

import re
from html.parser import HTMLParser

_LOADED = {"src", "srcset", "poster", "data"}
_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
_ELSEWHERE = ("http://", "https://", "//")


def find_foreign(text: str) -> list[str]:
    """The addresses from which a page, or a style sheet, loads something."""
    parser = _Loading()
    parser.feed(text)
    return [*parser.found, *_STYLE.findall(text)]


class _Loading(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name: value or "" for name, value in attrs}
        loaded = [value for name, value in names.items() if name in _LOADED]
        if tag == "link" and names.get("rel") != "canonical":
            loaded.append(names.get("href", ""))
        if tag in ("image", "use"):
            loaded += [names.get("href", ""), names.get("xlink:href", "")]
        self.found += [value for value in loaded if value.startswith(_ELSEWHERE)]
