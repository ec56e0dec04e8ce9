"""A store that holds nothing yet, copied: making one takes MLflow most of a second."""

import sqlite3
import tempfile
import warnings
from contextlib import chdir, closing
from functools import cache
from pathlib import Path

from bptt.tracking.store.opening import open_store


def put_empty_store(folder: Path) -> str:
    """Put it where the commands that are started in this folder look for it; returns its address."""
    (folder / "mlflow.db").write_bytes(read_empty_store())
    return f"sqlite:///{folder}/mlflow.db"


@cache
def read_empty_store() -> bytes:
    """The database's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        with warnings.catch_warnings(), chdir(folder):
            warnings.simplefilter("ignore")  # of MLflow's, which tests would take for errors
            open_store("sqlite:///mlflow.db", "Default")  # the one that is there from the beginning
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        return path.read_bytes()
