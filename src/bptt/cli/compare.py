"""`bptt compare A B`: what tells two sets of runs apart, which does better, and how sure that is."""

import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.cli.arguments import Parser

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep


def main(argv: Sequence[str]) -> int:
    """Print the comparison. 2: one of the two can't be found, or a metric was not recorded."""
    parser = Parser(
        prog="bptt compare",
        description="Compares two sweeps, parts of them, or runs: the parameters that differ, then the metrics of both"
        " with 95 % intervals, and which is better and how sure that is. Where both have the same settings, also"
        " setting by setting.",
        epilog="SOURCE:12 is one run of a sweep, SOURCE:model=lstm,alpha=0.1 those with these values, so"
        " `bptt compare latest:model=gru latest:model=lstm` compares within the newest sweep.",
    )
    for side in ("A", "B"):
        parser.add_argument(side.lower(), metavar=side, help="a folder, a sweep's name, a run's id, `latest`, a query")
    parser.add_argument("--uri", help="the store in which a name or an id is looked up")
    parser.add_argument("--solved", metavar="CRITERION", help="when a run has solved its task, as 'loss/eval<=0.01'")
    parser.add_argument(
        "--metric", action="append", help="compare this one, not the losses and the accuracy; repeatable"
    )
    args = parser.parse_args(argv)

    from bptt.tracking.address import StoreError
    from bptt.tracking.block_files import ArchiveError
    from bptt.tracking.sources import SourceError

    try:
        a, b, alike = _both(args.a, args.b, args.uri, args.solved)
        metrics = _metrics(args.metric, a, b)
    except (SourceError, ArchiveError, StoreError) as error:
        print(error, file=sys.stderr)
        return 2
    from bptt.cli.comparison_lines import comparison

    print("\n".join(comparison(a, b, metrics, by_criterion=alike)))
    return 0


def _both(a: str, b: str, uri: str | None, solved: str | None) -> "tuple[Sweep, Sweep, bool]":
    """The two, and whether one criterion says of both when a run has solved its task."""
    from bptt.analysis.load import load
    from bptt.tracking.sources import SourceError

    first, second = load(a, uri=uri, solved=solved), load(b, uri=uri, solved=solved)
    if first.solved == second.solved:
        return first, second, True
    try:
        return first, load(b, uri=uri, solved=str(first.solved)), True
    except SourceError:  # its runs have another metric
        return first, second, False


def _metrics(asked: Sequence[str] | None, a: "Sweep", b: "Sweep") -> list[str]:
    from bptt.analysis.comparison import METRICS
    from bptt.tracking.sources import SourceError

    names = [*METRICS, *a.history.columns.drop(["run", "update"])]
    recorded = [name for name in dict.fromkeys(names) if all(_known(side, name) for side in (a, b))]
    for metric in asked or ():
        if metric not in recorded:
            near = difflib.get_close_matches(metric, recorded, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise SourceError(f"{metric}: not recorded on both sides; {meant}there are {', '.join(recorded)}")
    return [*dict.fromkeys(asked)] if asked else [metric for metric in METRICS if metric in recorded]


def _known(side: "Sweep", metric: str) -> bool:
    """Whether something can be said of it: of a run that diverged, that its loss is infinite."""
    return metric in side.runs and bool((side.runs[metric].notna() | side.runs["outcome"].eq("diverged")).any())
