"""`bptt rm SWEEP`: deletes a sweep, its runs and all their files, after asking."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.cli.common import Parser, add_store, print_lines
from bptt.cli.progress import count_units
from bptt.printable import OneLineError

if TYPE_CHECKING:
    from bptt.tracking.folder.sweep import SweepJournal
    from bptt.tracking.store.base import Store, SweepToRemove


class _Refused(OneLineError):
    """The request can't be carried out; the message is one line for the user."""


@dataclass(frozen=True)
class _Target:
    """What there is of a sweep: a folder, a record in a store, or both."""

    name: str
    folder: Path | None
    stored: "tuple[Store, SweepToRemove] | None"
    kept: str = "none in the store"  # why no runs are deleted


def main(argv: Sequence[str]) -> int:
    """Delete a sweep. 0: it is gone, or the user thought better of it, 1: broken off, 2: a wrong request."""
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import LockedError, file_lock
    from bptt.tracking.store.address import StoreError
    from bptt.tracking.store.connecting import SourceError

    parser = Parser(
        prog="bptt rm",
        description="Deletes a sweep for good, after asking: its own run in the MLflow store and the runs below that,"
        " their artifacts, and its folder under multirun.",
    )
    parser.add_argument("sweep", metavar="SWEEP", help="the sweep's folder, its name, or the id of its own run; latest")
    add_store(parser, "the one that the folder names, or that of `bptt train`")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    args = parser.parse_args(argv)
    try:
        folder = _choose_folder(args.sweep)
        with nullcontext() if folder is None else file_lock(folder / LOCK, wait=False):
            found = _find(args.sweep, args.uri, folder)
            print_lines(_describe(found))
            if not args.yes and not _ask():
                print("nothing was deleted")
                return 0
            return _remove(found)
    except LockedError:
        print(f"{folder}: this sweep is still going on, in another process", file=sys.stderr)
    except (_Refused, ArchiveError, SourceError, StoreError) as error:
        print(error, file=sys.stderr)
    return 2


def _choose_folder(text: str) -> Path | None:
    """The folder of the sweep that is meant; None: it has none here. Raises _Refused, SourceError and ArchiveError."""
    from bptt.tracking.folder.files import MULTIRUN
    from bptt.tracking.folder.sweep import SweepFolder, is_sweep
    from bptt.tracking.history.find import LATEST, find_newest_folder

    folder = find_newest_folder(runs=False) if text == LATEST else Path(text)
    named = folder.name == text
    if named and not folder.is_dir() and is_sweep(Path(MULTIRUN, text)):
        folder = Path(MULTIRUN, text)
    if folder.is_dir():
        return SweepFolder.open(folder).folder.resolve()
    if named:
        return None
    raise _Refused(f"{folder}: there is no such folder")


def _find(text: str, uri: str | None, folder: Path | None) -> _Target:
    from bptt.tracking.folder.sweep import SweepFolder
    from bptt.tracking.store.opening import open_to_delete

    if folder is not None:
        return _find_folder(folder, SweepFolder.open(folder).journal, uri)
    store = open_to_delete(uri)
    ids = store.list_sweeps(text) or [text]
    if len(ids) > 1:
        raise _Refused(f"{text}: several sweeps have this name; say which, by its folder or its run: {' '.join(ids)}")
    sweep = store.find_sweep(ids[0])
    if sweep is None:
        raise _Refused(f"{text}: neither a sweep's folder here, nor a sweep in {store.address.shown}")
    return _Target(sweep.name, None, (store, sweep))


def _find_folder(folder: Path, journal: "SweepJournal", uri: str | None) -> _Target:
    """The sweep that a folder is of, with its record."""
    from bptt.tracking.store.address import recall_uri
    from bptt.tracking.store.opening import open_to_delete
    from bptt.tracking.store.whereabouts import describe_lost, find_whereabouts

    if journal.parent is None:
        return _Target(journal.name, folder, None)
    where = find_whereabouts(folder, journal, journal.parent)
    if uri is None and where.home is None:
        raise _Refused(f"{describe_lost(folder, journal)}; --store URI names the store to delete its runs in")
    if uri is None and where.original is not None:
        return _Target(journal.name, folder, None, f"those of {where.original}, which this is a copy of, stay")
    to_open = recall_uri(where.uri, uri, journal.name)
    store = open_to_delete(to_open) if uri is not None else open_to_delete(to_open, where.home)
    sweep = store.find_sweep(journal.parent)
    if sweep is not None and sweep.name != journal.name:
        raise _Refused(f"{journal.name}: its folder names a run of the store that is of another sweep, {sweep.name}")
    return _Target(journal.name, folder, None if sweep is None else (store, sweep))


def _describe(found: _Target) -> list[str]:
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


def _ask() -> bool:
    if not sys.stdin.isatty():
        raise _Refused("nothing was deleted: it asks first, which takes a terminal, or --yes")
    try:
        return input("Delete all of this for good? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _remove(found: _Target) -> int:
    from bptt.tracking.folder.files import LOCK, SWEEP
    from bptt.tracking.store.address import StoreError

    done = []
    try:
        if found.stored is not None:
            store, sweep = found.stored
            for note in store.delete(sweep):
                print_lines([note])
            done.append(count_units(len(sweep.runs), "run"))
        if found.folder is not None:
            # What makes it a sweep's folder goes last: a removal that is broken off can be repeated.
            for path in found.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name not in (SWEEP, LOCK):
                    path.unlink()
            shutil.rmtree(found.folder)
            done.append(str(found.folder))
    except (StoreError, OSError) as error:
        print_lines([str(error), "not all of it was deleted; the same command goes on"], sys.stderr)
        return 1
    print_lines([f"deleted {' and '.join(done)}"])
    return 0
