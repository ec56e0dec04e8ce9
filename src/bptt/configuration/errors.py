"""What is wrong with a configuration, in one line each."""

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST = 80


class ConfigurationError(ValueError):
    """The configuration can't be run; `lines` says everything that is wrong with it, in a line each."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(dict.fromkeys(map(_make_printable, lines)))
        super().__init__("\n".join(self.lines))


def quote(value: Any) -> str:
    """A value as one would type it on the command line, cut where it is long."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {quote(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(quote, value)) + "]"
    elif isinstance(value, str) and (not value or _reads_as_another_type(value)):
        text = f"'{value}'"
    else:
        text = str(value)
    return cut(text)


def cut(text: str) -> str:
    """A text that a user gave, in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _make_printable(line: str) -> str:
    """The line with what would move a terminal's cursor, or break the line, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _reads_as_another_type(text: str) -> bool:
    if text.lower() in {"null", "true", "false"}:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_problem(key: str, value: Any, says: str) -> str:
    """The line for a value that a key can't take."""
    return f"{key}={quote(value)}: {says}"


def suggest(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """The candidate that was probably meant, as the end of a sentence; empty where none is near."""
    names = list(candidates)
    lower = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {prefix}{lower[near[0]]}?" if near else ""
