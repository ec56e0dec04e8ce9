"""python -m benchmarks: measure, print the table, write the results."""

import argparse
import importlib.util
import sys
from pathlib import Path

from benchmarks import machine


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side by side with PyTorch and JAX.")
    parser.add_argument("--rounds", type=int, default=11, help="alternating rounds (11)")
    parser.add_argument("--quick", action="store_true", help="3 short rounds: does it work, and roughly how fast?")
    parser.add_argument(
        "--out", type=Path, help="where to write the results (benchmarks/results/<date>-<processor>.json)"
    )
    parser.add_argument("--only", action="append", help="only workloads of this name, e.g. adder; may be repeated")
    parser.add_argument("--no-start", action="store_true", help="do not measure the program's start")
    parser.add_argument("--core", type=int, help="the core to run on (the last)")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    missing = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"{' and '.join(missing)} not installed here: `make bench` makes an environment that has them",
            file=sys.stderr,
        )
        return 2
    machine.settle(arguments.core)  # before anything that imports NumPy
    from rich.console import Console

    from benchmarks import report, start, suite
    from benchmarks.workloads import WORKLOADS

    chosen = [workload for workload in WORKLOADS if arguments.only is None or workload.name in arguments.only]
    if not chosen:
        print(f"no such workload; there are {', '.join(sorted({w.name for w in WORKLOADS}))}", file=sys.stderr)
        return 2
    rounds, target = (3, 0.1) if arguments.quick else (arguments.rounds, 0.4)
    described = machine.describe()
    path = arguments.out or report.default_path()
    progress = Console(stderr=True)
    wide = Console() if sys.stdout.isatty() else Console(width=160)
    with progress.status("") as status:
        results = [suite.measure(workload, rounds, target, status.update) for workload in chosen]
        report.show_results(results, wide)
        status.update("the program's start")
        started = None if arguments.no_start else start.measure(min(rounds, 5))
    report.show_start(started, wide)
    report.write(path, results, started, described, {"rounds": rounds, "seconds_per_side_and_round": target})
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
