"""A PostgreSQL of one's own: its files in one folder, no part of what the system may run besides."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import LOOPBACK, Trouble, end, last_words

ROLE, DATABASE = "bptt", "mlflow"

_DEBIANS = Path("/usr/lib/postgresql")
_INSTALL = {
    "apt-get": "sudo apt-get install postgresql",
    "dnf": "sudo dnf install postgresql-server",
    "brew": "brew install postgresql",
}


class PostgreSQL:
    """The database in FOLDER/postgresql, made where missing, and run as a user who may: root may not.

    runtime  a folder for what lives as long as the server; its socket is there
    """

    def __init__(self, folder: Path, runtime: Path, port: int) -> None:
        self.data, self.log, self.runtime, self.port = folder / "postgresql", folder / "postgresql.log", runtime, port
        self._programs = _programs(self.data)
        self._owner: dict[str, Any] = {}  # of its processes
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise Trouble(
                    "PostgreSQL refuses root, and there is no user postgres: start it as another user"
                ) from None
            self._owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            self._hand_over(runtime)
            if self._run("test", "-x", folder).returncode:
                raise Trouble(f"{folder}: the user postgres can't enter it; choose a folder like /srv/bptt")

    @contextmanager
    def running(self, password: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Its process while the block lasts, with a database for MLflow and a role with this password."""
        if not (self.data / "PG_VERSION").exists():
            self._make()
        settings = {"port": self.port, "listen_addresses": LOOPBACK, "unix_socket_directories": self.runtime}
        command: list[str | Path] = [
            self._programs / "postgres",
            "-D",
            self.data,
            *(f"--{name}={value}" for name, value in settings.items()),
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=_bare(), cwd="/", start_new_session=True, **self._owner
            )
        try:
            while self._run(self._programs / "pg_isready", "-q", *self._socket).returncode:
                if process.poll() is not None:
                    raise Trouble(f"PostgreSQL did not start: {last_words(self.log, 'FATAL')} (see {self.log})")
                time.sleep(0.1)
            self._prepare(password)
            yield process
        finally:
            end(process, signal.SIGINT)  # to PostgreSQL: break off what goes on, and end in good order

    def ask(self, sql: str, database: str = DATABASE) -> str:
        """What the database answers to its owner, who needs no password on this machine."""
        # From standard input, since everybody sees arguments; and a statement that fails is not to be logged.
        quiet = "SET log_min_error_statement = panic;\n"
        options = ("-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database)
        done = self._run(self._programs / "psql", *self._socket, *options, said=quiet + sql)
        if done.returncode:
            raise Trouble(f"PostgreSQL: {done.stderr.strip().partition(chr(10))[0]}")
        return done.stdout.strip()

    @property
    def _socket(self) -> tuple[str, ...]:
        return "-h", str(self.runtime), "-p", str(self.port)

    def _make(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        self._hand_over(self.data)
        # Letters in an order of its own, which no update of the system changes.
        how = ("--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C")
        done = self._run(self._programs / "initdb", *how, "-D", self.data)
        if done.returncode:
            raise Trouble(f"{self.data}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")

    def _prepare(self, password: str) -> None:
        literal = "'" + password.replace("'", "''") + "'"
        self.ask(
            f"""
            SELECT 'CREATE ROLE {ROLE} LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \\gexec
            SELECT 'CREATE DATABASE {DATABASE} OWNER {ROLE}'
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
            SET standard_conforming_strings = on;
            SET password_encryption = 'scram-sha-256';
            ALTER ROLE {ROLE} PASSWORD {literal};
            """,
            "postgres",
        )

    def _hand_over(self, folder: Path) -> None:
        if self._owner:
            os.chown(folder, self._owner["user"], self._owner["group"])

    def _run(self, *command: str | Path, said: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, input=said, capture_output=True, text=True, check=False, env=_bare(), cwd="/", **self._owner
        )


def _programs(data: Path) -> Path:
    """The folder of PostgreSQL's programs: of the version that made the database, else the newest.

    Raises Trouble where there is none.
    """
    folders = [*_DEBIANS.glob("*/bin")]
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    found = {_version(folder): folder for folder in folders if (folder / "initdb").exists()}
    if not found:
        remedy = next(
            (command for name, command in _INSTALL.items() if shutil.which(name)),
            "see https://www.postgresql.org/download",
        )
        raise Trouble(f"PostgreSQL is missing: {remedy}")
    made_by = data / "PG_VERSION"
    if not made_by.exists():
        return found[max(found)]
    version = int(made_by.read_text(encoding="ascii"))
    if version not in found:
        there = ", ".join(map(str, sorted(found)))
        raise Trouble(
            f"{data}: made by PostgreSQL {version}, and here is {there}; pg_upgrade brings it to another version"
        )
    return found[version]


def _version(folder: Path) -> int:
    told = subprocess.run([folder / "initdb", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+", told)
    return int(found[0]) if found else 0


def _bare() -> dict[str, str]:
    """The environment without what a user may have set for MLflow, passwords among it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
