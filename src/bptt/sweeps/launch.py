"""The beginning of a sweep: its jobs are composed and checked, what is there already left out, the rest trained."""

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from bptt.configuration.build import Configuration, SweepSettings, Tracking, check_configuration, list_conf_folders
from bptt.configuration.compose import Composer
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.published import make_published_plain
from bptt.core.run import Record, Run
from bptt.core.training import needs_compiling
from bptt.sweeps.inputs import collect_choices, collect_preparations, hash_files, tell_of_data
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.plan import (
    MOST_LANES,
    Arrangement,
    Group,
    PlannedRun,
    arrange,
    drop_repeated,
    find_groups,
    is_little,
    seem_little,
)
from bptt.sweeps.jobs.seeded import SeededJobs, SeededRuns, arrange_seeded
from bptt.sweeps.reporting import ReportProcess
from bptt.sweeps.search.grid_halving import check_halving, choose_halving, train_halved
from bptt.sweeps.session import Session, SweepReporter
from bptt.sweeps.stages import TuningPlan, compose_first
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import Conduct, Workers, read_worker_settings
from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.files import LOCK
from bptt.tracking.folder.jobs import SweepJob, SweepJobs
from bptt.tracking.folder.lazy import Lazy
from bptt.tracking.folder.lock import LockedError, file_lock, find_why_taken, is_locked
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal, is_sweep
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.provenance.environment import write_provenance
from bptt.tracking.store.address import StoreError, hide_passwords, refuse_unnamed, resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.connecting import can_be_made, try_to_make
from bptt.tracking.store.opening import WantedExperiment, choose_experiment, open_store
from bptt.tracking.store.whereabouts import note_place, note_store


@dataclass(frozen=True)
class Added:
    """Jobs that were added to a sweep.

    numbers  of each one's run, in their order
    runs     number → run, of all that are new
    records  number → what the store holds of a run already
    blocks   of the runs that are to be trained: number and runs
    """

    numbers: Sequence[int]
    runs: Mapping[int, Run]
    records: dict[int, Record]
    blocks: list[tuple[int, list[int]]]


class Launch:
    """A sweep that one command asks for, in one batch of jobs or, where a search asks for them, in several.

    config   of the sweep, with its node `hydra`
    command  that repeats the sweep, as words
    keys     what a search varies; None: it is none, and what differs between the jobs is what was swept
    session  None as long as nothing was begun
    trials   how many runs a search asks for
    searched what a search asked for, or what halving compares by; None: neither
    added    the jobs that were added last
    """

    def __init__(
        self,
        config: DictConfig,
        composer: Composer,
        command: Sequence[str],
        reporter: SweepReporter,
        keys: Sequence[str] | None = None,
    ) -> None:
        self._config, self._command, self.reporter, self._keys = config, list(command), reporter, keys
        launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
        assert isinstance(launcher, dict)
        self._launcher = {str(key): value for key, value in launcher.items()}
        self.settings = read_worker_settings(self._launcher, tuple(config.get("allow") or ()))
        self._folder = Path(str(config.hydra.sweep.dir))
        self._refuse_taken()
        self._composer, self._composition = composer, Composition(composer, config)
        self.session: Session | None = None
        self.trials: int | None = None
        self.added: Added | None = None
        self.halving = None if keys is not None else choose_halving(config)
        self.searched = None if self.halving is None else self.halving.describe()
        self._store: Store | None = None
        self._opening: Future[Store] | None = None
        self._away: str | None = None  # why the store could not be opened
        self._workers: Workers | None = None
        self._number_of: dict[str, int] = {}  # digest → run
        self._plan: TuningPlan | None = None
        self.next_block = itertools.count()
        self._told: dict[str, None] = {}  # what was chosen by a task's targets
        self._parts: int | None = None  # what blocks are cut for, where it is not the workers
        self._held = ExitStack()
        self._report = ReportProcess()

    def launch(self, jobs: Sequence[Sequence[str]]) -> Sequence[RunResult]:
        """Train jobs, given by their overrides; returns how each ended, in their order, without what it recorded.

        Raises ConfigurationError, with everything that is wrong with any job, before anything is begun; StoreError;
        and what `Session.train` raises.
        """
        if self._seem_little(len(jobs)):
            self._prepare_report()
        elif len(jobs) > MOST_LANES:
            # They need as long to start as the jobs to be composed.
            self._open_workers().warm()
        added = self.add(jobs)
        session = self.session
        assert session is not None
        if self.halving is None:
            session.train(added.runs, added.blocks)
        else:
            train_halved(session, added.runs, self.halving)
        if session.journal.tuning or session.journal.confirm is not None:
            from bptt.sweeps.stages import train_following

            train_following(session, self._allowed)
        if session.journal.tuning:
            return [session.results[job.number] for job in session.jobs if job.stage == "result"]
        return Lazy(added.numbers, session.results.__getitem__)

    def confirm(self) -> None:
        """Train what follows a search. Raises what `Session.train` does."""
        if self.session is not None and self.session.journal.confirm is not None:
            from bptt.sweeps.stages import train_following

            train_following(self.session, self._allowed)

    def add(self, jobs: Sequence[Sequence[str]]) -> Added:
        """Add jobs to the sweep, which is begun with the first; those that repeat others have the same run.

        Where the sweep tunes, the runs that its values are chosen by stand for its jobs.
        """
        seeded = self._compose_seeded(jobs) if self.session is None else None
        if seeded is not None:
            return self._add_seeded(seeded)
        if self.session is None:
            jobs, configurations, self._plan = compose_first(
                jobs, self._config, self._composition, self._composer.loader, self._keys
            )
        else:
            configurations = self._composition.all(jobs)
            if len(self._number_of) < len(self.session.jobs):
                self._number_of = {job.digest: job.number for job in self.session.jobs}
        self._check_composed(configurations)
        found, repeated = drop_repeated(list(zip(jobs, configurations, strict=True)), compute_version())
        new = [planned for planned in found if planned.digest not in self._number_of]
        first = configurations[0]
        if self._plan is None and first.sweep.confirm is None:
            runs = [planned.run for planned in new]
            self._choose_place(partial(find_groups, runs), runs.__getitem__)
        self._prepare(first)
        before = 0 if self.session is None else len(self.session.jobs)
        arranged = self._arrange(
            partial(
                arrange,
                new,
                first=before,
                keys=self._keys if self._plan is None else self._plan.keys,
                stage="result" if self._plan is None else "tuning",
            ),
            first,
        )
        self._number_of |= {planned.digest: number for number, planned in enumerate(new, before)}
        same = {tuple(overrides): planned.digest for overrides, planned in repeated}
        same |= {planned.overrides: planned.digest for planned in found}
        numbers = [self._number_of[same[tuple(overrides)]] for overrides in jobs]
        self.added = self._take_on(arranged, first, len(repeated), numbers)
        return self.added

    def _compose_seeded(self, jobs: Sequence[Sequence[str]]) -> SeededRuns | None:
        """The runs of jobs of which the settings alone are composed; None where each job must be, or is looked at by
        itself.
        """
        found = SeededJobs.of(jobs) if self._keys is None and self._config.get("tune") is None else None
        if found is None:
            return None
        _, configurations, _ = compose_first(found.firsts, self._config, self._composition, self._composer.loader)
        if not self._composition.ignores_seeds:
            return None
        self._check_composed(configurations)
        settings = [
            PlannedRun(overrides=job, configuration=made, digest="")
            for job, made in zip(found.firsts, configurations, strict=True)
        ]
        runs = SeededRuns.of(settings, found, compute_version())
        return None if runs.alike else runs

    def _add_seeded(self, runs: SeededRuns) -> Added:
        first = runs.settings[0].configuration
        if first.sweep.confirm is None:
            self._choose_place(runs.groups, runs.get_run)
        self._prepare(first)
        arranged = self._arrange(partial(arrange_seeded, runs), first)
        return self._take_on(arranged, first, len(runs.places) - len(runs), runs.places.tolist())

    def _check_composed(self, configurations: Sequence[Configuration]) -> None:
        _check_alike(configurations)
        if self.halving is not None and self.session is None:
            check_halving(self.halving, configurations)
        fitted = {made.told: None for made in configurations if made.told is not None and made.told not in self._told}
        for line in (*self._composer.take_told(), *fitted):
            self.reporter.say(line)
        self._told |= fitted

    def _prepare(self, first: Configuration) -> None:
        """Open what may not answer, which is told before anything is begun."""
        if self.settings.elsewhere:
            self._open_workers()
        if self.session is None and first.tracking.enabled:
            self._open_store(first.tracking)

    def _take_on(self, arranged: Arrangement, first: Configuration, duplicates: int, numbers: Sequence[int]) -> Added:
        session = self._extended(arranged.jobs, first, duplicates, numbers)
        if first.sweep.reuse:
            for line in _tell_of_same(session.archive.folder, (job.digest for job in arranged.jobs)):
                self.reporter.say(line)
        for block, results in arranged.list_reused():
            session.keep(block, results)
        return Added(
            numbers=numbers,
            runs=arranged.runs,
            records={number: record for number, (_, record) in arranged.held.items()},
            blocks=arranged.blocks,
        )

    def _seem_little(self, jobs: int) -> bool:
        """Whether no workers may be needed for so many jobs, by the sweep's own configuration; what is right is found
        out when they are composed.
        """
        if not self.settings.may_stay:
            return False
        try:
            return seem_little(check_configuration(self._config).run, jobs)
        except ConfigurationError:  # which each job may mend
            return False

    def _prepare_report(self) -> None:
        """What makes the report takes longer to start than the runs to be trained, and no worker needs its core."""
        asks_for_more = self._keys is not None or any(self._config.get(key) is not None for key in ("tune", "confirm"))
        if self._config.get("report") is True and not asks_for_more:
            self._held.callback(self._report.close)
            self._report.begin()

    def _choose_place(self, find: Callable[[], Sequence[Group]], run_of: Callable[[int], Run]) -> None:
        """Train in this process what is trained sooner than workers have started; not where kernels are compiled, which
        workers share, nor in a search, which asks for more.

        find, run_of  the groups of the runs that are new, and the run at a place
        """
        unasked = self.session is None and self._keys is None and self._workers is None and self.settings.may_stay
        groups = find() if unasked else []
        if not groups or not is_little(groups):
            return
        check_kernel_folder()
        if not needs_compiling([run_of(place) for place in group.places] for group in groups):
            self.settings, self._parts = replace(self.settings, workers=1), 0

    def _arrange(self, arranging: Callable[..., Arrangement], first: Configuration) -> Arrangement:
        take_on = partial(
            arranging,
            next_block=self.next_block,
            workers=self.settings.wanted if self._parts is None else self._parts,
        )
        try:
            return take_on(store=self._store if first.sweep.reuse else None)
        except StoreError as error:
            self._do_without_store(error)
        return take_on(store=None)

    @property
    def _allowed(self) -> tuple[str, ...]:
        return tuple(self._config.get("allow") or ())

    def close(self) -> None:
        """Let go of the sweep's folder, and of its workers."""
        self._held.close()

    def _refuse_taken(self, held: bool = False) -> None:
        if (why := find_why_taken(self._folder, held)) is not None:
            raise ConfigurationError([f"hydra.sweep.dir={self._folder}: {why}"])

    def _open_store(self, tracking: Tracking) -> None:
        """Open the store before anything is begun. A database that is not there yet holds no runs and is made for
        seconds: the first ones are trained meanwhile. One that is away stops nothing: the archive has all runs.
        """
        address = resolve_address(tracking.uri)
        refuse_unnamed(tracking.uri, self._command)
        wanted = choose_experiment(tracking.experiment)
        if can_be_made(address) and wanted.experiment_id is None:
            try_to_make(address)
            self._opening = ThreadPoolExecutor(1, "store").submit(open_store, tracking.uri, wanted)
            return
        try:
            self._store = open_store(tracking.uri, wanted)
        except StoreError as error:
            self._do_without_store(error)

    def _do_without_store(self, error: StoreError) -> None:
        """Go on without a store that is away. Raises what can't come right by itself."""
        if not error.passing:
            raise error
        self._store, self._away = None, str(error)
        self.reporter.say(f"{error}; training goes on without it, all runs are trained, and `bptt sync` sends them")

    def _open_workers(self) -> Workers:
        if self._workers is None:
            self._workers = self._held.enter_context(Workers(self.settings))
        return self._workers

    def _extended(
        self, added: Sequence[SweepJob], first: Configuration, duplicates: int, numbers: Sequence[int]
    ) -> Session:
        if self.session is None:
            with Interrupts() as interrupts:  # a sweep that has a folder is ended, and told of
                self.session = self._begun(added, first, duplicates, numbers)
            if interrupts.requested:
                raise KeyboardInterrupt
        elif added or duplicates:
            self.session.extend(added, duplicates)
        return self.session

    def _begun(
        self, added: Sequence[SweepJob], first: Configuration, duplicates: int, numbers: Sequence[int]
    ) -> Session:
        tracking, plan = first.tracking, self._plan
        jobs = added if isinstance(added, SweepJobs) else SweepJobs(added)
        wanted = choose_experiment(tracking.experiment) if tracking.enabled else WantedExperiment(None)
        folder = self._folder
        journal = SweepJournal(
            name=folder.name,
            command=[hide_passwords(word) for word in self._command],
            began=time.time(),
            uri=note_store(resolve_address(tracking.uri), Path.cwd()) if tracking.enabled else None,
            experiment=wanted.name if self._store is None else self._store.experiment,
            experiment_id=wanted.experiment_id if self._store is None else None,
            parent=None,
            numerical_version=compute_version(),
            current_folder=str(Path.cwd()),
            place=note_place(folder, Path.cwd()),
            swept=list(dict.fromkeys(key for job in jobs.settings for key in job.swept)) if plan is None else plan.keys,
            duplicates=duplicates,
            settings=self._launcher,
            on_error=first.sweep.on_error,
            search=self._keys is not None,
            question=first.sweep.question,
            solved=first.sweep.solved,
            conditions=None if first.sweep.conditions is None else [*first.sweep.conditions],
            report=first.sweep.report,
            reuse=first.sweep.reuse,
            detail=tracking.detail,
            tags=dict(first.tags),
            tuned=[] if first.sweep.tune is None else [*first.sweep.tune.keys],
            tuning=[] if plan is None else plan.number_settings(numbers),
            confirm=first.sweep.confirm,
            measure=dict(first.sweep.measure),
            published=None if first.sweep.published is None else make_published_plain(first.sweep.published),
            trials=self.trials,
            searched=self.searched,
            files=hash_files(job.config for job in jobs.settings),
            preparations=collect_preparations(job.config for job in jobs.settings),
            choices=collect_choices(self._composer, list_conf_folders(self._config), self._composition.structures),
        )
        try:
            # Held before there is anything that another process could go on with.
            self._held.enter_context(file_lock(folder / LOCK, wait=False))
            self._refuse_taken(held=True)
            archive = SweepFolder.create(folder, journal, jobs)
            write_provenance(folder)
        except LockedError as error:
            raise ConfigurationError([f"hydra.sweep.dir={folder}: something is being trained there"]) from error
        except OSError as error:
            says = f"hydra.sweep.dir={folder}: can't be written: {error.strerror or error}"
            raise ConfigurationError([says]) from error
        how = Conduct(
            workers=self.settings,
            on_error=first.sweep.on_error,
            checkpoint_seconds=first.tracking.checkpoint_seconds,
            allow=tuple(first.resolved["allow"]),
        )
        for line in tell_of_data(journal.preparations):
            self.reporter.say(line)
        store = self._opening or self._store
        return Session(archive, jobs, store, how, self.reporter, self._workers, self._away, self._report)


def _tell_of_same(folder: Path, digests: Iterable[str]) -> Iterator[str]:
    """A line for each sweep beside this one's folder that trains some of its runs at this moment.

    Of two that begin at once each has its jobs written before it looks, so one of them sees the other.
    """
    for other in sorted(folder.parent.glob("*")):
        if other == folder or not is_sweep(other) or not is_locked(other / LOCK):
            continue
        with suppress(ArchiveError):
            digests = digests if isinstance(digests, set) else {*digests}
            same = sum(digest in digests for digest in SweepFolder(other).jobs().digests.values())
            if same:
                runs = f"{same:,} of these runs" if same > 1 else "one of these runs"
                yield (
                    f"{other}: trains {runs} at this moment; they are trained twice, and recorded in both sweeps. Begun"
                    " again when that one has ended, this sweep takes them from the store"
                )


def _check_alike(configurations: Sequence[Configuration]) -> None:
    """A sweep is recorded in one place, and conducted in one way."""
    settings = {configuration.sweep for configuration in configurations}
    alike: list[tuple[str, Collection[object]]] = [
        ("tracking", {configuration.tracking for configuration in configurations}),
        ("tags", {frozenset(configuration.tags.items()) for configuration in configurations}),
        *((field.name, {getattr(one, field.name) for one in settings}) for field in fields(SweepSettings)),
    ]
    if lines := [f"{name}: must be the same for all runs of a sweep" for name, values in alike if len(values) > 1]:
        raise ConfigurationError(lines)
