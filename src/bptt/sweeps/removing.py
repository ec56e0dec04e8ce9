"""A sweep deleted for good: its own run in the store and those below it, their artifacts, and its folder."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bptt.printable import OneLineError
from bptt.tracking.folder.files import LOCK, MULTIRUN, SWEEP
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal, is_sweep
from bptt.tracking.history.find import LATEST, find_newest_folder
from bptt.tracking.store.address import recall_uri
from bptt.tracking.store.base import Store, SweepToRemove
from bptt.tracking.store.opening import open_to_delete
from bptt.tracking.store.whereabouts import describe_lost, find_whereabouts


class RemovalError(OneLineError):
    """The request can't be carried out; the message is one line for the user."""


@dataclass(frozen=True)
class RemovalTarget:
    """What there is of a sweep: a folder, a record in a store, or both."""

    name: str
    folder: Path | None
    stored: "tuple[Store, SweepToRemove] | None"
    kept: str = "none in the store"  # why no runs are deleted


def choose_removed_folder(text: str) -> Path | None:
    """The folder of the sweep that is meant; None: it has none here. Raises RemovalError and ArchiveError."""
    folder = find_newest_folder(runs=False) if text == LATEST else Path(text)
    named = folder.name == text
    if named and not folder.is_dir() and is_sweep(Path(MULTIRUN, text)):
        folder = Path(MULTIRUN, text)
    if folder.is_dir():
        return SweepFolder.open(folder).folder.resolve()
    if named:
        return None
    raise RemovalError(f"{folder}: there is no such folder")


def find_removed(text: str, uri: str | None, folder: Path | None) -> RemovalTarget:
    """What there is of the sweep that is meant, of which `folder` is what `choose_removed_folder` found.

    Raises RemovalError, ArchiveError and StoreError.
    """
    if folder is not None:
        return _find_folder(folder, SweepFolder.open(folder).journal, uri)
    store = open_to_delete(uri)
    ids = store.list_sweeps(text) or [text]
    if len(ids) > 1:
        raise RemovalError(
            f"{text}: several sweeps have this name; say which, by its folder or its run: {' '.join(ids)}"
        )
    sweep = store.find_sweep(ids[0])
    if sweep is None:
        raise RemovalError(f"{text}: neither a sweep's folder here, nor a sweep in {store.address.shown}")
    return RemovalTarget(sweep.name, None, (store, sweep))


def _find_folder(folder: Path, journal: "SweepJournal", uri: str | None) -> RemovalTarget:
    """The sweep that a folder is of, with its record."""
    if journal.parent is None:
        return RemovalTarget(journal.name, folder, None)
    where = find_whereabouts(folder, journal, journal.parent)
    if uri is None and where.home is None:
        raise RemovalError(f"{describe_lost(folder, journal)}; --store URI names the store to delete its runs in")
    if uri is None and where.original is not None:
        return RemovalTarget(journal.name, folder, None, f"those of {where.original}, which this is a copy of, stay")
    to_open = recall_uri(where.uri, uri, journal.name)
    store = open_to_delete(to_open) if uri is not None else open_to_delete(to_open, where.home)
    sweep = store.find_sweep(journal.parent)
    if sweep is not None and sweep.name != journal.name:
        raise RemovalError(
            f"{journal.name}: its folder names a run of the store that is of another sweep, {sweep.name}"
        )
    return RemovalTarget(journal.name, folder, None if sweep is None else (store, sweep))


def describe_removed(found: RemovalTarget) -> list[str]:
    """What would go, in lines."""
    lines = [f"sweep {found.name}"]
    if found.stored is None:
        lines.append(f"  runs    {found.kept}")
    else:
        store, sweep = found.stored
        going_on = ", RUNNING as far as the store knows" if sweep.status == "RUNNING" else ""
        below = f"{len(sweep.runs) - 1:,} and the sweep's own, with their artifacts{going_on}"
        lines.append(f"  runs    {below}")
        if sweep.shared:
            lines.append(f"  kept    {len(sweep.shared):,} that other sweeps have too")
        lines += [f"  in      experiment {sweep.experiment} of {store.address.shown}"]
    return [*lines, f"  folder  {found.folder or 'none here'}"]


def remove_sweep(found: RemovalTarget, tell: Callable[[str], None]) -> list[str]:
    """Delete what was found, for good; what went, in words. tell: gets a line for what there is to be said.

    Raises StoreError and OSError where not all of it went; the same call goes on.
    """
    done = []
    if found.stored is not None:
        store, sweep = found.stored
        for note in store.delete(sweep):
            tell(note)
        count = len(sweep.runs)
        done.append(f"{count:,} run{'s'[: count != 1]}")
    if found.folder is not None:
        # What makes it a sweep's folder goes last: a removal that is broken off can be repeated.
        for path in found.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (SWEEP, LOCK):
                path.unlink()
        shutil.rmtree(found.folder)
        done.append(str(found.folder))
    return done
