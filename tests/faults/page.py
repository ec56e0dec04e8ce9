"""docs/trust/faults.md, whose table is made from docs/trust/faults.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults.outcomes import Tally, as_json, as_markdown

FOLDER: Final = Path(__file__).parents[2] / "docs" / "trust"
PAGE: Final = FOLDER / "faults.md"
COUNTED: Final = FOLDER / "faults.json"

_BEGIN: Final = "<!-- made by `make faults` from here -->\n"
_END: Final = "<!-- to here -->\n"


def write(tallies: Sequence[Tally], about: Mapping[str, Any]) -> None:
    """Put what was counted into both files."""
    COUNTED.write_text(as_json(tallies, about))
    PAGE.write_text(with_table(PAGE.read_text(), as_markdown(tallies, about)))


def with_table(page: str, table: str) -> str:
    """The page with another table between its marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"


def table_of(page: str) -> str:
    """The table between the page's marks."""
    return page.partition(_BEGIN)[2].partition(_END)[0].strip("\n") + "\n"
