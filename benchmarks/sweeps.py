"""python -m benchmarks.sweeps: whole sweeps, from the command to their end, beside the usual way to run them."""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import sweep_findings, sweep_ours, sweep_report, sweep_usual
from benchmarks.sweep_findings import Finding
from benchmarks.sweep_ours import OurSweep
from benchmarks.sweep_program import ProgramFailed, Usage
from benchmarks.sweep_usual import Sample

MEASURES = ("adder", "usual", "start", "growth")
_STOCK_JOBS = 20
_TIMES_MORE = 10  # runs, the second time, to see what growth costs

Say = Callable[[str], None]
Measured = tuple[list[Finding], list[Usage]]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured: runs of each sweep, updates of the adder, runs of the usual way, and rounds."""

    runs: int = 1000
    updates: int = 10_000
    sample: int = 10
    adder_rounds: int = 3
    start_rounds: int = 5
    growth_rounds: int = 2

    @property
    def full(self) -> bool:
        """Whether the targets are meant for these."""
        return (self.runs, self.updates) == (Sizes.runs, Sizes.updates)


def sizes(runs: int | None, sample: int | None, quick: bool) -> Sizes:
    """What the arguments ask for."""
    few = {"runs": 40, "updates": 300, "sample": 3, "adder_rounds": 1, "start_rounds": 1, "growth_rounds": 1}
    given = {name: value for name, value in (("runs", runs), ("sample", sample)) if value is not None}
    return Sizes(**((few if quick else {}) | given))


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    size, wanted = sizes(arguments.runs, arguments.sample, arguments.quick), set(arguments.only or MEASURES)
    if "usual" in wanted and not sweep_usual.has_torch():
        print("the usual way is left out: torch is not installed here; `make bench-sweeps` has it", file=sys.stderr)
        wanted.remove("usual")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before anything imports it
    machine = sweep_report.machine()
    try:
        with Console(stderr=True).status("") as status:
            findings, usages = measure(wanted, size, lambda text: status.update(text))
    except ProgramFailed as error:
        print(error, file=sys.stderr)
        return 1
    others = max((usage.others for usage in usages), default=0.0)
    sweep_report.show(findings, others, size.full, Console() if sys.stdout.isatty() else Console(width=120))
    path = arguments.out or sweep_report.default_path()
    sweep_report.write(path, findings, others, machine, vars(size))
    print(f"written to {path}")
    return 0


def measure(wanted: Collection[str], size: Sizes, say: Say) -> Measured:
    """All that is wanted; what is compared takes turns."""
    say("compiling, where that is to be done")
    sweep_ours.sweep(sweep_ours.adder(2, 2), 2)
    sweep_ours.sweep(sweep_ours.trivial(2), 2)
    parts = []
    if {"adder", "usual"} & set(wanted):
        parts.append(_adder(wanted, size, say))
    if "start" in wanted:
        parts.append(_start(size, say))
    if "growth" in wanted:
        parts.append(_growth(size, say))
    return [finding for part, _ in parts for finding in part], [usage for _, part in parts for usage in part]


def _adder(wanted: Collection[str], size: Sizes, say: Say) -> Measured:
    if "usual" in wanted:
        say("the usual way: does it train the same?")
        sweep_usual.check()
    ours, usual = [], []
    for number in range(size.adder_rounds):
        if "adder" in wanted:
            say(f"{size.runs:,} runs of the adder, round {number + 1} of {size.adder_rounds}")
            ours.append(sweep_ours.sweep(sweep_ours.adder(size.runs, size.updates), size.runs))
        if "usual" in wanted:
            say(f"{size.sample} of them in the usual way, round {number + 1} of {size.adder_rounds}")
            usual.append(sweep_usual.adder(size.sample, size.updates))
    found = sweep_findings.adder(ours) if ours else []
    if usual:
        found += sweep_findings.usual(usual, ours, size.runs)
    return found, _usages(ours, usual)


def _start(size: Sizes, say: Say) -> Measured:
    ours, stock = [], []
    for number in range(size.start_rounds):
        say(f"{size.runs:,} trivial runs, round {number + 1} of {size.start_rounds}")
        ours.append(sweep_ours.sweep(sweep_ours.trivial(size.runs), size.runs))
        stock.append(sweep_usual.trivial(_STOCK_JOBS))
    return sweep_findings.start(ours, stock), _usages(ours, stock)


def _growth(size: Sizes, say: Say) -> Measured:
    few: list[OurSweep] = []
    many: list[OurSweep] = []
    for number in range(size.growth_rounds):
        for runs, sweeps in ((size.runs, few), (_TIMES_MORE * size.runs, many)):
            say(f"{runs:,} trivial runs, round {number + 1} of {size.growth_rounds}")
            sweeps.append(sweep_ours.sweep(sweep_ours.trivial(runs), runs))
    return sweep_findings.growth(few, many), _usages(few, many)


def _usages(*measured: Sequence[OurSweep | Sample]) -> list[Usage]:
    return [one.usage for several in measured for one in several]


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description="Whole sweeps, and the usual way.")
    parser.add_argument("--runs", type=_positive(1), help=f"runs of each sweep ({Sizes.runs})")
    parser.add_argument("--sample", type=_positive(3), help=f"runs in the usual way, from 3 on ({Sizes.sample})")
    parser.add_argument("--quick", action="store_true", help="few short runs, one round: does it work?")
    parser.add_argument(
        "--out", type=Path, help="where to write the results (benchmarks/results/<date>-<processor>-sweeps.json)"
    )
    parser.add_argument("--only", action="append", choices=MEASURES, help="only this measure; may be repeated")
    return parser.parse_args(words)


def _positive(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise ValueError
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
