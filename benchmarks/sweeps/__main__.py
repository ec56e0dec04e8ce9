"""python -m benchmarks.sweeps: whole sweeps, from the command to their end, beside the usual way to run them."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.report import choose_path
from benchmarks.sweeps import figures, report, usual
from benchmarks.sweeps.program import ProgramFailed
from benchmarks.sweeps.rounds import MEASURES, Sizes, choose_sizes, measure


def main(words: Sequence[str] | None = None) -> int:
    arguments = _parse_arguments(words)
    size, wanted = choose_sizes(arguments.runs, arguments.sample, arguments.quick), set(arguments.only or MEASURES)
    if {"usual", "phases"} & wanted and not usual.has_torch():
        print("the usual way is left out: torch is not installed here; `make bench-sweeps` has it", file=sys.stderr)
        wanted.discard("usual")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before anything imports it
    machine = report.describe_machine()
    try:
        with Console(stderr=True).status("") as status:
            found = measure(wanted, size, lambda text: status.update(text))
    except ProgramFailed as error:
        print(error, file=sys.stderr)
        return 1
    report.show(found, size.full, Console() if sys.stdout.isatty() else Console(width=120))
    path = arguments.out or choose_path("-sweeps")
    report.write(path, found, size.full, machine, vars(size))
    print(f"written to {path}")
    for drawn in figures.write(path):
        print(f"drawn in {drawn}")
    return 0


def _parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description="Whole sweeps, and the usual way.")
    parser.add_argument("--runs", type=_parse_positive(1), help=f"runs of each sweep ({Sizes.runs})")
    parser.add_argument("--sample", type=_parse_positive(3), help=f"runs in the usual way, from 3 on ({Sizes.sample})")
    parser.add_argument("--quick", action="store_true", help="few short runs, one round: does it work?")
    parser.add_argument(
        "--out", type=Path, help="where to write the results (benchmarks/results/<date>-<processor>-sweeps.json)"
    )
    parser.add_argument("--only", action="append", choices=MEASURES, help="only this measure; may be repeated")
    return parser.parse_args(words)


def _parse_positive(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise ValueError
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
