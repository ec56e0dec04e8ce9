"""`bptt sync [FOLDER …]`: writes to the store what it lacks of sweeps and single runs, and nothing twice."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bptt.cli.common import Parser, add_allow, add_store, call_on_folder, print_lines, say, write_store_option

if TYPE_CHECKING:
    from bptt.sweeps.restoring import Difference, Patience
    from bptt.tracking.folder.sweep import SweepFolder

_MOST_SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True)
class _Request:
    name: str
    check: bool
    full: bool
    uri: str | None
    allow: Sequence[str]
    patience: "Patience"


def main(argv: Sequence[str]) -> int:
    """0: the store has all that the folders have, 1: it has not, 2: no sweep and no run, or not to be sent there."""
    parser = Parser(
        prog="bptt sync",
        description="Writes to the store what it lacks of sweeps and single runs, from their folders: what it did not"
        " get, as when the server was away, and what was lost there or deleted since. Nothing is trained, and nothing"
        " is written that is there.",
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="*",
        help="of a sweep or a run, or its name; latest; otherwise all in ./multirun",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="write all of these runs, curves and files too, where tracking.detail=last or sweep left that out;"
        " FOLDER:12 is run 12 of a sweep, FOLDER:best its best one, FOLDER:KEY=VALUE those with this value",
    )
    parser.add_argument("--check", action="store_true", help="only say what is missing, and end with 1 if anything is")
    add_store(parser, "the one that each folder names")
    add_allow(parser)
    args = parser.parse_args(argv)
    from bptt.sweeps.restoring import Patience

    code, names = 0, args.folder or _list_all()
    if not names:
        print("multirun: there is no sweep and no run", file=sys.stderr)
        return 2
    for name in names:
        request = _Request(
            name=name, check=args.check, full=args.full, uri=args.uri, allow=args.allow, patience=Patience(say)
        )
        code = max(code, call_on_folder(name, partial(_sync, request)))
        if code > 2:
            break
    return code


def _list_all() -> list[str]:
    """All sweeps and single runs here, the oldest first."""
    from bptt.tracking.folder.files import JOURNAL, MULTIRUN, SINGLE_RUNS, SWEEP

    root = Path(MULTIRUN)
    journals = [*root.glob(f"*/{SWEEP}"), *(root / SINGLE_RUNS).glob(f"*/{JOURNAL}")]
    return [str(path.parent) for path in sorted(journals, key=lambda path: path.parent.name)]


def _find_folder(name: str) -> Path:
    """The folder that is meant. Raises SourceError for a part of a sweep."""
    from bptt.tracking.history.find import LATEST, SourceError, find_newest_folder, split_source

    if name == LATEST:
        return find_newest_folder()
    found = _find_named(name)
    if found is None and (whole := split_source(name)[0]) != name and _find_named(whole) is not None:
        raise SourceError(f"{name}: a part of a sweep; name the whole one: {whole}; with --full its runs are meant")
    return Path(name) if found is None else found


def _find_named(name: str) -> Path | None:
    """The folder of the sweep or the run that is called so; None: there is none."""
    from bptt.tracking.folder.files import MULTIRUN, SINGLE_RUNS
    from bptt.tracking.folder.sweep import is_sweep
    from bptt.tracking.history.from_folder import is_run

    named = [Path(MULTIRUN, name), Path(MULTIRUN, SINGLE_RUNS, name)] if Path(name).name == name else []
    return next((folder for folder in (Path(name), *named) if is_sweep(folder) or is_run(folder)), None)


def _find_meant(name: str) -> tuple[Path, frozenset[int] | None]:
    """The folder that is meant, and the numbers of the runs; None: it is of a single run.

    Raises SourceError where it is not here, and ArchiveError.
    """
    from bptt.analysis.sweep import pick_best
    from bptt.tracking.history.find import SourceError, find
    from bptt.tracking.history.from_folder import RunFolderHistory, SweepFolderHistory

    found = find(name, choose=pick_best)
    if isinstance(found.recording, SweepFolderHistory):
        return found.recording.folder, found.numbers
    if isinstance(found.recording, RunFolderHistory):
        return found.recording.folder, None
    raise SourceError(f"{name}: its folder, which has all of it, is not here")


def _sync(request: _Request) -> int:
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import LockedError, file_lock, is_locked
    from bptt.tracking.folder.run import read_journal
    from bptt.tracking.history.from_folder import is_run
    from bptt.tracking.store.address import resolve_address

    shown, full = _find_meant(request.name) if request.full else (_find_folder(request.name), None)
    folder = shown.resolve()
    # As seen from here: going on with a sweep may lead to another folder.
    uri = None if request.uri is None else resolve_address(request.uri).uri
    request = replace(request, uri=uri)
    noted = read_journal(folder) if is_run(folder) else _open_sweep(folder, request.allow).journal
    if noted.uri is None and uri is None:
        print_lines([f"{shown}: was not to be recorded in a store, and is not (tracking.enabled=false)"])
        return 0
    if request.check:
        if is_locked(folder / LOCK):
            raise LockedError
        return _sync_held(shown, folder, full, request)
    with file_lock(folder / LOCK, wait=False):
        return _sync_held(shown, folder, full, request)


def _open_sweep(folder: Path, allow: Sequence[str]) -> "SweepFolder":
    """The folder of a sweep, whose end can be written: its configurations name no package that was not allowed."""
    from bptt.configuration.build import check_configuration
    from bptt.tracking.folder.sweep import SweepFolder

    archive = SweepFolder.open(folder)
    for job in archive.jobs()[:1]:
        check_configuration(job.config, allow)
    return archive


def _sync_held(shown: Path, folder: Path, full: frozenset[int] | None, request: _Request) -> int:
    from bptt.tracking.folder.sweep import is_sweep

    return _sync_sweep(shown, folder, full, request) if is_sweep(folder) else _sync_run(shown, folder, request)


def _sync_sweep(shown: Path, folder: Path, full: frozenset[int] | None, request: _Request) -> int:
    from bptt.sweeps.restoring import compare_sweep, restore_sweep
    from bptt.sweeps.stored import OWN
    from bptt.tracking.folder.sweep import SweepFolder

    archive = SweepFolder.open(folder)
    find = compare_sweep if request.check else restore_sweep
    found = find(archive, request.uri, request.patience, full)
    code = _tell(shown, found, request, archive.journal.uri)
    if request.check or code or not found.lacked or (full is not None and OWN not in found.lacked):
        return code
    from bptt.cli.sweep import end_synced

    return end_synced(folder, request.allow, request.uri, request.patience)


def _sync_run(shown: Path, folder: Path, request: _Request) -> int:
    from bptt.sweeps.restoring import compare_run, restore_run
    from bptt.tracking.folder.run import read_journal

    journal = read_journal(folder)
    if journal.status == "RUNNING":
        print_lines([f"{shown}: the run is not at its end; go on with: bptt resume {shlex.quote(str(shown))}"])
        return 0
    find = compare_run if request.check else restore_run
    return _tell(shown, find(folder, journal, request.uri, request.patience), request, journal.uri)


def _tell(shown: Path, found: "Difference", request: _Request, uri: str | None) -> int:
    """Say what a store lacked, and lacks; 1 where it does."""
    for note in found.notes:
        print_lines([f"{shown}: {note}"])
    runs = f"{found.count:,} run{'s'[: found.count != 1]}"
    left = found.lacked if request.check else found.left
    if found.lacked:
        print_lines(
            [f"{shown}: the store {'lacks' if request.check else 'lacked'} something of {_count(found.lacked, runs)}"]
        )
        lines = [f"  {name}: {what}" for name, what in found.lacked.items()]
        print_lines(lines[:_MOST_SHOWN] + [f"  and {len(lines) - _MOST_SHOWN:,} more"] * (len(lines) > _MOST_SHOWN))
    elif not left and found.trouble is None:
        print_lines([f"{shown}: the store has all of it, {runs}"])
    if not left and found.trouble is None:
        return 0
    meant = f"{shlex.quote(request.name)} --full" if request.full else shlex.quote(str(shown))
    again = f"bptt sync {meant}{write_store_option(request.uri or uri)}"
    if request.check and found.trouble is None:
        print_lines([f"  this writes it: {again}"])
    else:
        trouble = f"{found.trouble}; " if found.trouble else ""
        missing = f"{_count(left, runs)} may not be there" if left else "what is there is not known"
        print_lines([f"{shown}: {trouble}{missing}; later: {again}"], sys.stderr)
    return 1


def _count(named: Mapping[str, str], of: str) -> str:
    from bptt.sweeps.stored import OWN

    number = sum(name != OWN for name in named)
    return " and ".join([*([f"{number:,} of {of}"] if number else []), *([OWN] if OWN in named else [])])
