"""Where bptt has to be able to write, and how much room there is."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from typing import Final

from bptt.doctor.finding import Finding, Situation, write_command, write_size

_LITTLE: Final = 5e9  # bytes
_TOO_LITTLE: Final = 5e8


def examine(situation: Situation) -> Iterator[Finding]:
    """The current folder, those of runs and artifacts, and that of temporary files; then the disks that they are on."""
    from bptt.tracking.folder.files import MULTIRUN
    from bptt.tracking.store.address import ARTIFACTS

    runs, artifacts = situation.folder / MULTIRUN, situation.folder / ARTIFACTS
    yield examine_folder("current folder", situation.folder)
    yield from (examine_folder(f"{folder.name}/", folder) for folder in (runs, artifacts) if folder.exists())
    temporary = situation.variables.get("TMPDIR")
    yield _examine_temporary(Path(temporary) if temporary else Path(tempfile.gettempdir()), bool(temporary))
    yield _examine_room(situation.folder)


def examine_folder(subject: str, folder: Path, otherwise: str = "") -> Finding:
    """Whether a file can be made in a folder, or in the one above it where it is not there yet; none is left there.

    otherwise: the command that does without the folder, where neither its owner nor its disk is the user's
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding(
            mark="wrong",
            subject=subject,
            says=f"{folder}: can't be written: {error.strerror or error}",
            means="what a run leaves there can't be kept",
            command=otherwise or _suggest_remedy(there, error),
        )
    return Finding(subject=subject, says=f"{folder}: can be written{'' if there == folder else ', once it is there'}")


def _suggest_remedy(path: Path, error: OSError) -> str:
    if error.errno == errno.EROFS:
        mount = next(place for place in (path.absolute(), *path.absolute().parents) if place.is_mount())
        return write_command("sudo", "mount", "-o", "remount,rw", mount)
    if error.errno == errno.ENOTDIR:
        return write_command("mv", path, f"{path}.old")
    if error.errno not in (errno.EACCES, errno.EPERM):
        return ""
    if hasattr(os, "geteuid") and path.stat().st_uid == os.geteuid():
        return write_command("chmod", "u+rwx", path)
    return f'sudo chown "$(id -un)" {write_command(path)}'


def _examine_temporary(folder: Path, chosen: bool) -> Finding:
    if folder.is_dir() or not chosen:
        return examine_folder("temporary files", folder, "unset TMPDIR" if chosen else "")
    return Finding(
        mark="wrong",
        subject="temporary files",
        says=f"TMPDIR={folder}: there is no such folder",
        means="programs take another folder, or fail",
        command=write_command("mkdir", "-p", folder),
    )


def _examine_room(folder: Path) -> Finding:
    free = disk_usage(folder).free
    says = f"{write_size(free)} free where {folder} is"
    if free > _LITTLE:
        return Finding(subject="disk", says=says)
    return Finding(
        mark="wrong" if free < _TOO_LITTLE else "note",
        subject="disk",
        says=says,
        means="a sweep of 10,000 runs takes about a gigabyte, and one that finds no room stops; this says what takes"
        " it, and `bptt rm SWEEP` deletes a sweep",
        command="du -sh multirun/* mlruns/* | sort -h",
    )
