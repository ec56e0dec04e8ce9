"""`bptt report SWEEP…`: what a sweep found, or several side by side, as a document that others can repeat."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.analysis.report.writing import FORMATS
from bptt.cli.common import Parser, add_store, print_lines
from bptt.tracking.folder.files import REPORT

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep


def main(argv: Sequence[str]) -> int:
    """Write the report and print its page's path and the hash of its results; or, with --verify, compare that alone.

    0: it is there, or the hash is the same; 1: it can't be written, a part of it can't be made, or the hash is another
    one; 2: a wrong request.
    """
    args = _make_parser().parse_args(argv)
    from bptt.analysis.sweep import hash_results, load_sweep
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        sweeps = [
            load_sweep(source, uri=args.uri, solved=args.solved, conditions=args.conditions) for source in args.sweep
        ]
        if args.verify is not None:
            return _verify(sweeps, args.verify)
        _check_along(sweeps, args.along)
        folder = _choose_folder(sweeps) if args.output is None else Path(args.output)
        _check(folder)
        missing: list[str] = []
        print(_write(sweeps, folder, args, missing))
        print(f"results sha256 {hash_results(sweeps)}")
    except (SourceError, ArchiveError, StoreError) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # of whoever read along
        raise
    except OSError as error:
        print(f"{folder}: can't be written: {error.strerror or error}", file=sys.stderr)
        return 1
    if missing:
        print_lines(missing, sys.stderr)
    return int(bool(missing))


def _make_parser() -> Parser:
    parser = Parser(
        prog="bptt report",
        description="Writes what a sweep found as one HTML file that stands by itself, as Markdown with its figures,"
        " and its tables as CSV and LaTeX; several sweeps are compared in one report.",
    )
    parser.add_argument(
        "sweep",
        metavar="SWEEP",
        nargs="+",
        help="a folder, a sweep's name, or a run's id; latest; SWEEP:best",
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="otherwise report/ in the sweep's folder")
    add_store(parser, "that of `bptt train`")
    parser.add_argument(
        "--solved", metavar="CRITERION", help="when a run has solved its task: 'loss/eval<=0.01'; otherwise the sweep's"
    )
    parser.add_argument(
        "--conditions",
        metavar="KEY",
        nargs="*",
        help="swept keys that make the task harder, across which nothing is ranked; otherwise the sweep's",
    )
    parser.add_argument(
        "--along",
        metavar="METRIC",
        default="update",
        help="what figures of convergence and of solved runs have across: update, work/gradients, work/seconds",
    )
    parser.add_argument(
        "--figures",
        metavar="FORMAT",
        nargs="+",
        choices=FORMATS,
        default=list(FORMATS[:1]),
        help=f"formats of the files in figures/: {', '.join(FORMATS)}",
    )
    parser.add_argument(
        "--verify",
        metavar="DIGEST",
        type=_read_digest,
        help="write nothing; say whether the results have this sha256, as a report and the end of a sweep tell it",
    )
    return parser


def _read_digest(text: str) -> str:
    found = text.strip().lower()
    if not re.fullmatch("[0-9a-f]{16}", found):
        raise argparse.ArgumentTypeError(
            f"{text}: sixteen hexadecimal characters are needed, as `bptt report` tells them"
        )
    return found


def _verify(sweeps: "Sequence[Sweep]", wanted: str) -> int:
    from bptt.analysis.sweep import hash_results

    found = hash_results(sweeps)
    if found == wanted:
        print(f"results sha256 {found}: the same")
        return 0
    print(f"results sha256 {found}: NOT {wanted}; `bptt reproduce` says what differs from a record", file=sys.stderr)
    return 1


def _choose_folder(sweeps: "Sequence[Sweep]") -> Path:
    if len(sweeps) > 1:
        return Path("report-comparison")
    (sweep,) = sweeps
    if sweep.folder is None or ":" in sweep.name:
        return Path("report-" + re.sub(r"[/\\\0]", "_", sweep.name).replace(":", "-"))
    folder = sweep.folder / REPORT
    if folder.is_symlink():  # in a sweep's folder that came from elsewhere it may lead anywhere
        folder.unlink()
    return folder


def _check(folder: Path) -> None:
    """Raise SourceError where the folder holds something else."""
    from bptt.analysis.report.writing import is_own_page
    from bptt.tracking.folder.files import PAGE
    from bptt.tracking.history.find import SourceError

    if folder.exists() and not folder.is_dir():
        raise SourceError(f"-o {folder}: not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not is_own_page(folder / PAGE):
        raise SourceError(f"-o {folder}: holds something else than a report; name a folder of its own")


def _check_along(sweeps: "Sequence[Sweep]", along: str) -> None:
    """Raise SourceError where a sweep has no such axis."""
    from bptt.analysis.work import check_axis
    from bptt.tracking.history.find import SourceError

    for sweep in sweeps:
        try:
            check_axis(along, sweep.history)
        except ValueError as error:
            raise SourceError(f"{sweep.name}: --{error}" if len(sweeps) > 1 else f"--{error}") from None


def _write(sweeps: "Sequence[Sweep]", folder: Path, args: argparse.Namespace, missing: list[str]) -> Path:
    from bptt.analysis.report.writing import make_report_files, write_report

    options = [] if args.solved is None else ["--solved", args.solved]
    options += [] if args.conditions is None else ["--conditions", *args.conditions]
    options += [] if args.along == "update" else ["--along", args.along]
    return write_report(folder, make_report_files(sweeps, args.figures, options, missing, args.along))
