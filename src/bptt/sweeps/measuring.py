"""What is measured of the weights that runs left: handed to workers, kept in measures.parquet as it comes."""

import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from bptt.analysis.tables import KEPT_UPDATE
from bptt.configuration.build import Checker, locate_files
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.measuring import KINDS, Kind
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.models.dale import keep_signs, sign_parameters
from bptt.core.optimizers.recurrent_constraint import draw_start
from bptt.core.parameters import list_parameters, to_named
from bptt.core.records.keeping import snapshot_updates
from bptt.core.run import Run, find_unmeasured
from bptt.core.sequences import Floats
from bptt.dynamics.measures import (
    COUNT,
    NAMES,
    USUAL,
    count_lanes,
    count_states,
    draw_batch,
    list_columns,
    list_still_runs,
    measure_runs,
)
from bptt.sweeps.workers.calls import WorkersError
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.kernels import compile_kernels
from bptt.sweeps.workers.pool import Lost, Workers, WorkerSettings
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.measures import Rows, read_measures, write_measures
from bptt.tracking.folder.sweep import is_sweep
from bptt.tracking.history.base import History, Member
from bptt.tracking.history.find import Source, SourceError, find
from bptt.tracking.history.from_folder import RunFolderHistory, SweepFolderHistory
from bptt.tracking.provenance.blas import use_one_blas_thread
from bptt.tracking.provenance.digest import compute_digest, compute_version

_SECONDS_BETWEEN_WRITES: Final = 5.0
_SHARE_OF_WRITING: Final = 0.05  # of the time, at most
_MOST_HERE: Final = 10**9  # multiplications of Jacobians, a few seconds
_MOST_NETWORKS_HERE: Final = 1000
_KEEP: Final = "with train.snapshots=20 a run keeps some along the way"


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run whose weights are measured.

    updates  after which of its updates, 0 being the start
    """

    number: int
    name: str
    run: Run
    updates: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MeasureTask:
    """Networks of one shape that a worker measures.

    folder  of the sweep, or the run, that has their weights
    begun   when the command began: what a worker has read for an earlier one may have been written anew
    runs    those of the networks
    places  of each network: the place of its run among these, and the update
    """

    folder: Path
    begun: float
    kinds: tuple[Kind, ...]
    runs: tuple[MeasuredRun, ...]
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What there is to be measured of a sweep or a run, and what has been.

    version  the numerical version of this program
    whose    number → digest of each run
    rows     what measures.parquet has, and comes to have
    runs     those that are meant
    missing  of each network that lacks something: the kinds, its run and the update
    notes    what is to be told before anything begins
    """

    folder: Path
    version: str
    whose: Mapping[int, str]
    rows: Rows
    runs: list[MeasuredRun]
    missing: list[tuple[tuple[Kind, ...], MeasuredRun, int]]
    notes: list[str]

    @property
    def count(self) -> int:
        """How many networks are meant."""
        return sum(len(one.updates) for one in self.runs)

    @property
    def is_short(self) -> bool:
        """Whether what is missing is measured sooner than worker processes start."""
        steps = sum(COUNT * one.run.task.timesteps * count_states(one.run) ** 3 for _, one, _ in self.missing)
        return steps <= _MOST_HERE and len(self.missing) <= _MOST_NETWORKS_HERE


def plan_measuring(
    source: Source, kinds: Sequence[Kind] | None, at: Sequence[str | int], allow: Collection[str] = ()
) -> Measuring:
    """What is to be measured of a source's runs, and lacks yet.

    kinds  None: the usual ones, as far as these runs have them
    at     when: `first`, the start; `last`, the end, or the best where a run keeps that; `all` that was kept; updates
    allow  packages whose classes the configurations may name

    Raises SourceError, ArchiveError and ConfigurationError, each with one line for the user.
    """
    recording = source.recording
    if not isinstance(recording, SweepFolderHistory | RunFolderHistory):
        raise SourceError(f"{source.name}: its folder, which has the weights, is not here")
    folder, head = recording.folder.absolute(), recording.head
    members = [member for member in recording.members if member.number in source.numbers]
    ends = _find_ends(recording, members)
    if not ends:
        raise SourceError(f"{source.name}: no run has left weights yet")
    version, notes = compute_version(), []
    if len(ends) < len(members):
        notes.append(f"{len(members) - len(ends):,} of {len(members):,} runs left no weights, and are not measured")
    same = head.numerical_version == version
    runs = _build_runs(recording, [member for member in members if member.number in ends], allow, same)
    measured = _choose_updates(source.name, runs, ends, at)
    if not same and any(0 in one.updates and not one.run.train.snapshots for one in measured):
        raise ArchiveError(
            f"{source.name}: begun with another numerical version ({head.numerical_version}, not {version}): its start"
            " can't be drawn again; --at last measures what it came to"
        )
    chosen = _choose_kinds(source.name, measured, kinds, notes)
    whose = {member.number: member.digest for member in recording.members}
    rows, by = read_measures(folder, whose)
    if rows and by != version:
        notes.append("what was measured with another numerical version is measured again")
        rows = {}
    missing = []
    for one in measured:
        for update in one.updates:
            row = rows.get((one.number, update), {})
            if lacks := tuple(kind for kind in chosen if list_columns(kind)[0] not in row):
                missing.append((lacks, one, update))
    return Measuring(
        folder=folder, version=version, whose=whose, rows=rows, runs=measured, missing=missing, notes=notes
    )


def _find_ends(recording: History, members: Sequence[Member]) -> dict[int, tuple[int, int]]:
    """Number → the last update with a sound network, and that of the kept one, of the runs that left weights."""
    runs = recording.tables([member.number for member in members]).runs
    known = runs[runs["updates"].notna() & runs["outcome"].notna()]
    kept = known[KEPT_UPDATE].fillna(known["updates"]) if KEPT_UPDATE in known else known["updates"]
    sound = known["updates"] - known["outcome"].eq("diverged")  # its snapshots are of before
    columns = (column.astype("int64") for column in (known["run"], sound, kept))
    return {int(run): (int(last), int(own)) for run, last, own in zip(*columns, strict=True)}


def _build_runs(recording: History, members: Sequence[Member], allow: Collection[str], same: bool) -> list[MeasuredRun]:
    """The runs, without updates yet; same: whether this program computes what they were begun with."""
    checker, found = Checker([find_conf_folder()], allow), []
    for member in members:
        configuration = checker.check(locate_files(recording.config(member.number), recording.head.current_folder))
        if same and compute_digest(configuration.resolved, recording.head.numerical_version or "") != member.digest:
            raise ArchiveError(f"a data file or a package of run {member.name} was changed since it was begun")
        found.append(MeasuredRun(number=member.number, name=member.name, run=configuration.run, updates=()))
    return found


def _choose_updates(
    name: str, runs: Sequence[MeasuredRun], ends: Mapping[int, tuple[int, int]], at: Sequence[str | int]
) -> list[MeasuredRun]:
    """The runs with what is to be measured of each; those that have nothing of it are left out."""
    found, there = [], set[int]()
    for one in runs:
        last, own = ends[one.number]
        kept = {int(update) for update in snapshot_updates(one.run.train) if update <= last} | {0, own}
        named = {"first": {0}, "last": {own}, "all": kept}
        meant = {update for when in at for update in (named[when] if isinstance(when, str) else {when} & kept)}
        there |= kept
        if meant:
            found.append(MeasuredRun(number=one.number, name=one.name, run=one.run, updates=tuple(sorted(meant))))
    if unknown := [when for when in at if isinstance(when, int) and when not in there]:
        updates = ", ".join(map(str, sorted(there)))
        raise SourceError(
            f"{name}: --at {unknown[0]}: no run has weights after this update; there are {updates}; {_KEEP}"
        )
    return found


def _choose_kinds(
    name: str, runs: Sequence[MeasuredRun], kinds: Sequence[Kind] | None, notes: list[str]
) -> tuple[Kind, ...]:
    """The kinds that some of the runs have; notes gets which have not.

    Raises SourceError where there is nothing of what is asked.
    """
    chosen, refused = list[Kind](), ""
    for kind in kinds or USUAL:
        reasons = [why for one in runs if (why := find_unmeasured(one.run, NAMES[kind][0])) is not None]
        words = kind.replace("_", " ")
        if len(reasons) == len(runs):
            refused = refused or f"{name}: --{kind.replace('_', '-')}: it {reasons[0]}"
        if reasons:
            notes.append(f"{words} of {len(reasons):,} of {len(runs):,} runs is left out: it {reasons[0]}")
        if len(reasons) < len(runs):
            chosen.append(kind)
    if not chosen:
        raise SourceError(refused)
    return tuple(chosen)


def measure_results(
    folder: Path,
    asked: Mapping[str, str],
    allow: Collection[str],
    settings: WorkerSettings,
    say: Callable[[str], None],
) -> bool:
    """Measure what a sweep asks for, kind → when, of all its runs but those that tuned; whether that was interrupted.
    What can't be measured is told.
    """
    kinds: dict[str, list[Kind]] = {}
    for kind in KINDS:
        if kind in asked:
            kinds.setdefault(asked[kind], []).append(kind)
    for when, own in kinds.items():
        try:
            found = find(folder)
            numbers = frozenset(one.number for one in found.recording.members if one.stage != "tuning")
            measuring = plan_measuring(replace(found, numbers=numbers), own, [when], allow)
            for line in measuring.notes:
                say(line)
            if not measuring.missing:
                continue
            say(f"measuring {' and '.join(own).replace('_', ' ')} of {len(measuring.missing):,} networks")
            with Interrupts() as interrupts:
                failed = measure_missing(measuring, settings, interrupts, lambda _more: None)
            for name, why in failed.items():
                say(f"{name}: {why.strip().splitlines()[-1]}")
        except KeyboardInterrupt:
            return True
        except (ArchiveError, SourceError, ConfigurationError, WorkersError, OSError) as error:
            asks = ", ".join(f"{kind}: {when}" for kind in own)
            say(f"measure={{{asks}}} is not done: {error}; see bptt measure {shlex.quote(str(folder))}")
    return False


def measure_missing(
    measuring: Measuring, settings: WorkerSettings, interrupts: Interrupts, tell: Callable[[int], None]
) -> dict[str, str]:
    """Have workers measure what is missing; name → traceback of the runs that could not be measured.

    tell: is told how many networks more are done. What is done is written every few seconds, and at the end, however
    that comes. Of networks that fail together each is measured by itself, and each kind. Raises KeyboardInterrupt,
    WorkersError and OSError.
    """
    failed: dict[str, str] = {}
    tasks = _cut_tasks(measuring, settings.wanted)
    written, took, told = time.monotonic(), 0.0, set[tuple[int, int]]()
    try:
        with Workers(settings, tasks=len(tasks)) as workers, interrupts.raising():
            while tasks:
                again = list[MeasureTask]()
                for outcome in workers.run(measure_weights, tasks):
                    if isinstance(outcome, Lost):
                        parts = _split_task(outcome.task)
                        again += parts
                        names = {outcome.task.runs[place].name for place, _ in outcome.task.places}
                        failed |= {} if parts else dict.fromkeys(names, outcome.reason)
                        continue
                    for place, row in outcome.items():
                        measuring.rows.setdefault(place, {}).update(row)
                    tell(len(outcome.keys() - told))
                    told |= outcome.keys()
                    now = time.monotonic()
                    if now > written + max(_SECONDS_BETWEEN_WRITES, took / _SHARE_OF_WRITING):
                        _write(measuring)
                        written = time.monotonic()
                        took = written - now
                tasks = again
    finally:
        _write(measuring)
    return failed


def _write(measuring: Measuring) -> None:
    if measuring.rows:
        write_measures(measuring.folder, measuring.rows, measuring.whose, measuring.version)


def _cut_tasks(measuring: Measuring, workers: int) -> list[MeasureTask]:
    """Networks that have a shape and kinds in common, side by side; how they are cut changes no bit."""
    groups: dict[object, list[tuple[tuple[Kind, ...], MeasuredRun, int]]] = {}
    for kinds, one, update in measuring.missing:
        groups.setdefault((kinds, one.run.model, one.run.task, one.run.train.batch_size), []).append(
            (kinds, one, update)
        )
    tasks, begun = [], time.time()
    for group in groups.values():
        kinds, first, _ = group[0]
        each = min(count_lanes(first.run), max(1, -(-len(group) // (2 * workers))))
        for start in range(0, len(group), each):
            part = group[start : start + each]
            runs = list({one.number: one for _, one, _ in part}.values())
            numbers = {one.number: place for place, one in enumerate(runs)}
            places = tuple((numbers[one.number], update) for _, one, update in part)
            tasks.append(
                MeasureTask(folder=measuring.folder, begun=begun, kinds=kinds, runs=tuple(runs), places=places)
            )
    return tasks


def _split_task(task: MeasureTask) -> list[MeasureTask]:
    """Its networks, each by itself, or the kinds of a single one; none where it is one kind of one network."""
    if len(task.places) > 1:
        return [replace(task, runs=(task.runs[place],), places=((0, update),)) for place, update in task.places]
    return [replace(task, kinds=(kind,)) for kind in task.kinds] if len(task.kinds) > 1 else []


def measure_weights(task: MeasureTask) -> Rows:
    """Measure networks, in a worker."""
    history = _open_history(task.folder, task.begun)
    batches = [draw_batch(one.run) for one in task.runs]
    for run in list_still_runs(task.runs[0].run, task.kinds):
        compile_kernels([run] * len(task.places))
    # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
    with use_one_blas_thread():
        lanes = [_find_weights(history, task.runs[place], update) for place, update in task.places]
        columns = measure_runs(
            task.kinds,
            [task.runs[place].run for place, _ in task.places],
            {name: np.stack([own[name] for own in lanes]) for name in lanes[0]},
            [batches[place] for place, _ in task.places],
        )
    return {
        (task.runs[place].number, update): {name: values[lane].tolist() for name, values in columns.items()}
        for lane, (place, update) in enumerate(task.places)
    }


@lru_cache(1)
def _open_history(folder: Path, _begun: float) -> History:
    return SweepFolderHistory(folder) if is_sweep(folder) else RunFolderHistory(folder)


def _find_weights(history: History, one: MeasuredRun, update: int) -> Mapping[str, Floats]:
    """Name → array after an update; the start is drawn where it was not kept."""
    if update == 0 and not one.run.train.snapshots:
        blocks = list_parameters(one.run.model, one.run.task.inputs, one.run.task.outputs)
        signs = sign_parameters(one.run.model, blocks)
        return to_named(blocks, keep_signs(draw_start(one.run, blocks), signs))
    record = history.record(one.number)
    if record is not None and update == record.kept_update:
        return record.parameters
    if record is None or update not in record.snapshots:
        raise ArchiveError(f"{history.head.name}: {one.name} has no weights after update {update}")
    return record.snapshots[update]
