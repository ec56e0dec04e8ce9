"""The beginning of a sweep: its jobs are composed and checked, what is there already left out, the rest trained."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bptt.analysis.sweep import Solved
from bptt.analysis.tables import shorten_keys
from bptt.configuration.build import Configuration, SweepSettings, Tracking
from bptt.configuration.compose import Composer
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.paths import find_conf_folder
from bptt.configuration.resolve import list_conf_folders
from bptt.core.run import Record, Run
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.grammar import check_conditions, find_differing
from bptt.sweeps.jobs.plan import MOST_LANES, PlannedRun, cut_blocks, drop_repeated, find_groups
from bptt.sweeps.session import Session, SweepReporter
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import Conduct, Workers, read_worker_settings
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import LOCK
from bptt.tracking.folder.lock import LockedError, file_lock
from bptt.tracking.folder.sweep import SweepFolder, SweepJob, SweepJournal
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.provenance.environment import write_provenance
from bptt.tracking.store.address import Address, hide_passwords, resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.params import hide_secrets, name_run, name_swept

_LONGEST: int = 100_000  # characters of a choice


def hash_files(configs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The files that resolved configurations name as a `path`: the path → SHA-256 of what they hold now."""
    paths = dict.fromkeys(path for config in configs for path in _paths(config))
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


def _paths(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "path" and isinstance(value, str):
                yield value
            else:
                yield from _paths(value)


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
        self._composer, self._composition = composer, Composition(composer, config)
        self.session: Session | None = None
        self._store: Store | None = None
        self._opening: Future[Store] | None = None
        self._workers: Workers | None = None
        self._number_of: dict[str, int] = {}  # digest → run
        self.next_block = itertools.count()
        self._held = ExitStack()

    def launch(self, jobs: Sequence[Sequence[str]]) -> list[RunResult]:
        """Train jobs, given by their overrides; returns how each ended, in their order, without what it recorded.

        Raises ConfigurationError, with everything that is wrong with any job, before anything is begun; StoreError;
        and what `Session.train` raises.
        """
        if len(jobs) > MOST_LANES:
            # They need as long to start as the jobs to be composed.
            self._open_workers().warm()
        added = self.add(jobs)
        assert self.session is not None
        self.session.train(added.runs, added.blocks)
        return [self.session.results[number] for number in added.numbers]

    def add(self, jobs: Sequence[Sequence[str]]) -> Added:
        """Add jobs to the sweep, which is begun with the first; those that repeat others have the same run."""
        configurations = self._composition.all(jobs)
        _check_alike(configurations)
        if self.session is None and (conditions := configurations[0].sweep.conditions):
            check_conditions(conditions, find_differing(jobs, self._keys))
        found, repeated = drop_repeated(list(zip(jobs, configurations, strict=True)), compute_version())
        new = [planned for planned in found if planned.digest not in self._number_of]
        first = configurations[0]
        if self.settings.addressed:
            self._open_workers()  # a cluster that does not answer is told before anything is begun
        if self.session is None and first.tracking.enabled:
            self._open_store(first.tracking)
        before = 0 if self.session is None else len(self.session.jobs)
        numbers = range(before, before + len(new))
        planned_as = dict(zip(numbers, new, strict=True))
        held = self._held_already(planned_as) if first.sweep.reuse else {}
        trained = self._cut({n: planned.run for n, planned in planned_as.items() if n not in held})
        reused = self._cut({n: planned.run for n, planned in planned_as.items() if n in held})
        block_of = {number: block for block, members in (*trained, *reused) for number in members}
        session = self._extended(_jobs(planned_as, block_of, self._keys), first, len(repeated))
        self._number_of |= {planned.digest: number for number, planned in planned_as.items()}
        for block, members in reused:
            session.keep(block, [_reuse_result(number, *held[number]) for number in members])
        same = {tuple(overrides): planned.digest for overrides, planned in repeated}
        same |= {planned.overrides: planned.digest for planned in found}
        return Added(
            numbers=[self._number_of[same[tuple(overrides)]] for overrides in jobs],
            runs={number: planned.run for number, planned in planned_as.items()},
            records={number: record for number, (_, record) in held.items()},
            blocks=trained,
        )

    def close(self) -> None:
        """Let go of the sweep's folder, and of its workers."""
        self._held.close()

    def _open_store(self, tracking: Tracking) -> None:
        """Open the store before anything is begun. A database that is not there yet holds no runs and is made for
        seconds: the first ones are trained meanwhile.
        """
        address = resolve_address(tracking.uri)
        if _can_be_made(address):
            self._opening = ThreadPoolExecutor(1, "store").submit(open_store, tracking.uri, tracking.experiment)
        else:
            self._store = open_store(tracking.uri, tracking.experiment)

    def _open_workers(self) -> Workers:
        if self._workers is None:
            self._workers = self._held.enter_context(Workers(self.settings))
        return self._workers

    def _held_already(self, runs: Mapping[int, PlannedRun]) -> dict[int, tuple[str, Record]]:
        """What the store holds of these runs, finished: the run's id there, and what it recorded."""
        if self._store is None:
            return {}
        found = self._store.find_finished([planned.digest for planned in runs.values()])
        held = {}
        for number, planned in runs.items():
            if planned.digest in found:
                run_id = found[planned.digest]
                record = self._store.read_finished(run_id)
                if record is not None:
                    held[number] = (run_id, record)
        return held

    def _cut(self, runs: Mapping[int, Run]) -> list[tuple[int, list[int]]]:
        """Blocks of runs that fuse, each with a number of its own."""
        numbers = list(runs)
        parts = cut_blocks(find_groups(list(runs.values())), self.settings.wanted)
        return [(next(self.next_block), [numbers[place] for place in part]) for part in parts]

    def _extended(self, added: list[SweepJob], first: Configuration, duplicates: int) -> Session:
        if self.session is None:
            with Interrupts() as interrupts:  # a sweep that has a folder is ended, and told of
                self.session = self._begun(added, first, duplicates)
            if interrupts.requested:
                raise KeyboardInterrupt
        elif added or duplicates:
            self.session.jobs += added
            self.session.archive.write_jobs(self.session.jobs)
            self.session.note(duplicates=self.session.journal.duplicates + duplicates)
        return self.session

    def _begun(self, jobs: list[SweepJob], first: Configuration, duplicates: int) -> Session:
        tracking = first.tracking
        folder = Path(str(self._config.hydra.sweep.dir))
        journal = SweepJournal(
            name=folder.name,
            command=[hide_passwords(word) for word in self._command],
            began=time.time(),
            uri=resolve_address(tracking.uri).shown if tracking.enabled else None,
            experiment=tracking.experiment if tracking.enabled else None,
            parent=None,
            numerical_version=compute_version(),
            current_folder=str(Path.cwd()),
            swept=list(dict.fromkeys(key for job in jobs for key in job.swept)),
            duplicates=duplicates,
            settings=self._launcher,
            on_error=first.sweep.on_error,
            search=self._keys is not None,
            question=first.sweep.question,
            solved=first.sweep.solved,
            conditions=None if first.sweep.conditions is None else [*first.sweep.conditions],
            report=first.sweep.report,
            files=hash_files(job.config for job in jobs),
            choices=collect_choices(self._composer, list_conf_folders(self._config), self._composition.structures),
        )
        try:
            # Held before there is anything that another process could go on with.
            self._held.enter_context(file_lock(folder / LOCK, wait=False))
            archive = SweepFolder.create(folder, journal, jobs)
            write_provenance(folder)
        except LockedError as error:
            raise ConfigurationError([f"hydra.sweep.dir={folder}: another sweep is being trained there"]) from error
        except OSError as error:
            raise ConfigurationError(
                [f"hydra.sweep.dir={folder}: can't be written: {error.strerror or error}"]
            ) from error
        how = Conduct(
            workers=self.settings,
            on_error=first.sweep.on_error,
            checkpoint_seconds=first.tracking.checkpoint_seconds,
        )
        return Session(archive, jobs, self._opening or self._store, how, self.reporter, self._workers)


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


def _jobs(runs: Mapping[int, PlannedRun], block_of: Mapping[int, int], keys: Sequence[str] | None) -> list[SweepJob]:
    swept = find_differing([planned.overrides for planned in runs.values()], keys)
    short = shorten_keys(list(dict.fromkeys(key for values in swept for key in values)))

    def made() -> Iterator[SweepJob]:
        for (number, planned), values in zip(runs.items(), swept, strict=True):
            resolved = planned.configuration.resolved
            yield SweepJob(
                number=number,
                name=name_swept(values, short) if values else name_run(resolved),
                digest=planned.digest,
                block=block_of[number],
                swept=values,
                overrides=[hide_passwords(text) for text in planned.overrides],
                config=hide_secrets(resolved),
            )

    return list(made())


def _reuse_result(job: int, run_id: str, record: Record) -> RunResult:
    now = time.time()
    return RunResult(job=job, status="FINISHED", record=record, error=None, began=now, ended=now, reused=run_id)
