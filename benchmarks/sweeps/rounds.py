"""The rounds of every measure: what is compared takes turns."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from benchmarks.sweeps import findings, ours, traced, usual
from benchmarks.sweeps.findings import Finding, GrowthPoint
from benchmarks.sweeps.ours import OurSweep
from benchmarks.sweeps.phases import Breakdown
from benchmarks.sweeps.program import Usage
from benchmarks.sweeps.usual import Sample

MEASURES = ("adder", "usual", "phases", "start", "growth")
_STOCK_JOBS = 20
_GROWTH = (0.1, 1, 10)  # times the runs, to see what growth costs

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured: runs of each sweep, updates of the adder, runs of the usual way, and rounds."""

    runs: int = 1000
    updates: int = 10_000
    sample: int = 10
    adder_rounds: int = 3
    phases_rounds: int = 3
    start_rounds: int = 5
    growth_rounds: int = 2

    @property
    def full(self) -> bool:
        """Whether the targets are meant for these."""
        return (self.runs, self.updates) == (Sizes.runs, Sizes.updates)


def choose_sizes(runs: int | None, sample: int | None, quick: bool) -> Sizes:
    """What the arguments ask for."""
    few = {"runs": 40, "updates": 300, "sample": 3} | dict.fromkeys(
        (f"{name}_rounds" for name in ("adder", "phases", "start", "growth")), 1
    )
    given = {name: value for name, value in (("runs", runs), ("sample", sample)) if value is not None}
    return Sizes(**((few if quick else {}) | given))


@dataclass
class Measurement:
    """What was found: figures, where the time of our sweep and of the usual way's goes, and how it grows."""

    findings: list[Finding] = field(default_factory=list)
    phases: list[Breakdown] = field(default_factory=list)
    growth: list[GrowthPoint] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)

    @property
    def others(self) -> float:
        """The largest share of the cores that other programs had."""
        return max((usage.others for usage in self.usages), default=0.0)


def measure(wanted: Collection[str], size: Sizes, say: Say) -> Measurement:
    """All that is wanted."""
    say("compiling, where that is to be done")
    ours.run_sweep(ours.list_adder_overrides(2, 2), 2)
    ours.run_sweep(ours.list_trivial_overrides(2), 2)
    found = Measurement()
    if "usual" in wanted:
        say("the usual way: does it train the same?")
        usual.check()
    if {"adder", "usual"} & set(wanted):
        _measure_adder(wanted, size, say, found)
    if "phases" in wanted:
        _measure_phases(size, say, found)
    if "start" in wanted:
        _measure_start(size, say, found)
    if "growth" in wanted:
        _measure_growth(size, say, found)
    return found


def _measure_adder(wanted: Collection[str], size: Sizes, say: Say, found: Measurement) -> None:
    sweeps, samples = [], []
    for number in range(size.adder_rounds):
        if "adder" in wanted:
            say(f"{size.runs:,} runs of the adder, round {number + 1} of {size.adder_rounds}")
            sweeps.append(ours.run_sweep(ours.list_adder_overrides(size.runs, size.updates), size.runs))
        if "usual" in wanted:
            say(f"{size.sample} of them in the usual way, round {number + 1} of {size.adder_rounds}")
            samples.append(usual.run_adder(size.sample, size.updates))
    found.findings += findings.summarise_adder(sweeps) if sweeps else []
    found.findings += findings.summarise_usual(samples, sweeps, size.runs) if samples else []
    found.usages += _list_usages(sweeps, samples)


def _measure_phases(size: Sizes, say: Say, found: Measurement) -> None:
    """Of each side the round whose time is the median: its phases add up to it, as the phases' medians would not."""
    rounds: dict[str, list[tuple[Breakdown, Usage]]] = {}
    for number in range(size.phases_rounds):
        say(f"phases of {size.runs:,} runs of the adder, round {number + 1} of {size.phases_rounds}")
        rounds.setdefault("ours", []).append(traced.trace_ours(size.runs, size.updates))
        if usual.has_torch():
            say(f"phases of the usual way, round {number + 1} of {size.phases_rounds}")
            rounds.setdefault("usual", []).append(traced.trace_usual(size.sample, size.updates, size.runs))
    for several in rounds.values():
        several.sort(key=lambda one: one[0].seconds)
        found.phases.append(several[(len(several) - 1) // 2][0])
        found.usages += [usage for _, usage in several]


def _measure_start(size: Sizes, say: Say, found: Measurement) -> None:
    sweeps, stock = [], []
    for number in range(size.start_rounds):
        say(f"{size.runs:,} trivial runs, round {number + 1} of {size.start_rounds}")
        sweeps.append(ours.run_sweep(ours.list_trivial_overrides(size.runs), size.runs))
        stock.append(usual.run_trivial(_STOCK_JOBS))
    found.findings += findings.summarise_start(sweeps, stock)
    found.usages += _list_usages(sweeps, stock)


def _measure_growth(size: Sizes, say: Say, found: Measurement) -> None:
    sweeps: dict[int, list[OurSweep]] = {}
    for number in range(size.growth_rounds):
        for factor in _GROWTH:
            runs = max(1, round(factor * size.runs))
            say(f"{runs:,} trivial runs, round {number + 1} of {size.growth_rounds}")
            sweeps.setdefault(runs, []).append(ours.run_sweep(ours.list_trivial_overrides(runs), runs))
    found.findings += findings.summarise_growth(*sweeps.values())
    found.growth += findings.list_points(*sweeps.values())
    found.usages += _list_usages(*sweeps.values())


def _list_usages(*measured: Sequence[OurSweep | Sample]) -> list[Usage]:
    return [one.usage for several in measured for one in several]
