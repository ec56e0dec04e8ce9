"""`bptt measure RUN|SWEEP`: what the weights that runs left say of their dynamics, as tables beside the results."""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bptt.cli.common import Parser, add_allow, add_store, call_on_folder, print_lines, say
from bptt.cli.progress import count_units, show_counting
from bptt.configuration.measuring import WHEN

if TYPE_CHECKING:
    from bptt.configuration.measuring import Kind
    from bptt.sweeps.measuring import Measuring

_KINDS: "Final[dict[Kind, str]]" = {
    "lyapunov": "Lyapunov exponents along training sequences, and the Kaplan-Yorke dimension",
    "jacobian": "singular values of the Jacobian over a whole sequence",
    "sharpness": "the largest eigenvalue of the training loss's Hessian, and its share of what the optimizer can bear",
    "fixed_points": "fixed points without input, and how many of them are stable",
    "noise_scale": "the noise scale of the training loss's gradient",
    "truncation_bias": "how truncation turns and shortens the gradient",
}


def main(argv: Sequence[str]) -> int:
    """Measure a sweep's or a run's weights. 0: all went well, 1: something could not be measured, 2: a wrong request,
    130: interrupted, and what is done is kept.
    """
    parser = Parser(
        prog="bptt measure",
        description="Measures the weights that the runs of a sweep left: at the start, which is drawn again from the"
        " seed, at the end, and at whatever updates train.snapshots has kept them. What is measured stands in the"
        " sweep's tables, in its report and with its runs in the store. Called again, it measures what is missing.",
    )
    parser.add_argument(
        "source", metavar="RUN|SWEEP", help="a folder or its name; latest; SWEEP:12, SWEEP:best, SWEEP:KEY=VALUE"
    )
    for kind, says in _KINDS.items():
        parser.add_argument(f"--{kind.replace('_', '-')}", dest="kinds", action="append_const", const=kind, help=says)
    parser.add_argument(
        "--at",
        metavar="WHEN",
        type=_read_when,
        default=["first", "last"],
        help="first, last, all, or updates, parted by commas (default: first,last)",
    )
    parser.add_argument("--workers", metavar="N", type=_read_count, help="how many measure at a time (one per core)")
    add_store(parser, "the one that it was recorded in")
    add_allow(parser)
    args = parser.parse_args(argv)
    return call_on_folder(args.source, partial(_measure, args))


def _read_when(text: str) -> list[str | int]:
    found: list[str | int] = []
    for part in (part.strip() for part in text.split(",")):
        if part.isascii() and part.isdigit():
            found.append(int(part))
        elif part in WHEN:
            found.append(part)
        else:
            near = get_close_matches(part, WHEN, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentTypeError(f"{part}: must be first, last, all, or an update's number{meant}")
    return list(dict.fromkeys(found))


def _read_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 on")
    return int(text)


def _measure(args: argparse.Namespace) -> int:
    from bptt.analysis.sweep import pick_best
    from bptt.configuration.owners import check_kernel_folder
    from bptt.sweeps.measuring import plan_measuring
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import file_lock
    from bptt.tracking.history.find import SourceError, find
    from bptt.tracking.store.address import resolve_address

    check_kernel_folder()
    found = find(args.source, choose=pick_best)
    if (folder := found.recording.head.folder) is None:
        raise SourceError(f"{args.source}: its folder, which has the weights, is not here")
    folder = folder.absolute()
    # As seen from here: what is measured may lie in another project.
    uri = None if args.uri is None else resolve_address(args.uri).uri
    try:
        with file_lock(folder / LOCK, wait=False):
            measuring = plan_measuring(found, args.kinds, args.at, args.allow)
            if measuring.notes:
                print_lines(measuring.notes, sys.stderr)
            code = _fill(measuring, args)
            return max(code, _send(folder, uri))
    except BrokenPipeError:  # of whoever read along
        raise
    except OSError as error:
        print_lines([f"{folder}: can't be written: {error.strerror or error}"], sys.stderr)
        return 1


def _fill(measuring: "Measuring", args: argparse.Namespace) -> int:
    """Measure what is missing, and tell of it."""
    from bptt.sweeps.measuring import measure_missing
    from bptt.sweeps.workers.calls import WorkersError
    from bptt.sweeps.workers.interrupts import Interrupts
    from bptt.sweeps.workers.pool import WorkerSettings
    from bptt.tracking.folder.measures import MEASURES

    lacking, began, failed = len(measuring.missing), time.monotonic(), dict[str, str]()
    settings = WorkerSettings(workers=args.workers or (1 if measuring.is_short else None))
    if lacking:
        try:
            with Interrupts() as interrupts, show_counting("measuring", "network", lacking, settings.wanted) as tell:
                failed = measure_missing(measuring, settings, interrupts, tell)
        except KeyboardInterrupt:
            say(f"interrupted; what is measured is kept; go on with: bptt measure {shlex.quote(args.source)} …")
            raise
        except WorkersError as error:
            print_lines([str(error)], sys.stderr)
            return 1
    for name, reason in failed.items():
        print_lines([f"{name}: {reason.strip().splitlines()[-1]}"], sys.stderr)
    done = f"{lacking:,} measured in {time.monotonic() - began:.0f} s" if lacking else "all were there"
    told = f"{count_units(measuring.count, 'network')} of {count_units(len(measuring.runs), 'run')}: {done}"
    lost = f", {count_units(len(failed), 'run')} could not be" if failed else ""
    print_lines([f"{measuring.folder / MEASURES}: {told}{lost}"])
    return int(bool(failed))


def _send(folder: Path, uri: str | None) -> int:
    """Have the store take what was measured, as metrics of the runs; 1, in a line, where it doesn't."""
    from bptt.sweeps.restoring import Patience, send_measures

    trouble = send_measures(folder, uri, Patience(say))
    if trouble is None:
        return 0
    print_lines([f"the store doesn't have it: {trouble}; later: bptt sync {shlex.quote(str(folder))}"], sys.stderr)
    return 1
