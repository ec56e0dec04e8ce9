"""How many of bptt's files a command enters: those of which it calls a function, in this process; and imports.

python -m benchmarks.entered train task=xor train.updates=20
python -m benchmarks.entered train -m task=xor train.updates=20 seed=0,1 hydra.launcher.workers=1
"""

import inspect
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import bptt

SOURCES = str(Path(bptt.__file__).parent)


def count_entered(call: Callable[[], object]) -> set[str]:
    """The files below src/bptt of which a call enters a function, in whatever thread."""
    found: set[str] = set()

    def look(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        # The bodies of modules and classes are no functions.
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(SOURCES):
            found.add(code.co_filename)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def main(argv: Sequence[str]) -> int:
    """Run a command of bptt, and say which files it entered."""
    from bptt.cli.main import main as bptt_main

    codes: list[int] = []
    found = count_entered(lambda: codes.append(bptt_main(argv)))
    for path in sorted(found):
        print(Path(path).relative_to(SOURCES), file=sys.stderr)
    loaded = [name for name in sys.modules if name.partition(".")[0] == "bptt"]
    print(f"{len(found)} files of bptt are entered, {len(loaded)} imported")
    return codes[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
