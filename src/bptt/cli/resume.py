"""`bptt resume FOLDER`: goes on with what was broken off, to the same bits and in the same MLflow runs."""

import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from bptt.cli.common import Parser, add_allow, add_store, add_workers, call_on_folder, read_workers


def resume_run(folder: Path, allow: Collection[str] = (), uri: str | None = None) -> int:
    """Go on with the single run in this folder; returns the exit code. Raises what `resume_single` does."""
    from bptt.cli.progress import RunProgress
    from bptt.cli.summary import tell, tell_interruption
    from bptt.sweeps.single import illustrate_run, resume_single

    reporter = RunProgress()
    try:
        trained = resume_single(folder, allow, reporter, uri)
    except KeyboardInterrupt:  # a second one
        tell_interruption(folder)
        raise
    if trained is None:
        return 0
    tell(trained)
    illustrate_run(trained, reporter)
    if trained.interrupted:
        return 130
    return int(trained.ended.status == "FAILED" or trained.ended.unstored is not None)


def main(argv: Sequence[str]) -> int:
    """Go on with the run or sweep in this folder. 0: all went well, 1: a run failed, 2: it can't, 130: interrupted."""
    parser = Parser(
        prog="bptt resume",
        description="Goes on with a run or a sweep that was interrupted or killed, as if nothing had happened. A run"
        " goes on from its last checkpoint; a sweep trains what is missing. The configuration is the one it was begun"
        " with.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="the folder of the run or the sweep, or latest")
    add_workers(
        parser.add_argument_group("for a sweep, where it is to go on with other workers than it was begun with")
    )
    add_store(parser, "the one that it was begun in")
    add_allow(parser)
    args = parser.parse_args(argv)
    from bptt.tracking.history.find import LATEST, SourceError, find_newest_folder

    folder = Path(args.folder)
    if args.folder == LATEST:
        try:
            folder = find_newest_folder()
        except SourceError as error:
            print(error, file=sys.stderr)
            return 2
    folder = folder.resolve()
    return call_on_folder(str(folder), partial(_resume, folder, read_workers(args), args.allow, args.uri))


def _resume(folder: Path, settings: dict[str, object], allow: Sequence[str], uri: str | None) -> int:
    from bptt.configuration.owners import check_kernel_folder
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import file_lock
    from bptt.tracking.folder.sweep import is_sweep
    from bptt.tracking.store.address import resolve_address

    check_kernel_folder()
    uri = None if uri is None else resolve_address(uri).uri  # as seen from here
    if not is_sweep(folder):
        return resume_run(folder, allow, uri)
    with file_lock(folder / LOCK, wait=False):
        from bptt.cli.sweep import resume_sweep

        return resume_sweep(folder, settings, allow, uri)
