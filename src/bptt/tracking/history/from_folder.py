"""What was recorded, read back from a folder: that of a sweep, or that of a single run."""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.tracking.folder.block import ArchiveError, Tables
from bptt.tracking.folder.files import (
    FLOW,
    HISTORY,
    JOURNAL,
    ONCE,
    PREPARATION,
    TRACEBACK,
    WEIGHTS,
    check_content,
    load_record,
    make_empty_flow,
    make_empty_history,
    parse_table,
    read_once,
    select_ends,
)
from bptt.tracking.folder.jobs import SweepJob, SweepJobs
from bptt.tracking.folder.lazy import Lazy
from bptt.tracking.folder.measures import read_measures, tabulate_measures
from bptt.tracking.folder.preparations import list_preparations, read_preparation, recall_preparation
from bptt.tracking.folder.run import COPY, OVERRIDES, ResumeError, read_config, read_journal
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.history.base import Head, History, Member
from bptt.tracking.provenance.environment import read_provenance
from bptt.tracking.store.runs import make_run_key
from bptt.tracking.store.tags import read_user_tags
from bptt.tracking.store.whereabouts import find_whereabouts

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bptt.core.run import Record
    from bptt.tasks.own_data.preparation import Preparation

_BLOCKS_HELD: Final = 2


class SweepFolderHistory(History):
    """The sweep in a folder, so far. Making one raises ArchiveError where it is no sweep's.

    known  its archive and all its runs, by who has both; None: they are read
    """

    def __init__(self, folder: Path, known: tuple[SweepFolder, SweepJobs] | None = None) -> None:
        # It is read from later on, when the current folder may be another.
        self.folder = self._folder = folder
        self._archive = SweepFolder.open(folder.absolute()) if known is None else known[0]
        self._known = None if known is None else known[1]
        self._journal = self._archive.journal
        self._records = lru_cache(_BLOCKS_HELD)(self._block_records)

    @cached_property
    def head(self) -> Head:
        """See `History.head`."""
        journal = self._journal
        ends = self._tables.runs["ended"]
        where = find_whereabouts(self._archive.folder, journal, journal.parent)
        return Head.of(
            journal,
            folder=self._folder,
            run_id=journal.parent,
            status=journal.status,
            ended=None if journal.status == "RUNNING" or ends.empty else float(ends.max()),
            current_folder=where.home,
            uri=where.uri,
        )

    @property
    def members(self) -> Sequence[Member]:
        """See `History.members`."""
        return Lazy(self._jobs, make_member)

    @property
    def numbers(self) -> Sequence[int]:
        """See `History.numbers`."""
        return range(len(self._jobs))

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `History.tables`."""
        runs, history = self._tables.runs, self._tables.history
        if len(numbers) < len(self._jobs):
            runs, history = (table[table["run"].isin(numbers)].reset_index(drop=True) for table in (runs, history))
        wall = share_seconds(runs, self._blocks[runs["run"].to_numpy()])
        runs = runs.assign(run_id=self._run_ids(runs), seconds=wall)
        return Tables(runs, history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """See `History.gradient_flow`."""
        flow = self._archive.gradient_flow(ends_only)
        return flow if len(numbers) == len(self._jobs) else flow[flow["run"].isin(numbers)].reset_index(drop=True)

    def config(self, number: int) -> dict[str, Any]:
        """See `History.config`."""
        return self._jobs[number].config

    def overrides(self, number: int) -> list[str]:
        """See `History.overrides`."""
        return self._jobs[number].overrides

    def record(self, number: int) -> "Record | None":
        """See `History.record`."""
        block = int(self._blocks[number]) if 0 <= number < len(self._jobs) else -1
        return None if block < 0 else self._records(block)[number]

    def preparation(self, number: int) -> "Preparation | None":
        """See `History.preparation`."""
        return recall_preparation(self._journal.preparations, self.config(number))

    def preparations(self) -> "list[Preparation]":
        """See `History.preparations`."""
        return list_preparations(self._journal.preparations)

    def measures(self) -> "pd.DataFrame":
        """See `History.measures`."""
        rows, _ = read_measures(self._archive.folder, self._jobs.digests)
        return tabulate_measures(rows)

    def provenance(self) -> dict[str, Any]:
        """See `History.provenance`."""
        return read_provenance(self._archive.folder)

    @cached_property
    def _jobs(self) -> SweepJobs:
        return self._archive.jobs() if self._known is None else self._known

    @cached_property
    def _blocks(self) -> "NDArray[np.int64]":
        """The block that has each run; -1: it has not ended."""
        found = np.full(len(self._jobs), -1)
        for block, numbers in self._archive.list_runs():
            found[numbers] = block
        return found

    @cached_property
    def _tables(self) -> Tables:
        return self._archive.tables()

    def _block_records(self, block: int) -> "dict[int, Record | None]":
        return {result.job: result.record for result in self._archive.results(block)}

    def _run_ids(self, runs: "pd.DataFrame") -> list[str | None]:
        # One that was taken from an earlier sweep, and lost there, may have been written as this one's own.
        found: list[str | None] = [None] * len(self._jobs)
        stored = self._archive.stored()
        for block, numbers in self._archive.list_runs():
            known = self._archive.read_mark(block) if block in stored else {}
            for number in numbers if known else ():
                found[number] = known.get(make_run_key(self._journal, self._jobs[number]))
        return [
            found[number] or (reused if isinstance(reused, str) else None)
            for number, reused in zip(runs["run"], runs["reused"], strict=True)
        ]


def make_member(job: SweepJob) -> Member:
    """A job as a member of a recording."""
    updates = job.config.get("train", {}).get("updates")
    return Member(
        number=job.number,
        name=job.name,
        digest=job.digest,
        swept=job.swept,
        updates=updates,
        stage=job.stage,
        tags=read_user_tags(job.config),
    )


def share_seconds(runs: "pd.DataFrame", blocks: "Sequence[object] | NDArray[np.int64]") -> "pd.Series":
    """The wall time of each run: that of the block it was trained in, in equal shares; nan where it was reused."""
    import pandas as pd

    of_block = pd.Series(blocks, index=runs.index, dtype=None if isinstance(blocks, np.ndarray) else object)
    wall = (runs["ended"] - runs["began"]).astype(float)
    share = wall.groupby(of_block).transform("max") / of_block.groupby(of_block).transform("size").astype(float)
    return share.where(runs["reused"].isna()) if "reused" in runs else share


class RunFolderHistory(History):
    """The single run in a folder, so far. Making one raises ArchiveError where it can't be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = self._given = folder
        self._folder = folder.absolute()
        try:
            self._journal = read_journal(folder)
            self._config = read_config(folder, self._journal)
        except ResumeError as error:
            raise ArchiveError(str(error)) from error

    @cached_property
    def head(self) -> Head:
        """See `History.head`."""
        journal, overrides = self._journal, self.overrides(0)
        where = find_whereabouts(self._folder, journal, journal.run_id)
        return Head(
            name=journal.name,
            folder=self._given,
            run_id=journal.run_id,
            swept=[],
            status=journal.status,
            seconds=journal.seconds or None,
            command=["bptt", "train", *overrides] if overrides else [],
            numerical_version=journal.numerical_version,
            current_folder=where.home,
            uri=where.uri,
        )

    @cached_property
    def members(self) -> list[Member]:
        """See `History.members`."""
        journal = self._journal
        updates = self._config.get("train", {}).get("updates")
        tags = read_user_tags(self._config)
        return [Member(number=0, name=journal.name, digest=journal.digest, swept={}, updates=updates, tags=tags)]

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `History.tables`."""
        import pandas as pd

        recorded = self._read(HISTORY)
        once = {} if recorded is None else read_once(recorded)
        history = make_empty_history() if recorded is None else _add_run(recorded)
        row = {
            "run": 0,
            "status": self._journal.status,
            "outcome": self._journal.outcome,
            "updates": None if history.empty else history["update"].iloc[-1],
            "error": self._error(),
            "run_id": self._journal.run_id,
            "seconds": float("nan"),
            **(dict.fromkeys(ONCE) | once),
        }
        return Tables(pd.DataFrame([row] * len(numbers), columns=list(row)), history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":  # noqa: ARG002 (one run)
        """See `History.gradient_flow`."""
        recorded = self._read(FLOW)
        flow = make_empty_flow() if recorded is None else _add_run(recorded)
        return select_ends(flow) if ends_only else flow

    def config(self, number: int) -> dict[str, Any]:  # noqa: ARG002 (one run)
        """See `History.config`."""
        return self._config

    def overrides(self, number: int) -> list[str]:  # noqa: ARG002 (one run)
        """See `History.overrides`."""
        import yaml

        try:
            content = (self._folder / OVERRIDES).read_bytes()
        except OSError:
            return []
        self._check(OVERRIDES, content)
        try:
            words = yaml.safe_load(content.decode())
        except (ValueError, yaml.YAMLError):
            return []
        return [str(word) for word in words or []]

    def record(self, number: int) -> "Record | None":  # noqa: ARG002 (one run)
        """See `History.record`."""
        there = [self._has(name) for name in (WEIGHTS, HISTORY, FLOW)]
        if not there[0]:
            return None
        outcome = self._journal.outcome or "completed"
        try:
            found = load_record(outcome, self._folder, self._journal.files)
        except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
            raise ArchiveError(f"{self._folder}: can't be read: {error}; {COPY}") from error
        if found is None:
            raise ArchiveError(f"{self._folder}: can't be read: {FLOW} is not of the updates that {HISTORY} has")
        return found

    def preparation(self, number: int) -> "Preparation | None":  # noqa: ARG002 (one run)
        """See `History.preparation`."""
        return read_preparation(self._folder, self._journal.files.get(PREPARATION)) if self._has(PREPARATION) else None

    def measures(self) -> "pd.DataFrame":
        """See `History.measures`."""
        rows, _ = read_measures(self._folder, {0: self._journal.digest})
        return tabulate_measures(rows)

    def provenance(self) -> dict[str, Any]:
        """See `History.provenance`."""
        return read_provenance(self._folder)

    def _has(self, name: str) -> bool:
        """Whether there is this file. Raises ArchiveError where it was there when the run ended, and is no more."""
        there = (self._folder / name).is_file()
        if not there and name in self._journal.files:
            raise ArchiveError(f"{self._folder / name}: is missing; the run left it; {COPY}")
        return there

    def _check(self, name: str, content: bytes) -> None:
        try:
            check_content(content, self._journal.files.get(name))
        except ValueError as error:
            raise ArchiveError(f"{self._folder / name}: can't be read: {error}; {COPY}") from error

    def _read(self, name: str) -> Any:
        """The Arrow table of a file; None: there is none."""
        if not self._has(name):
            return None
        try:
            return parse_table((self._folder / name).read_bytes(), self._journal.files.get(name))
        except (OSError, ValueError) as error:
            raise ArchiveError(f"{self._folder / name}: can't be read: {error}; {COPY}") from error

    def _error(self) -> str | None:
        if not self._has(TRACEBACK):
            return None
        content = (self._folder / TRACEBACK).read_bytes()
        self._check(TRACEBACK, content)
        return content.decode(errors="replace")


def _add_run(recorded: Any) -> "pd.DataFrame":
    table: pd.DataFrame = recorded.to_pandas(use_threads=False)
    table.insert(0, "run", 0)
    return table


def is_run(folder: Path) -> bool:
    """Whether the folder is a single run's."""
    return (folder / JOURNAL).is_file()
