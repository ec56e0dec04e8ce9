"""The command line in a process of its own, and what it left."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import forking


@dataclass(frozen=True)
class Run:
    """A run of the store, and the folder that holds its files."""

    folder: Path

    @property
    def journal(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.journal["uri"])

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
        folder = Path(self.stored.info.artifact_uri.removeprefix("file://"))
        return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Folder:
    """A folder in which `bptt` is run."""

    path: Path

    def bptt(
        self, *arguments: str, first: str = "", fresh: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `bptt` with these arguments, after the Python statements `first`; fresh: see `command`."""
        return subprocess.run(
            self.command(*arguments, first=first, fresh=fresh),
            cwd=self.path,
            env=self.environment() | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @staticmethod
    def command(*arguments: str, first: str = "", fresh: bool = False) -> list[str]:
        """The command line; fresh: in a process that has imported nothing yet, as the user's."""
        code = f"import sys\n{first}\nfrom bptt.cli.main import main\nsys.exit(main(sys.argv[1:]))"
        return [sys.executable, "-c", code, *arguments] if fresh else forking.command(code, *arguments)

    @staticmethod
    def environment() -> dict[str, str]:
        """This process's, without what a developer may have set for MLflow."""
        return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}

    @property
    def newest(self) -> Run:
        """The run that was begun last."""
        return Run(max((self.path / "multirun" / "runs").iterdir()))
