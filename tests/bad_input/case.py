"""A case of bad input: what is there, what is asked for, and what the program says to it."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from bptt.cli.main import main


@dataclass(frozen=True)
class Place:
    """Where a case happens: an empty folder of its own, and one in which a run and a sweep were recorded."""

    folder: Path
    recorded: Path


def nothing(_place: Place) -> None:
    """What most cases need to be there."""


@dataclass(frozen=True)
class Case:
    """A command that is refused.

    arguments  of `bptt`; {folder} and {recorded} stand for the folders of its `Place`
    says       of each line on stderr, in order, a part that tells it from others; {folder} as above
    given      makes what is to be there before
    """

    arguments: tuple[str, ...]
    says: tuple[str, ...]
    given: Callable[[Place], None] = nothing
    code: int = 2

    def __str__(self) -> str:
        return " ".join(self.arguments)[:80].encode("unicode_escape").decode()


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    output: str
    lines: list[str]


def case(command: str, *says: str, given: Callable[[Place], None] = nothing, code: int = 2) -> Case:
    """A case whose arguments hold no blank."""
    return Case(tuple(command.split(" ")), says, given, code)


def train(override: str, *says: str, given: Callable[[Place], None] = nothing) -> Case:
    """A case of `bptt train` with one override."""
    return Case(("train", override), says, given)


def outcome(arguments: list[str]) -> Outcome:
    """Run a command in this process and the current folder."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors), warnings.catch_warnings():
        # As in a process of its own: what a user would see is seen here too.
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            code = main(arguments)
        except SystemExit as end:  # of argparse
            code = int(end.code or 0)
    return Outcome(code, output.getvalue(), errors.getvalue().splitlines())


def held(folder: Path) -> dict[str, bytes | None]:
    """What a folder holds: the path of each file and its content, of each folder and None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Within it nothing is added to the folder, changed or lost."""
    before = held(folder)
    yield
    after = held(folder)
    assert after.keys() == before.keys(), after.keys() ^ before.keys()
    assert [name for name in after if after[name] != before[name]] == []
