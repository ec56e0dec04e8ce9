"""Stores that there are not, that don't answer, or that are none."""

import shutil
import sqlite3
from contextlib import closing
from typing import Final

from tests.bad_input.case import Case, Place
from tests.bad_input.making import Given, folder, text

_OLD = "0a8213491aaa"  # of MLflow 1
_NEW = "ffffffffffff"  # of one that is still to come


def _train(uri: str, says: str, given: Given | None = None) -> Case:
    arguments = ("train", "train.updates=2", *([f"tracking.uri={uri}"] if uri else []))
    return Case(arguments, (says,), given or (lambda _: None))


def _of_version(version: str) -> Given:
    """The recorded store, whose tables say that they are of another version."""

    def make(place: Place) -> None:
        database = place.folder / "mlflow.db"
        shutil.copy(place.recorded / "mlflow.db", database)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [version])
            connection.commit()

    return make


def _of_something_else(place: Place) -> None:
    with closing(sqlite3.connect(place.folder / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()


def _cut_off(place: Place) -> None:
    whole = (place.recorded / "mlflow.db").read_bytes()
    (place.folder / "mlflow.db").write_bytes(whole[: len(whole) // 2])


STORES: Final = [
    _train("some/folder", "tracking.uri=some/folder: names a folder, and MLflow no longer keeps runs in folders"),
    _train("file:///tmp/x", "tracking.uri=file:///tmp/x: names a folder"),
    _train("'C:/runs'", "tracking.uri=C:/runs: names a folder"),
    _train("''", "tracking.uri=: names a folder"),
    _train("sqlite://", "tracking.uri=sqlite://"),
    _train("'sqlite:///:memory:'", "a store in memory is gone when the program ends"),
    _train(
        "'sqlite:///a?b.db'",
        "tracking.uri=sqlite:///a?b.db: b.db is no option of SQLite's; a ? in a path is written %3F",
    ),
    _train("'sqlite:///a?b=c.db'", "tracking.uri=sqlite:///a?b=c.db: b=c.db is no option of SQLite's"),
    _train("'sqlite:///a%00.db'", "tracking.uri=sqlite:///a%00.db: no path holds a NUL"),
    _train("'sqlite:///a%FF.db'", "a\\xff.db: this name is not UTF-8, and can't be recorded"),
    _train("nope://x/y", "nope://x/y: "),
    *(
        Case(
            (*command.split(" "), "--config-dir", "theirs", "experiment=e", "train.updates=2"),
            (f"tracking.uri={uri}: a file of choices names this host, and you have not: nothing is sent there unless",),
            text("theirs/experiment/e.yaml", f"# @package _global_\ntracking:\n  uri: {uri}\n"),
        )
        for command in ("train", "train -m", "plan")
        for uri in ("http://lab.example.org:5000", "postgresql+psycopg://me@127.0.0.1:9/x")
    ),
    _train("'mysql://127.0.0.1:9/x'", "the database's driver is missing"),
    _train("sqlite:////proc/nowhere/mlflow.db", "/proc/nowhere"),
    _train("sqlite:////dev/null/mlflow.db", "/dev/null"),
    _train("", "mlflow.db: can't be used as an SQLite database", text("mlflow.db", "x" * 5000)),
    _train("", "mlflow.db: can't be used as an SQLite database", folder("mlflow.db")),
    _train("", "its tables have version unknown", _of_something_else),
    _train("", f"its tables have version {_OLD}, MLflow ", _of_version(_OLD)),
    _train("", f"its tables have version {_NEW}, MLflow ", _of_version(_NEW)),
    _train("", "{folder}/mlflow.db: ", _cut_off),
    _train("", "mlruns: holds the runs of an old MLflow file store", text("mlruns/0/meta.yaml", "name: Default")),
    *(
        Case(("train", f"tracking.experiment={name}"), (f"tracking.experiment={shown}: must be a name",))
        for name, shown in {"''": "''", "'  '": ""}.items()
    ),
    *(
        Case(tuple(f"{command} --uri {uri}".split(" ")), (says,))
        for command in ("compare a b", "report a", "reproduce a", "export a --log", "rm a --yes", "ui")
        for uri, says in {
            "some/folder": "some/folder: names a folder",
            "sqlite:///nowhere.db": "nowhere.db: ",
        }.items()
    ),
]
