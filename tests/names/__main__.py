"""Tries every name, and tells what each command makes of it.

python -m tests.names [--only WORD] [--jobs N] [--write]
"""

import argparse
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context

from bptt.tracking.provenance.environment import describe_environment
from tests.names import page
from tests.names.table import NAMES
from tests.names.trial import Outcome, try_described


def main() -> int:
    """0: every name works or is refused, 1: one does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.names", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", metavar="WORD", default="", help="only what has this in its description")
    parser.add_argument("--jobs", type=int, default=1, help="how many names are tried at once")
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust")
    args = parser.parse_args()
    known = describe_environment()
    machine = f"{known['cpu']}, {os.cpu_count()} cores, {platform.system()}, Python {known['python']}"
    about = {"date": date.today().isoformat(), "machine": machine}
    found: dict[str, dict[str, Outcome]] = {}
    names = [what for what in NAMES if args.only in what]
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        for what, row in zip(names, pool.map(try_described, names), strict=True):
            found[what] = row
            told = ", ".join(f"{one} {outcome.says} ({outcome.seconds:.1f} s)" for one, outcome in row.items())
            print(f"{what}: {told}", flush=True)
            if args.write:
                page.write(found, about)
    return int(any(one.says not in ("works", "refused") for row in found.values() for one in row.values()))


if __name__ == "__main__":
    sys.exit(main())
