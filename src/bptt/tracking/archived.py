"""A sweep as its folder has it."""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.archive import Archive, SweepJob
from bptt.tracking.block_files import Tables
from bptt.tracking.environment import read_provenance
from bptt.tracking.recording import Head, Member, Recording
from bptt.tracking.stored_run import run_key

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record

_BLOCKS_HELD: Final = 2


class ArchivedSweep(Recording):
    """The sweep in a folder, so far. Making one raises ArchiveError where it is no sweep's."""

    def __init__(self, folder: Path) -> None:
        # It is read from later on, when the current folder may be another.
        self._folder, self._archive = folder, Archive.open(folder.absolute())
        self._journal = self._archive.journal
        self._records = lru_cache(_BLOCKS_HELD)(self._block_records)

    @cached_property
    def head(self) -> Head:
        """See `Recording.head`."""
        journal = self._journal
        ends = self._tables.runs["ended"]
        return Head.of(
            journal,
            folder=self._folder,
            run_id=journal.parent,
            status=journal.status,
            ended=None if journal.status == "RUNNING" or ends.empty else float(ends.max()),
        )

    @cached_property
    def members(self) -> list[Member]:
        """See `Recording.members`."""
        return [member(job) for job in self._jobs]

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `Recording.tables`."""
        runs, history = self._tables.runs, self._tables.history
        if len(numbers) < len(self._jobs):
            runs, history = (table[table["run"].isin(numbers)].reset_index(drop=True) for table in (runs, history))
        runs = runs.assign(run_id=self._run_ids(runs), seconds=seconds(runs, [self._block_of[n] for n in runs["run"]]))
        return Tables(runs, history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """See `Recording.gradient_flow`."""
        flow = self._archive.gradient_flow(ends_only)
        return flow if len(numbers) == len(self._jobs) else flow[flow["run"].isin(numbers)].reset_index(drop=True)

    def config(self, number: int) -> dict[str, Any]:
        """See `Recording.config`."""
        return self._jobs[number].config

    def overrides(self, number: int) -> list[str]:
        """See `Recording.overrides`."""
        return self._jobs[number].overrides

    def record(self, number: int) -> "Record | None":
        """See `Recording.record`."""
        block = self._block_of.get(number)
        return None if block is None else self._records(block)[number]

    def provenance(self) -> dict[str, Any]:
        """See `Recording.provenance`."""
        return read_provenance(self._archive.folder)

    @cached_property
    def _jobs(self) -> list[SweepJob]:
        return self._archive.jobs()

    @cached_property
    def _block_of(self) -> dict[int, int]:
        return self._archive.block_of()

    @cached_property
    def _tables(self) -> Tables:
        return self._archive.tables()

    def _block_records(self, block: int) -> "dict[int, Record | None]":
        return {result.job: result.record for result in self._archive.results(block)}

    def _run_ids(self, runs: "pd.DataFrame") -> list[str | None]:
        known = self._archive.run_ids()
        return [
            reused if isinstance(reused, str) else known.get(run_key(self._journal, self._jobs[number]))
            for number, reused in zip(runs["run"], runs["reused"], strict=True)
        ]


def member(job: SweepJob) -> Member:
    """A job as a member of a recording."""
    updates = job.config.get("train", {}).get("updates")
    return Member(number=job.number, name=job.name, digest=job.digest, swept=job.swept, updates=updates)


def seconds(runs: "pd.DataFrame", blocks: Sequence[object]) -> "pd.Series":
    """The wall time of each run: that of the block it was trained in, in equal shares; nan where it was reused."""
    import pandas as pd

    of_block = pd.Series(blocks, index=runs.index, dtype=object)
    wall = (runs["ended"] - runs["began"]).astype(float)
    share = wall.groupby(of_block).transform("max") / of_block.groupby(of_block).transform("size").astype(float)
    return share.where(runs["reused"].isna()) if "reused" in runs else share
