"""What a check finds."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mark = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    mark     ok; note: worth knowing; wrong: something does not work, or will not
    says     what was found
    means    what follows from it, where it is not ok
    command  that mends it, for a shell; empty: there is none
    """

    subject: str
    says: str
    mark: Mark = "ok"
    means: str = ""
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Where and with what `bptt doctor` was started.

    uri        of the store that is meant; None: the one that `bptt train` would use
    variables  of the environment, as they were when it was started
    """

    uri: str | None = None
    folder: Path = field(default_factory=Path.cwd)
    variables: Mapping[str, str] = field(default_factory=dict)


def write_command(*words: object) -> str:
    """The words as they are typed into a shell."""
    return shlex.join(map(str, words))


def write_size(number: float) -> str:
    """A number of bytes, in words."""
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
