"""All cases, by the kind of input that is wrong."""

from typing import Final

from tests.bad_input.case import Case
from tests.bad_input.commands import ARCHIVES, COMMANDS
from tests.bad_input.files import ARRAYS, TEXTS, WEIGHTS
from tests.bad_input.folders import FOLDERS, SWEEPS
from tests.bad_input.grammar import GRAMMAR, OPTIONS
from tests.bad_input.stores import STORES
from tests.bad_input.tables import TABLES

TABLE: Final[dict[str, list[Case]]] = {
    "overrides": GRAMMAR,
    "options": OPTIONS,
    "arrays": ARRAYS,
    "tables": TABLES,
    "weights": WEIGHTS,
    "texts": TEXTS,
    "folders": FOLDERS,
    "sweeps": SWEEPS,
    "stores": STORES,
    "commands": COMMANDS,
    "archives": ARCHIVES,
}
