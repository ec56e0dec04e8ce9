"""What is wrong with a configuration, or with the machine, in one line each."""

import difflib
import errno
from collections.abc import Iterable
from typing import Any, Final

from bptt.printable import make_printable

_LONGEST = 80
_NO_THREAD: Final = "can't start new thread"
_UNMAPPED: Final = ("failed to map segment", "cannot allocate memory")  # what the loader says of a library
#: What a disk or the system refuses, be it now or for ever.
_REFUSED: Final = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
    *(getattr(errno, name) for name in ("ESTALE", "ENOTCONN") if hasattr(errno, name)),
)


class ConfigurationError(ValueError):
    """The configuration can't be run; `lines` says everything that is wrong with it, in a line each."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(dict.fromkeys(map(make_printable, lines)))
        super().__init__("\n".join(self.lines))


def quote(value: Any) -> str:
    """A value as one would type it on the command line, cut where it is long."""
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {quote(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(quote, value)) + "]"
    elif isinstance(value, str) and (not value or _reads_as_another_type(value)):
        text = "'" + value.replace("'", "\\'") + "'"
    else:
        text = str(value)
    return cut(text)


def cut(text: str) -> str:
    """A text that a user gave, in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _reads_as_another_type(text: str) -> bool:
    if text.lower() in {"null", "true", "false"} or (text[0], text[-1]) in {("{", "}"), ("[", "]")}:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_problem(key: str, value: Any, says: str) -> str:
    """The line for a value that a key can't take."""
    return f"{key}={quote(value)}: {says}"


def suggest(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """The candidate that was probably meant, as the end of a sentence; empty where none is near."""
    names = list(candidates)
    lower = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {prefix}{lower[near[0]]}?" if near else ""


def explain_shortage(error: BaseException) -> str | None:
    """What the machine has no more of, or does not let be written, in words; None: the error means something else."""
    number = error.errno if isinstance(error, OSError) else None
    unmapped = isinstance(error, ImportError) and any(words in str(error).lower() for words in _UNMAPPED)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or unmapped:
        return "out of memory: fewer workers, as hydra.launcher.workers=1, need less"
    if number == errno.EAGAIN or (isinstance(error, RuntimeError) and _NO_THREAD in str(error)):
        return "out of memory, or of processes: no more can be started; fewer workers need less"
    if isinstance(error, OSError) and number in _REFUSED:
        return f"{error.filename or 'a file'}: can't be used: {error.strerror}"
    return None
