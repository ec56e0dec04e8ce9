"""Trains recorded runs again, in lanes where they fuse, by the workers that a sweep has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bptt.core.kernel import compiling_notice
from bptt.core.run import Run
from bptt.core.training import needs_compiling
from bptt.sweeps.interrupts import Interrupts
from bptt.sweeps.plan import Group, blocks, groups
from bptt.sweeps.search_stage import StageLane, StageTask, advance_stage
from bptt.sweeps.session import Reporter
from bptt.sweeps.workers import Lost, Settings, Workers

_SETTINGS: Final = Settings()


@dataclass(frozen=True)
class Again:
    """A run that is to be trained again.

    until  the last update, a recorded one
    alone  whether it is trained by itself, so that an error of its does not cost others their training
    """

    run: Run
    until: int
    alone: bool = False


def retrained(runs: Mapping[int, Again], reporter: Reporter) -> Iterator[dict[int, StageLane]]:
    """Train runs, given by numbers of the caller's; block by block what each recorded, or the error that it ended with.

    Raises KeyboardInterrupt, ConfigurationError and WorkersError.
    """
    numbers, again = list(runs), list(runs.values())
    cut = blocks(_groups(again), _SETTINGS.wanted)
    tasks = [_task(number, [again[place] for place in part]) for number, part in enumerate(cut)]
    if needs_compiling([again[place].run for place in part] for part in cut):
        reporter.say(compiling_notice())
    with Interrupts() as interrupts, Workers(_SETTINGS, tasks=len(tasks)) as workers:
        with interrupts.raising():
            outcomes = workers.run(advance_stage, tasks)
        while True:
            with interrupts.raising():
                outcome = next(outcomes, None)
            if outcome is None:
                return
            if isinstance(outcome, Lost):
                number, error = outcome.task.number, outcome.reason
                lanes = [StageLane(ended=True, record=None, error=error) for _ in outcome.task.runs]
            else:
                number, lanes = outcome.number, list(outcome.lanes)
            yield {numbers[place]: lane for place, lane in zip(cut[number], lanes, strict=True)}


def _groups(again: list[Again]) -> list[Group]:
    """The runs that fuse and are trained as far, together."""
    parts: dict[tuple[int, int | None], list[int]] = {}
    for place, entry in enumerate(again):
        parts.setdefault((entry.until, place if entry.alone else None), []).append(place)
    return [
        replace(group, places=tuple(places[place] for place in group.places))
        for places in parts.values()
        for group in groups([again[place].run for place in places])
    ]


def _task(number: int, again: list[Again]) -> StageTask:
    runs = tuple(entry.run for entry in again)
    return StageTask(number=number, runs=runs, checkpoint=None, update=again[0].until, compared=True)
