"""What is paid beside training: a short run and a sweep of short runs, with kernels that are compiled already.

    python -m benchmarks.small                       # processor and wall seconds, medians of five
    python -m benchmarks.small --before OTHER/src    # of another checkout too, in turns

Other programs stretch wall time more than processor time; both sides of a turn see the same ones.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import summarise

_SMALL: Final = ("task=leftbit", "train.updates=100")
_SWEEP: Final = ("train", "-m", *_SMALL, "seed=range(100)")
#: What is measured, and what is done before in the same folder, which is not.
_COMMANDS: Final[Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    "a run, new store": ((), ("train", *_SMALL)),
    "a run": (("train", *_SMALL, "seed=1"), ("train", *_SMALL)),
    "100 runs, new store": ((), _SWEEP),
    "100 runs": (("train", *_SMALL, "seed=100"), _SWEEP),
}


@dataclass(frozen=True)
class Paid:
    """Seconds of a command.

    told       until it says how the run or the sweep has ended, which is recorded then
    whole      to its end
    processor  of all its processes
    """

    told: float
    whole: float
    processor: float


def measure_command(source: Path, before: Sequence[str], command: Sequence[str]) -> Paid:
    """Run a command in a new folder, by the sources in `source`. Raises RuntimeError where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = kept | {"PYTHONPATH": str(source)}
    with tempfile.TemporaryDirectory(prefix="bptt-bench-") as folder:
        program = [sys.executable, "-m", "bptt"]
        if before:
            subprocess.run([*program, *before], cwd=folder, env=environment, capture_output=True, check=True)
        start = time.perf_counter()
        with subprocess.Popen(
            [*program, *command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            told = time.perf_counter() - start
            process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        whole = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"bptt {' '.join(command)} ended with {process.returncode}")
    return Paid(told, whole, used.ru_utime + used.ru_stime)


def main() -> None:
    """Measure all commands and print a line for each, and for each of the sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="the sources of another checkout, to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(_COMMANDS), action="append")
    args = parser.parse_args()
    sides = {"before": args.before.absolute()} if args.before else {}
    sides |= {"now": Path(__file__).parents[1] / "src"}
    print(f"{'':28}{'told':>10}{'whole':>10}{'processor':>10}")
    for name in args.only or _COMMANDS:
        found: dict[str, list[Paid]] = {side: [] for side in sides}
        for _ in range(args.rounds):
            for side, source in sides.items():
                found[side].append(measure_command(source, *_COMMANDS[name]))
        for side, several in found.items():
            columns = (
                [one.told for one in several],
                [one.whole for one in several],
                [one.processor for one in several],
            )
            print(f"{name:20}{side:8}" + "".join(f"{summarise(column).median:10.2f}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
