"""Text from elsewhere stays text where it is printed: nothing in it moves a terminal's cursor, or breaks its line.

Names of runs, sweeps and experiments, tags, values and errors may come from a store or a folder of another's.
"""

import re
import unicodedata
from typing import Final

_UNUSUAL: Final = re.compile(r"[^\n\t -~]")


def make_printable(text: str) -> str:
    """The text on one line: control characters, line breaks and what turns its direction are written out."""
    return text if text.isprintable() else "".join(map(_write_out, text))


def make_lines_printable(text: str) -> str:
    """The same of a text of several lines, which it keeps, and tabs."""
    return _UNUSUAL.sub(lambda found: _write_out(found[0]), text)


def _write_out(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":  # a space of whatever width
        return character
    return character.encode("unicode_escape").decode()


class OneLineError(Exception):
    """An error whose message is one line for the user, whatever names stand in it."""

    def __init__(self, says: str) -> None:
        super().__init__(make_printable(says))
