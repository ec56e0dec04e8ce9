"""How far a sweep or a run is, how fast, what failed and what time is left: what its folder says, whenever asked."""

import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any, Final, get_args

from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import JOBS, PROGRESS, TRACEBACK
from bptt.tracking.folder.jobs import Stage
from bptt.tracking.folder.progress import Sign, estimate_left, is_at_work, read_sign
from bptt.tracking.folder.run import read_journal
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal, going_on

_COLUMNS: Final = ("number", "name", "stage", "swept")


@dataclass(frozen=True, kw_only=True)
class SweepState:
    """How far a sweep is.

    state      in words; wrong: whether that is no good
    at_work    whether a process trains it now
    ended      number → how a run that has ended did, see `SweepFolder.read_outcomes`
    total      how many runs it will have had
    seconds    how long was worked on it; 0: not known
    rate       runs a second, of the process that is at work; None: not known
    left       seconds that it takes still; None: not known
    outcomes   how a run ended, in words → how many did
    reused     how many of these were in the store already
    stages     stage → how many of its runs have ended, and how many it has; empty where there is but one
    running    name → sign, of the blocks that are trained now
    begins     whether nothing is known of what is trained, though something is to be
    sign       of the process that trains, or that was killed; None: there is none
    mending    what to do, as a word and a command; None: nothing
    """

    name: str
    state: str
    wrong: bool
    at_work: bool
    ended: dict[int, dict[str, Any]] = field(repr=False)
    total: int
    seconds: float
    rate: float | None
    left: float | None
    outcomes: Counter[str]
    reused: int
    stages: dict[str, tuple[int, int]]
    running: dict[str, Sign]
    begins: bool
    sign: Sign | None
    mending: tuple[str, str] | None

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of `ended` of runs that failed."""
        return [row for row in self.ended.values() if row["status"] == "FAILED"]


@dataclass(frozen=True, kw_only=True)
class RunState:
    """How far a single run is.

    state    in words; wrong: whether that is no good
    at_work  whether a process trains it now
    update   the last one that is known to be done, of `last` ones; both 0: not known
    seconds  how long was worked on it; 0: not known
    left     seconds that it takes still; None: not known
    sign     of the process that trains, or that was killed; None: there is none
    error    the last line of what it failed of; empty: it has not failed
    mending  what to do, as a word and a command; None: nothing
    """

    name: str
    state: str
    wrong: bool
    at_work: bool
    update: int
    last: int
    seconds: float
    left: float | None
    sign: Sign | None
    error: str
    mending: tuple[str, str] | None


def look_at_run(folder: Path) -> RunState:
    """How far the single run of this folder is now. Raises ResumeError where it can't be read."""
    sign = read_sign(folder / PROGRESS)
    at_work = is_at_work(folder, sign)
    journal = read_journal(folder)
    how = {"FINISHED": "has ended", "FAILED": "failed", "KILLED": "was interrupted"}
    state, left, error = how.get(journal.status, write_gone(sign)), None, ""
    if at_work:
        state = "is being trained" if sign is None or sign.update < sign.last else "is being recorded"
        if sign is not None and sign.since is not None and sign.update < sign.last:
            left = estimate_left(sign.update - sign.first, sign.last - sign.update, sign.seen - sign.since)
    elif journal.status == "FINISHED" and journal.outcome is not None:
        state = f"has ended, {journal.outcome.replace('_', ' ')}"
    elif journal.status == "FAILED" and (traceback := folder / TRACEBACK).is_file():
        error = "".join(traceback.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-1:])
    broken_off = not at_work and journal.status in ("RUNNING", "KILLED")
    return RunState(
        name=journal.name,
        state=state,
        wrong=broken_off or journal.status == "FAILED",
        at_work=at_work,
        update=0 if sign is None else sign.update,
        last=0 if sign is None else sign.last,
        seconds=journal.seconds if sign is None else sign.count_seconds(at_work),
        left=left,
        sign=sign,
        error=error,
        mending=("go on", f"bptt resume {shlex.quote(str(folder))}") if broken_off else None,
    )


def tell_why(row: Mapping[str, Any]) -> str:
    """Why a run failed: the last line of its traceback."""
    lines = str(row["error"]).rstrip().splitlines()
    return lines[-1] if lines else ""


class SweepLook:
    """A sweep's folder, looked at as often as one likes: what has ended is read once, jobs when they are others.

    archive  the folder
    jobs     of the last look, a row for each run: number, name, stage, swept (as JSON)
    version  of these
    """

    def __init__(self, folder: Path) -> None:
        """Raises ArchiveError where it is no sweep's folder."""
        self.archive = SweepFolder.open(folder.absolute())
        self.jobs: list[dict[str, Any]] = []
        self.version: tuple[int, int] | None = None
        self._shown = folder
        self._ended: dict[int, list[dict[str, Any]]] = {}

    @property
    def blocks(self) -> set[int]:
        """The numbers of the blocks that had ended at the last look."""
        return {*self._ended}

    def take(self) -> SweepState:
        """How far it is now. Raises ArchiveError where something can't be read."""
        archive = self.archive
        sign = read_sign(archive.folder / PROGRESS)
        at_work = is_at_work(archive.folder, sign)
        # What ends between the looks is there in the last one.
        journal, signs = archive.journal, archive.list_signs() if at_work else {}
        rows = self._read_ended(journal.sealed)
        self._read_jobs()
        total = _count_expected(journal, self.jobs)
        own = {name: one for name, one in signs.items() if sign is None or one.seen >= sign.began}
        rate, left = _measure(rows, [one for name, one in own.items() if name[0] == "b"], sign, total)
        state, wrong = _name_state(journal, sign, len(rows), total, at_work)
        failed = any(row["status"] == "FAILED" for row in rows.values())
        return SweepState(
            name=journal.name,
            state=state,
            wrong=wrong or failed,
            at_work=at_work,
            ended=rows,
            total=total,
            seconds=journal.seconds if sign is None else sign.count_seconds(at_work),
            rate=rate if at_work else None,
            left=left if at_work and left else None,
            outcomes=Counter(_name_outcome(row) for row in rows.values()),
            reused=sum(row["reused"] is not None for row in rows.values()),
            stages=_count_stages(rows, self.jobs, journal),
            running=own,
            begins=at_work and journal.status == "RUNNING" and len(rows) < total and not own,
            sign=sign,
            mending=None if at_work else _find_mending(archive, journal, len(rows), total, self._shown),
        )

    def _read_ended(self, sealed: bool) -> dict[int, dict[str, Any]]:
        """Number → how a run that has ended did."""
        for number in sorted(self.archive.blocks() - self._ended.keys()):
            self._ended[number] = self.archive.read_outcomes(number, sealed)
        return {row["run"]: row for rows in self._ended.values() for row in rows}

    def _read_jobs(self) -> None:
        path = self.archive.folder / JOBS
        try:
            held = path.stat()
        except OSError as error:
            raise ArchiveError(f"{path}: can't be read: {error.strerror or error}") from error
        version = held.st_mtime_ns, held.st_size
        if version != self.version:
            self.jobs, self.version = self.archive.read_columns(_COLUMNS), version


def _count_expected(journal: SweepJournal, jobs: Sequence[Mapping[str, Any]]) -> int:
    """How many runs the sweep will have had, those of stages to come among them."""
    if journal.status not in ("RUNNING", "KILLED"):
        return len(jobs)
    begun = Counter(job["stage"] for job in jobs)
    total = len(jobs) - begun["confirming"]
    if journal.trials is not None:
        total = max(total, journal.trials)
    if journal.tuning and not begun["result"]:
        total += sum(len(setting.seeds) for setting in journal.tuning)
    return total + (begun["confirming"] or journal.confirm or 0)  # in one condition; how many there are shows then


def _measure(
    rows: Mapping[int, Mapping[str, Any]], signs: Sequence[Sign], sign: Sign | None, total: int
) -> tuple[float | None, float | None]:
    """How many runs a second this process has trained, in the time since all was compiled, of runs that go on the part
    that is done; and the seconds that are left.
    """
    if sign is None:
        return None, None
    trained = [row for row in rows.values() if not row["reused"] and row["began"] >= sign.began - 1]
    begins = [*(row["began"] for row in trained), *(one.since for one in signs if one.since is not None)]
    if not begins:
        return None, None
    now = time.time() if sign.host == gethostname() else max([sign.seen, *(one.seen for one in signs)])
    seconds = now - min(begins)
    done = len(trained) + sum(one.runs * one.own_share for one in signs)
    left = estimate_left(done, total - len(rows) - sum(one.runs * one.share for one in signs), seconds)
    return (done / seconds if seconds > 0 and done else None), left


def _name_state(journal: SweepJournal, sign: Sign | None, ended: int, total: int, at_work: bool) -> tuple[str, bool]:
    """In words; and whether something is wrong."""
    if at_work and journal.status == "RUNNING":
        return ("is being trained" if ended < total else "is being recorded"), False
    if at_work:
        return "is being gone on with, or sent to the store", False
    if journal.status == "RUNNING":
        return write_gone(sign), True
    if journal.status == "KILLED":
        return "was interrupted", True
    return "has ended", journal.status == "FAILED"


def write_gone(sign: Sign | None) -> str:
    """That a process was killed, by the sign that it left."""
    process = "" if sign is None else f" {sign.pid} on {sign.host}"
    return f"was killed, its process{process} is gone"


def _count_stages(
    rows: Mapping[int, Mapping[str, Any]], jobs: Sequence[Mapping[str, Any]], journal: SweepJournal
) -> dict[str, tuple[int, int]]:
    begun, done = Counter(job["stage"] for job in jobs), Counter(job["stage"] for job in jobs if job["number"] in rows)
    if journal.tuning and not begun["result"]:
        begun["result"] = sum(len(setting.seeds) for setting in journal.tuning)
    if len(begun) < 2:
        return {}
    return {stage: (done[stage], begun[stage]) for stage in get_args(Stage) if begun[stage]}


def _name_outcome(row: Mapping[str, Any]) -> str:
    if row["status"] == "FAILED":
        return "failed"
    if row["status"] == "KILLED":
        return "given up by halving"
    return str(row["outcome"]).replace("_", " ")


def _find_mending(
    archive: SweepFolder, journal: SweepJournal, ended: int, total: int, shown: Path
) -> tuple[str, str] | None:
    """What mends what is wrong."""
    quoted = shlex.quote(str(shown))
    if journal.status in ("RUNNING", "KILLED"):
        search = journal.search and ended < total
        return "go on", shlex.join(going_on(journal.command, shown)) if search else f"bptt resume {quoted}"
    if journal.experiment is not None and (unsent := archive.blocks() - archive.stored()):
        return "store", f"has not got {len(unsent):,} of {len(archive.blocks()):,} blocks: bptt sync {quoted}"
    return None
