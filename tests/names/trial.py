"""One name: a project in a folder that is called so, and what the commands make of it."""

import io
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from bptt.cli import ui
from bptt.cli.main import main
from bptt.tracking.store.connecting import set_environment
from tests.empty_store import put_empty_store
from tests.names.table import NAMES

#: What is tried, in this order: each goes on with what those before it left.
COMMANDS: Final = ("train", "sweep", "ui", "report", "rm")

_SMALL: Final = ("experiment=roelants_counting", "train.updates=4", "train.log_points=2", "report=false")
_ARGUMENTS: Final = {
    "train": ("train", *_SMALL, "hydra.run.dir=multirun/runs/run"),
    "sweep": ("train", "-m", *_SMALL, "seed=1,2", "hydra.launcher.workers=1", "hydra.sweep.dir=multirun/sweep"),
    "ui": ("ui",),
    "report": ("report", "multirun/sweep"),
    "rm": ("rm", "--yes", "multirun/sweep"),
}

#: A run, a sweep's own and its two; of those the first stays.
_RUNS: Final = {"train": 1, "sweep": 4, "ui": 4, "report": 4, "rm": 1}


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    says     "works"; "refused", in one line with exit code 2, and nothing was left; otherwise what went wrong
    seconds  that it took
    """

    says: str
    seconds: float


def try_name(name: bytes, folder: Path, commands: tuple[str, ...] = COMMANDS) -> dict[str, Outcome]:
    """Try the commands in a new folder of this name, which is made in another one that is empty.

    A name that is quoted in an address is tried without a store, which is made then; making one takes a second, and
    others get an empty one.
    """
    set_environment()
    project = folder / os.fsdecode(name)
    project.mkdir()
    if name.isascii() and name.decode().isprintable() and not set(name) & set(b"%?$"):
        put_empty_store(project)
    found: dict[str, Outcome] = {}
    for command in commands:
        began = time.monotonic()
        with chdir(project):
            code, output, errors = _call(command)
        seconds = time.monotonic() - began
        found[command] = Outcome(_judge(command, code, output, errors, project), seconds)
    return found


def try_described(what: str) -> dict[str, Outcome]:
    """Try the name with this description."""
    with tempfile.TemporaryDirectory(prefix="bptt-names-", ignore_cleanup_errors=True) as folder:
        return try_name(NAMES[what], Path(folder))


def _call(command: str) -> tuple[int | str, str, str]:
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors), warnings.catch_warnings(), _served():
        warnings.simplefilter("ignore")
        try:
            code: int | str = main(_ARGUMENTS[command])
        except (Exception, SystemExit) as error:
            code = repr(error)
    if code == 130:
        raise KeyboardInterrupt
    return code, output.getvalue(), errors.getvalue()


def _judge(command: str, code: int | str, output: str, errors: str, project: Path) -> str:
    litter = [path.name for path in project.parent.iterdir() if path != project]
    if litter:
        return f"left {litter!r} beside its folder"
    if code == 2:
        one_line = errors.count("\n") == 1 and errors.strip() and "Traceback" not in errors
        left = [path.name for path in project.iterdir() if path.name != "mlflow.db"]
        return "refused" if one_line and not left else f"exit code 2, {errors!r}, and left {left!r}"
    if code != 0:
        return f"exit code {code}, {errors[-300:]!r}"
    if len(list(project.glob("mlruns/bptt/*/artifacts/*"))) == 0:
        return "left no artifacts"
    if (runs := len(list(project.glob("mlruns/bptt/*")))) != _RUNS[command]:
        return f"left the artifacts of {runs} runs"
    if command == "ui" and "served 4 runs" not in output:
        return f"served nothing: {output!r}"
    if command == "report" and not (project / "multirun/sweep/report/report.html").is_file():
        return "left no report"
    return "works"


class _Server:
    """In place of MLflow's server: what that would do with its environment and its folder, in this process."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path | None) -> None:
        from mlflow import MlflowClient
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with chdir(cwd or Path.cwd()):
            client = MlflowClient(env["MLFLOW_BACKEND_STORE_URI"])
            runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
            listed = [get_artifact_repository(str(run.info.artifact_uri)).list_artifacts() for run in runs]
        print(f"served {sum(bool(files) for files in listed)} runs")

    def poll(self) -> int:
        return 0

    def wait(self, _timeout: float | None = None) -> int:
        return 0

    def terminate(self) -> None:
        return


@contextmanager
def _served() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ui, "subprocess", _Subprocess)
        yield


class _Subprocess:
    Popen: Any = _Server
    TimeoutExpired = subprocess.TimeoutExpired
