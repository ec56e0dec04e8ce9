"""The git work tree that the program's own files lie in: its commit, and what differs from that."""

import subprocess
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final

from bptt.tracking.store.address import hide_passwords
from bptt.tracking.store.tags import COMMIT_TAG, DIRTY_TAG

_SECONDS: Final = 10


# Whatever the user's own settings are, the difference is one that `git apply` takes.
_PLAIN: Final = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


def read_git_tags(folder: Path) -> dict[str, str]:
    """The commit, and whether a tracked file differs from it, or a source or a choice in conf/ was added.

    Empty where there is no git, no commit, no work tree or one that does not know the folder's files (an environment
    inside another project's), and where git does not answer in time.
    """
    try:
        lines = _ask_git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no").splitlines()
        commit = next(line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid "))
        if commit == "(initial)" or not _ask_git(folder, "ls-files"):
            return {}
        dirty = any(not line.startswith("#") for line in lines) or bool(_list_added(folder))
    except (OSError, subprocess.SubprocessError, StopIteration):
        return {}
    return {COMMIT_TAG: commit, DIRTY_TAG: str(dirty).lower()}


def read_git_diff(folder: Path) -> str | None:
    """What makes of the commit the work tree that the folder lies in, for `git apply`; None: nothing differs.

    It covers what makes a work tree dirty, see `read_git_tags`. A password within an address is blotted out.
    """
    try:
        top = Path(_ask_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
        parts = [_ask_git(top, "diff", "HEAD", *_PLAIN)]
        parts += [
            _ask_git(top, "diff", "--no-index", *_PLAIN, "--", "/dev/null", name, codes=(1,))
            for name in _list_added(folder)
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return "".join(hide_passwords(line) for part in parts for line in part.splitlines(keepends=True)) or None


@cache
def read_own_tags() -> dict[str, str]:
    """`read_git_tags` of the program, as they were when this was first asked."""
    return read_git_tags(_find_own_folder())


@cache
def read_own_diff() -> str | None:
    """`read_git_diff` of the program, as it was when first asked; None: nothing differs, or there is no commit."""
    return read_git_diff(_find_own_folder()) if read_own_tags().get(DIRTY_TAG) == "true" else None


def shorten_diff(difference: str | None) -> str | None:
    """Sixteen hexadecimal characters by which a difference is known."""
    return None if difference is None else sha256(difference.encode()).hexdigest()[:16]


def _find_own_folder() -> Path:
    return Path(str(files("bptt")))


def _list_added(folder: Path) -> list[str]:
    """What git neither knows nor ignores of the folder's sources and of the choices in the work tree's conf/."""
    wanted = ("*.py", ":(top)conf/*.yaml")
    found = _ask_git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", *wanted)
    return sorted(filter(None, found.split("\0")))


def _ask_git(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """What git answers, where it ends with one of these exit codes."""
    command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
    if done.returncode not in codes:
        raise subprocess.CalledProcessError(done.returncode, command)
    return done.stdout.decode(errors="replace")
