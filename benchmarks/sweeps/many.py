"""python -m benchmarks.sweeps.many: what one more small run costs, in time and memory, in sweeps of up to 100,000."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.sweeps.program import make_folder
from benchmarks.sweeps.report import describe_machine

RUNS = (1000, 10_000, 100_000)
SMALL = ("task=leftbit", "train.updates=20", "train.log_points=2")
_MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class ManyRuns:
    """A sweep that was measured.

    seconds    from the command to its end
    processor  seconds of all its processes
    resident   bytes of its largest process, which is the main one
    disk       bytes of its folder and of the store
    load       programs that ran or waited to run, at its end
    """

    runs: int
    detail: str
    report: bool
    seconds: float
    processor: float
    resident: int
    disk: int
    load: float


def measure(runs: int, detail: str, report: bool) -> ManyRuns:
    """Train a sweep of so many runs in an empty folder. Raises RuntimeError where it does not end well."""
    folder, began = make_folder(), time.monotonic()
    given = (f"seed=range({runs})", f"tracking.detail={detail}", f"report={str(report).lower()}")
    with (folder / "log.txt").open("w") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "bptt", "train", "-m", *SMALL, *given], cwd=folder, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        raise RuntimeError((folder / "log.txt").read_text(encoding="utf-8"))
    return ManyRuns(
        runs=runs,
        detail=detail,
        report=report,
        seconds=time.monotonic() - began,
        processor=usage.ru_utime + usage.ru_stime,
        resident=1024 * usage.ru_maxrss,
        disk=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        load=os.getloadavg()[0],
    )


def write_growth(found: Sequence[ManyRuns]) -> str:
    """A line for each sweep, and what a further run cost since the one before."""
    lines = [
        f"{'runs':>9} {'s':>9} {'ms/run':>8} {'cpu ms/run':>11} {'MB':>7} {'kB/run':>7} {'disk MB':>8} {'load':>5}"
    ]
    for before, one in zip([None, *found], found, strict=False):
        more = one.runs - (before.runs if before else 0)
        took, cpu = (getattr(one, name) - (getattr(before, name) if before else 0) for name in ("seconds", "processor"))
        grown = f"{(one.resident - before.resident) / more / 1000:7.1f}" if before else " " * 7
        lines.append(
            f"{one.runs:>9,} {one.seconds:9.1f} {1e3 * took / more:8.2f} {1e3 * cpu / more:11.2f}"
            f" {one.resident / _MEGABYTE:7.0f} {grown} {one.disk / _MEGABYTE:8.0f} {one.load:5.1f}"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps.many", description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS)
    parser.add_argument("--detail", choices=("full", "last", "sweep"), default="last")
    parser.add_argument("--report", action="store_true", help="with the report, which is left out otherwise")
    parser.add_argument("--out", type=Path, help="a file for the numbers, as JSON")
    arguments = parser.parse_args(words)
    machine, found = describe_machine(), list[ManyRuns]()
    for runs in sorted(arguments.runs):
        found.append(measure(runs, arguments.detail, arguments.report))
        print(write_growth(found).splitlines()[-1] if len(found) > 1 else write_growth(found), flush=True)
    if arguments.out is not None:
        text = json.dumps({"machine": machine, "sweeps": [asdict(one) for one in found]}, indent=1)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
