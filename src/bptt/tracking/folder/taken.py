"""Whether a folder is free for a run or a sweep of its own, or holds what would be written over."""

import json
import shlex
from pathlib import Path
from typing import Final

from bptt.tracking.folder.files import (
    CHECKPOINT,
    CONFIG,
    FLOW,
    HISTORY,
    JOBS,
    JOURNAL,
    LOCK,
    PATCH,
    PROVENANCE,
    STUDY,
    SWEEP,
    TRACEBACK,
    WEIGHTS,
)
from bptt.tracking.folder.lock import is_locked

_WRITTEN: Final = (
    *(CONFIG, JOBS, HISTORY, FLOW, WEIGHTS, CHECKPOINT, PROVENANCE, PATCH, TRACEBACK, STUDY),
    *("blocks", "stored", "report", "figures", ".hydra"),
)


def find_why_taken(folder: Path, held: bool = False) -> str | None:
    """Why nothing new can be written into a folder, in words; None: it can. The folder need not be there.

    held  whether this process holds its lock
    """
    try:
        if not held and is_locked(folder / LOCK):
            return "something is being trained there"
        return _find_what_is_there(folder)
    except OSError as error:
        return f"can't be written: {error.strerror or error}"


def _find_what_is_there(folder: Path) -> str | None:
    for name, kind in ((SWEEP, "sweep"), (JOURNAL, "run")):
        if (folder / name).exists():
            if _is_finished(folder / name):
                return f"holds a {kind} that has finished; name another folder (`bptt resume` is for one that has not)"
            again = f"bptt resume {shlex.quote(str(folder))}"
            return f"holds a {kind} that has not finished; name another folder, or go on with it: {again}"
    inside = [f".hydra/{path.name}" for path in (folder / ".hydra").glob("*")]
    if found := [name for name in (*_WRITTEN, LOCK, *inside) if (folder / name).is_symlink()]:
        return f"{found[0]} in it is a link; name a folder of its own"
    # What a process has left that was killed before it had written its journal is begun anew.
    begun = (folder / LOCK).exists() and not any(folder.glob("blocks/[0-9]*"))
    if not begun and (found := [name for name in _WRITTEN if (folder / name).exists()]):
        return f"holds {found[0]}, which would be written over; name a folder of its own"
    return None


def _is_finished(journal: Path) -> bool:
    try:
        return bool(json.loads(journal.read_text(encoding="utf-8"))["status"] == "FINISHED")
    except (OSError, ValueError, KeyError, TypeError):
        return False
