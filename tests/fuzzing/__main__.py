"""`python -m tests.fuzzing`: fuzzes what reads overrides and npz files; exit code 1 when a fault was found."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzzing import archives, overrides
from tests.fuzzing.campaign import run


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for each target (10)")
    parser.add_argument("--seed", type=int, default=0, help="the same one makes the same cases (0)")
    parser.add_argument("--only", choices=["overrides", "npz"], help="this target alone")
    parser.add_argument("--case", type=int, help="this case alone, as a report names it")
    args = parser.parse_args(argv)
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for target in (overrides.target(), archives.target(Path(folder))):
            if args.only in (None, target.name):
                most = None if args.case is None else 1
                report = run(target, args.seed, 60 * args.minutes, first=args.case or 0, most=most)
                print(report, flush=True)
                faults += len(report.faults)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
