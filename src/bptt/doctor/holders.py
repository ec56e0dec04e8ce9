"""Which processes of this machine have a file open, as far as the system lets this user see."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A process: its number, and the name of what it runs."""

    number: int
    command: str


def holders(file: Path) -> list[Holder]:
    """The other processes that have a file open; empty where the system has no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        with suppress(OSError):  # it has ended, or is another user's
            if any(link.samefile(file) for link in (folder / "fd").iterdir() if _is_at(link, file)):
                found.append(Holder(int(folder.name), (folder / "comm").read_text(encoding="utf-8").strip()))
    return found


def _is_at(link: Path, file: Path) -> bool:
    """Whether an open file may be this one: asking what it is could wait for a disk that is away."""
    with suppress(OSError):
        return link.readlink().name == file.resolve().name
    return False
