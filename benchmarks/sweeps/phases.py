"""Where the time of a sweep goes, by phases: ours, and the usual way's, scaled to as many runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sweeps.program import Usage
from benchmarks.sweeps.timed_usual import CHECK, JOB
from benchmarks.sweeps.timers import ARCHIVE, COMPOSING, END, IMPORTS, REPORT, REST, STORE, TRAINING, WAITING, WORKERS

#: Phase → what it holds, in the order in which a sweep goes through them.
PHASES = {
    IMPORTS: "start and imports",
    COMPOSING: "composition (Hydra)",
    WORKERS: "waiting for workers",
    TRAINING: "training",
    ARCHIVE: "files of the runs",
    STORE: "MLflow",
    REPORT: "report",
    END: "the end",
    REST: "rest",
}

#: How the two sides are called.
OURS, USUAL = "bptt", "the usual way"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What a phase takes.

    seconds  of the program's main thread, which is in one phase at a time: those of all phases are the program's
    beside   seconds of other threads of the main process, while the main one is in other phases
    cpu      processor seconds of all threads and processes
    """

    name: str
    seconds: float = 0.0
    beside: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Phase") -> "Phase":
        sums = (self.seconds + other.seconds, self.beside + other.beside, self.cpu + other.cpu)
        return Phase(name=self.name, seconds=sums[0], beside=sums[1], cpu=sums[2])

    def times(self, factor: float) -> "Phase":
        return Phase(name=self.name, seconds=factor * self.seconds, beside=factor * self.beside, cpu=factor * self.cpu)


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Where the time of a sweep goes.

    workers  that train at the same time
    trained  seconds that blocks were trained, those of all workers added
    """

    side: str
    runs: int
    workers: int
    trained: float
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    @property
    def cpu(self) -> float:
        return sum(phase.cpu for phase in self.phases)

    @property
    def accounted(self) -> float:
        """Share of the time that is in a phase of its own."""
        return 1.0 - self.of(REST).seconds / self.seconds

    def of(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)

    def as_json(self) -> dict[str, Any]:
        def each(phase: Phase) -> dict[str, Any]:
            return {
                "holds": PHASES[phase.name],
                "seconds": phase.seconds,
                "beside": phase.beside,
                "cpu": phase.cpu,
                "ms_per_run": 1e3 * phase.seconds / self.runs,
                "cpu_ms_per_run": 1e3 * phase.cpu / self.runs,
            }

        return {
            "side": self.side,
            "runs": self.runs,
            "workers": self.workers,
            "seconds": self.seconds,
            "cpu": self.cpu,
            "accounted": self.accounted,
            "trained_by_workers": self.trained,
            "training_cpu_per_core": self.of(TRAINING).cpu / self.workers,
            "phases": {phase.name: each(phase) for phase in self.phases},
        }


def break_down_ours(
    trace: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]], usage: Usage, runs: int
) -> Breakdown:
    """Until the first block begins, the main thread waits for workers; then, for what they train."""
    first = min(block["began"] for block in blocks)
    stretches = [part for stretch in trace["stretches"] for part in _split(stretch, first)]
    found = _sum_once(stretches, trace, usage)
    workers: dict[int, list[Mapping[str, Any]]] = {}
    for block in sorted(blocks, key=lambda block: block["began"]):
        workers.setdefault(block["worker"], []).append(block)
    training = sum(block["cpu"][1] - block["cpu"][0] for block in blocks)
    starting = sum(own[0]["cpu"][0] for own in workers.values())
    found[TRAINING] += Phase(name=TRAINING, cpu=training)
    found[WORKERS] += Phase(name=WORKERS, cpu=starting)
    found[REST] += Phase(name=REST, cpu=trace["children"] - training - starting)
    trained = sum(block["ended"] - block["began"] for block in blocks)
    return Breakdown(side=OURS, runs=runs, workers=len(workers), trained=trained, phases=tuple(found.values()))


def break_down_usual(trace: Mapping[str, Any], usage: Usage, runs: int) -> Breakdown:
    """So many runs, of a few that were measured: what is done once stays, the rest grows with the jobs.

    See `benchmarks.sweeps.usual.estimate_per_job`, whose sum the phases of a further job have.
    """
    (check,), jobs = trace["marks"][CHECK], trace["marks"][JOB]
    found = _sum_once(trace["stretches"], trace, usage)
    checked = _sum_phases(_clip_stretches(trace["stretches"], check, jobs[0]))
    went = _sum_phases(_clip_stretches(trace["stretches"], jobs[1], jobs[-1]))
    for name, phase in found.items():
        each = checked[name].times(1 / len(jobs)) + went[name].times(1 / (len(jobs) - 2))
        found[name] = phase + each.times(runs - len(jobs))
    return Breakdown(side=USUAL, runs=runs, workers=1, trained=found[TRAINING].seconds, phases=tuple(found.values()))


def _sum_once(stretches: Sequence[Sequence[Any]], trace: Mapping[str, Any], usage: Usage) -> dict[str, Phase]:
    """The phases of the program's own process; what comes before and after its trace is start and end."""
    found = _sum_phases(stretches)
    began = min(stretch[2] for stretch in stretches)
    ended = max(stretch[3] for stretch in stretches if stretch[0])
    found[IMPORTS] += Phase(name=IMPORTS, seconds=began - usage.began, cpu=trace["cpu_before"])
    found[END] += Phase(name=END, seconds=usage.began + usage.seconds - ended)
    traced = trace["cpu_before"] + sum(stretch[4] for stretch in stretches)
    found[REST] += Phase(name=REST, cpu=trace["cpu"] - traced)
    return found


def _sum_phases(stretches: Iterable[Sequence[Any]]) -> dict[str, Phase]:
    found = {name: Phase(name=name) for name in PHASES}
    for main, name, began, ended, cpu in stretches:
        seconds = ended - began
        found[name] += Phase(name=name, seconds=seconds if main else 0.0, beside=0.0 if main else seconds, cpu=cpu)
    return found


def _split(stretch: Sequence[Any], first: float) -> list[Sequence[Any]]:
    """A stretch of waiting as one for workers to start and one for what they train."""
    if stretch[1] != WAITING:
        return [stretch]
    main, _, began, ended, cpu = stretch
    return [
        [main, name, *part[2:]]
        for name, since, until in ((WORKERS, began, first), (TRAINING, first, ended))
        for part in _clip_stretches([[main, WAITING, began, ended, cpu]], since, until)
    ]


def _clip_stretches(stretches: Iterable[Sequence[Any]], since: float, until: float) -> list[Sequence[Any]]:
    """The parts of stretches between two moments; the processor's seconds are thought to be spread evenly."""
    found: list[Sequence[Any]] = []
    for main, name, began, ended, cpu in stretches:
        start, stop = max(began, since), min(ended, until)
        if stop > start:
            found.append([main, name, start, stop, cpu * (stop - start) / (ended - began)])
    return found
