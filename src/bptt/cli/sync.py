"""`bptt sync FOLDER`: sends to the store what it did not get of a sweep, without sending anything twice."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bptt.cli.common import Parser, add_allow


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

    from bptt.cli.sweep import sync_sweep
    from bptt.configuration.errors import ConfigurationError
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import LockedError, file_lock
    from bptt.tracking.folder.sweep import SweepFolder
    from bptt.tracking.store.address import StoreError

    try:
        SweepFolder.open(folder)
        with file_lock(folder / LOCK, wait=False):
            return sync_sweep(folder, args.allow)
    except LockedError:
        print(f"{folder}: is still being trained, by another process", file=sys.stderr)
    except (ArchiveError, StoreError, ConfigurationError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2
