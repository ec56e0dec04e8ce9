"""Runs that a sweep takes on: numbered and named, those that the store holds taken from there, the rest in blocks."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bptt.analysis.tables import shorten_keys
from bptt.core.run import Record, Run
from bptt.sweeps.jobs.plan import PlannedRun, cut_blocks, find_groups, find_swept, shorten_values
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.sweep import Stage, SweepJob
from bptt.tracking.store.address import hide_passwords
from bptt.tracking.store.base import Store
from bptt.tracking.store.params import hide_secrets, name_run, name_swept


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Runs that were taken on.

    runs    number → run
    held    number → the id of a run that the store holds already, finished, and what it recorded
    blocks  of the runs that are to be trained: number and runs
    reused  the same of those that are held
    """

    jobs: list[SweepJob]
    runs: dict[int, Run]
    held: dict[int, tuple[str, Record]]
    blocks: list[tuple[int, list[int]]]
    reused: list[tuple[int, list[int]]]

    def list_reused(self) -> Iterator[tuple[int, list[RunResult]]]:
        """The blocks of the runs that are held, as the archive gets them."""
        now = time.time()
        for block, numbers in self.reused:
            held = {number: self.held[number] for number in numbers}
            yield (
                block,
                [
                    RunResult(
                        job=number, status="FINISHED", record=record, error=None, began=now, ended=now, reused=run_id
                    )
                    for number, (run_id, record) in held.items()
                ],
            )


def arrange(
    planned: Sequence[PlannedRun],
    *,
    first: int,
    next_block: "itertools.count[int]",
    workers: int,
    store: Store | None,
    keys: Sequence[str] | None,
    stage: Stage,
) -> Arrangement:
    """Take on runs.

    first       the number of the first
    next_block  gives each block its number
    workers     that the blocks keep busy
    store       in which runs that are there already are looked for; None: all are trained
    keys        what was swept; None: what tells these runs apart
    """
    numbered = dict(enumerate(planned, first))
    held = {} if store is None else _find_held(store, numbered)
    blocks = _cut({number: one.run for number, one in numbered.items() if number not in held}, workers, next_block)
    reused = _cut({number: one.run for number, one in numbered.items() if number in held}, workers, next_block)
    block_of = {number: block for block, members in (*blocks, *reused) for number in members}
    return Arrangement(
        jobs=_make_jobs(numbered, block_of, keys, stage),
        runs={number: one.run for number, one in numbered.items()},
        held=held,
        blocks=blocks,
        reused=reused,
    )


def _find_held(store: Store, runs: Mapping[int, PlannedRun]) -> dict[int, tuple[str, Record]]:
    found = store.find_finished([planned.digest for planned in runs.values()])
    held = {}
    for number, planned in runs.items():
        if planned.digest in found:
            run_id = found[planned.digest]
            record = store.read_finished(run_id)
            if record is not None:
                held[number] = (run_id, record)
    return held


def _cut(runs: Mapping[int, Run], workers: int, next_block: "itertools.count[int]") -> list[tuple[int, list[int]]]:
    """Blocks of runs that fuse, each with a number of its own."""
    numbers = list(runs)
    parts = cut_blocks(find_groups(list(runs.values())), workers)
    return [(next(next_block), [numbers[place] for place in part]) for part in parts]


def _make_jobs(
    runs: Mapping[int, PlannedRun], block_of: Mapping[int, int], keys: Sequence[str] | None, stage: Stage
) -> list[SweepJob]:
    swept = find_swept([*runs.values()], keys)
    short = shorten_keys(list(dict.fromkeys(key for values in swept for key in values)))
    shown = {key: shorten_values({values[key] for values in swept if key in values}) for key in short}
    before = "" if stage == "result" else f"{stage} "

    def made() -> Iterator[SweepJob]:
        for (number, planned), values in zip(runs.items(), swept, strict=True):
            resolved = planned.configuration.resolved
            yield SweepJob(
                number=number,
                name=before + (name_swept(_show(values, shown), short) if values else name_run(resolved)),
                digest=planned.digest,
                block=block_of[number],
                swept=values,
                overrides=[hide_passwords(text) for text in planned.overrides],
                config=hide_secrets(resolved),
                stage=stage,
            )

    return list(made())


def _show(values: Mapping[str, str], shown: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {key: shown[key][text] for key, text in values.items()}
