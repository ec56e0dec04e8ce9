"""The blocks of a page that its readers take for commands, code, files or output, and what the test is told of them.

    ```bash                    commands, in order; `make X`, `pip install` of an extra and `.venv/bin/X` are looked up
    ```python                  code; the blocks of a page share one namespace
    ```yaml title="a/b.yaml"   a file, of any language, that is written before the page goes on
    ```console                 commands behind `$ `, with their exact output below, where … stands for anything
    ```text                    an illustration

Directives stand in a comment on the lines above a block: `<!-- test: with train.updates=20 -->` adds overrides to each
`bptt train` and `bptt plan` of it, `replace HOST 127.0.0.1` one text for another, `background` starts a server and
stops it at the page's end, `where ray` runs the block where that module is installed.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_DIRECTIVE = re.compile(r"^ *<!-- test: (?P<says>.+?) -->$")
_CONTAINER = re.compile(r"^ *([-*+] |\d+\. |!!! |\?\?\?\+? |=== |\[\^|:   )")
_RUN = ("bash", "python", "console")
_FORMS = {"with": (1, None), "replace": (2, 2), "background": (0, 0), "where": (1, 1)}


class PageError(Exception):
    """A page breaks the convention, or does not do what it says; the message begins with the page and the line."""


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is that of its first line of content, `title` the file that it is."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    directives: tuple[tuple[str, ...], ...]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def all(self, name: str) -> list[tuple[str, ...]]:
        """The arguments of every directive of this name."""
        return [arguments for found, *arguments in self.directives if found == name]  # type: ignore[misc]


def blocks_of(path: Path, name: str) -> list[Block]:
    """The blocks of a page in their order. Raises PageError where something could escape being tested."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    directives: list[tuple[str, ...]] = []
    number, within = 0, False  # within: in a list item or an admonition, whose text is indented
    while number < len(lines):
        line = lines[number]
        number += 1
        if fence := _FENCE.match(line):
            end = _end(lines, number, fence, f"{name}:{number}")
            text = "\n".join(inner.removeprefix(fence["indent"]) for inner in lines[number:end])
            found.append(_block(name, number + 1, fence["info"].strip(), text, tuple(directives)))
            number, directives = end + 1, []
        elif directive := _DIRECTIVE.match(line):
            directives.append(_directive(directive["says"], f"{name}:{number}"))
        elif directives and line.strip():
            raise PageError(f"{name}:{number}: a directive stands above no block")
        elif _CONTAINER.match(line):
            within = True
        elif line.startswith(("    ", "\t")) and not within and not lines[number - 2].strip():
            raise PageError(f"{name}:{number}: an indented block; a fence says what it is")
        elif line and not line.startswith(" "):
            within = False
    if directives:
        raise PageError(f"{name}:{number}: a directive stands above no block")
    return found


def _end(lines: list[str], start: int, fence: re.Match[str], place: str) -> int:
    for number in range(start, len(lines)):
        if lines[number].strip() == fence["fence"]:
            return number
    raise PageError(f"{place}: a block without an end")


def _block(page: str, line: int, info: str, text: str, directives: tuple[tuple[str, ...], ...]) -> Block:
    language = info.split()[0] if info else ""
    title = _TITLE.search(info)
    block = Block(page, line, language, title[1] if title else None, text, directives)
    if not language or (title is None and language not in (*_RUN, "text")):
        raise PageError(f"{block.place}: a block of {language or 'no language'} without a title can't be tested")
    if title is not None and (Path(title[1]).is_absolute() or ".." in Path(title[1]).parts):
        raise PageError(f"{block.place}: {title[1]} lies outside the page's folder")
    if language not in _RUN and title is None and directives:
        raise PageError(f"{block.place}: a directive stands above an illustration")
    return block


def _directive(says: str, place: str) -> tuple[str, ...]:
    name, *arguments = shlex.split(says)
    least, most = _FORMS.get(name, (1, 0))
    if len(arguments) < least or (most is not None and len(arguments) > most):
        raise PageError(f"{place}: no such directive: {says} (there are {', '.join(_FORMS)})")
    return (name, *arguments)
