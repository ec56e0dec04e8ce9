"""A report's page as a reader's browser takes it."""

import base64
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input", "base", "source"}


@dataclass
class ShownTable:
    """A table: the values behind the numbers of each row, and all of its cells' text."""

    name: str
    values: list[list[str]] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)


class Page(HTMLParser):
    """All tags with their attributes, the text, the tables; raises where tags don't nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.style = ""
        self.tables: dict[str, ShownTable] = {}
        self.listings: list[str] = []
        self._open: list[str] = []
        self._table: ShownTable | None = None
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs), f"{tag} has an attribute twice"
        self.tags.append((tag, found))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = self.tables[found["data-name"]] = ShownTable(found["data-name"])
        elif tag == "tr" and self._table is not None and "tbody" in self._open:
            self._table.values.append([])
            self._table.cells.append([])
        elif tag == "td" and self._table is not None:
            self._table.cells[-1].append("")
        elif tag == "data" and self._table is not None:
            self._table.values[-1].append(found["value"])
        elif tag == "pre":
            self.listings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.style += data
            return
        self.text += data
        if self._table is not None and "td" in self._open:
            self._table.cells[-1][-1] += data
        if "pre" in self._open:
            self.listings[-1] += data

    def attributes(self, name: str) -> list[str]:
        """The values of all attributes with this name."""
        return [found[name] for _, found in self.tags if name in found]

    def images(self) -> list[str]:
        """The SVG of every image."""
        prefix = "data:image/svg+xml;base64,"
        sources = [found["src"] for tag, found in self.tags if tag == "img"]
        assert all(source.startswith(prefix) for source in sources)
        return [base64.b64decode(source.removeprefix(prefix), validate=True).decode() for source in sources]


def cells_of(row: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    assert row.startswith("| ") or row == "|"
    assert row.endswith("|")
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
