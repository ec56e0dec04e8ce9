"""The version of MLflow's tables in a database: read, compared with the installed MLflow's, and known here or not."""

import ast
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bptt.core.sources import parse_source
from bptt.tracking.store.address import Address, StoreError

#: The version of a database that has tables, but says of none.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Revisions:
    """The versions that an MLflow knows: `heads` are those that it works with, of the others it can upgrade."""

    heads: frozenset[str]
    known: frozenset[str]


@cache
def read_revisions() -> Revisions:
    """Those of the installed MLflow. Its migrations are read, not run: importing them takes seconds."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    known: set[str] = set()
    before: set[str] = set()
    for path in (Path(spec.origin).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        names = dict(_read_constants(path))
        if isinstance(revision := names.get("revision"), str):
            known.add(revision)
        down = names.get("down_revision")
        before |= {down} if isinstance(down, str) else {*down} if isinstance(down, tuple) else set()
    return Revisions(frozenset(known - before), frozenset(known))


def _read_constants(path: Path) -> Iterator[tuple[str, object]]:
    """What a module's names are, as far as they stand for constants."""
    for node in parse_source(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue


#: The versions of MLflow's tables whose rows are known here, so that they can be written without MLflow.
KNOWN_REVISIONS: Final = frozenset({"dc11669786a5"})  # MLflow 3.17


def read_schema(database: Path) -> str | None:
    """The version of MLflow's tables in the file; None: it holds none."""
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" not in tables:
                return UNKNOWN if tables else None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{database}: can't be used as an SQLite database: {error}") from error
    return row[0] if row else UNKNOWN


def check_schema(address: Address, found: str | None) -> None:
    """Raise StoreError where the installed MLflow needs another version than was found; None: there are no tables."""
    # MLflow by itself upgrades some old databases unasked, and answers others with a page of text.
    revisions = read_revisions()
    if found is None or found in revisions.heads:
        return
    installed = version("mlflow")
    remedy = (
        f"make a copy of it, then: mlflow db upgrade {address.shown}"
        if found in revisions.known
        else f"install the newer MLflow that wrote it; `mlflow db upgrade` of {installed} can't read it"
    )
    raise StoreError(f"{address.shown}: its tables have version {found}, MLflow {installed} needs another: {remedy}")
