"""The beginning of a sweep: its jobs are composed and checked, what is there already left out, the rest trained."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from omegaconf import DictConfig, OmegaConf

from bptt.analysis.sweep import Solved
from bptt.configuration.build import Configuration, SweepSettings, Tracking, check_configuration, list_conf_folders
from bptt.configuration.compose import Composer
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.run import Record, Run
from bptt.core.training import needs_compiling
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.plan import (
    MOST_LANES,
    Arrangement,
    PlannedRun,
    arrange,
    drop_repeated,
    find_groups,
    is_little,
    seem_little,
)
from bptt.sweeps.session import Session, SweepReporter
from bptt.sweeps.stages import TuningPlan, compose_first
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import Conduct, Workers, read_worker_settings
from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.files import LOCK
from bptt.tracking.folder.lock import LockedError, file_lock, find_why_taken, is_locked
from bptt.tracking.folder.sweep import SweepFolder, SweepJob, SweepJournal, is_sweep
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.provenance.environment import write_provenance
from bptt.tracking.store.address import Address, StoreError, hide_passwords, refuse_unnamed, resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.connecting import try_to_make
from bptt.tracking.store.opening import WantedExperiment, choose_experiment, open_store
from bptt.tracking.store.whereabouts import note_place, note_store

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

_LONGEST: int = 100_000  # characters of a choice


def hash_files(configs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The files that resolved configurations name as a `path`: the path → SHA-256 of what they hold now."""
    seen: dict[int, Any] = {}  # parts, which many configurations have in common
    paths = dict.fromkeys(path for config in configs for path in _paths(config, seen))
    return {path: sha256(Path(path).read_bytes()).hexdigest() for path in paths if Path(path).is_file()}


def collect_choices(composer: Composer, folders: Sequence[Path], structures: Iterable[Sequence[str]]) -> dict[str, str]:
    """The files of choices that lie in folders of the user's own: their path → their text.

    folders     that choices are looked for in, first the one with precedence
    structures  the choices of all jobs, as overrides
    """
    own = [folder for folder in folders if folder.resolve() != find_conf_folder().resolve()]
    if not own:
        return {}
    names = dict.fromkeys(name for choices in structures for name in composer.files(choices))
    # A block's own initialisation is named by its value, not by Hydra's list.
    blocks = [f"init/{path.stem}" for folder in own for path in sorted((folder / "init").glob("*.yaml"))]
    found = {}
    for name in dict.fromkeys([*names, *blocks]):
        path = next((folder / f"{name}.yaml" for folder in folders if (folder / f"{name}.yaml").is_file()), None)
        if path is not None and any(path.is_relative_to(folder) for folder in own):
            text = path.read_text(encoding="utf-8", errors="replace")[:_LONGEST]
            found[_shorten_path(path)] = "".join(map(hide_passwords, text.splitlines(keepends=True)))
    return found


def _paths(node: Any, seen: dict[int, Any]) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "path" and isinstance(value, str):
                yield value
            elif isinstance(value, Mapping) and id(value) not in seen:
                seen[id(value)] = value
                yield from _paths(value, seen)


def _shorten_path(path: Path) -> str:
    """The path as seen from the current folder, which a command's own paths are too."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@dataclass(frozen=True)
class Added:
    """Jobs that were added to a sweep.

    numbers  of each one's run, in their order
    runs     number → run, of all that are new
    records  number → what the store holds of a run already
    blocks   of the runs that are to be trained: number and runs
    """

    numbers: list[int]
    runs: dict[int, Run]
    records: dict[int, Record]
    blocks: list[tuple[int, list[int]]]


class Launch:
    """A sweep that one command asks for, in one batch of jobs or, where a search asks for them, in several.

    config   of the sweep, with its node `hydra`
    command  that repeats the sweep, as words
    keys     what a search varies; None: it is none, and what differs between the jobs is what was swept
    session  None as long as nothing was begun
    trials   how many runs a search asks for
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
        self._store: Store | None = None
        self._opening: Future[Store] | None = None
        self._away: str | None = None  # why the store could not be opened
        self._workers: Workers | None = None
        self._number_of: dict[str, int] = {}  # digest → run
        self._plan: TuningPlan | None = None
        self.next_block = itertools.count()
        self._parts: int | None = None  # what blocks are cut for, where it is not the workers
        self._held = ExitStack()

    def launch(self, jobs: Sequence[Sequence[str]]) -> list[RunResult]:
        """Train jobs, given by their overrides; returns how each ended, in their order, without what it recorded.

        Raises ConfigurationError, with everything that is wrong with any job, before anything is begun; StoreError;
        and what `Session.train` raises.
        """
        if len(jobs) > MOST_LANES and not self._seem_little(len(jobs)):
            # They need as long to start as the jobs to be composed.
            self._open_workers().warm()
        added = self.add(jobs)
        session = self.session
        assert session is not None
        session.train(added.runs, added.blocks)
        if session.journal.tuning or session.journal.confirm is not None:
            from bptt.sweeps.stages import train_following

            train_following(session, self._allowed)
        if session.journal.tuning:
            return [session.results[job.number] for job in session.jobs if job.stage == "result"]
        return [session.results[number] for number in added.numbers]

    def confirm(self) -> None:
        """Train what follows a search. Raises what `Session.train` does."""
        if self.session is not None and self.session.journal.confirm is not None:
            from bptt.sweeps.stages import train_following

            train_following(self.session, self._allowed)

    def add(self, jobs: Sequence[Sequence[str]]) -> Added:
        """Add jobs to the sweep, which is begun with the first; those that repeat others have the same run.

        Where the sweep tunes, the runs that its values are chosen by stand for its jobs.
        """
        if self.session is None:
            jobs, configurations, self._plan = compose_first(
                jobs, self._config, self._composition, self._composer.loader, self._keys
            )
        else:
            configurations = self._composition.all(jobs)
        _check_alike(configurations)
        for line in self._composer.take_told():
            self.reporter.say(line)
        found, repeated = drop_repeated(list(zip(jobs, configurations, strict=True)), compute_version())
        new = [planned for planned in found if planned.digest not in self._number_of]
        first = configurations[0]
        if self._plan is None and first.sweep.confirm is None:
            self._choose_place([planned.run for planned in new])
        if self.settings.elsewhere:
            self._open_workers()  # a cluster that does not answer is told before anything is begun
        if self.session is None and first.tracking.enabled:
            self._open_store(first.tracking)
        before = 0 if self.session is None else len(self.session.jobs)
        arranged = self._arrange(new, before, self._store if first.sweep.reuse else None)
        self._number_of |= {planned.digest: number for number, planned in enumerate(new, before)}
        same = {tuple(overrides): planned.digest for overrides, planned in repeated}
        same |= {planned.overrides: planned.digest for planned in found}
        numbers = [self._number_of[same[tuple(overrides)]] for overrides in jobs]
        session = self._extended(arranged.jobs, first, len(repeated), numbers)
        if first.sweep.reuse:
            trained = {job.digest for job in arranged.jobs if job.number in arranged.runs}
            for line in _tell_of_same(session.archive.folder, trained):
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

    def _choose_place(self, new: Sequence[Run]) -> None:
        """Train in this process what is trained sooner than workers have started; not where kernels are compiled, which
        workers share, nor in a search, which asks for more.
        """
        unasked = self.session is None and self._keys is None and self._workers is None and self.settings.may_stay
        groups = find_groups(new) if unasked else []
        if not groups or not is_little(groups):
            return
        check_kernel_folder()
        if not needs_compiling([new[place] for place in group.places] for group in groups):
            self.settings, self._parts = replace(self.settings, workers=1), 0

    def _arrange(self, new: Sequence[PlannedRun], before: int, store: Store | None) -> Arrangement:
        try:
            return arrange(
                new,
                first=before,
                next_block=self.next_block,
                workers=self.settings.wanted if self._parts is None else self._parts,
                store=store,
                keys=self._keys if self._plan is None else self._plan.keys,
                stage="result" if self._plan is None else "tuning",
            )
        except StoreError as error:
            self._do_without_store(error)
        return self._arrange(new, before, None)

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
        if _can_be_made(address) and wanted.experiment_id is None:
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
        self, added: list[SweepJob], first: Configuration, duplicates: int, numbers: Sequence[int]
    ) -> Session:
        if self.session is None:
            with Interrupts() as interrupts:  # a sweep that has a folder is ended, and told of
                self.session = self._begun(added, first, duplicates, numbers)
            if interrupts.requested:
                raise KeyboardInterrupt
        elif added or duplicates:
            self.session.extend(added, duplicates)
        return self.session

    def _begun(self, jobs: list[SweepJob], first: Configuration, duplicates: int, numbers: Sequence[int]) -> Session:
        tracking, plan = first.tracking, self._plan
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
            swept=list(dict.fromkeys(key for job in jobs for key in job.swept)) if plan is None else plan.keys,
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
            tuned=[] if first.sweep.tune is None else [*first.sweep.tune.keys],
            tuning=[] if plan is None else plan.number_settings(numbers),
            confirm=first.sweep.confirm,
            trials=self.trials,
            files=hash_files(job.config for job in jobs),
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
            raise ConfigurationError(
                [f"hydra.sweep.dir={folder}: can't be written: {error.strerror or error}"]
            ) from error
        how = Conduct(
            workers=self.settings,
            on_error=first.sweep.on_error,
            checkpoint_seconds=first.tracking.checkpoint_seconds,
        )
        store = self._opening or self._store
        return Session(archive, jobs, store, how, self.reporter, self._workers, self._away)


def _tell_of_same(folder: Path, digests: set[str]) -> Iterator[str]:
    """A line for each sweep beside this one's folder that trains some of its runs at this moment.

    Of two that begin at once each has its jobs written before it looks, so one of them sees the other.
    """
    for other in sorted(folder.parent.glob("*")):
        if other == folder or not is_sweep(other) or not is_locked(other / LOCK):
            continue
        with suppress(ArchiveError):
            same = sum(job.digest in digests for job in SweepFolder(other).jobs())
            if same:
                runs = f"{same:,} of these runs" if same > 1 else "one of these runs"
                yield (
                    f"{other}: trains {runs} at this moment; they are trained twice, and recorded in both sweeps. Begun"
                    " again when that one has ended, this sweep takes them from the store"
                )


def _can_be_made(address: Address) -> bool:
    """Whether the store is a file that is not there, in a folder where it may be."""
    file = address.database
    return (
        file is not None
        and address.uri.startswith("sqlite:///")
        and not file.exists()
        and file.parent.is_dir()
        and os.access(file.parent, os.W_OK)
    )


def _check_alike(configurations: Sequence[Configuration]) -> None:
    """A sweep is recorded in one place, and conducted in one way."""
    for name, values in (
        ("tracking", {configuration.tracking for configuration in configurations}),
        (", ".join(field.name for field in fields(SweepSettings)), {one.sweep for one in configurations}),
    ):
        if len(values) > 1:
            raise ConfigurationError([f"{name}: must be the same for all runs of a sweep"])
    if (text := configurations[0].sweep.solved) is not None:
        try:
            Solved.parse(text)
        except ValueError as error:
            raise ConfigurationError([str(error)]) from None


class Returns(Sequence["JobReturn"]):
    """A return for each run; its value is the metrics as they were recorded last, and raises where the run FAILED.

    Each is made when it is asked for.
    """

    def __init__(self, session: Session, results: Sequence[RunResult]) -> None:
        self._session, self._results = session, results

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, place: int) -> "JobReturn": ...

    @overload
    def __getitem__(self, place: slice) -> "Returns": ...

    def __getitem__(self, place: int | slice) -> "JobReturn | Returns":
        if isinstance(place, slice):
            return Returns(self._session, self._results[place])
        return _make_return(self._session, self._results[place])


def _make_return(session: Session, result: RunResult) -> "JobReturn":
    from hydra.core.utils import JobReturn, JobStatus

    failed = result.status == "FAILED"
    told = JobReturn(overrides=session.jobs[result.job].overrides)
    told.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
    told.return_value = RuntimeError(result.error) if failed else session.find_last(result.job)
    return told
