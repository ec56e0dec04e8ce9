"""`bptt live [SWEEP]`: a page that shows a sweep while it is trained, served to this machine alone."""

import sys
import threading
from collections.abc import Sequence

from bptt.cli.common import Parser, print_lines


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C. 2: it is no sweep, or the port is taken."""
    from bptt.watch.server import PORT

    parser = Parser(
        prog="bptt live",
        description="Shows a sweep on a page, from its folder alone: progress, curves by setting, the best so far, what"
        " failed and what time is left; while it is trained, after it, and before it has begun. The page is served to"
        " this machine alone, and needs nothing from elsewhere.",
    )
    parser.add_argument(
        "sweep",
        metavar="SWEEP",
        nargs="?",
        default="latest",
        help="a sweep's folder, its name, or its id in MLflow; otherwise latest: always the one that was begun last",
    )
    parser.add_argument(
        "--port", metavar="N", type=int, help=f"0: any free one; otherwise the first free one from {PORT} on"
    )
    args = parser.parse_args(argv)

    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.watch.server import LiveServer, ServingError

    try:
        page = LiveServer(args.sweep, args.port)
    except (SourceError, ArchiveError, ServingError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with page:
            print_lines([f"Open {page.url}", "     Ctrl-C ends the page, and nothing else"])
            if page.waits is not None:
                print_lines([f"     {page.waits}"])
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    return 0
