"""Tags that say by which code, with which packages and by whom a run was made."""

import getpass
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bptt.tracking.address import without_password
from bptt.tracking.work_tree import own_git_tags

VERSION: Final = "bptt.version."
_PACKAGES: Final = ("bptt", "numpy", "numba", "scipy", "hydra-core", "mlflow")


def provenance() -> dict[str, str]:
    """mlflow.source.git.commit and bptt.git.dirty, bptt.version.*, and MLflow's own tags for user and command."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": without_password(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))[:5000],
        f"{VERSION}python": platform.python_version(),
        **{f"{VERSION}{name}": found for name in _PACKAGES if (found := installed(name))},
        **own_git_tags(),
    }


def installed(package: str) -> str | None:
    """The version of an installed package; None: it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
