"""`python -m tests.golden` writes the table of golden bits anew, after a change of bits that is meant.

`python -m tests.golden --check` compares this machine's bits with the table's, and ends with 1 where some differ; with
`--every 10` those of one run in ten, where a machine is slow; with `--only model=linear` those of one cell, which meets
every other choice, and for which fewer kernels are compiled.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numba
import numpy as np

from bptt.core.simd import WIDTH
from tests.golden.runs import TABLE, choose, hash_all, list_choices, name_of


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="compare with the table, and write nothing")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="compare one run in N")
    parser.add_argument("--only", metavar="KEY=VALUE", help="compare the runs that have this choice")
    args = parser.parse_args(arguments)
    choices = choose(args.only, args.every) if args.check else list_choices()
    with TemporaryDirectory() as folder:
        found = dict(hash_all(choices, Path(folder)))
    machine = f"{platform.machine()}, vectors of {WIDTH}, NumPy {np.__version__}, Numba {numba.__version__}"
    if not args.check:
        TABLE.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
        sys.stdout.write(f"{len(found)} runs in {TABLE.name} ({machine})\n")
        return 0
    known = json.loads(TABLE.read_text(encoding="utf-8"))
    if args.every > 1 or args.only is not None:
        known = {name: known.get(name) for name in map(name_of, choices)}
    wrong = [name for name in {**known, **found} if known.get(name) != found.get(name)]
    sys.stdout.write("".join(f"other bits: {name}\n" for name in wrong))
    sys.stdout.write(f"{len(found) - len(wrong)} of {len(known)} runs have the table's bits ({machine})\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
