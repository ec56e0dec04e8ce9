"""MLflow's server on a PostgreSQL: its tables, its users, and its process."""

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from postgresql import DATABASE, ROLE, PostgreSQL
from processes import LOOPBACK, Trouble, answers, end, last_words

ADMIN = ("MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD")

# What it would start besides: eight processes for jobs that runs of bptt don't have, and messages to its makers.
_LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
_SECONDS_TO_START = 120


class MLflowServer:
    """The server in a folder; `uri` is its database's, without the password."""

    def __init__(self, folder: Path, database: PostgreSQL, password: str) -> None:
        self.log, self._folder, self._database = folder / "mlflow.log", folder, database
        self.uri = f"postgresql+psycopg://{ROLE}@{LOOPBACK}:{database.port}/{DATABASE}"
        own = {"PGPASSWORD": password, "MLFLOW_BACKEND_STORE_URI": self.uri}
        self._environment = {**_LEAN, **os.environ, **own}

    def prepare(self, upgrade: bool) -> None:
        """Make all tables, before several processes do so at the same time; older ones are changed where `upgrade`."""
        there = self._database.ask("SELECT to_regclass('alembic_version')")
        found = self._database.ask("SELECT version_num FROM alembic_version") if there else ""
        if found == _newest_tables():
            return
        if found and not upgrade:
            raise Trouble(
                f"{self._folder}: its tables are of another MLflow; make a backup, then start it with --upgrade"
            )
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", self.uri]
            done = subprocess.run(command, env=self._environment, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise Trouble(f"the tables can't be made: {last_words(self.log)} (see {self.log})")

    @contextmanager
    def serving(
        self, host: str, port: int, workers: int, artifacts: str, basic_auth: bool, options: Sequence[str]
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """Its process while the block lasts; it answers from the beginning. `options` are of `mlflow server`."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
        command += ["--workers", str(workers), "--serve-artifacts", "--artifacts-destination", artifacts]
        if basic_auth:
            command += ["--app-name", "basic-auth"]
            self._environment["MLFLOW_AUTH_CONFIG_PATH"] = str(self._users())
            # It signs the forms of the pages, and has to be the same in all processes of a server.
            self._environment.setdefault("MLFLOW_FLASK_SERVER_SECRET_KEY", secrets.token_hex(32))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, *options],
                env=self._environment,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        try:
            until = time.monotonic() + _SECONDS_TO_START
            while not answers(f"http://{_reached(host)}:{port}/health"):
                if process.poll() is not None or time.monotonic() > until:
                    raise Trouble(f"MLflow did not start: {last_words(self.log)} (see {self.log})")
                time.sleep(0.1)
            yield process
        finally:
            end(process, signal.SIGTERM)

    def _users(self) -> Path:
        """The settings of MLflow's users, in a file that nobody else can read."""
        username, password = (self._environment[name] for name in ADMIN)
        values = {
            "default_permission": "EDIT",  # all may add runs to an experiment that one of them has begun
            "database_uri": self.uri,
            "admin_username": username,
            "admin_password": password,
            "auth_cache_ttl_seconds": "60",  # a password is checked slowly on purpose, and every request brings it
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        }
        path = self._database.runtime / "auth.ini"
        lines = [f"{name} = {value.replace('%', '%%')}\n" for name, value in values.items()]
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.writelines(["[mlflow]\n", *lines])
        return path


def _newest_tables() -> str | None:
    """The version of the tables that the installed MLflow works with."""
    from alembic.script import ScriptDirectory

    found = importlib.util.find_spec("mlflow")
    assert found is not None
    assert found.origin is not None
    return ScriptDirectory(str(Path(found.origin).parent / "store" / "db_migrations")).get_current_head()


def _reached(host: str) -> str:
    """The host by which a server that listens there is reached from this machine."""
    if host in ("0.0.0.0", "::"):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host
