"""What rounds of sweeps come to: named figures with their spread, and what they are to reach."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Spread, compare_rounds, summarise
from benchmarks.sweeps.ours import OurSweep
from benchmarks.sweeps.usual import Sample


@dataclass(frozen=True)
class Target:
    """A bound that a median is to reach."""

    bound: float
    at_least: bool = False

    def reached(self, median: float) -> bool:
        return median >= self.bound if self.at_least else median <= self.bound


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A figure of one measure, over its rounds."""

    measure: str
    quantity: str
    unit: str
    values: Spread
    target: Target | None = None


def summarise_adder(sweeps: Sequence[OurSweep]) -> list[Finding]:
    def finding(quantity: str, unit: str, value: Callable[[OurSweep], float], most: float | None = None) -> Finding:
        return _make_finding("adder", quantity, unit, map(value, sweeps), most)

    runs, workers = sweeps[0].runs, sweeps[0].workers
    whole = f"{runs:,} runs on {workers} cores, from the command to its end"
    return [
        finding(whole, "s", lambda sweep: sweep.seconds, 10),
        finding("runs", "1/s", lambda sweep: sweep.runs / sweep.seconds),
        finding("training, per run", "ms", lambda sweep: 1e3 * sweep.training / sweep.runs),
        finding("not training, per run", "ms", lambda sweep: 1e3 * sweep.not_training, 35),
        finding("processor time of the main process, per run", "ms", lambda sweep: 1e3 * sweep.usage.cpu / sweep.runs),
        finding("memory at its peak", "GB", _count_gigabytes, 1.5),
    ]


def summarise_usual(samples: Sequence[Sample], ours: Sequence[OurSweep], runs: int) -> list[Finding]:
    """ours: of the same rounds; empty where they were not measured."""
    seconds = [sample.scale(runs) for sample in samples]
    found = [
        _make_finding("usual", "a run", "s", (sample.per_job for sample in samples)),
        _make_finding("usual", f"{runs:,} runs, scaled", "s", seconds),
    ]
    if ours:
        times = compare_rounds(seconds, (sweep.seconds for sweep in ours))
        target = Target(50, at_least=True)
        found.append(Finding(measure="usual", quantity="÷ adder", unit="×", values=times, target=target))
    return found


def summarise_start(sweeps: Sequence[OurSweep], stock: Sequence[Sample]) -> list[Finding]:
    runs = sweeps[0].runs
    scaled = [sample.scale(runs) for sample in stock]
    return [
        _make_finding("start", "from the command to the first update", "s", (sweep.first_block for sweep in sweeps), 3),
        _make_finding("start", "from the command to its end", "s", (sweep.seconds for sweep in sweeps)),
        _make_finding(
            "start", "a job of Hydra's own launcher that does nothing", "ms", (1e3 * s.per_job for s in stock)
        ),
        _make_finding("start", f"{runs:,} of them, scaled", "s", scaled),
    ]


def summarise_growth(*sizes: Sequence[OurSweep]) -> list[Finding]:
    """Sweeps of ever more runs; the last is compared with the one before."""

    def per_run(sweeps: Sequence[OurSweep]) -> list[float]:
        return [1e3 * sweep.seconds / sweep.runs for sweep in sweeps]

    found = []
    for sweeps in sizes:
        title = f"{sweeps[0].runs:,} runs: "
        found += [
            _make_finding("growth", title + "from the command to its end", "s", (sweep.seconds for sweep in sweeps)),
            _make_finding("growth", title + "a run", "ms", per_run(sweeps)),
            _make_finding("growth", title + "memory at its peak", "GB", map(_count_gigabytes, sweeps)),
        ]
    *_, few, many = sizes
    times = compare_rounds(per_run(many), per_run(few))
    return [
        *found,
        Finding(measure="growth", quantity="a run of many ÷ a run of few", unit="×", values=times, target=Target(1.2)),
    ]


@dataclass(frozen=True, kw_only=True)
class GrowthPoint:
    """What sweeps of so many runs take."""

    runs: int
    seconds: Spread
    gigabytes: Spread


def list_points(*sizes: Sequence[OurSweep]) -> list[GrowthPoint]:
    """The points of a figure."""
    return [
        GrowthPoint(
            runs=sweeps[0].runs,
            seconds=summarise(sweep.seconds for sweep in sweeps),
            gigabytes=summarise(map(_count_gigabytes, sweeps)),
        )
        for sweeps in sizes
    ]


def _count_gigabytes(sweep: OurSweep) -> float:
    return sweep.usage.peak_bytes / 1e9


def _make_finding(
    measure: str, quantity: str, unit: str, values: Iterable[float], most: float | None = None
) -> Finding:
    target = None if most is None else Target(most)
    return Finding(measure=measure, quantity=quantity, unit=unit, values=summarise(values), target=target)
