"""A tracking server as a lab runs it: `deploy/server`, in a folder of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.serving import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None: it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    return folders[-1] if folders else Path(on_path).parent if on_path else None


@dataclass
class Lab:
    """The server; what it may use is in `folder`, what it keeps in `folder/kept`."""

    folder: Path
    port: int = field(default_factory=free_port)
    database_port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: f"it's %{secrets.token_hex(8)}\\")
    process: "subprocess.Popen[str] | None" = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        return f"postgresql+psycopg://bptt@127.0.0.1:{self.database_port}/mlflow"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PG"))}
        return kept | {"BPTT_DATABASE_PASSWORD": self.password, "TMPDIR": str(self.folder)}

    def start(self, *options: str, **variables: str) -> None:
        """Start it, and wait until it says where it is."""
        ports = ["--port", str(self.port), "--database-port", str(self.database_port)]
        self.process = subprocess.Popen(
            [sys.executable, str(DEPLOY / "server"), str(self.folder / "kept"), *ports, *options],
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"Tracking server: {self.uri} (Ctrl-C ends it)\n", self.stop()
        assert self.process.stdout.readline() == f"Its database: {self.database}\n"
        pages = f"{self.uri}/#/experiments?workflowType=machine_learning"
        assert self.process.stdout.readline() == f"Its pages: {pages}\n"

    def stop(self, by: signal.Signals | None = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal, None: wait until it has ended; its exit code, and all that it said since it started."""
        assert self.process is not None
        process, self.process = self.process, None
        if by is not None:
            process.send_signal(by)
        out, errors = process.communicate(timeout=60)
        return process.returncode, out + errors

    def crash(self) -> None:
        """PostgreSQL drops everything at once, as after a power cut."""
        os.kill(int((self.folder / "kept" / "postgresql" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)

    def dump(self) -> str:
        """The whole database, as text."""
        folder = programs()
        assert folder is not None
        command: list[str | Path] = [folder / "pg_dump", "--dbname", self.database.replace("+psycopg", "")]
        return subprocess.run(
            command, env=self.environment | {"PGPASSWORD": self.password}, capture_output=True, text=True, check=True
        ).stdout

    def runs(self, experiment: str = "bptt", **variables: str) -> list[Any]:
        """All runs of an experiment."""
        from mlflow import MlflowClient

        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            client = MlflowClient(self.uri)
            found = client.get_experiment_by_name(experiment)
            assert found is not None
            return list(client.search_runs([found.experiment_id], max_results=1000))


@contextmanager
def new_lab() -> Iterator[Lab]:
    """A server that was never started; whatever runs at the end is ended."""
    missing = [name for name in ("psycopg", "flask_wtf") if find_spec(name) is None]
    if programs() is None or missing:
        pytest.skip(f"not installed: {', '.join(missing or ['PostgreSQL'])}")
    with tempfile.TemporaryDirectory(prefix="bptt-lab-") as folder:
        Path(folder).chmod(0o755)  # for the user postgres
        lab = Lab(Path(folder))
        try:
            yield lab
        finally:
            if lab.process is not None:
                lab.stop()


def until(happened: Any, seconds: float = 60) -> Any:
    """What `happened` returns, as soon as that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")
