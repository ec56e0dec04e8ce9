"""`bptt reproduce RUN|SWEEP`: trains again what was recorded, and says whether it gives the same bits.

Before it trains it says what differs from then; afterwards, what differs in the numbers.
"""

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.bits import ComparedPart, Deviation, RunComparison
from bptt.cli.common import Parser, add_allow, add_store, print_lines
from bptt.sweeps.reproduce import NotCompared, Verdict
from bptt.tracking.history.find import PastRun
from bptt.tracking.provenance.environment import MACHINE, list_changes

if TYPE_CHECKING:
    from bptt.sweeps.reproduce import Verdict
    from bptt.tracking.history.find import PastRun

_MOST_RUNS: Final = 5


_WORDS: Final = 200  # of a text, as an error's


def write_beginning(runs: Sequence[PastRun], of: int, now: Mapping[str, Any]) -> Iterator[str]:
    """What is trained again, and what differs between then and `now`, an environment."""
    first = runs[0]
    chosen = "" if len(runs) == of else f" of {of:,}"
    head = first.recording.head
    what = first.name if of == 1 else f"{head.name}: {len(runs):,}{chosen} runs"
    yield f"{what}, trained again from the record alone, {head.folder or 'in the store'}"
    yield from _write_environment(first, now)
    if reused := _count_reused(runs):
        yield f"{_write_runs(reused)} taken from an earlier sweep (reuse): where these were trained is not said here"
    if own := first.config.get("allow"):
        yield f"code of your own computes too ({', '.join(own)}), of which the record holds nothing"


def _write_environment(run: PastRun, now: Mapping[str, Any]) -> Iterator[str]:
    then = {"numerical_version": run.numerical_version, **run.provenance}
    found = list_changes(then, now)
    if not run.provenance:
        yield "the record does not say what it was made with (it holds no provenance.json)"
    if found:
        yield "what differs between then and now"
        widths = [max(len(getattr(change, name)) for change in found) for name in ("what", "then")]
        for change in found:
            yield f"  {change.what:<{widths[0]}}  then {change.then:<{widths[1]}}  now {change.now}"
    for later in run.provenance.get("resumed", []):
        for change in list_changes(run.provenance, later):
            yield f"  {change.what}: begun with {change.then}, gone on with {change.now}"
    yield from _write_meaning({change.what for change in found}, then, now)


def _write_meaning(different: Collection[str], then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What is to be expected of the bits."""
    if "numerical version" in different:
        yield "other bits are to be expected: the program that computes is another"
    elif machine := [what for what in MACHINE if what in different]:
        yield f"the same bits are expected: the same program computes, with another {' and '.join(machine)}"
    elif then["numerical_version"] is not None and then.get("cpu") is not None:
        rest = "of what computes nothing differs" if different else "all is as it was then: processor, BLAS, packages"
        yield f"{rest} (numerical version {now['numerical_version']})"


def _count_reused(runs: Sequence[PastRun]) -> int:
    table = runs[0].recording.tables([run.place for run in runs]).runs
    return int(table["reused"].notna().sum()) if "reused" in table else 0


def write_result(verdicts: Sequence[Verdict], tolerance: float | None) -> Iterator[str]:
    """How every number compares; of several runs, the first difference of each that differs."""
    compared = [(verdict, verdict.found) for verdict in verdicts if isinstance(verdict.found, RunComparison)]
    if len(verdicts) == 1 and compared:
        yield from _write_parts(compared[0][1].parts, tolerance)
    yield from _write_names([found for _, found in compared])
    yield from _write_not_compared(verdicts)
    if compared:
        yield from _write_verdict(compared, len(verdicts), tolerance)
    left = sum(not verdict.empty and isinstance(verdict.found, NotCompared) for verdict in verdicts)
    if left:
        them = "it" if left == 1 else "they"
        yield f"{_write_share(left, len(verdicts))}: NOT reproduced, since {them} could not be compared"


def _write_parts(parts: Sequence[ComparedPart], tolerance: float | None) -> Iterator[str]:
    width = max(len(part.name) for part in parts)
    for part in parts:
        line = f"  {part.name:<{width}}  {_write_part(part, tolerance)}"
        if part.first is not None:
            line += f"; first{_write_place(part.first)}"
        yield line
        if part.first is not None:
            yield from _write_values(part.first, " " * (width + 4))


def _write_part(part: ComparedPart, tolerance: float | None) -> str:
    if part.differing == 0:
        return f"same bits ({part.values:,} values)" if part.values > 1 else "same"
    if part.values == 1 and part.first is not None and isinstance(part.first.then, str):
        return "differs"
    counted = f"{part.differing:,} of {part.values:,} values differ{_write_largest(part.largest)}"
    return counted if part.first is not None else f"within {tolerance:g}: {counted}"


def _write_verdict(
    compared: Sequence[tuple[Verdict, RunComparison]], of: int, tolerance: float | None
) -> Iterator[str]:
    numbers = sum(part.values for _, found in compared for part in found.parts)
    same = [found for _, found in compared if found.same_bits]
    near = [found for _, found in compared if found.same and not found.same_bits]
    differing = [(verdict, found) for verdict, found in compared if not found.same]
    if of > 1 and (near or differing):
        yield from _write_summary([found for _, found in compared])
    if of > 1:
        yield from _write_first_differences(differing)
    every = f" ({numbers:,} numbers)"
    if same:
        yield f"{_write_share(len(same), of)}: same bits{'' if near or differing else every}"
    if near:
        yield f"{_write_share(len(near), of)}: other bits, within a tolerance of {tolerance:g}"
    if differing:
        beyond = "" if tolerance is None else f" by more than {tolerance:g}"
        yield f"{_write_share(len(differing), of)}: NOT the same{beyond}"


def _write_summary(compared: Sequence[RunComparison]) -> Iterator[str]:
    """ComparedPart by part, in how many of the runs it differs."""
    parts = defaultdict[str, list[ComparedPart]](list)
    for part in (part for found in compared for part in found.parts):
        parts[part.name].append(part)
    width = max(map(len, parts))
    for name, found in parts.items():
        differing = [part for part in found if part.differing]
        if differing:
            largest = _write_largest(max(part.largest for part in differing))
            told = f"differs in {len(differing):,} of {_write_runs(len(found))}{largest}"
        elif len(found) == len(compared):
            told = "same bits"
        else:
            told = f"same bits, in {_write_runs(len(found))} that have it"
        yield f"  {name:<{width}}  {told}"


def _write_largest(largest: float) -> str:
    return f", by up to {largest:.2g} of their size" if math.isfinite(largest) else ""


def _write_first_differences(differing: Sequence[tuple[Verdict, RunComparison]]) -> Iterator[str]:
    for verdict, found in differing[:_MOST_RUNS]:
        assert found.first is not None
        part, difference = found.first
        yield f"  {verdict.run.name}: first in {part.name}{_write_place(difference)}"
        yield from _write_values(difference, "    ")
    if len(differing) > _MOST_RUNS:
        yield f"  and {len(differing) - _MOST_RUNS:,} more"


def _write_place(difference: Deviation) -> str:
    update = "" if difference.update is None else f" at update {difference.update:,}"
    return f"{update}{',' if update and difference.place else ''}{' ' if difference.place else ''}{difference.place}"


def _write_values(difference: Deviation, indent: str) -> Iterator[str]:
    for when, value in (("then", difference.then), ("now ", difference.now)):
        yield f"{indent}{when} {_write_value(value)}"


def _write_value(value: float | int | str) -> str:
    if isinstance(value, float):
        return f"{value!r}  {value.hex()}"
    text = str(value)
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"


def _write_names(compared: Sequence[RunComparison]) -> Iterator[str]:
    """Metrics that only one of the two programs records: they are not compared."""
    for said, names in (
        ("recorded then, but not by this program", [name for found in compared for name in found.only_then]),
        ("recorded by this program, but not then", [name for found in compared for name in found.only_now]),
    ):
        if names:
            yield f"{said}: {', '.join(dict.fromkeys(names))} (not compared)"


def _write_not_compared(verdicts: Sequence[Verdict]) -> Iterator[str]:
    left = [(verdict.run.name, verdict.found) for verdict in verdicts if isinstance(verdict.found, NotCompared)]
    for why, count in Counter(found.why for _, found in left).items():
        names = [name for name, found in left if found.why == why]
        more = f" and {count - _MOST_RUNS:,} more" if count > _MOST_RUNS else ""
        yield f"not compared: {'; '.join(names[:_MOST_RUNS])}{more}: {why}"


def _write_share(count: int, of: int) -> str:
    return f"{count:,} of {_write_runs(of)}"


def _write_runs(count: int) -> str:
    return f"{count:,} run{'s'[: count != 1]}"


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
        " SWEEP:best the one that did best, SWEEP:model=lstm those with this value",
    )
    add_store(parser, "that of `bptt train`")
    parser.add_argument(
        "--tolerance",
        metavar="REL",
        type=_read_tolerance,
        help="relative difference that passes, as 1e-9: another version of the program has other last bits; of weights,"
        " relative to the largest of their array",
    )
    parser.add_argument(
        "--runs", metavar="N", type=_read_count, default=None, help="so many runs, evenly from all of a sweep (all)"
    )
    add_allow(parser)
    args = parser.parse_args(argv)

    from bptt.configuration.errors import ConfigurationError
    from bptt.sweeps.workers.calls import WorkersError
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        return _reproduce(args.source, args.uri, args.tolerance, args.runs, args.allow)
    except (SourceError, ArchiveError, StoreError, ConfigurationError, WorkersError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def _reproduce(source: str, uri: str | None, tolerance: float | None, most: int | None, allow: Sequence[str]) -> int:

    from bptt.analysis.sweep import pick_best
    from bptt.cli.progress import SweepProgress
    from bptt.configuration.owners import check_kernel_folder
    from bptt.sweeps.reproduce import reproduce
    from bptt.tracking.history.find import find_past_runs
    from bptt.tracking.provenance.environment import describe_environment

    check_kernel_folder()
    recorded = find_past_runs(source, uri, pick_best)
    runs = _choose_runs(recorded, most)
    print_lines(write_beginning(runs, len(recorded), describe_environment()))
    verdicts = reproduce(runs, tolerance, SweepProgress(), allow)
    print_lines(write_result(verdicts, tolerance))
    return _choose_code(verdicts)


def _choose_code(verdicts: "Sequence[Verdict]") -> int:
    """Runs that recorded nothing count for nothing, unless there is nothing else."""
    from bptt.analysis.bits import RunComparison

    if all(verdict.same or verdict.empty for verdict in verdicts) and any(verdict.same for verdict in verdicts):
        return 0
    compared = any(isinstance(verdict.found, RunComparison) for verdict in verdicts)
    return 1 if compared or any(verdict.damaged for verdict in verdicts) else 2


def _choose_runs(runs: "list[PastRun]", most: int | None) -> "list[PastRun]":
    if most is None or most >= len(runs):
        return runs
    return [runs[place * len(runs) // most] for place in range(most)]


def _read_tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 and below 1 is needed, as 1e-9")
    return value


def _read_count(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text}: a number of runs is needed, at least 1, or all")
    return int(text)
