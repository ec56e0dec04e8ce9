"""How much processor time each test takes, forked commands and children with it: `make test-times`.

With `-p tests.times` and a folder in PYTEST_TIMES every process that tests writes a file of lines there, the seconds
and the test. `python -m tests.times FOLDER` sums them. What tests share, and a kernel that is compiled, is counted
where it was asked for first.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Where this variable names a folder, times are written there.
_FOLDER = "PYTEST_TIMES"
_TESTS, _FILES = 60, 40


def note(name: str, seconds: float) -> None:
    """Write down that a test, or a command that it forked, took that much of a processor, where that is asked for."""
    if folder := os.environ.get(_FOLDER):
        with Path(folder, f"{os.getpid()}.txt").open("a", encoding="utf-8") as file:
            file.write(f"{seconds:.4f} {name}\n")


def _taken() -> float:
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    result = yield
    note("collection::imports and collection", _taken())
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before = _taken()
    result = yield
    note(item.nodeid, _taken() - before)
    return result


def main(folder: str) -> int:
    """Print the files and the tests that take longest."""
    tests, files = defaultdict[str, float](float), defaultdict[str, float](float)
    for path in Path(folder).glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            seconds, _, name = line.partition(" ")
            tests[name] += float(seconds)
            files[name.partition("::")[0]] += float(seconds)
    for found, most in ((files, _FILES), (tests, _TESTS)):
        for name in sorted(found, key=lambda name: -found[name])[:most]:
            sys.stdout.write(f"{found[name]:8.1f}  {name}\n")
        sys.stdout.write(f"{sum(found.values()):8.1f}  all {len(found)}\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
