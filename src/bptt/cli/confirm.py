"""`bptt confirm SWEEP`: trains the best setting of each condition again, on fresh seeds."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bptt.cli.common import Parser, add_allow, add_store, add_workers, call_on_folder, read_workers

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
    add_store(parser, "the one that it was begun in")
    add_allow(parser)
    args = parser.parse_args(argv)
    if args.seeds < 1:
        parser.error(f"argument --seeds: must be at least 1, not {args.seeds}")
    confirm = partial(_confirm, args.sweep, args.seeds, read_workers(args), args.allow, args.uri)
    return call_on_folder(args.sweep, confirm)


def _confirm(source: str, seeds: int, settings: Mapping[str, object], allow: Sequence[str], uri: str | None) -> int:
    from bptt.configuration.owners import check_kernel_folder
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import file_lock
    from bptt.tracking.store.address import resolve_address

    check_kernel_folder()
    uri = None if uri is None else resolve_address(uri).uri  # as seen from here
    folder = _find_folder(source)
    with file_lock(folder / LOCK, wait=False):
        from bptt.cli.sweep import confirm_sweep

        return confirm_sweep(folder, seeds, settings, allow, uri)


def _find_folder(source: str) -> Path:
    from bptt.tracking.folder.sweep import is_sweep
    from bptt.tracking.history.find import LATEST, SourceError, find, find_newest_folder

    found = find(find_newest_folder(runs=False) if source == LATEST else source)
    folder = found.recording.head.folder
    if folder is None:
        raise SourceError(f"{source}: its folder is not here; a sweep is confirmed where it was trained")
    if not is_sweep(folder):
        raise SourceError(f"{source}: a single run; nothing was picked as the best")
    if found.narrowing is not None:
        raise SourceError(f"{source}: a part of a sweep; the whole one is confirmed")
    return folder.absolute()
