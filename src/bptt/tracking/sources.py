"""What a user means by a source: a sweep, a run or several, in a folder or in a store."""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from bptt.tracking.access import asking
from bptt.tracking.address import resolve
from bptt.tracking.archive import SWEEP, is_sweep
from bptt.tracking.archived import ArchivedSweep
from bptt.tracking.journal import JOURNAL
from bptt.tracking.narrowing import Narrowing, SourceError, split
from bptt.tracking.readers import open_reader
from bptt.tracking.reading import DIGEST_TAG, PARENT_TAG, StoredRow, StoreReader
from bptt.tracking.recording import Recording
from bptt.tracking.run_folder import RunFolder, is_run
from bptt.tracking.stored_runs import StoredRuns
from bptt.tracking.stored_sweep import StoredSweep
from bptt.tracking.sweep_files import read_kept

__all__ = ["LATEST", "Source", "SourceError", "find", "newest_sweep_folder"]

LATEST: Final = "latest"

_ROOT: Final = Path("multirun")
_RUNS: Final = "runs"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_QUERY: Final = re.compile(
    r"\s*(param(eter)?|metric|tag|attr(ibute)?|run|dataset)s?\s*\..*|.*\s(=|!=|<|<=|>|>=|i?like|in|is)\s.*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Source:
    """Recorded runs.

    narrowing  which of them are meant; None: all
    numbers    of those that are meant
    """

    recording: Recording
    narrowing: Narrowing | None
    numbers: frozenset[int]

    @property
    def name(self) -> str:
        """Of the sweep, with what narrows it."""
        name = self.recording.head.name
        return name if self.narrowing is None else f"{name}:{self.narrowing}"


def find(source: str | Path, uri: str | None = None) -> Source:
    """What a source is. Raises SourceError, ArchiveError and StoreError, each with one line for the user.

    source  a sweep's folder; a single run's folder; the name of a sweep; the id of a run in the store (a sweep's own
            run: the sweep); a query in MLflow's words, over all experiments of the store; `latest`, the newest sweep
            in ./multirun. `SOURCE:12` is its run number 12, `SOURCE:model=lstm,alpha=0.1,0.2` its runs with these
            values of what was swept
    uri     of the store in which names and ids are looked up; None: folders in ./multirun come first, then the store
            that `bptt train` would use here

    Whatever the store has of a sweep whose folder is in ./multirun is read there.
    """
    text, narrowing = str(source), None
    found = _local(text, uri)
    if found is None:
        text, narrowing = split(text)
        found = (_local(text, uri) if narrowing is not None else None) or _stored(text, uri)
    recording, own = found
    narrowing = own if narrowing is None else narrowing
    members = recording.members
    numbers = [member.number for member in members] if narrowing is None else narrowing.of(members)
    return Source(recording, narrowing, frozenset(numbers))


def newest_sweep_folder(root: Path = _ROOT) -> Path:
    """The folder, within this one, of the sweep that was begun last. Raises SourceError where there is none."""
    began = {path.parent: _noted(path, "began") for path in root.glob(f"*/{SWEEP}")}
    times = {folder: time for folder, time in began.items() if isinstance(time, int | float)}
    if not times:
        raise SourceError(f"{LATEST}: there is no sweep in {root}")
    return max(times, key=lambda folder: times[folder])


_Found = tuple[Recording, Narrowing | None]


def _local(text: str, uri: str | None) -> _Found | None:
    """What is meant, where it is a folder, or has one here."""
    folder = newest_sweep_folder() if text == LATEST else Path(text)
    if found := _in_folder(folder):
        return found, None
    if folder.is_dir() and folder.name != text:
        raise SourceError(f"{text}: neither the folder of a sweep nor that of a run")
    if uri is None and folder.name == text and text:
        found = _in_folder(_ROOT / text) or _in_folder(_ROOT / _RUNS / text)
        found = found or (_of_id(text) if _ID.fullmatch(text) else None)
    return None if found is None else (found, None)


def _in_folder(folder: Path) -> Recording | None:
    if is_sweep(folder):
        return ArchivedSweep(folder)
    return RunFolder(folder) if is_run(folder) else None


def _of_id(run_id: str) -> Recording | None:
    """The sweep or the single run in ./multirun that the store has by this id; None: its folder is not here."""
    for paths, key in ((_ROOT.glob(f"*/{SWEEP}"), "parent"), ((_ROOT / _RUNS).glob(f"*/{JOURNAL}"), "run_id")):
        for path in paths:
            if _noted(path, key) == run_id:
                return _in_folder(path.parent)
    return None


def _noted(journal: Path, key: str) -> object:
    try:
        return json.loads(journal.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stored(text: str, uri: str | None) -> _Found:
    """What is meant in the store."""
    query = _QUERY.fullmatch(text) is not None
    if not query and Path(text).name != text:
        raise SourceError(f"{text}: there is no such folder")
    address = resolve(uri)
    if uri is None and address.database is not None and not address.database.is_file():
        raise SourceError(f"{text}: {_unknown(text)}, and there is no store here ({address.database})")
    reader = open_reader(uri)
    if query:
        rows = reader.matching(text)
        if not rows:
            raise SourceError(f"{text}: no run in {address.shown} is like this")
        return StoredRuns(reader, rows, own=None, name=text), None
    row = reader.run(text) if _ID.fullmatch(text) else None
    if row is None:
        sweeps = reader.sweeps_named(text)
        if len(sweeps) > 1:
            ids = " ".join(sweep.run_id for sweep in sweeps)
            raise SourceError(f"{text}: several sweeps have this name; say which, by its run's id: {ids}")
        row = sweeps[0] if sweeps else None
    if row is None:
        raise SourceError(f"{text}: {_unknown(text)}, and neither the name of a sweep nor a run in {address.shown}")
    return _recorded(reader, row)


def _recorded(reader: StoreReader, row: StoredRow) -> _Found:
    """What a run of the store stands for, from its folder where that is here."""
    if row.is_sweep:
        return _of_id(row.run_id) or _sweep(reader, row), None
    sweep = _of_id(row.tags.get(PARENT_TAG, row.run_id))
    if sweep is None:
        return StoredRuns(reader, [row], own=row), None
    if PARENT_TAG not in row.tags:
        return sweep, None
    for member in sweep.members:
        if member.digest == row.tags.get(DIGEST_TAG):
            return sweep, Narrowing(member.number, {})
    return StoredRuns(reader, [row], own=row), None


def _sweep(reader: StoreReader, own: StoredRow) -> Recording:
    with asking(reader.address):
        kept = read_kept(reader.address, own.artifact_uri, ended=own.status != "RUNNING")
    if kept is not None and kept.tables is not None:
        return StoredSweep(reader, own, kept, kept.tables)
    rows = reader.below(own) + (reader.runs(list(kept.reused.values())) if kept else [])
    return StoredRuns(reader, rows, own=own, kept=kept)


def _unknown(text: str) -> str:
    near = get_close_matches(text, [path.parent.name for path in _ROOT.glob(f"*/{SWEEP}")], n=1)
    return "there is no such folder" + (f" (did you mean {near[0]}?)" if near else "")
