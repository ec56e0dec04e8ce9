"""What a sweep does: which of its jobs are the same run, what runs are called, which fuse, how blocks are cut."""

import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from bptt.analysis.tables import shorten_keys
from bptt.configuration.build import Configuration
from bptt.configuration.compose import parse_overrides
from bptt.core.lanes import fusing_key, lanes_per_vector, recorded_updates
from bptt.core.parameters import list_parameters, parameter_count
from bptt.core.random import Generator
from bptt.core.records.keeping import snapshot_updates
from bptt.core.run import Record, Run
from bptt.sweeps.jobs.grammar import find_differing, write_in_grammar
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import Stage, SweepJob
from bptt.tracking.provenance.digest import Digester
from bptt.tracking.store.address import hide_passwords
from bptt.tracking.store.base import Store
from bptt.tracking.store.tags import hide_secrets, name_run, name_swept

_NOTHING: Final = object()


MOST_LANES: Final = 64  # of a block; more would not train faster, and a killed sweep would lose more of them


_BLOCKS_PER_WORKER: Final = 8  # so that the workers end at about the same time


_MOST_BYTES: Final = 256 * 2**20  # of a block, in its worker


#: Multiplications that a core does in the second or two which a worker takes to start.
_LITTLE: Final = 6e9


#: What a record of a block takes beside, however few its lanes are, in multiplications.
_RECORD_COST: Final = 3e6


_PAGE_BYTES: Final = 2**20  # of a lane's training data and the indices into it


_MACHINE_BYTES: Final = 8


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run of a sweep: its overrides, what they make, and the digest that says which run it is."""

    overrides: tuple[str, ...]
    configuration: Configuration
    digest: str

    @property
    def run(self) -> Run:
        return self.configuration.run


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that fuse.

    places  of the runs, in the sequence that the group was found in
    cost    of one run, in multiplications: what decides how long it takes
    points  updates of it that are recorded
    bytes   of one run's lane while it is trained
    """

    first: Run
    places: tuple[int, ...]
    cost: float
    points: int
    bytes: int

    @cached_property
    def lanes_per_vector(self) -> int:
        """How many lanes stand in a vector; blocks are filled with whole vectors."""
        return lanes_per_vector(self.first)


def drop_repeated(
    jobs: Sequence[tuple[Sequence[str], Configuration]], version: str
) -> tuple[list[PlannedRun], list[tuple[Sequence[str], PlannedRun]]]:
    """The different runs among jobs, in their order, and the overrides of each job that repeats one, with that one."""
    runs: dict[str, PlannedRun] = {}
    duplicates, digester = [], Digester(version)
    for overrides, configuration in jobs:
        own = digester.compute(configuration.resolved)
        if own in runs:
            duplicates.append((overrides, runs[own]))
        else:
            runs[own] = PlannedRun(overrides=tuple(overrides), configuration=configuration, digest=own)
    return list(runs.values()), duplicates


def find_swept(runs: Sequence[PlannedRun], keys: Sequence[str] | None = None) -> list[dict[str, str]]:
    """What tells each run from the others: key → value, of those of its overrides that not all runs have.

    A value is what the run's configuration has: a number however it was typed, and what an interpolation came to. It is
    text, in Hydra's grammar. A choice is its name.

    keys  what to tell of instead
    """
    typed = find_differing([run.overrides for run in runs], keys)
    found = [
        {key: _write_swept(run.configuration.resolved, key, text) for key, text in values.items()}
        for run, values in zip(runs, typed, strict=True)
    ]
    if keys is None:
        everywhere = dict.fromkeys(key for values in found for key in values)
        alike = {key for key in everywhere if len({values.get(key) for values in found}) == 1}
        found = [{key: text for key, text in values.items() if key not in alike} for values in found]
    return found


def _write_swept(resolved: Mapping[str, Any], key: str, text: str) -> str:
    """A swept value as text. text: as it was typed."""
    found: Any = resolved
    for part in key.split("."):
        found = found.get(part, _NOTHING) if isinstance(found, Mapping) else _NOTHING
    if found is not _NOTHING and not isinstance(found, Mapping):
        return write_in_grammar(found)
    (parsed,), _ = parse_overrides([f"{key}={text}"])
    value = parsed.value()
    if isinstance(found, Mapping) and isinstance(value, str) and "${" in value:
        return write_in_grammar(_shorten_scheme(found))
    return write_in_grammar(value)


def _shorten_scheme(node: Mapping[str, Any]) -> Any:
    """How one types what a node with a `_target_` describes: a number, or `{name: normal, scale: 0.1}`."""
    name = str(node.get("_target_", "")).split(".")[-2:][0]
    rest = {key: value for key, value in node.items() if key != "_target_"}
    return rest["scale"] if name == "constant" and [*rest] == ["scale"] else {"name": name, **rest} if name else rest


def shorten_values(texts: Iterable[str]) -> dict[str, str]:
    """Each value as it stands in a name: a number with six digits, `0.142857`, unless two would look alike."""
    short = {text: _shorten_number(text) for text in texts}
    often = Counter(short.values())
    return {text: shown if often[shown] == 1 else text for text, shown in short.items()}


def _shorten_number(text: str) -> str:
    try:
        int(text)
    except ValueError:
        with suppress(ValueError):
            return f"{float(text):.6g}"
    return text


def find_groups(runs: Sequence[Run]) -> list[Group]:
    """The runs that fuse, whatever their order, together."""
    places: dict[tuple[Any, ...], list[int]] = {}
    known: dict[tuple[int, ...], list[int]] = {}
    for place, run in enumerate(runs):
        same = _name_parts(run)
        if same not in known:
            known[same] = places.setdefault(fusing_key(run), [])
        known[same].append(place)
    return [_group(runs[found[0]], tuple(found)) for found in places.values()]


def pick_blocks(runs: Mapping[int, Run], blocks: Iterable[Sequence[int]]) -> list[list[Run]]:
    """Of blocks, given by the numbers of their runs, one of each kind and size: the others call the same kernels."""
    found: dict[tuple[object, ...], list[Run]] = {}
    for block in blocks:
        kind = *_name_parts(runs[block[0]]), len(block)
        if kind not in found:
            found[kind] = [runs[number] for number in block]
    return [*found.values()]


def _name_parts(run: Run) -> tuple[int, ...]:
    """Equal for runs of the same parts, which are of one group; a sweep has few of these."""
    parts = run.task, run.train, run.model, run.loss, run.optimizer, run.schedule, run.regularizer, run.clip
    return tuple(map(id, parts))


def is_little(found: Sequence[Group]) -> bool:
    """Whether runs are trained sooner by this process alone than workers have started."""
    return sum(group.cost * len(group.places) + group.points * _RECORD_COST for group in found) < _LITTLE


def seem_little(run: Run, count: int) -> bool:
    """What `is_little` says of so many runs like this one."""
    return is_little([_group(run, tuple(range(count)))])


def cut_blocks(found: Sequence[Group], workers: int) -> list[tuple[int, ...]]:
    """The places of the runs that are trained together: blocks that fit the memory and keep all workers busy.

    workers: 0: there is nothing to be kept busy, and as few blocks as possible are made. The longest come first, so
    that none is waited for at the end.
    """
    total = sum(group.cost * len(group.places) for group in found)
    share = total / (workers * _BLOCKS_PER_WORKER) if workers else math.inf
    cut = []
    for group in found:
        lanes = min(MOST_LANES, _MOST_BYTES // group.bytes, share / group.cost)
        vectors = max(1, int(lanes) // group.lanes_per_vector)
        size = vectors * group.lanes_per_vector
        parts = [group.places[start : start + size] for start in range(0, len(group.places), size)]
        cut += [(group.cost * len(part), part) for part in parts]
    return [part for _, part in sorted(cut, key=lambda block: -block[0])]


def _group(run: Run, places: tuple[int, ...]) -> Group:
    task, settings = run.task, run.train
    parameters = parameter_count(list_parameters(run.model, task.inputs, task.outputs))
    points = len(recorded_updates(settings.updates, settings.log_points, settings.log_spacing))
    evaluated = task.evaluation(Generator(np.random.SeedSequence(run.seed))).count
    # A training step goes over the weights forward, backward and for the gradient; an evaluation forward only.
    per_weight = 3 * settings.updates * settings.batch_size + points * evaluated
    # The gates, and what surrounds a weight, cost something too where the weights are few.
    cost = float(per_weight * task.timesteps * (parameters + 8 * run.model.hidden_size))
    model = run.model
    recorded = points * (task.timesteps + task.outputs + 16)
    state = settings.batch_size * (model.layers * model.cell.slots * model.hidden_size + task.outputs)
    kept = len(snapshot_updates(settings))
    numbers = recorded + (2 + run.optimizer.slots + kept) * parameters + 2 * state
    size = _MACHINE_BYTES * numbers + _PAGE_BYTES
    return Group(first=run, places=places, cost=cost, points=points, bytes=size)


def count_planned(groups: Sequence[Group], blocks: Sequence[Sequence[int]]) -> list[int]:
    """Of each group the updates of all lanes in its largest block."""
    largest = [0] * len(groups)
    for number, block in zip(number_blocks(groups, blocks), blocks, strict=True):
        largest[number] = max(largest[number], len(block))
    return [group.first.train.updates * lanes for group, lanes in zip(groups, largest, strict=True)]


def number_blocks(groups: Sequence[Group], blocks: Sequence[Sequence[int]]) -> list[int]:
    """Of each block the number of the group that it was cut from."""
    firsts = {block[0] for block in blocks}
    numbers = {place: number for number, group in enumerate(groups) for place in group.places if place in firsts}
    return [numbers[block[0]] for block in blocks]


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Runs that were taken on.

    runs    number → run
    held    number → the id of a run that the store holds already, finished, and what it recorded
    blocks  of the runs that are to be trained: number and runs
    reused  the same of those that are held
    """

    jobs: Sequence[SweepJob]
    runs: Mapping[int, Run]
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
    workers     that the blocks keep busy, see `cut_blocks`
    store       in which runs that are there already are looked for; None: all are trained
    keys        what was swept; None: what tells these runs apart
    """
    numbered = dict(enumerate(planned, first))
    held = {} if store is None else find_held(store, {number: one.digest for number, one in numbered.items()})
    blocks = _cut({number: one.run for number, one in numbered.items() if number not in held}, workers, next_block)
    reused = _cut({number: one.run for number, one in numbered.items() if number in held}, workers, next_block)
    block_of = {number: block for block, members in (*blocks, *reused) for number in members}
    return Arrangement(
        jobs=make_jobs(numbered, block_of, keys, stage),
        runs={number: one.run for number, one in numbered.items()},
        held=held,
        blocks=blocks,
        reused=reused,
    )


def find_held(store: Store, digests: Mapping[int, str]) -> dict[int, tuple[str, Record]]:
    """Of runs, number → digest, those that the store holds: the id there, and what was recorded."""
    found = store.find_finished(list(digests.values()))
    held = {}
    for number, digest in digests.items() if found else ():
        if digest in found:
            run_id = found[digest]
            record = store.read_finished(run_id)
            if record is not None:
                held[number] = (run_id, record)
    return held


def _cut(runs: Mapping[int, Run], workers: int, next_block: "itertools.count[int]") -> list[tuple[int, list[int]]]:
    """Blocks of runs that fuse, each with a number of its own."""
    numbers = list(runs)
    parts = cut_blocks(find_groups(list(runs.values())), workers)
    return [(next(next_block), [numbers[place] for place in part]) for part in parts]


def make_jobs(
    runs: Mapping[int, PlannedRun], block_of: Mapping[int, int], keys: Sequence[str] | None, stage: Stage
) -> list[SweepJob]:
    """The jobs of runs, by number; keys: what was swept, None: what tells these runs apart."""
    swept = find_swept([*runs.values()], keys)
    short = shorten_keys(list(dict.fromkeys(key for values in swept for key in values)))
    shown = {key: shorten_values({values[key] for values in swept if key in values}) for key in short}
    before = "" if stage == "result" else f"{stage} "
    hidden: dict[int, Any] = {}  # so that what is equal in several configurations stays one object

    def made() -> Iterator[SweepJob]:
        for (number, planned), values in zip(runs.items(), swept, strict=True):
            resolved = planned.configuration.resolved
            if id(resolved["tracking"]) not in hidden:
                hidden[id(resolved["tracking"])] = hide_secrets(resolved)["tracking"]
            yield SweepJob(
                number=number,
                name=before + (name_swept(_show(values, shown), short) if values else name_run(resolved)),
                digest=planned.digest,
                block=block_of[number],
                swept=values,
                overrides=[hide_passwords(text) for text in planned.overrides],
                config=resolved | {"tracking": hidden[id(resolved["tracking"])]},
                stage=stage,
            )

    return list(made())


def _show(values: Mapping[str, str], shown: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {key: shown[key][text] for key, text in values.items()}
