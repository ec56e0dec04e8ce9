"""A sweep's folder: what its runs are, and what they left, block by block, each written whole or not at all.

    sweep.json       whose sweep it is: where it is recorded, what was swept, how it ended
    jobs.parquet     a row per run: number, name, digest, block, and as JSON swept, overrides, config
    blocks/000012/   runs.parquet, history.parquet, gradient_flow.parquet, weights.npz of the runs of one block, and
                     digests.json of these files
    stored/000012    a mark: the store has this block; the runs' keys and their ids there, as JSON

The archive comes first: what `bptt resume` and `bptt sync` know of a sweep, they read here. Each file has a digest, in
itself or in digests.json, against which it is held when it is read; archives of before there were digests are read
without.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from bptt.tracking.folder.block import (
    ArchiveError,
    Block,
    RunResult,
    Tables,
    join_flow,
    join_history,
    join_runs,
    list_ended,
    open_block,
    read_block,
    read_gradient_flow,
    read_table,
    read_tables,
    refuse_repeated,
    write_block,
)
from bptt.tracking.folder.files import (
    JOBS,
    PROGRESS,
    STUDY,
    SWEEP,
    Detail,
    dump_sealed,
    load_sealed,
    sync_folder,
    write_text,
)
from bptt.tracking.folder.jobs import SweepJob, SweepJobs
from bptt.tracking.folder.lazy import Lazy
from bptt.tracking.folder.portions import MappingTexts, read_portions, write_portions
from bptt.tracking.folder.progress import Sign, read_sign

if TYPE_CHECKING:
    import pandas as pd

_MOST_OPEN: Final = 4096  # blocks whose tables of runs are held, of some 10 kB each


_JSON_COLUMNS: Final = ("swept", "overrides", "config")

_OUTCOME: Final = ("run", "status", "outcome", "reused", "began", "error")
#: Of jobs.parquet, with their kinds.
_JOB_COLUMNS: Final = {
    "number": "int64",
    "name": "string",
    "digest": "string",
    "block": "int64",
    "swept": "string",
    "overrides": "string",
    "config": "string",
    "stage": "string",
}

_COPY: Final = "the sweep's own run in the store has a copy among its artifacts, in archive/"


@dataclass(frozen=True, kw_only=True)
class TunedSetting:
    """A setting that chooses values of its own.

    seeds   with which it is trained for the sweep's result
    trials  for each combination of tuned values, in their order: the numbers of the runs that tried it
    """

    seeds: list[int]
    trials: list[list[int]]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search asked for, or what a grid's halving compared by.

    sampler     which chose the values, by name; None: they are those of a grid
    objectives  metric → minimize or maximize
    space       key → low, high, step and log of numbers, or choices
    halving     its settings; None: all runs are trained to their end
    """

    objectives: dict[str, str]
    sampler: str | None = None
    space: dict[str, dict[str, Any]] = field(default_factory=dict)
    halving: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class SweepJournal:
    """Whose sweep a folder is.

    command        that repeats it, as words
    began          seconds since 1970
    uri            of the store, a password blotted out, relative to the current folder where it lies in that; None,
                   like what follows: it is not tracked
    parent         the id of the sweep's own run in the store; None as long as it was not begun
    experiment_id  of its experiment, where nothing else says which it is; None: its name does
    current_folder from which the configurations' relative paths are meant, as it was called when the sweep began; where
                   it is now, `bptt.tracking.store.whereabouts` finds
    place          the sweep's folder, relative to that where it lay in it; None: an earlier version did not note it
    swept          the keys whose values differ between runs
    duplicates     how many jobs were left out since another one is the same run
    settings       of the launcher
    on_error       what becomes of the other runs when one fails
    search         whether the runs are asked for while it goes on
    question       what the sweep asks; None: nothing was said
    solved         when a run has solved its task, as text; None: the default
    conditions     the swept keys that make the question harder; None: the default
    report         whether the sweep ends by writing its report
    reuse          whether runs are taken from the store that has them
    tuned          the keys of which each setting chooses values
    tuning         the settings that choose, and what they choose from
    confirm        on how many fresh seeds the best setting of each condition is trained again; None: it is not
    measure        what is measured of its networks before the report: kind → when
    published      what it is held against, as configured; None: nothing
    files          that configurations name: path → SHA-256 of their content when the sweep began
    choices        files of choices that don't come with bptt: path → text
    retried        how often a block was trained again since a worker died; sweep.log has when and why
    trials         how many runs a search asks for; None: it is none, or that is not known
    searched       what a search asked for, and what halving compares by; None: neither, or an earlier version
    seconds        how long commands have worked on it, until what they trained was recorded; 0.0: not known
    sealed         whether each of its blocks has digests; those of a sweep that was begun earlier need not
    numbered       whether its runs' keys in the store end in their numbers; those of earlier sweeps don't
    detail         what the store gets of each run
    preparations   how data of one's own were prepared, by `bptt.tracking.folder.preparations.identify_task`
    tags           that a user gave the sweep, and with it its runs
    """

    name: str
    command: list[str]
    began: float
    uri: str | None
    experiment: str | None
    parent: str | None
    numerical_version: str
    current_folder: str
    swept: list[str]
    duplicates: int
    settings: dict[str, Any] = field(default_factory=dict)
    on_error: Literal["continue", "stop"] = "continue"
    search: bool = False
    question: str | None = None
    solved: str | None = None
    conditions: list[str] | None = None
    report: bool = True
    reuse: bool = True
    tuned: list[str] = field(default_factory=list)
    tuning: list[TunedSetting] = field(default_factory=list)
    confirm: int | None = None
    measure: dict[str, str] = field(default_factory=dict)
    published: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    retried: int = 0
    experiment_id: str | None = None
    trials: int | None = None
    seconds: float = 0.0
    place: str | None = None
    sealed: bool = True
    numbered: bool = True
    detail: Detail = "full"
    preparations: dict[str, Any] = field(default_factory=dict)
    searched: Searched | None = None
    tags: dict[str, str] = field(default_factory=dict)
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] = "RUNNING"


def _check_counts(journal: SweepJournal) -> None:
    """Raise ValueError where what is counted with is no number."""
    seconds: Any = journal.seconds
    if not (isinstance(seconds, int | float) and 0 <= seconds < 1e15):
        raise ValueError(f"seconds={seconds!r}")
    if not (journal.trials is None or type(journal.trials) is int):
        raise ValueError(f"trials={journal.trials!r}")
    if journal.status not in get_args(SweepJournal.__annotations__["status"]):
        raise ValueError(f"status={journal.status!r}")
    if journal.searched is not None and not isinstance(journal.searched.objectives, dict):
        raise ValueError(f"searched={journal.searched!r}")
    if not all(isinstance(text, str) for text in dict(journal.tags).values()):
        raise ValueError(f"tags={journal.tags!r}")
    if journal.detail not in get_args(Detail):
        raise ValueError(f"detail={journal.detail!r}")


class SweepFolder:
    """The folder of a sweep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blocks, self._stored = folder / "blocks", folder / "stored"
        self._open: dict[int, Block] = {}
        self._checked: list[int] = []  # blocks that have no run in common
        self._whose: Mapping[int, str] | None = None

    @classmethod
    def create(cls, folder: Path, journal: SweepJournal, jobs: Sequence[SweepJob]) -> "SweepFolder":
        """Make the folder of a new sweep."""
        archive = cls(folder)
        for made in (archive._blocks, archive._stored):
            made.mkdir(parents=True, exist_ok=True)
        archive.write_jobs(jobs)
        # Last, since a folder with a journal is a whole one.
        archive.write_journal(journal)
        sync_folder(folder.parent)
        return archive

    @classmethod
    def open(cls, folder: Path) -> "SweepFolder":
        """The archive of a sweep that was begun. Raises ArchiveError where there is none."""
        if not folder.is_dir():
            raise ArchiveError(f"{folder}: there is no such folder")
        if not (folder / SWEEP).is_file():
            raise ArchiveError(f"{folder}: not the folder of a sweep (it holds no {SWEEP})")
        archive = cls(folder)
        for own in (archive._blocks, archive._stored):
            if own.is_symlink():
                raise ArchiveError(f"{own}: leads elsewhere; what a sweep writes stays in its folder")
        return archive

    @property
    def journal(self) -> SweepJournal:
        """Raises ArchiveError where it can't be read."""
        try:
            noted = load_sealed((self.folder / SWEEP).read_text(encoding="utf-8"))
            tuning = [TunedSetting(**one) for one in dict(noted).get("tuning", [])]
            searched = None if noted.get("searched") is None else Searched(**noted["searched"])
            known = {"sealed": False, "numbered": False, **noted, "tuning": tuning, "searched": searched}
            journal = SweepJournal(**known)
            _check_counts(journal)
            return journal
        except (OSError, ValueError, TypeError) as error:
            raise ArchiveError(f"{self.folder / SWEEP}: can't be read: {error}; {_COPY}") from error

    def write_journal(self, journal: SweepJournal) -> None:
        """Write sweep.json, whole or not at all, even when the machine stops."""
        write_text(self.folder / SWEEP, dump_sealed(asdict(journal)), durable=True)

    def write_jobs(self, jobs: Sequence[SweepJob]) -> None:
        """Write jobs.parquet, whole or not at all."""
        texts = MappingTexts()

        def write(name: str, value: Any) -> object:
            if name not in _JSON_COLUMNS:
                return value
            return json.dumps(value) if isinstance(value, list) else texts.write(value)

        rows = ({name: write(name, getattr(job, name)) for name in _JOB_COLUMNS} for job in jobs)
        write_portions(self.folder / JOBS, _JOB_COLUMNS, rows)
        self._whose = (jobs if isinstance(jobs, SweepJobs) else SweepJobs(jobs)).digests

    def jobs(self) -> SweepJobs:
        """All runs of the sweep, by number. Raises ArchiveError where they can't be read."""
        path = self.folder / JOBS
        texts: dict[str, Any] = {"swept": json.loads, "overrides": json.loads, "config": MappingTexts().read}
        try:
            jobs = SweepJobs()
            for row in read_portions(path):
                job = SweepJob(**(row | {name: read(row[name]) for name, read in texts.items()}))
                if not type(job.number) is type(job.block) is int:
                    raise ValueError("runs and blocks have whole numbers")
                if job.number != len(jobs):
                    raise ValueError("a run is missing, or stands in it twice")
                jobs.extend([job])
        except OSError as error:
            raise ArchiveError(f"{path}: can't be read: {error.strerror or error}") from error
        except (TypeError, KeyError, ValueError) as error:
            raise ArchiveError(f"{path}: can't be read: {error}; {_COPY}") from error
        self._whose = jobs.digests
        return jobs

    def read_columns(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """These columns of jobs.parquet, a row for each run. Raises ArchiveError where they can't be read."""
        rows: list[dict[str, Any]] = read_table(self.folder / JOBS, columns=names).to_pylist()
        return rows

    def read_outcomes(self, number: int, sealed: bool) -> list[dict[str, Any]]:
        """How the runs of a block ended: run, status, outcome, reused, began, error. Raises ArchiveError likewise.

        sealed  as in the journal
        """
        block = open_block(self.place_block(number), sealed=sealed)
        rows: list[dict[str, Any]] = block.runs.select([*_OUTCOME]).to_pylist()
        return rows

    def count(self) -> int:
        """How many runs the sweep has. Raises ArchiveError where that can't be read."""
        return len(self._find_digests())

    def write_block(self, number: int, results: Sequence[RunResult]) -> None:
        """Write what the runs of a block left, whole or not at all."""
        write_block(self.place_block(number), results, self._find_digests())

    def blocks(self) -> set[int]:
        """The numbers of the blocks that were written."""
        return _list_numbers(self._blocks)

    def ended(self) -> Iterator[RunResult]:
        """How each run that has ended did, without what it recorded. Raises ArchiveError where it can't be read."""
        for block in self._written():
            yield from list_ended(block)

    def list_runs(self) -> Iterator[tuple[int, list[int]]]:
        """The blocks that were written, with the numbers of the runs that each has: a search cuts other ones than its
        jobs say.

        Raises ArchiveError where they can't be read.
        """
        for block in self._written():
            yield int(block.folder.name), block.numbers

    def results(self, number: int) -> list[RunResult]:
        """What `write_block` was given. Raises ArchiveError where it can't be read."""
        return read_block(self._opened(number))

    def mark_stored(self, number: int, run_ids: Mapping[str, str] | None = None) -> None:
        """Note that the store has a block; run_ids: key → id there, of the runs that were written."""
        write_text(self._stored / f"{number:06d}", dump_sealed(run_ids or {}))

    def stored(self) -> set[int]:
        """The numbers of the blocks that the store has."""
        return _list_numbers(self._stored)

    def run_ids(self) -> dict[str, str]:
        """Key → id in the store, of all runs that were written there. Raises ArchiveError where they can't be read."""
        found: dict[str, str] = {}
        for number in sorted(self.stored()):
            found |= self.read_mark(number)
        return found

    def read_mark(self, number: int) -> dict[str, str]:
        """Key → id in the store, of the runs of a block that it has. Raises ArchiveError where they can't be read."""
        path = self._stored / f"{number:06d}"
        try:
            return load_sealed(path.read_text(encoding="utf-8") or "{}")  # earlier ones are empty
        except (OSError, ValueError, TypeError) as error:
            again = f"delete it, and `bptt sync {self.folder}` asks the store"
            raise ArchiveError(f"{path}: can't be read: {error}; {again}") from error

    def place_sign(self, number: int, of: Literal["block", "stage"] = "block") -> Path:
        """Where the sign of a block, or of a stage of a search, is kept while it is trained."""
        return (self._blocks / f"{of}-{number}.{PROGRESS}").absolute()

    def list_signs(self) -> dict[str, Sign]:
        """The signs of what is being trained, or was when its process was killed, by name: `block 12`, `stage 0`."""
        ended, found = self.blocks(), list[tuple[str, int, Sign]]()
        for path in self._blocks.glob(f"*-*.{PROGRESS}"):
            what, _, number = path.name.partition(".")[0].partition("-")
            goes_on = number.isdecimal() and (what == "stage" or int(number) not in ended)
            if goes_on and (sign := read_sign(path)) is not None:
                found.append((what, int(number), sign))
        return {f"{what} {number}": sign for what, number, sign in sorted(found, key=lambda one: one[:2])}

    def checkpoint(self, number: int) -> Path:
        """Where a block's checkpoint is kept while it is trained."""
        return self._blocks / f"{number:06d}.checkpoint.npz"

    def join_tables(self) -> Iterator[Any]:
        """What all blocks left so far, an Arrow table each, one after the other: `runs` and `history` as in `Tables`,
        and the gradients' flow at each run's first and last recorded update. Raises ArchiveError like `tables`.
        """
        written = self._written()
        yield join_runs(written)
        yield join_history(written)
        yield join_flow(written, ends_only=True)

    def tables(self) -> Tables:
        """What all blocks left so far. Raises ArchiveError where it can't be read."""
        return read_tables(self._written())

    def gradient_flow(self, ends_only: bool = False) -> "pd.DataFrame":
        """How gradients flowed, in all blocks so far: run, update, lag, norm; runs × points × timesteps rows.

        ends_only: of each run its first and its last recorded update alone. Raises ArchiveError like `tables`.
        """
        return read_gradient_flow(self._written(), ends_only)

    def _written(self) -> Sequence[Block]:
        numbers = sorted(self.blocks())
        blocks = Lazy(numbers, self._opened)
        if numbers != self._checked:
            refuse_repeated(blocks)
            self._checked = numbers
        return blocks

    def _opened(self, number: int) -> Block:
        block = self._open.get(number)
        if block is None:
            block = open_block(self.place_block(number), self._find_digests(), self._sealed)
            if len(self._open) >= _MOST_OPEN:  # by whichever thread
                self._open.clear()
            self._open[number] = block
        return block

    @cached_property
    def _sealed(self) -> bool:
        return self.journal.sealed

    def _find_digests(self) -> Mapping[int, str]:
        """Number → digest of each run."""
        if self._whose is None:
            self.jobs()
        assert self._whose is not None
        return self._whose

    def place_block(self, number: int) -> Path:
        """The folder of a block, whether it was written or not."""
        return self._blocks / f"{number:06d}"


def _list_numbers(folder: Path) -> set[int]:
    """The numbers that files, or folders, are called by."""
    return {int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()}


def is_sweep(folder: Path) -> bool:
    """Whether the folder is a sweep's."""
    return (folder / SWEEP).is_file()


_STORAGE: Final = "hydra.sweeper.storage="


def going_on(command: Sequence[str], folder: Path) -> list[str]:
    """The command that goes on with a search that `command` has begun in this folder, in a folder of its own."""
    kept = any(_STORAGE in word for word in command)
    command = [word for word in command if not word.startswith("hydra.sweep.dir=")]
    return [*command, *([] if kept else [f"++{_STORAGE}{folder.absolute() / STUDY}"])]
