"""The command line in a process of its own, and what it left."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bptt.tracking.folder.run import read_journal
from bptt.tracking.store.address import Address
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.whereabouts import find_whereabouts
from tests import forking

# A program that was installed has its own folder in sys.path, where `python -c` has the one that it is started in.
_INSTALLED = """
import os, sys
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
from bptt.cli.main import main
sys.exit(main())
"""
_PROGRAM = "import sys; from bptt.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Run:
    """A run of the store, and the folder that holds its files."""

    folder: Path

    @property
    def journal(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    @property
    def address(self) -> Address:
        """Of the store that the run is recorded in."""
        address = find_whereabouts(self.folder, read_journal(self.folder), None).address
        assert address is not None
        return address

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.address.uri)

    @property
    def stored(self) -> Any:
        """The run as MLflow has it."""
        return self.client.get_run(self.journal["run_id"])

    @property
    def metrics(self) -> dict[str, list[tuple[int, float]]]:
        """Name → (step, value) of every point."""
        run = self.stored
        return {
            name: sorted((point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
        }

    @property
    def artifacts(self) -> dict[str, Path]:
        """Path inside the run → file."""
        folder = find_local_folder(self.address, self.stored.info.artifact_uri)
        assert folder is not None
        return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Folder:
    """A folder in which `bptt` is run."""

    path: Path

    def bptt(self, *arguments: str, first: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `bptt` with these arguments, after the Python statements `first`."""
        return self._run(self.command(*arguments, first=first), variables)

    def bptt_afresh(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The same in a process that has imported nothing yet, as a user's."""
        return self._run([sys.executable, "-c", _PROGRAM, *arguments], variables)

    @staticmethod
    def command(*arguments: str, first: str = "") -> list[str]:
        return forking.command(f"{first}\n{_PROGRAM}", *arguments)

    def _run(self, command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment() | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @staticmethod
    def environment() -> dict[str, str]:
        """This process's, without what a developer may have set for MLflow."""
        return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}

    @property
    def newest(self) -> Run:
        """The run that was begun last."""
        return Run(max((self.path / "multirun" / "runs").iterdir()))


def write_program(path: Path) -> None:
    """`bptt` as it is installed, in a forked process."""
    words = forking.command(_INSTALLED, str(Path(sys.executable).with_name("bptt")))
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
