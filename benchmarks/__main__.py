"""python -m benchmarks: measure, print the tables, write the results and their figure."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine

PARTS = ("table", "large", "records", "cores", "growth", "start")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side by side with PyTorch and JAX.")
    parser.add_argument("--rounds", type=int, default=11, help="alternating rounds (11)")
    parser.add_argument("--quick", action="store_true", help="3 short rounds: does it work, and roughly how fast?")
    parser.add_argument(
        "--out", type=Path, help="where to write the results (benchmarks/results/<date>-<processor>.json)"
    )
    parser.add_argument("--go-on", type=Path, metavar="FILE", help="keep what this file has, and measure what it lacks")
    parser.add_argument("--only", action="append", help="only workloads of this name, e.g. adder; may be repeated")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--shared", action="store_true", help="processor time, where others use the machine too")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    parser.add_argument("--core", type=int, help="the core to run on (the last)")
    return parser.parse_args()


def main() -> int:
    arguments = _parse_arguments()
    missing = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"{' and '.join(missing)} not installed here: `make bench` makes an environment that has them",
            file=sys.stderr,
        )
        return 2
    from benchmarks import cores

    parts, quick = set(arguments.part or PARTS), arguments.quick
    rounds, target = (3, 0.1) if quick else (arguments.rounds, 0.4)
    all_cores = machine.list_cores()
    machine.settle(arguments.core)  # before anything that imports NumPy
    from rich.console import Console

    from benchmarks import figures, growth, limit, readme, records, report, start, suite
    from benchmarks.measure import count_processor_time
    from benchmarks.sides import cpp_side
    from benchmarks.workloads import LARGE, TABLE

    chosen = [workload for workload in TABLE if arguments.only is None or workload.name in arguments.only]
    if not chosen:
        names = ", ".join(dict.fromkeys(workload.name for workload in TABLE))
        print(f"no such workload; there are: {names}", file=sys.stderr)
        return 2
    path = arguments.out or arguments.go_on or report.choose_path(readme.BESIDE if parts == {"records"} else "")
    clock = "processor" if arguments.shared else "wall"
    method = {"rounds": rounds, "seconds_per_side_and_round": target, "clock": clock}
    if arguments.shared:
        count_processor_time()
    if cpp_side.is_missing():
        print("g++ is not installed here: plain C++ and torch.compile are left out", file=sys.stderr)
    described = machine.describe() | {"compiler": cpp_side.describe_compiler()}
    found: dict[str, Any] = {"machine": described, "method": method}
    if arguments.go_on is not None:
        found = json.loads(arguments.go_on.read_text(encoding="utf-8"))
        if (found["machine"]["processor"], found["method"]) != (described["processor"], method):
            print(f"{arguments.go_on}: measured on another machine, or in another way", file=sys.stderr)
            return 2
    wide = Console() if sys.stdout.isatty() else Console(width=180)
    with Console(stderr=True).status("the machine's limit") as status:
        rates = limit.measure_rates()
        found.setdefault("limit", rates)
        report.show_limit(rates, wide)
        if "table" in parts:
            rows = found.setdefault("results", [])
            known = {(row["name"], row["lanes"]) for row in rows}
            for workload in chosen:
                if (workload.name, workload.lanes) in known:
                    continue
                rows.append(suite.measure(workload, rates, rounds, target, status.update))
                report.write_json(path, found)  # what was measured outlives an interruption
            report.show_results([row for row in rows if not isinstance(row, dict)], wide)
        if "large" in parts:
            found["large"] = []
            for workload in LARGE:
                found["large"].append(suite.measure(workload, rates, min(rounds, 5), target, status.update))
                report.write_json(path, found)
            report.show_results(found["large"], wide)
        if "records" in parts:
            found["evaluations"] = records.measure_evaluations(min(rounds, 7), target / 4, status.update)
            found["records"] = records.measure_records(min(rounds, 7), status.update)
            report.show_records(found["evaluations"], found["records"], wide)
            report.write_json(path, found)
        if "cores" in parts:
            status.update("two cores")
            found["cores"] = cores.measure(all_cores, rounds, target)
            report.show_cores(found["cores"], wide)
        if "growth" in parts:
            found["growth"] = growth.measure(rates, min(rounds, 5), target / 2, status.update)
        if "start" in parts:
            status.update("the program's start")
            found["start"] = start.measure(min(rounds, 5))
            report.show_start(found["start"], wide)
    report.write_json(path, found)
    print(f"written to {path}")
    if arguments.readme:
        readme.main([str(path)])
    for figure in figures.write(path):
        print(f"written to {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
