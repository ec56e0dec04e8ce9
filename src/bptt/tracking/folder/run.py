"""run.json and checkpoint.npz: what a run's folder holds so that a broken-off run can go on."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.printable import OneLineError
from bptt.tracking.folder.files import (
    CHECKPOINT,
    CONFIG,
    FLOW,
    HISTORY,
    JOURNAL,
    PREPARATION,
    TRACEBACK,
    WEIGHTS,
    check_content,
    dump_sealed,
    hash_content,
    load_sealed,
    make_key,
    read_arrays,
    write_arrays,
    write_text,
)

_OWN: Final = "bptt."

OVERRIDES: Final = ".hydra/overrides.yaml"

#: Where a file of a folder that was damaged can be had again.
COPY: Final = "its run in the store has a copy among its artifacts"

#: The files of a run that are there when it begins, and those that it leaves.
GIVEN: Final = (CONFIG, OVERRIDES, PREPARATION)
RECORDED: Final = (HISTORY, FLOW, WEIGHTS, TRACEBACK)


@dataclass(frozen=True, kw_only=True)
class Journal:
    """Which run a folder belongs to.

    run_id             in the MLflow store; None: it is not tracked, or was not begun there yet
    uri                of the store, a password blotted out, relative to the current folder where it lies in that;
                       None: it is not tracked
    experiment         of the store; None as above, or it goes by its id
    name               of the run
    digest             of its configuration and its numerical version
    numerical_version  of the program that trains it
    current_folder     from which the configuration's relative paths are meant, as it was called when the run began
    place              the run's folder, relative to that where it lay in it; None: an earlier version did not note it
    status             FINISHED once everything is recorded
    outcome            of a run that FINISHED: completed, early_stopped, diverged
    experiment_id      of its experiment, where nothing else says which it is; None: its name does
    recorded           whether the store has all of it, as far as one knows; always where it is not tracked
    seconds            how long commands have trained it; 0.0: not known
    files              files of the folder → their digests, as far as they are known
    """

    run_id: str | None
    uri: str | None
    experiment: str | None
    name: str
    digest: str
    numerical_version: str
    current_folder: str
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] = "RUNNING"
    outcome: str | None = None
    experiment_id: str | None = None
    recorded: bool = True
    seconds: float = 0.0
    place: str | None = None
    files: dict[str, str] = field(default_factory=dict)


class ResumeError(OneLineError):
    """A folder holds no run that can go on; the message is one line for the user."""


def make_single_key(folder: Path, journal: Journal) -> str:
    """The key by which the run of a folder is found in the store; see `bptt.tracking.store.tags`."""
    return make_key(folder.name, journal.current_folder, journal.digest)


def write_journal(folder: Path, journal: Journal) -> None:
    """Write the folder's run.json."""
    write_text(folder / JOURNAL, dump_sealed(asdict(journal)), durable=True)


def compute_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Name → digest of those files that the folder holds."""
    return {name: hash_content((folder / name).read_bytes()) for name in names if (folder / name).is_file()}


def read_journal(folder: Path) -> Journal:
    """The folder's run.json. Raises ResumeError where there is none that can be read."""
    if not folder.is_dir():
        raise ResumeError(f"{folder}: there is no such folder")
    path = folder / JOURNAL
    if not path.is_file():
        raise ResumeError(
            f"{folder}: not the folder of a run (it holds no {JOURNAL}); `bptt train` names a run's folder"
        )
    try:
        journal = Journal(**load_sealed(path.read_text(encoding="utf-8")))
        seconds: Any = journal.seconds
        if not (isinstance(seconds, int | float) and 0 <= seconds < 1e15):
            raise ValueError(f"seconds={seconds!r}")
        return journal
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError(f"{path}: can't be read: {' '.join(str(error).split())}") from error


def read_config(folder: Path, journal: Journal | None = None) -> dict[str, Any]:
    """The configuration that the folder's run was begun with. Raises ResumeError where it can't be read.

    journal  the run's, against which the file is held; None: it is not
    """
    import yaml

    try:
        content = (folder / CONFIG).read_bytes()
        check_content(content, None if journal is None else journal.files.get(CONFIG))
        recorded = yaml.safe_load(content.decode())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ResumeError(f"{folder / CONFIG}: can't be read: {' '.join(str(error).split())}; {COPY}") from error
    if not isinstance(recorded, dict):
        raise ResumeError(f"{folder / CONFIG}: holds no configuration")
    return recorded


def write_checkpoint(folder: Path, journal: Journal, update: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write checkpoint.npz: the trainer's arrays, and whose they are. An older one stays whole until the new one is."""
    own = {
        "run_id": journal.run_id or "",
        "digest": journal.digest,
        "numerical_version": journal.numerical_version,
        "update": update,
    }
    write_arrays(folder / CHECKPOINT, {**arrays, **{_OWN + key: np.array(value) for key, value in own.items()}})


def read_checkpoint(folder: Path, journal: Journal) -> tuple[int, dict[str, NDArray[Any]]] | None:
    """The last update before the checkpoint and the trainer's arrays; None: the run wrote none.

    Raises ResumeError where the file is damaged or is another run's.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        arrays = read_arrays(path)
        own = {key: arrays.pop(_OWN + key).item() for key in ("run_id", "digest", "numerical_version", "update")}
    except (ValueError, KeyError) as error:
        raise ResumeError(
            f"{path}: cut off or damaged; delete it, and the run is trained again from its first update"
        ) from error
    if (own["run_id"], own["digest"]) != (journal.run_id or "", journal.digest):
        raise ResumeError(f"{path}: belongs to another run than {folder / JOURNAL}")
    return int(own["update"]), arrays


def forget_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a run that has ended."""
    for name in (CHECKPOINT, f".{CHECKPOINT}.part"):
        (folder / name).unlink(missing_ok=True)


def check_program(journal: Journal, version: str) -> None:
    """Raise ResumeError unless the run was begun by a program that computes the same bits as this one."""
    if journal.numerical_version != version:
        raise ResumeError(
            f"{journal.name}: begun with another numerical version ({journal.numerical_version}, not {version}):"
            " it can't go on to the same bits; train it anew"
        )
