"""Recorded runs are trained again from their records alone, by a sweep's workers, and what both left is compared."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from bptt.analysis.bits import RunComparison, compare_runs, compare_texts
from bptt.configuration.build import Checker, locate_files
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.kernel import compiling_notice
from bptt.core.run import Record, Run
from bptt.core.sources import package_hash
from bptt.core.training import needs_compiling
from bptt.sweeps.jobs.plan import Group, cut_blocks, find_groups
from bptt.sweeps.session import SweepReporter
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import Workers, WorkerSettings
from bptt.sweeps.workers.training import Lane, LaneTask, hand_out
from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.files import Status
from bptt.tracking.history.find import PastRun
from bptt.tracking.provenance.digest import compute_digest, find_package
from bptt.tracking.store.address import StoreError

_SETTINGS: Final = WorkerSettings()


@dataclass(frozen=True)
class Again:
    """A run that is to be trained again.

    until  the last update, a recorded one
    alone  whether it is trained by itself, so that an error of its does not cost others their training
    """

    run: Run
    until: int
    alone: bool = False


def train_again(runs: Mapping[int, Again], reporter: SweepReporter) -> Iterator[dict[int, Lane]]:
    """Train runs, given by numbers of the caller's; block by block what each recorded, or the error that it ended with.

    Raises KeyboardInterrupt, ConfigurationError and WorkersError.
    """
    check_kernel_folder()
    numbers, again = list(runs), list(runs.values())
    cut = cut_blocks(_groups(again), _SETTINGS.wanted)
    tasks = [_task(number, [again[place] for place in part]) for number, part in enumerate(cut)]
    if needs_compiling([again[place].run for place in part] for part in cut):
        reporter.say(compiling_notice())
    with Interrupts() as interrupts, Workers(_SETTINGS, tasks=len(tasks)) as workers:
        for result in hand_out(tasks, workers, interrupts):
            yield {numbers[place]: lane for place, lane in zip(cut[result.number], result.lanes, strict=True)}


def _groups(again: list[Again]) -> list[Group]:
    """The runs that fuse and are trained as far, together."""
    parts: dict[tuple[int, int | None], list[int]] = {}
    for place, entry in enumerate(again):
        parts.setdefault((entry.until, place if entry.alone else None), []).append(place)
    return [
        replace(group, places=tuple(places[place] for place in group.places))
        for places in parts.values()
        for group in find_groups([again[place].run for place in places])
    ]


def _task(number: int, again: list[Again]) -> LaneTask:
    runs = tuple(entry.run for entry in again)
    return LaneTask(number=number, runs=runs, update=again[0].until, compared=True)


@dataclass(frozen=True)
class NotCompared:
    """Why a run can't be compared.

    kind  empty: it recorded nothing. untrainable: this program can't train what its record says, or a file is not
          there. damaged: the record can't be read, or was changed
    why   in words
    """

    kind: Literal["empty", "untrainable", "damaged"]
    why: str


@dataclass(frozen=True)
class Verdict:
    """What became of a run that was to be reproduced."""

    run: PastRun
    found: RunComparison | NotCompared

    @property
    def same(self) -> bool:
        """Whether it was compared, and nothing differs, or nothing beyond the tolerance."""
        return isinstance(self.found, RunComparison) and self.found.same

    @property
    def empty(self) -> bool:
        """Whether there was nothing to compare it with."""
        return isinstance(self.found, NotCompared) and self.found.kind == "empty"

    @property
    def damaged(self) -> bool:
        """Whether its record can't be read, or was changed."""
        return isinstance(self.found, NotCompared) and self.found.kind == "damaged"


def reproduce(
    runs: Sequence[PastRun], tolerance: float | None, reporter: SweepReporter, allow: Collection[str] = ()
) -> list[Verdict]:
    """Train each run again, as far as it was trained, and compare it with what it recorded; verdicts in their order.

    See `bptt.analysis.bits.compare_runs` for `tolerance`; allow: packages whose classes may be named. Raises
    KeyboardInterrupt, ConfigurationError and WorkersError.
    """
    places = defaultdict[Path | None, list[int]](list)
    for place, run in enumerate(runs):
        places[run.current_folder].append(place)
    found = dict[int, RunComparison | NotCompared]()
    for folder, own in places.items():
        home = folder if folder is not None and folder.is_dir() else Path.cwd()
        found |= _Reproduction({place: runs[place] for place in own}, home, tolerance, allow).verdicts(reporter)
    return [Verdict(run, found[place]) for place, run in enumerate(runs)]


class _Reproduction:
    """Runs whose relative paths are meant from `home`."""

    def __init__(
        self, runs: Mapping[int, PastRun], home: Path, tolerance: float | None, allow: Collection[str]
    ) -> None:
        self._runs, self._home, self._tolerance = runs, home, tolerance
        self._checker = Checker([find_conf_folder()], allow)

    def verdicts(self, reporter: SweepReporter) -> dict[int, RunComparison | NotCompared]:
        found = dict[int, RunComparison | NotCompared]()
        again = dict[int, Again]()
        for place, run in self._runs.items():
            prepared = self._prepared(run)
            if isinstance(prepared, Again):
                again[place] = prepared
            else:
                found[place] = prepared
        if again:
            reporter.begin(len(again))
            for block in train_again(again, reporter):
                found |= {place: self._compared(self._runs[place], lane) for place, lane in sorted(block.items())}
                reporter.ended([_make_result(place, lane) for place, lane in block.items()])
            reporter.end()
        return found

    def _prepared(self, run: PastRun) -> Again | NotCompared:
        if run.status == "RUNNING":
            return _empty(run, "has not ended, as far as its record says")
        config = locate_files(run.config, self._home)
        for key, path in _named("path", config):
            if not (self._home / Path(path).expanduser()).is_file():
                return NotCompared("untrainable", f"{key}={path}: there is no such file in {self._home}")
        own = {package: key for key, target in _named("_target_", config) if (package := find_package(target))}
        for package, key in own.items():
            if not package_hash(package):
                return NotCompared("untrainable", f"{key}: there is no package {package} here")
        if run.numerical_version is not None and compute_digest(config, run.numerical_version) != run.digest:
            files = " and ".join([*(path for _, path in _named("path", run.config)), *own])
            if files:
                return NotCompared("untrainable", f"{files}, or its configuration, was changed since it was trained")
            return NotCompared("damaged", "its configuration in the record was changed since it was trained")
        try:
            trained = self._checker.check(config).run
        except ConfigurationError as error:
            first = str(error).partition("\n")[0]
            return NotCompared("untrainable", f"this program does not take its configuration: {first}")
        return self._until(run, trained)

    def _until(self, run: PastRun, trained: Run) -> Again | NotCompared:
        """To its end; one that was interrupted, or stopped by a search, to the last update that it recorded."""
        if run.status == "FAILED":
            return Again(trained, trained.train.updates, alone=True)
        if run.status == "FINISHED":
            return Again(trained, trained.train.updates)
        record = self._read(run)
        if record is None:
            return _empty(run, "was interrupted before it had recorded anything")
        return record if isinstance(record, NotCompared) else Again(trained, int(record.history["update"][-1]))

    def _compared(self, run: PastRun, lane: Lane) -> RunComparison | NotCompared:
        if run.status == "FAILED" or lane.error is not None:
            return compare_texts("end", *self._ends(run, lane))
        record = self._read(run)
        if record is None:
            return NotCompared("damaged", "what it recorded is no longer there")
        if isinstance(record, NotCompared):
            return record
        assert lane.record is not None
        ended = run.status == "FINISHED" and run.outcome is not None
        return compare_runs(record, lane.record, self._tolerance, ended)

    def _ends(self, run: PastRun, lane: Lane) -> tuple[str, str]:
        """How a run ended of which an error was the end, then or now."""
        now = "finished" if lane.error is None else f"failed: {_last_line(lane.error)}"
        if run.status != "FAILED":
            return "finished", now
        error = self._read_error(run)
        if error is None and lane.error is not None:
            return now, now  # that it failed is all that is known
        return "failed" if error is None else f"failed: {_last_line(error)}", now

    def _read(self, run: PastRun) -> Record | NotCompared | None:
        try:
            return run.record
        except (ArchiveError, StoreError) as error:
            return NotCompared("damaged", str(error))

    def _read_error(self, run: PastRun) -> str | None:
        """The traceback of a run that FAILED; None: it is not known."""
        table = run.recording.tables([run.place]).runs
        errors = table["error"].dropna().tolist() if "error" in table else []
        return str(errors[0]) if errors else None


def _empty(run: PastRun, why: str) -> NotCompared:
    """A run without a record, which is as it should be unless the whole sweep went well."""
    if run.recording.head.status == "FINISHED":
        return NotCompared("damaged", "what it recorded is no longer there: its sweep has finished")
    return NotCompared("empty", why)


def _named(name: str, values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every text that stands under a name in a configuration, with its key."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _named(name, value, f"{prefix}{key}.")
        elif key == name and isinstance(value, str):
            yield f"{prefix}{key}", value


def _make_result(place: int, lane: Lane) -> RunResult:
    status: Status = "FINISHED" if lane.error is None else "FAILED"
    return RunResult(job=place, status=status, record=lane.record, error=lane.error, began=0.0, ended=0.0)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
