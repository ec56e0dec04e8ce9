"""Whose kernels are loaded: what the cache holds is machine code and Numba's pickles, and runs with the user's rights.

Nothing in a file could prove where it comes from, so the folder has to: where everybody on the machine could have put a
kernel there, none is loaded.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bptt.configuration.problems import ConfigurationError


class Gap(NamedTuple):
    """The file or folder through which others could place kernels, and in words how."""

    path: Path
    says: str


def check_kernel_folder() -> None:
    """Raise ConfigurationError where a kernel that would be loaded could be anybody's."""
    from bptt.core.kernel import cache_folder

    folder = cache_folder()
    found = open_to_everybody(folder)
    if found is not None:
        origin = "BPTT_CACHE_DIR=" if os.environ.get("BPTT_CACHE_DIR") else ""
        raise ConfigurationError(
            [f"{origin}{folder}: kernels are code, and {found.says}; `bptt doctor` says what to do about it"]
        )


def open_to_everybody(folder: Path) -> Gap | None:
    """By what anybody on the machine could place kernels in a folder; None: nobody but its owner and its group can."""
    if os.name != "posix":
        return None
    for path in _way_to(folder):
        try:
            status, above = path.lstat(), path.parent.lstat()
        except OSError:  # not there yet, or out of sight
            continue
        inside = path in (folder.absolute(), folder.resolve())
        # In a folder of everybody's that is sticky, as /tmp, nobody can touch what others have made there.
        if _everybodys(status) and (inside or not status.st_mode & stat.S_ISVTX):
            return Gap(path, f"everybody can write to {path}")
        if _everybodys(above) and status.st_uid not in (os.geteuid(), 0):
            return Gap(path, f"{path}, in a folder of everybody's, was made by another user")
    return next((Gap(path, f"everybody can write to {path}") for path in _within(folder)), None)


def _everybodys(status: os.stat_result) -> bool:
    return not stat.S_ISLNK(status.st_mode) and bool(status.st_mode & stat.S_IWOTH)


def _way_to(folder: Path) -> Iterator[Path]:
    """Every folder and link on the way to a folder, and it."""
    for end in dict.fromkeys((folder.absolute(), folder.resolve())):
        yield from (*reversed(end.parents), end)


def _within(folder: Path) -> Iterator[Path]:
    """What everybody can write to in a folder: versions' folders, kernels."""
    for path in (*folder.glob("*"), *folder.glob("*/*")):
        with suppress(FileNotFoundError):  # another process was done with it
            if _everybodys(path.lstat()):
                yield path
