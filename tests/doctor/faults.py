"""Faults that are made for real, and the shell that carries out what mends them."""

import atexit
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import pytest

from bptt.doctor.finding import Finding
from tests.program import write_program

NOBODY = 65534


def carried_out(command: str, folder: Path) -> None:
    """Run a command that was printed, as in a shell with the programs of this environment."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if sys.platform == "linux" and os.geteuid() == os.getuid():  # the server that forks has its own rights
        folders.insert(0, _programs())
    variables["PATH"] = os.pathsep.join(folders)
    done = subprocess.run(command, shell=True, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


@cache
def _programs() -> str:
    """A folder with `bptt`, in a forked process."""
    folder = tempfile.TemporaryDirectory(prefix="bptt-programs-")
    atexit.register(folder.cleanup)
    write_program(Path(folder.name) / "bptt")
    return folder.name


def of(findings: Iterable[Finding], subject: str) -> Finding:
    """The one finding about this."""
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def wrong(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.mark == "wrong"]


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """A folder that belongs to a user without rights, as who this process works within it: root may write anywhere."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def old_database(file: Path) -> str:
    """Make a store as an earlier MLflow left it; returns the version of its tables."""
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    version = "bda7b8c39065"
    engine = create_engine(f"sqlite:///{file}")
    try:
        Base.metadata.create_all(engine)
        command.upgrade(_get_alembic_config(f"sqlite:///{file}"), version)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
    return version


@contextmanager
def held(file: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has begun to write into a database, and does not end."""
    code = (
        "import sqlite3, sys, time\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def empty_database(file: Path, version: str) -> None:
    """A file that says of itself to be a store of this version."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", [version])
        for table in ("experiments", "runs"):
            connection.execute(f"CREATE TABLE {table} (lifecycle_stage TEXT)")
        connection.commit()


only_posix = pytest.mark.skipif(os.name != "posix", reason="about users and modes of POSIX")
