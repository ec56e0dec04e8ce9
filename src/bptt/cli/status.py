"""`bptt status [SWEEP]`: how far a sweep or a run is, how fast, what failed and what time is left; from its folder."""

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from bptt.cli.common import Parser, call_on_folder, find_drawn_on, print_lines
from bptt.printable import make_printable

if TYPE_CHECKING:
    from bptt.tracking.folder.progress import Sign
    from bptt.tracking.folder.sweep import SweepFolder, SweepJournal

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
    """A sweep's folder, looked at as often as one likes: what has ended is read once."""

    def __init__(self, folder: Path) -> None:
        from bptt.tracking.folder.sweep import SweepFolder

        self._shown, self._archive = folder, SweepFolder.open(folder.absolute())
        self._ended: dict[int, list[dict[str, Any]]] = {}

    def report(self) -> _Report:
        """Raises ArchiveError where something can't be read."""
        from bptt.tracking.folder.files import PROGRESS
        from bptt.tracking.folder.progress import is_at_work, read_sign, write_duration

        archive = self._archive
        sign = read_sign(archive.folder / PROGRESS)
        at_work = is_at_work(archive.folder, sign)
        # What ends between the looks is there in the last one.
        journal, signs = archive.journal, archive.list_signs() if at_work else {}
        rows = self._read_ended()
        jobs = archive.read_columns(("number", "name", "stage"))
        total = _count_expected(journal, jobs)
        own = [one for one in signs.values() if sign is None or one.seen >= sign.began]
        pace = _measure(rows, [one for name, one in signs.items() if one in own and name[0] == "b"], sign, total)
        state, wrong = _name_state(journal, sign, len(rows), total, at_work)
        seconds = journal.seconds if sign is None else sign.count_seconds(at_work)
        so_far = f", after {write_duration(seconds)}" if seconds else ""
        share = f" ({100 * len(rows) // total} %)" if total else ""
        headline = f"sweep {journal.name}: {state}: {len(rows):,} of {total:,} runs{share}{so_far}"
        failed = [row for row in rows.values() if row["status"] == "FAILED"]
        lines = [
            headline + (pace.left if at_work else ""),
            *_list_counts(rows, jobs, journal, pace if at_work else None),
            *_list_running(signs, own, at_work and journal.status == "RUNNING" and len(rows) < total),
            *_list_failures(failed, {job["number"]: job["name"] for job in jobs}),
            *([_name_process(sign)] if at_work and sign is not None else []),
            *(_list_commands(archive, journal, len(rows), total, self._shown) if not at_work else []),
            f"  files    {self._shown}",
        ]
        return _Report(lines, goes_on=at_work, wrong=wrong or bool(failed))

    def _read_ended(self) -> dict[int, dict[str, Any]]:
        """Number → how a run that has ended did."""
        for number in sorted(self._archive.blocks() - self._ended.keys()):
            self._ended[number] = self._archive.read_outcomes(number)
        return {row["run"]: row for rows in self._ended.values() for row in rows}


def _count_expected(journal: "SweepJournal", jobs: Sequence[Mapping[str, Any]]) -> int:
    """How many runs the sweep will have had, those of stages to come among them."""
    begun = Counter(job["stage"] for job in jobs)
    if journal.status not in ("RUNNING", "KILLED"):
        return len(jobs)
    total = len(jobs) - begun["confirming"]
    if journal.trials is not None:
        total = max(total, journal.trials)
    if journal.tuning and not begun["result"]:
        total += sum(len(setting.seeds) for setting in journal.tuning)
    return total + (begun["confirming"] or journal.confirm or 0)  # in one condition; how many there are shows then


@dataclass(frozen=True)
class _Pace:
    """How fast it goes: runs a second; and what time is left, as it stands behind how far it is."""

    rate: float | None
    left: str


def _measure(rows: Mapping[int, Mapping[str, Any]], signs: "Sequence[Sign]", sign: "Sign | None", total: int) -> _Pace:
    """What this process has trained, in the time since all was compiled; of runs that go on, the part that is done."""
    from socket import gethostname

    from bptt.cli.progress import write_left
    from bptt.tracking.folder.progress import estimate_left

    if sign is None:
        return _Pace(None, "")
    trained = [row for row in rows.values() if not row["reused"] and row["began"] >= sign.began - 1]
    begins = [*(row["began"] for row in trained), *(one.since for one in signs if one.since is not None)]
    if not begins:
        return _Pace(None, "")
    now = time.time() if sign.host == gethostname() else max([sign.seen, *(one.seen for one in signs)])
    seconds = now - min(begins)
    done = len(trained) + sum(one.runs * one.own_share for one in signs)
    left = estimate_left(done, total - len(rows) - sum(one.runs * one.share for one in signs), seconds)
    return _Pace(done / seconds if seconds > 0 and done else None, write_left(left))


def _name_state(
    journal: "SweepJournal", sign: "Sign | None", ended: int, total: int, at_work: bool
) -> tuple[str, bool]:
    """In words; and whether something is wrong."""
    if at_work and journal.status == "RUNNING":
        return ("is being trained" if ended < total else "is being recorded"), False
    if at_work:
        return "is being gone on with, or sent to the store", False
    if journal.status == "RUNNING":
        return _write_gone(sign), True
    if journal.status == "KILLED":
        return "was interrupted", True
    return "has ended", journal.status == "FAILED"


def _write_gone(sign: "Sign | None") -> str:
    process = "" if sign is None else f" {sign.pid} on {sign.host}"
    return f"was killed, its process{process} is gone"


def _list_counts(
    rows: Mapping[int, Mapping[str, Any]],
    jobs: Sequence[Mapping[str, Any]],
    journal: "SweepJournal",
    pace: _Pace | None,
) -> Iterator[str]:
    from bptt.tracking.folder.jobs import Stage

    kinds = Counter(_name_outcome(row) for row in rows.values())
    reused = sum(row["reused"] is not None for row in rows.values())
    if kinds:
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        yield f"  ended    {told}" + (f"; {reused:,} of them in the store already" if reused else "")
    begun, done = Counter(job["stage"] for job in jobs), Counter(job["stage"] for job in jobs if job["number"] in rows)
    if journal.tuning and not begun["result"]:
        begun["result"] = sum(len(setting.seeds) for setting in journal.tuning)
    if len(begun) > 1:
        stages = [f"{stage} {done[stage]:,} of {begun[stage]:,}" for stage in get_args(Stage) if begun[stage]]
        yield f"  stages   {', '.join(stages)}"
    if pace is not None and pace.rate is not None:
        yield f"  speed    {pace.rate:.3g} runs/s"


def _name_outcome(row: Mapping[str, Any]) -> str:
    if row["status"] == "FAILED":
        return "failed"
    if row["status"] == "KILLED":
        return "given up by halving"
    return str(row["outcome"]).replace("_", " ")


def _list_running(signs: "Mapping[str, Sign]", own: "Sequence[Sign]", wanted: bool) -> Iterator[str]:
    running = [(name, one) for name, one in signs.items() if one in own]
    heading = "running"
    if wanted and not running:
        yield "  running  not known yet: workers start, compile what was never compiled here, or don't have this folder"
    for name, one in running[:_MOST_BLOCKS]:
        runs = f"{one.runs:,} run{'s'[: one.runs != 1]}"
        yield f"  {heading:<9}{runs}, update {one.update:,} of {one.last:,} ({100 * one.share:.0f} %), {name}"
        heading = ""
    if len(running) > _MOST_BLOCKS:
        yield f"           and {len(running) - _MOST_BLOCKS:,} more blocks"


def _list_failures(failed: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Iterator[str]:
    heading = "failed"
    for row in failed[:_MOST_FAILURES]:
        why = str(row["error"]).rstrip().splitlines() or [""]
        yield f"  {heading:<9}{names.get(row['run'], row['run'])}: {why[-1]}"
        heading = ""
    if len(failed) > _MOST_FAILURES:
        yield f"           and {len(failed) - _MOST_FAILURES:,} more"


def _name_process(sign: "Sign") -> str:
    seen = max(time.time() - sign.seen, 0.0)
    # It says so every few seconds; whoever watches need not see that count.
    ago = "" if seen < 10 else f", seen {seen:.0f} s ago"
    return f"  process  {sign.pid} on {sign.host}{ago}"


def _list_commands(
    archive: "SweepFolder", journal: "SweepJournal", ended: int, total: int, shown: Path
) -> Iterator[str]:
    """What mends what is wrong."""
    from bptt.tracking.folder.sweep import going_on

    quoted = shlex.quote(str(shown))
    if journal.status in ("RUNNING", "KILLED"):
        search = journal.search and ended < total
        yield f"  go on    {shlex.join(going_on(journal.command, shown)) if search else f'bptt resume {quoted}'}"
    elif journal.experiment is not None and (unsent := archive.blocks() - archive.stored()):
        yield f"  store    has not got {len(unsent):,} of {len(archive.blocks()):,} blocks: bptt sync {quoted}"


class _RunLook:
    """A single run's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def report(self) -> _Report:
        """Raises ResumeError where it can't be read."""
        from bptt.tracking.folder.files import PROGRESS, TRACEBACK
        from bptt.tracking.folder.progress import is_at_work, read_sign, write_duration
        from bptt.tracking.folder.run import read_journal

        sign = read_sign(self._folder / PROGRESS)
        at_work = is_at_work(self._folder, sign)
        journal = read_journal(self._folder)
        seconds = journal.seconds if sign is None else sign.count_seconds(at_work)
        how = {"FINISHED": "has ended", "FAILED": "failed", "KILLED": "was interrupted"}
        state = how.get(journal.status, _write_gone(sign))
        if at_work:
            state = "is being trained" if sign is None or sign.update < sign.last else "is being recorded"
        elif journal.status == "FINISHED" and journal.outcome is not None:
            state = f"has ended, {journal.outcome.replace('_', ' ')}"
        lines = [f"run {journal.name}: {state}"]
        if sign is not None and sign.last:
            lines[0] += f": update {sign.update:,} of {sign.last:,} ({100 * sign.share:.0f} %)"
        lines[0] += f", after {write_duration(seconds)}" if seconds else ""
        broken_off = not at_work and journal.status in ("RUNNING", "KILLED")
        if at_work and sign is not None:
            lines[0] += _write_left(sign)
            lines.append(_name_process(sign))
        if broken_off:
            lines.append(f"  go on    bptt resume {shlex.quote(str(self._folder))}")
        if journal.status == "FAILED" and not at_work:
            error = self._folder / TRACEBACK
            told = error.read_text(encoding="utf-8", errors="replace").rstrip() if error.is_file() else ""
            lines += [f"  failed   {line}" for line in told.splitlines()[-1:]]
        lines.append(f"  files    {self._folder}")
        return _Report(lines, goes_on=at_work, wrong=broken_off or journal.status == "FAILED")


def _write_left(sign: "Sign") -> str:
    from bptt.cli.progress import write_left
    from bptt.tracking.folder.progress import estimate_left

    if sign.since is None or sign.update >= sign.last:
        return ""
    return write_left(estimate_left(sign.update - sign.first, sign.last - sign.update, sign.seen - sign.since))
