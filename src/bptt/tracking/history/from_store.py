"""What was recorded, read back from a store.

A sweep that has ended is read from the files that its own run keeps, with a few requests for all its runs; one that
goes on, a single run and what a query found are read run by run.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bptt.tracking.folder.block import Tables, read_table
from bptt.tracking.folder.files import (
    CONFIG,
    FLOW,
    HISTORY,
    ONCE,
    PREPARATION,
    PROVENANCE,
    TRACEBACK,
    WEIGHTS,
    list_once,
    load_record,
    make_empty_flow,
    make_empty_history,
    read_once,
    select_ends,
)
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.lazy import Lazy
from bptt.tracking.folder.measures import MEASURES, read_measures, tabulate_measures
from bptt.tracking.folder.preparations import list_preparations, read_preparation, recall_preparation
from bptt.tracking.history.base import Head, History, Member
from bptt.tracking.history.from_folder import make_member, share_seconds
from bptt.tracking.history.stored_rows import drop_measured, is_less, read_command, read_stage, refuse_less
from bptt.tracking.provenance.environment import parse_provenance_tags, read_provenance
from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.artifacts import fetch, list_names
from bptt.tracking.store.base import Store, StoredRow
from bptt.tracking.store.connecting import explain_refusal
from bptt.tracking.store.logs import FOLDER, SweepCopy, read_flow_ends
from bptt.tracking.store.tags import (
    DIGEST_TAG,
    OUTCOME_TAG,
    SWEEP_TAG,
    list_swept,
    select_user_tags,
)
from bptt.tracking.store.whereabouts import find_home_of_stored

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record
    from bptt.tasks.own_data.preparation import Preparation

T = TypeVar("T")

_AT_ONCE: Final = 8  # runs whose files are read

_RECORDS_HELD: Final = 8


class StoreHistory(History):
    """Runs of a store."""

    def __init__(self, store: Store, own: StoredRow | None) -> None:
        """own: the sweep's own run, or the single run; None where there is no such."""
        self._store, self._own = store, own
        self._records = lru_cache(_RECORDS_HELD)(self._record)

    @abstractmethod
    def row(self, number: int) -> StoredRow | None:
        """A run as the store has it; None: it has not."""

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """See `History.gradient_flow`."""
        flow = self.joined(FLOW, numbers, make_empty_flow())
        return select_ends(flow) if ends_only else flow

    def config(self, number: int) -> dict[str, Any]:
        """See `History.config`."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        row = self.row(number)
        refuse_less(self._store.address, row)
        text = None if row is None else self.read(row, [CONFIG], lambda folder: (folder / CONFIG).read_bytes())
        try:
            found = None if text is None else yaml.load(text, loader)
        except yaml.YAMLError:
            found = None
        if not isinstance(found, dict):
            name = number if row is None else row.run_id
            raise StoreError(f"{self._store.address.shown}: run {name} has no {CONFIG} that can be read")
        return found

    def record(self, number: int) -> "Record | None":
        """See `History.record`."""
        return self._records(number)

    def preparation(self, number: int) -> "Preparation | None":
        """See `History.preparation`."""
        address, row = self._store.address, self.row(number)
        if row is None:
            return None
        with explain_refusal(address):
            if PREPARATION not in list_names(address, row.artifact_uri):
                return None
            with fetch(address, row.artifact_uri, [PREPARATION]) as folder:
                return read_preparation(folder)

    def provenance(self) -> dict[str, Any]:
        """See `History.provenance`."""
        if self._own is None:
            return {}
        found = self.read(self._own, [PROVENANCE], read_provenance)
        return found or parse_provenance_tags(dict(self._own.tags))

    def read(self, row: StoredRow, wanted: Sequence[str], how: Callable[[Path], T]) -> T | None:
        """What `how` makes of a folder with these artifacts of a run; None where one is missing."""
        address = self._store.address
        with explain_refusal(address):
            # Whatever came to an end without an error has left all of its files.
            if (OUTCOME_TAG not in row.tags or PROVENANCE in wanted) and not {*wanted} <= list_names(
                address, row.artifact_uri
            ):
                return None
            with fetch(address, row.artifact_uri, wanted) as folder:
                return how(folder)

    def joined(
        self,
        name: str,
        numbers: Sequence[int],
        empty: "pd.DataFrame",
        once: "dict[int, dict[str, float]] | None" = None,
    ) -> "pd.DataFrame":
        """One parquet file of each run, as far as runs have it, below each other; a column `run` comes first.

        once: takes what a run's history has beside its columns.
        """
        import pyarrow as pa

        def table(number: int) -> Any:
            row = self.row(number)
            refuse_less(self._store.address, row)
            found = None if row is None else self.read(row, [name], lambda folder: read_table(folder / name))
            if found is None:
                return None
            if once is not None:
                once[number] = read_once(found)
            return found.add_column(0, "run", [pa.array([number] * len(found), pa.int64())])

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tables = list(pool.map(table, numbers))
        found = [pa.Table.from_pandas(empty), *(one for one in tables if one is not None)]
        frame: pd.DataFrame = pa.concat_tables(found, promote_options="permissive").to_pandas(use_threads=False)
        return frame

    def _record(self, number: int) -> "Record | None":
        row = self.row(number)
        refuse_less(self._store.address, row)
        if row is None or OUTCOME_TAG not in row.tags:
            return None
        outcome = row.tags[OUTCOME_TAG]
        found = self.read(row, [HISTORY, FLOW, WEIGHTS], lambda folder: _read_whole(outcome, folder))
        if found is None:
            raise StoreError(f"{self._store.address.shown}: what run {row.run_id} recorded is damaged")
        return found


def _read_whole(outcome: str, folder: Path) -> "Record | None":
    try:
        return load_record(outcome, folder)
    except (ValueError, KeyError, IndexError, ZeroDivisionError):
        return None


class SweepStoreHistory(StoreHistory):
    """A sweep of a store, with the tables of all its runs."""

    def __init__(self, store: Store, own: StoredRow, kept: SweepCopy, tables: Tables) -> None:
        super().__init__(store, own)
        self._parent, self._kept, self._tables = own, kept, tables

    @cached_property
    def head(self) -> Head:
        """See `History.head`."""
        return make_head(self._store.address, self._parent, self._kept)

    @property
    def members(self) -> Sequence[Member]:
        """See `History.members`."""
        return Lazy(self._kept.jobs, make_member)

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `History.tables`."""
        runs, history = self._tables.runs, self._tables.history
        jobs = self._kept.jobs
        runs = runs.assign(seconds=share_seconds(runs, [jobs[number].block for number in runs["run"]]))
        if len(numbers) < len(jobs):
            runs, history = (table[table["run"].isin(numbers)].reset_index(drop=True) for table in (runs, history))
        return Tables(runs, history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """See `History.gradient_flow`."""
        if not ends_only:
            return super().gradient_flow(numbers)
        with explain_refusal(self._store.address):
            flow = read_flow_ends(self._store.address, self._parent.artifact_uri)
        return flow[flow["run"].isin(numbers)].reset_index(drop=True)

    def measures(self) -> "pd.DataFrame":
        """See `History.measures`."""
        address, name = self._store.address, f"{FOLDER}/{MEASURES}"
        whose = {job.number: job.digest for job in self._kept.jobs}
        with explain_refusal(address):
            if name not in list_names(address, self._parent.artifact_uri, FOLDER):
                return super().measures()
            with fetch(address, self._parent.artifact_uri, [name]) as artifacts:
                rows, _ = read_measures(artifacts / FOLDER, whose)
        return tabulate_measures(rows)

    def config(self, number: int) -> dict[str, Any]:
        """See `History.config`."""
        return self._kept.jobs[number].config

    def overrides(self, number: int) -> list[str]:
        """See `History.overrides`."""
        return self._kept.jobs[number].overrides

    def preparation(self, number: int) -> "Preparation | None":
        """See `History.preparation`."""
        return recall_preparation(self._kept.journal.preparations, self.config(number))

    def preparations(self) -> "list[Preparation]":
        """See `History.preparations`."""
        return list_preparations(self._kept.journal.preparations)

    def row(self, number: int) -> StoredRow | None:
        """See `StoreHistory.row`."""
        run_id = self._run_ids.get(number) or self._sent_since.get(self._kept.jobs[number].digest)
        return None if run_id is None else self._rows.get(run_id)

    def record(self, number: int) -> "Record | None":
        """See `History.record`."""
        if self._kept.journal.detail == "sweep" and self.row(number) is None:
            says = f"has no run {number} of {self.head.name} (tracking.detail=sweep); the sweep's folder has it"
            raise StoreError(f"{self._store.address.shown}: {says}")
        return super().record(number)

    @cached_property
    def _run_ids(self) -> dict[int, str]:
        known = self._tables.runs.dropna(subset="run_id")
        return dict(zip(known["run"].tolist(), known["run_id"], strict=True))

    @cached_property
    def _sent_since(self) -> dict[str, str]:
        """Digest → id of the runs that a store got which was to have none of them."""
        asked = self._kept.journal.detail == "sweep"
        return {row.tags[DIGEST_TAG]: run_id for run_id, row in self._rows.items() if DIGEST_TAG in row.tags and asked}

    @cached_property
    def _rows(self) -> dict[str, StoredRow]:
        rows = {row.run_id: row for row in self._store.find_below(self._parent)}
        elsewhere = [run_id for run_id in self._run_ids.values() if run_id not in rows]
        return rows | {row.run_id: row for row in self._store.find_runs(elsewhere)}


def make_head(address: Address, own: StoredRow, kept: SweepCopy) -> Head:
    """What is known of a sweep by the files that are kept with its own run, in the store at this address."""
    return Head.of(
        kept.journal,
        folder=None,
        run_id=own.run_id,
        status=own.status,
        ended=own.ended,
        current_folder=find_home_of_stored(address, kept.journal),
    )


class RunsStoreHistory(StoreHistory):
    """Runs, each as the store has it by itself.

    name  of the query that found them, where there is no run that stands for all
    kept  what is kept of their sweep since its begin; None: nothing is known but the runs
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[StoredRow],
        *,
        own: StoredRow | None,
        name: str = "",
        kept: SweepCopy | None = None,
    ) -> None:
        super().__init__(store, own)
        self._name, self._kept = name, kept
        self._jobs: dict[int, SweepJob] = {job.number: job for job in kept.jobs} if kept else {}
        of_digest = {job.digest: job.number for job in self._jobs.values()}
        self._rows: dict[int, StoredRow] = {}
        for row in rows:
            number = of_digest.pop(row.tags.get(DIGEST_TAG, ""), None)
            # A search goes on asking for runs.
            self._rows[max([-1, *self._jobs, *self._rows]) + 1 if number is None else number] = row

    @cached_property
    def head(self) -> Head:
        """See `History.head`."""
        if self._own is not None and self._kept is not None:
            return make_head(self._store.address, self._own, self._kept)
        own, members = self._own, self.members
        swept = list(dict.fromkeys(key for one in members for key in one.swept))
        if own is None:
            times = [(row.began or nan, row.ended or nan) for row in self._rows.values()]
            ended = all(end == end for _, end in times)
            return Head(
                name=self._name,
                folder=None,
                run_id=None,
                swept=swept,
                status="FINISHED" if ended else "RUNNING",
                began=min(begin for begin, _ in times),
                ended=max(end for _, end in times) if ended else None,
            )
        return Head(
            name=own.tags[SWEEP_TAG] if own.is_sweep else own.name,
            folder=None,
            run_id=own.run_id,
            swept=swept,
            status=own.status,
            command=read_command(own),
            began=own.began,
            ended=own.ended,
        )

    @cached_property
    def members(self) -> list[Member]:
        """See `History.members`."""
        values = list_swept([row.params for row in self._rows.values()])
        found = {number: make_member(job) for number, job in self._jobs.items()}
        for (number, row), swept in zip(self._rows.items(), values, strict=True):
            if number not in found:
                updates = row.params.get("train.updates", "")
                found[number] = Member(
                    number=number,
                    name=row.name,
                    digest=row.tags.get(DIGEST_TAG, ""),
                    swept=swept,
                    updates=int(updates) if updates.isdigit() else None,
                    stage=read_stage(row),
                    tags=select_user_tags(row.tags),
                )
        return [found[number] for number in sorted(found)]

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `History.tables`."""
        import pandas as pd

        rows = {number: self._rows[number] for number in numbers if number in self._rows}
        history, once = self._history(rows)
        last = history.groupby("run")["update"].last()
        told = list_once([*ONCE, *(name for own in once.values() for name in own)])
        runs = pd.DataFrame(
            {
                "run": pd.Series(list(rows), dtype="int64"),
                "status": pd.Series([row.status for row in rows.values()], dtype="str"),
                "outcome": pd.Series([row.tags.get(OUTCOME_TAG) for row in rows.values()], dtype="str"),
                "updates": [last.get(number) for number in rows],
                "error": pd.Series([self._error(row) for row in rows.values()], dtype="str"),
                "began": pd.Series([row.began for row in rows.values()], dtype="float64"),
                "ended": pd.Series([row.ended for row in rows.values()], dtype="float64"),
                "run_id": pd.Series([row.run_id for row in rows.values()], dtype="str"),
                **{name: [once.get(number, {}).get(name) for number in rows] for name in told},
            }
        )
        return Tables(runs.assign(seconds=self._seconds(runs)), history)

    def config(self, number: int) -> dict[str, Any]:
        """See `History.config`."""
        return self._jobs[number].config if number in self._jobs else super().config(number)

    def overrides(self, number: int) -> list[str]:
        """See `History.overrides`."""
        if number in self._jobs:
            return self._jobs[number].overrides
        row = self._rows[number]
        return [] if SWEEP_TAG in row.tags else read_command(row)[2:]

    def row(self, number: int) -> StoredRow | None:
        """See `StoreHistory.row`."""
        return self._rows.get(number)

    def _history(self, rows: Mapping[int, StoredRow]) -> "tuple[pd.DataFrame, dict[int, dict[str, float]]]":
        """From the files where they are at hand, faster than from the metrics; and each run's `Record.once`."""
        import pandas as pd

        at_hand = [
            number
            for number, row in rows.items()
            if OUTCOME_TAG in row.tags and not is_less(row) and self._store.has_at_hand(row)
        ]
        others = {number: row for number, row in rows.items() if number not in at_hand}
        once: dict[int, dict[str, float]] = {}
        tables = [self.joined(HISTORY, at_hand, make_empty_history(), once)]
        if others:
            tables.append(drop_measured(self._store.read_histories(others), others))
        history = pd.concat(tables).sort_values(["run", "update"], ignore_index=True)
        told = list_once(map(str, history.columns))
        for name in told:
            for number, value in history.groupby("run")[name].last().dropna().items():
                once.setdefault(int(number), {})[name] = float(value)
        return history.drop(columns=told), once

    def _seconds(self, runs: "pd.DataFrame") -> "pd.Series":
        """Runs of one block have its times; of some runs of a sweep alone it isn't known how many were in a block."""
        wall = share_seconds(runs, list(zip(runs["began"], runs["ended"], strict=True)))
        whole = self._own is not None and self._own.is_sweep
        reused = self._kept.reused if self._kept else {}
        return wall.where(
            [number not in reused and (whole or SWEEP_TAG not in self._rows[number].tags) for number in runs["run"]]
        )

    def _error(self, row: StoredRow) -> str | None:
        if row.status != "FAILED" or is_less(row):
            return None
        return self.read(row, [TRACEBACK], lambda folder: (folder / TRACEBACK).read_text(encoding="utf-8"))
