"""`bptt reproduce RUN|SWEEP`: trains again what was recorded, and says whether it gives the same bits."""

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.cli.allowing import add_allow
from bptt.cli.arguments import Parser

if TYPE_CHECKING:
    from bptt.sweeps.reproduction import Verdict
    from bptt.tracking.recorded import RecordedRun


def main(argv: Sequence[str]) -> int:
    """0: the same bits, or within the tolerance; 1: not; 2: nothing that can be trained again; 130: interrupted."""
    parser = Parser(
        prog="bptt reproduce",
        description="Trains a run, or all runs of a sweep, again from the record alone, and compares all metrics, the"
        " gradient flow and the weights with what was recorded. What differs between then and now (versions,"
        " processor, commit) is said first. Exit code 0: the same bits. Nothing is recorded.",
    )
    parser.add_argument(
        "source",
        metavar="RUN|SWEEP",
        help="a folder, a sweep's name, a run's id in the store, `latest`; SWEEP:12 is one run of a sweep,"
        " SWEEP:model=lstm those with this value",
    )
    parser.add_argument("--uri", help="the store in which a name or an id is looked up")
    parser.add_argument(
        "--tolerance",
        metavar="REL",
        type=_tolerance,
        help="relative difference that passes, as 1e-9: on another machine the last bits may differ; of weights,"
        " relative to the largest of their array",
    )
    parser.add_argument(
        "--runs", metavar="N", type=_count, default=None, help="so many runs, evenly from all of a sweep (all)"
    )
    add_allow(parser)
    args = parser.parse_args(argv)

    from bptt.configuration.problems import ConfigurationError
    from bptt.sweeps.calls import WorkersError
    from bptt.tracking.address import StoreError
    from bptt.tracking.block_files import ArchiveError
    from bptt.tracking.sources import SourceError

    try:
        return _reproduce(args.source, args.uri, args.tolerance, args.runs, args.allow)
    except (SourceError, ArchiveError, StoreError, ConfigurationError, WorkersError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def _reproduce(source: str, uri: str | None, tolerance: float | None, most: int | None, allow: Sequence[str]) -> int:
    from bptt.cli.reproduction_lines import beginning, result
    from bptt.cli.sweep_progress import SweepProgress
    from bptt.sweeps.kernel_folder import check_kernel_folder
    from bptt.sweeps.reproduction import reproduce
    from bptt.tracking.environment import environment
    from bptt.tracking.recorded import recorded_runs

    check_kernel_folder()
    recorded = recorded_runs(source, uri)
    runs = _spread(recorded, most)
    print("\n".join(beginning(runs, len(recorded), environment())), flush=True)
    verdicts = reproduce(runs, tolerance, SweepProgress(), allow)
    print("\n".join(result(verdicts, tolerance)), flush=True)
    return _code(verdicts)


def _code(verdicts: "Sequence[Verdict]") -> int:
    """Runs that recorded nothing count for nothing, unless there is nothing else."""
    from bptt.analysis.bits import Compared

    if all(verdict.same or verdict.empty for verdict in verdicts) and any(verdict.same for verdict in verdicts):
        return 0
    compared = any(isinstance(verdict.found, Compared) for verdict in verdicts)
    return 1 if compared or any(verdict.damaged for verdict in verdicts) else 2


def _spread(runs: "list[RecordedRun]", most: int | None) -> "list[RecordedRun]":
    if most is None or most >= len(runs):
        return runs
    return [runs[place * len(runs) // most] for place in range(most)]


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 and below 1 is needed, as 1e-9")
    return value


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text}: a number of runs is needed, at least 1, or all")
    return int(text)
