"""A sweep that has ended, from the files that its own run keeps in the store: a few requests for all its runs."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bptt.tracking.access import asking
from bptt.tracking.archived import member, seconds
from bptt.tracking.block_files import Tables
from bptt.tracking.reading import StoredRow, StoreReader
from bptt.tracking.recording import Head, Member
from bptt.tracking.stored import Stored
from bptt.tracking.sweep_files import KeptSweep, read_flow_ends

if TYPE_CHECKING:
    import pandas as pd


class StoredSweep(Stored):
    """A sweep of a store, with the tables of all its runs."""

    def __init__(self, reader: StoreReader, own: StoredRow, kept: KeptSweep, tables: Tables) -> None:
        super().__init__(reader, own)
        self._parent, self._kept, self._tables = own, kept, tables

    @cached_property
    def head(self) -> Head:
        """See `Recording.head`."""
        return kept_head(self._parent, self._kept)

    @cached_property
    def members(self) -> list[Member]:
        """See `Recording.members`."""
        return [member(job) for job in self._kept.jobs]

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `Recording.tables`."""
        runs, history = self._tables.runs, self._tables.history
        jobs = self._kept.jobs
        runs = runs.assign(seconds=seconds(runs, [jobs[number].block for number in runs["run"]]))
        if len(numbers) < len(jobs):
            runs, history = (table[table["run"].isin(numbers)].reset_index(drop=True) for table in (runs, history))
        return Tables(runs, history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """See `Recording.gradient_flow`."""
        if not ends_only:
            return super().gradient_flow(numbers)
        with asking(self._reader.address):
            flow = read_flow_ends(self._reader.address, self._parent.artifact_uri)
        return flow[flow["run"].isin(numbers)].reset_index(drop=True)

    def config(self, number: int) -> dict[str, Any]:
        """See `Recording.config`."""
        return self._kept.jobs[number].config

    def overrides(self, number: int) -> list[str]:
        """See `Recording.overrides`."""
        return self._kept.jobs[number].overrides

    def row(self, number: int) -> StoredRow | None:
        """See `Stored.row`."""
        run_id = self._run_ids.get(number)
        return None if run_id is None else self._rows.get(run_id)

    @cached_property
    def _run_ids(self) -> dict[int, str]:
        known = self._tables.runs.dropna(subset="run_id")
        return dict(zip(known["run"].tolist(), known["run_id"], strict=True))

    @cached_property
    def _rows(self) -> dict[str, StoredRow]:
        rows = {row.run_id: row for row in self._reader.below(self._parent)}
        elsewhere = [run_id for run_id in self._run_ids.values() if run_id not in rows]
        return rows | {row.run_id: row for row in self._reader.runs(elsewhere)}


def kept_head(own: StoredRow, kept: KeptSweep) -> Head:
    """What is known of a sweep by the files that are kept with its own run."""
    return Head.of(kept.journal, folder=None, run_id=own.run_id, status=own.status, ended=own.ended)
