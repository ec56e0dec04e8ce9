"""`python -m tests.golden` writes the table of golden bits anew, after a change of bits that is meant.

`python -m tests.golden --check` compares this machine's bits with the table's, and ends with 1 where some differ.
"""

import json
import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numba
import numpy as np

from bptt.core.simd import WIDTH
from tests.golden.runs import TABLE, hash_all


def main(arguments: list[str]) -> int:
    with TemporaryDirectory() as folder:
        found = dict(hash_all(Path(folder)))
    machine = f"{platform.machine()}, vectors of {WIDTH}, NumPy {np.__version__}, Numba {numba.__version__}"
    if "--check" not in arguments:
        TABLE.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
        sys.stdout.write(f"{len(found)} runs in {TABLE.name} ({machine})\n")
        return 0
    known = json.loads(TABLE.read_text(encoding="utf-8"))
    wrong = [name for name in {**known, **found} if known.get(name) != found.get(name)]
    sys.stdout.write("".join(f"other bits: {name}\n" for name in wrong))
    sys.stdout.write(f"{len(found) - len(wrong)} of {len(known)} runs have the table's bits ({machine})\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
