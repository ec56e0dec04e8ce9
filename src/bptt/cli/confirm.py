"""`bptt confirm SWEEP`: trains the best setting of each condition again, on fresh seeds."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bptt.cli.common import Parser, add_allow, add_workers, read_workers

SEEDS = 20


def main(argv: Sequence[str]) -> int:
    """Confirm a sweep's best settings. 0: all went well, 1: a run failed, 2: it can't be, 130: interrupted."""
    parser = Parser(
        prog="bptt confirm",
        description="Trains the best setting of a sweep, of each condition, again on seeds that nothing else has, as a"
        " part of the same sweep: what was picked as the best of many owes some of that to its seeds.",
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep's name or folder, or latest")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="on how many seeds (default: %(default)s)")
    add_workers(parser.add_argument_group("where other workers are to train than the sweep was begun with"))
    add_allow(parser)
    args = parser.parse_args(argv)
    if args.seeds < 1:
        parser.error(f"argument --seeds: must be at least 1, not {args.seeds}")
    return _confirm(args.sweep, args.seeds, read_workers(args), args.allow)


def _confirm(source: str, seeds: int, settings: Mapping[str, object], allow: Sequence[str]) -> int:
    from bptt.configuration.errors import ConfigurationError
    from bptt.sweeps.workers.kernels import check_kernel_folder
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import LockedError, file_lock
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        check_kernel_folder()
        folder = _find_folder(source)
        with file_lock(folder / LOCK, wait=False):
            return _train(folder, seeds, settings, allow)
    except LockedError:
        print(f"{source}: is still being trained, by another process", file=sys.stderr)
    except (ArchiveError, SourceError, StoreError, ConfigurationError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def _find_folder(source: str) -> Path:
    from bptt.tracking.folder.sweep import is_sweep
    from bptt.tracking.history.find import SourceError, find

    found = find(source)
    folder = found.recording.head.folder
    if folder is None:
        raise SourceError(f"{source}: its folder is not here; a sweep is confirmed where it was trained")
    if not is_sweep(folder):
        raise SourceError(f"{source}: a single run; nothing was picked as the best")
    if found.narrowing is not None:
        raise SourceError(f"{source}: a part of a sweep; the whole one is confirmed")
    return folder.absolute()


def _train(folder: Path, seeds: int, settings: Mapping[str, object], allow: Sequence[str]) -> int:
    from bptt.analysis.chosen import count_settings
    from bptt.analysis.sweep import load_sweep
    from bptt.cli.common import say
    from bptt.cli.progress import SweepProgress
    from bptt.cli.sweep import end_sweep
    from bptt.sweeps.choosing import train_following
    from bptt.sweeps.finish import finish
    from bptt.sweeps.reopen import missing, reopen_sweep
    from bptt.sweeps.workers.calls import Stopped
    from bptt.tracking.folder.block import ArchiveError

    sweep = load_sweep(folder)
    if sweep.status not in ("FINISHED", "FAILED"):
        raise ArchiveError(f"{folder}: has not ended; go on with it first: bptt resume {folder}")
    if count_settings(sweep) < 2:
        raise ArchiveError(f"{folder}: there are no two settings of which one is picked as the best")
    session = reopen_sweep(folder, SweepProgress(), settings, allow)
    missing(session, allow)  # refuses another numerical version
    session.note(confirm=max(seeds, session.journal.confirm or 0), status="RUNNING")
    ending = partial(finish, session)
    try:
        train_following(session, allow)
    except Stopped as trouble:
        say(str(trouble))
    except KeyboardInterrupt:
        return end_sweep(session, ending, interrupted=True)
    return end_sweep(session, ending, interrupted=False)
