"""docs/trust/bad_input.md says how many cases there are, and so they are."""

import re
from pathlib import Path

from tests.bad_input.keys import WRONG, combinations, keys_of, outside
from tests.bad_input.table import TABLE

PAGE = Path(__file__).parents[2] / "docs" / "trust" / "bad_input.md"


def counted() -> dict[str, int]:
    """How many cases there are of each kind; of a key that several choices share, one for each way it is wrong."""
    keys, limits = set[str](), set[tuple[str, str]]()
    for chosen in combinations():
        keys.update(f"{_choice(chosen, key)} {key}" for key in keys_of(chosen))
        limits.update(item for ends in outside(chosen) for item in ends.items())
    ways = len(WRONG) + 1  # misspelt, too
    return {"keys": ways * len(keys) + len(limits)} | {kind: len(cases) for kind, cases in TABLE.items()}


def test_the_numbers_of_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \|.*\| ([\d,]+) \| \d \|$", text, re.MULTILINE)
    said = {kind: int(count.replace(",", "")) for kind, count in rows}
    cases = counted()
    assert said == cases | {"all": sum(cases.values())}


def _choice(chosen: tuple[str, ...], key: str) -> str:
    """The choice that has the key; empty for the keys that all configurations have."""
    return next((choice for choice in chosen if key.startswith(f"{choice.partition('=')[0]}.")), "")
