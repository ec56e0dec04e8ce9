"""The version of MLflow's tables in a database, and the one that the installed MLflow works with."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: The version of a database that has tables, but says of none.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Revisions:
    """The versions that an MLflow knows: `heads` are those that it works with, of the others it can upgrade."""

    heads: frozenset[str]
    known: frozenset[str]


@cache
def of_mlflow() -> Revisions:
    """Those of the installed MLflow. Its migrations are read, not run: importing them takes seconds."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    known: set[str] = set()
    before: set[str] = set()
    for path in (Path(spec.origin).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        names = dict(_constants(path))
        if isinstance(revision := names.get("revision"), str):
            known.add(revision)
        down = names.get("down_revision")
        before |= {down} if isinstance(down, str) else {*down} if isinstance(down, tuple) else set()
    return Revisions(frozenset(known - before), frozenset(known))


def _constants(path: Path) -> Iterator[tuple[str, object]]:
    """What a module's names are, as far as they stand for constants."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue
