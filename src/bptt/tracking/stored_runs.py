"""Runs of a store that are read one by one: a sweep that goes on, a single run, or what a query found."""

import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.archive import SweepJob
from bptt.tracking.archived import member, seconds
from bptt.tracking.artifacts import local_folder
from bptt.tracking.block_files import Tables
from bptt.tracking.files import HISTORY
from bptt.tracking.reading import DIGEST_TAG, OUTCOME_TAG, SWEEP_TAG, StoredRow, StoreReader
from bptt.tracking.recording import Head, Member, no_history
from bptt.tracking.stored import Stored
from bptt.tracking.stored_run import TRACEBACK
from bptt.tracking.stored_sweep import kept_head
from bptt.tracking.sweep_files import KeptSweep
from bptt.tracking.swept_params import swept_values

if TYPE_CHECKING:
    import pandas as pd

_COMMAND: Final = "mlflow.source.name"


class StoredRuns(Stored):
    """Runs, each as the store has it by itself.

    name  of the query that found them, where there is no run that stands for all
    kept  what is kept of their sweep since its begin; None: nothing is known but the runs
    """

    def __init__(
        self,
        reader: StoreReader,
        rows: Sequence[StoredRow],
        *,
        own: StoredRow | None,
        name: str = "",
        kept: KeptSweep | None = None,
    ) -> None:
        super().__init__(reader, own)
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
        """See `Recording.head`."""
        if self._own is not None and self._kept is not None:
            return kept_head(self._own, self._kept)
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
            command=_words(own),
            began=own.began,
            ended=own.ended,
        )

    @cached_property
    def members(self) -> list[Member]:
        """See `Recording.members`."""
        values = swept_values([row.params for row in self._rows.values()])
        found = {number: member(job) for number, job in self._jobs.items()}
        for (number, row), swept in zip(self._rows.items(), values, strict=True):
            if number not in found:
                updates = row.params.get("train.updates", "")
                found[number] = Member(
                    number=number,
                    name=row.name,
                    digest=row.tags.get(DIGEST_TAG, ""),
                    swept=swept,
                    updates=int(updates) if updates.isdigit() else None,
                )
        return [found[number] for number in sorted(found)]

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `Recording.tables`."""
        import pandas as pd

        rows = {number: self._rows[number] for number in numbers if number in self._rows}
        history = self._history(rows)
        last = history.groupby("run")["update"].last()
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
            }
        )
        return Tables(runs.assign(seconds=self._seconds(runs)), history)

    def config(self, number: int) -> dict[str, Any]:
        """See `Recording.config`."""
        return self._jobs[number].config if number in self._jobs else super().config(number)

    def overrides(self, number: int) -> list[str]:
        """See `Recording.overrides`."""
        if number in self._jobs:
            return self._jobs[number].overrides
        row = self._rows[number]
        return [] if SWEEP_TAG in row.tags else _words(row)[2:]

    def row(self, number: int) -> StoredRow | None:
        """See `Stored.row`."""
        return self._rows.get(number)

    def _history(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """From the files where they are at hand, which is faster than from the metrics."""
        import pandas as pd

        at_hand = [
            number
            for number, row in rows.items()
            if OUTCOME_TAG in row.tags
            and (self._reader.address.artifacts is None or local_folder(row.artifact_uri) is not None)
        ]
        others = {number: row for number, row in rows.items() if number not in at_hand}
        tables = [self.joined(HISTORY, at_hand, no_history())]
        if others:
            tables.append(self._reader.histories(others))
        return pd.concat(tables).sort_values(["run", "update"], ignore_index=True)

    def _seconds(self, runs: "pd.DataFrame") -> "pd.Series":
        """Runs of one block have its times; of some runs of a sweep alone it isn't known how many were in a block."""
        wall = seconds(runs, list(zip(runs["began"], runs["ended"], strict=True)))
        whole = self._own is not None and self._own.is_sweep
        reused = self._kept.reused if self._kept else {}
        return wall.where(
            [number not in reused and (whole or SWEEP_TAG not in self._rows[number].tags) for number in runs["run"]]
        )

    def _error(self, row: StoredRow) -> str | None:
        if row.status != "FAILED":
            return None
        return self.read(row, [TRACEBACK], lambda folder: (folder / TRACEBACK).read_text(encoding="utf-8"))


def _words(row: StoredRow) -> list[str]:
    """The command that a run was begun by; empty where it was another program's, or is not known whole."""
    try:
        words = shlex.split(row.tags.get(_COMMAND, ""))
    except ValueError:
        return []
    return words if words[:2] == ["bptt", "train"] else []
