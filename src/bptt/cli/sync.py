"""`bptt sync FOLDER`: sends to the store what it did not get of a sweep, without sending anything twice."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bptt.cli.common import Parser, add_allow, call_on_folder


def main(argv: Sequence[str]) -> int:
    """0: the store has the whole sweep, 1: it has not, or a run failed or is missing, 2: no sweep, or no store."""
    parser = Parser(
        prog="bptt sync",
        description="Sends to the store what it did not get of a sweep, as when the server was away. Nothing is"
        " trained, and nothing is sent twice.",
    )
    parser.add_argument("folder", metavar="SWEEP", help="the sweep's folder, as `bptt train` named it")
    add_allow(parser)
    args = parser.parse_args(argv)
    folder = Path(args.folder).resolve()
    return call_on_folder(str(folder), partial(_sync, folder, args.allow))


def _sync(folder: Path, allow: Sequence[str]) -> int:
    from bptt.cli.sweep import sync_sweep
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import file_lock
    from bptt.tracking.folder.sweep import SweepFolder

    SweepFolder.open(folder)
    with file_lock(folder / LOCK, wait=False):
        return sync_sweep(folder, allow)
