"""`bptt status [SWEEP]`: how far a sweep or a run is, how fast, what failed and what time is left; from its folder."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bptt.cli.common import Parser, call_on_folder, find_drawn_on, print_lines
from bptt.printable import make_printable

if TYPE_CHECKING:
    from bptt.tracking.folder.progress import Sign
    from bptt.watch.look import SweepState

_SECONDS_BETWEEN: Final = 2.0

_MOST_BLOCKS: Final = 8

_MOST_FAILURES: Final = 10


def main(argv: Sequence[str]) -> int:
    """Tell. 0: nothing is wrong, 1: it was broken off, or a run failed, 2: there is no such sweep."""
    parser = Parser(
        prog="bptt status",
        description="Says how far a sweep or a run is, how fast, what failed and what time is left, from its folder"
        " alone: while it is trained and after it, from another terminal or another machine that has the folder.",
    )
    parser.add_argument(
        "sweep",
        metavar="SWEEP",
        nargs="?",
        default="latest",
        help="a sweep's or a run's folder, its name, or its id in MLflow; otherwise latest",
    )
    parser.add_argument("--watch", action="store_true", help="say it again every two seconds, until the end or Ctrl-C")
    args = parser.parse_args(argv)
    return call_on_folder(args.sweep, partial(_tell, args.sweep, args.watch))


@dataclass(frozen=True)
class _Report:
    """What is told: lines; whether it goes on; whether something is wrong."""

    lines: list[str]
    goes_on: bool
    wrong: bool


def _tell(source: str, watch: bool) -> int:
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import find_folder

    folder = find_folder(source)
    try:
        return _look_at(folder, watch)
    except BrokenPipeError:  # of whoever read along
        raise
    except (OSError, TypeError, ValueError, KeyError) as error:  # whatever a file leads to that holds something else
        raise ArchiveError(f"{folder}: can't be read: {' '.join(str(error).split())}") from error


def _look_at(folder: Path, watch: bool) -> int:
    from bptt.tracking.folder.sweep import is_sweep

    look = _SweepLook(folder) if is_sweep(folder) else _RunLook(folder)
    if not watch:
        report = look.report()
        print_lines(report.lines)
        return int(report.wrong)
    return _watch(look)


def _watch(look: "_SweepLook | _RunLook") -> int:
    """Until it ends, or Ctrl-C, which ends nothing but this."""
    shown: list[str] = []
    try:
        while True:
            report = look.report()
            if report.lines != shown:
                if sys.stdout.isatty() and shown:
                    # Over what was said before.
                    print(f"\x1b[{len(shown)}F\x1b[J", end="", file=find_drawn_on(sys.stdout))
                shown = [_fit(line) for line in report.lines] if sys.stdout.isatty() else report.lines
                print_lines(shown)
            if not report.goes_on:
                return int(report.wrong)
            time.sleep(_SECONDS_BETWEEN)
    except KeyboardInterrupt:
        return 0


def _fit(line: str) -> str:
    """A line that takes one of a terminal's, so that it is known how many have to be written over."""
    from shutil import get_terminal_size

    line, width = make_printable(line), get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"


class _SweepLook:
    """A sweep's folder."""

    def __init__(self, folder: Path) -> None:
        from bptt.watch.look import SweepLook

        self._shown, self._look = folder, SweepLook(folder)

    def report(self) -> _Report:
        """Raises ArchiveError where something can't be read."""
        from bptt.cli.progress import write_left
        from bptt.tracking.folder.progress import write_duration

        found = self._look.take()
        so_far = f", after {write_duration(found.seconds)}" if found.seconds else ""
        share = f" ({100 * len(found.ended) // found.total} %)" if found.total else ""
        headline = f"sweep {found.name}: {found.state}: {len(found.ended):,} of {found.total:,} runs{share}{so_far}"
        lines = [
            headline + write_left(found.left),
            *_list_counts(found),
            *_list_running(found),
            *_list_failures(found, {job["number"]: job["name"] for job in self._look.jobs} if found.failed else {}),
            *([_name_process(found.sign)] if found.at_work and found.sign is not None else []),
            *(f"  {heading:<9}{what}" for heading, what in [found.mending or ("", "")] if what),
            f"  files    {self._shown}",
        ]
        return _Report(lines, goes_on=found.at_work, wrong=found.wrong)


def _list_counts(found: "SweepState") -> Iterator[str]:
    if found.outcomes:
        told = ", ".join(f"{count:,} {kind}" for kind, count in found.outcomes.items())
        yield f"  ended    {told}" + (f"; {found.reused:,} of them in the store already" if found.reused else "")
    if found.stages:
        stages = [f"{stage} {done:,} of {begun:,}" for stage, (done, begun) in found.stages.items()]
        yield f"  stages   {', '.join(stages)}"
    if found.rate is not None:
        yield f"  speed    {found.rate:.3g} runs/s"


def _list_running(found: "SweepState") -> Iterator[str]:
    heading = "running"
    if found.begins:
        yield "  running  not known yet: workers start, compile what was never compiled here, or don't have this folder"
    for name, one in [*found.running.items()][:_MOST_BLOCKS]:
        runs = f"{one.runs:,} run{'s'[: one.runs != 1]}"
        yield f"  {heading:<9}{runs}, update {one.update:,} of {one.last:,} ({100 * one.share:.0f} %), {name}"
        heading = ""
    if len(found.running) > _MOST_BLOCKS:
        yield f"           and {len(found.running) - _MOST_BLOCKS:,} more blocks"


def _list_failures(found: "SweepState", names: Mapping[int, str]) -> Iterator[str]:
    from bptt.watch.look import tell_why

    heading = "failed"
    for row in found.failed[:_MOST_FAILURES]:
        yield f"  {heading:<9}{names.get(row['run'], row['run'])}: {tell_why(row)}"
        heading = ""
    if len(found.failed) > _MOST_FAILURES:
        yield f"           and {len(found.failed) - _MOST_FAILURES:,} more"


def _name_process(sign: "Sign") -> str:
    seen = max(time.time() - sign.seen, 0.0)
    # It says so every few seconds; whoever watches need not see that count.
    ago = "" if seen < 10 else f", seen {seen:.0f} s ago"
    return f"  process  {sign.pid} on {sign.host}{ago}"


class _RunLook:
    """A single run's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def report(self) -> _Report:
        """Raises ResumeError where it can't be read."""
        from bptt.cli.progress import write_left
        from bptt.tracking.folder.progress import write_duration
        from bptt.watch.look import look_at_run

        found = look_at_run(self._folder)
        headline = f"run {found.name}: {found.state}"
        if found.last:
            share = 100 if found.sign is None else 100 * found.sign.share
            headline += f": update {found.update:,} of {found.last:,} ({share:.0f} %)"
        headline += f", after {write_duration(found.seconds)}" if found.seconds else ""
        lines = [
            headline + write_left(found.left),
            *([_name_process(found.sign)] if found.at_work and found.sign is not None else []),
            *(f"  {heading:<9}{what}" for heading, what in [found.mending or ("", "")] if what),
            *([f"  failed   {found.error}"] if found.error else []),
            f"  files    {self._folder}",
        ]
        return _Report(lines, goes_on=found.at_work, wrong=found.wrong)
