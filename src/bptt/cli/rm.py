"""`bptt rm SWEEP`: deletes a sweep, its runs and all their files, after asking."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from bptt.cli.common import Parser, add_store, print_lines

if TYPE_CHECKING:
    from bptt.sweeps.removing import RemovalTarget


def main(argv: Sequence[str]) -> int:
    """Delete a sweep. 0: it is gone, or the user thought better of it, 1: broken off, 2: a wrong request."""
    from bptt.sweeps.removing import RemovalError, choose_removed_folder, describe_removed, find_removed
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
        folder = choose_removed_folder(args.sweep)
        with nullcontext() if folder is None else file_lock(folder / LOCK, wait=False):
            found = find_removed(args.sweep, args.uri, folder)
            print_lines(describe_removed(found))
            if not args.yes and not _ask():
                print("nothing was deleted")
                return 0
            return _remove(found)
    except LockedError:
        print(f"{folder}: this sweep is still going on, in another process", file=sys.stderr)
    except (RemovalError, ArchiveError, SourceError, StoreError) as error:
        print(error, file=sys.stderr)
    return 2


def _ask() -> bool:
    if not sys.stdin.isatty():
        from bptt.sweeps.removing import RemovalError

        raise RemovalError("nothing was deleted: it asks first, which takes a terminal, or --yes")
    try:
        return input("Delete all of this for good? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _remove(found: "RemovalTarget") -> int:
    from bptt.sweeps.removing import remove_sweep
    from bptt.tracking.store.address import StoreError

    try:
        done = remove_sweep(found, lambda note: print_lines([note]))
    except (StoreError, OSError) as error:
        print_lines([str(error), "not all of it was deleted; the same command goes on"], sys.stderr)
        return 1
    print_lines([f"deleted {' and '.join(done)}"])
    return 0
