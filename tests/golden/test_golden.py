"""Today's bits are the table's: on every machine, with every version that is supported, whatever fills the vectors."""

import json
import re
from pathlib import Path

import pytest

from tests.golden.runs import TABLE, Choice, hash_run, list_choices, make_run, name_of

CHOICES = list_choices()
#: A cell and a number: to run those of one cell alone.
IDS = [f"{dict(choice)['model']}-{number}" for number, choice in enumerate(CHOICES)]
_AGAIN = (
    "if a change of bits is meant, `python -m tests.golden` writes the table anew, and CHANGELOG.md says that runs "
    "have other bits than before; if not, something computes otherwise here"
)


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))


def test_the_table_has_every_choice_and_no_other(table: dict[str, str]) -> None:
    assert list(table) == [name_of(choice) for choice in CHOICES], _AGAIN
    assert all(re.fullmatch("[0-9a-f]{16}", found) for found in table.values())


@pytest.mark.parametrize("choice", CHOICES, ids=IDS)
def test_a_run_has_the_bits_of_the_table(choice: Choice, table: dict[str, str], tmp_path: Path) -> None:
    assert hash_run(make_run(choice, tmp_path)) == table.get(name_of(choice)), f"{name_of(choice)}: {_AGAIN}"
