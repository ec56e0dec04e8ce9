"""python -m docs.draw_families [FAMILY …]: train the choices of these families, draw them, and write their tables.

The pictures go to docs/figures, the tables between their marks in docs/families. Some minutes on one core.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from docs.draw_families.choices import FAMILIES
from docs.draw_families.drawing import draw, measure, measure_schedules, write_numbers

_PAGES: Final = Path("docs/families")
_FIGURES: Final = Path("docs/figures")
#: What stands before and behind a table.
MARKS: Final = ("<!-- numbers -->\n", "<!-- end of the numbers -->\n")


def main(argv: Sequence[str] | None = None) -> int:
    """0: all is written."""
    parser = argparse.ArgumentParser(prog="python -m docs.draw_families", description=__doc__, allow_abbrev=False)
    parser.add_argument("family", nargs="*", choices=[*FAMILIES, []], metavar="FAMILY", help=f"{', '.join(FAMILIES)}")
    for name in parser.parse_args(argv).family or FAMILIES:
        family = FAMILIES[name]
        flows = measure(family)
        shares = measure_schedules(family) if name == "schedules" else None
        figure = _FIGURES / f"family_{name}.png"
        figure.write_bytes(draw(flows, shares))
        page = _PAGES / f"{name}.md"
        page.write_text(replace_numbers(page.read_text("utf-8"), write_numbers(flows)), "utf-8")
        print(f"{figure}, {page}", flush=True)
    return 0


def replace_numbers(text: str, table: str) -> str:
    """A page with another table between its marks. Raises ValueError where a page lacks them."""
    before, _, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise ValueError(f"the page has no {MARKS[0].strip()} … {MARKS[1].strip()}")
    return f"{before}{MARKS[0]}\n{table}\n\n{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
