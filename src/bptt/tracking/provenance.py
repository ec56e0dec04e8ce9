"""Tags that say by which code, with which packages and by whom a run was made."""

import getpass
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

_PACKAGES = ("bptt", "numpy", "numba", "scipy", "hydra-core", "mlflow")


def provenance() -> dict[str, str]:
    """mlflow.source.git.commit and bptt.git.dirty, bptt.version.*, and MLflow's own tags for user and command."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:5000],
        "bptt.version.python": platform.python_version(),
        **{f"bptt.version.{name}": found for name in _PACKAGES if (found := _version(name))},
        **git(Path(str(files("bptt")))),
    }


def git(folder: Path) -> dict[str, str]:
    """The commit of the work tree that the folder belongs to, and whether a tracked file differs from it.

    Empty where there is no git, no work tree or no commit, and where git does not answer in time.
    """
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = _git(folder, "status", "--porcelain", "--untracked-files=no") != ""
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": commit, "bptt.git.dirty": str(dirty).lower()}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
