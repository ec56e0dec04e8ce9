"""Docstrings as Markdown: lines `name  what it is` become a list, and nothing in the text is taken for markup."""

import re
import textwrap
from html import escape
from typing import Any

from griffe import Extension, Object

_FIELD = re.compile(r"^(?P<name>\S+(?: \S+)*?) {2,}(?P<says>\S.*)$")
_CODE = re.compile(r"(`[^`]*`)")
_MARKUP = re.compile(r"([\\*_{}\[\]#$])")


class FreeForm(Extension):
    """Rewrites every docstring that is shown."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = write_markdown(obj.docstring.value)


def write_markdown(text: str) -> str:
    """A docstring's text, the first line of which is not indented."""
    first, _, rest = text.partition("\n")
    clean = f"{first}\n{textwrap.dedent(rest)}"
    return "\n\n".join(_write_block(block) for block in re.split(r"\n\s*\n", clean.strip()))


def _write_block(block: str) -> str:
    lines = block.splitlines()
    if all(line.startswith("    ") for line in lines):
        return f"```text\n{textwrap.dedent(block)}\n```"
    if not _FIELD.match(lines[0]):
        return _escape(" ".join(line.strip() for line in lines))
    items: list[list[str]] = []
    for number, line in enumerate(lines):
        if not line.startswith(" ") and (found := _FIELD.match(line)):
            items.append([f"**{_escape(found['name'])}**: {_escape(found['says'])}"])
        elif line.startswith(" "):
            items[-1].append(_escape(line.strip()))
        else:
            return "\n\n".join([_write_list(items), _write_block("\n".join(lines[number:]))])
    return _write_list(items)


def _write_list(items: list[list[str]]) -> str:
    return "\n".join(f"- {' '.join(item)}" for item in items)


def _escape(text: str) -> str:
    parts = _CODE.split(text)
    return "".join(part if part.startswith("`") else _MARKUP.sub(r"\\\1", escape(part, quote=False)) for part in parts)
