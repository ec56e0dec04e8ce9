"""What goes wrong in a sweep and is mended without a word, kept in its folder: retries, workers that died, waits.

    2026-05-01T12:00:07Z bptt.sweeps.workers.processes: a worker process died, SIGKILL(-9): 2 tasks are computed again

All of `bptt` logs through Python's `logging`, and nothing of it is on show unless that is set up; `hydra.verbose=true`
does so. Warnings of the sweep's own process are what sweep.log has; one in which nothing went wrong has no such file.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bptt.tracking.store.address import hide_passwords

SWEEP_LOG: Final = "sweep.log"

_LOGGER: Final = logging.getLogger("bptt")


class FolderLog(logging.Handler):
    """Appends a line to a folder's sweep.log for each warning; opened for each, as there are few. Use `keep_log`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = folder.absolute() / SWEEP_LOG

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record's line. A full disk must not fail a sweep."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = hide_passwords(f"{when} {record.name}: {' '.join(record.getMessage().split())}\n")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # a link may lead elsewhere
        with suppress(OSError), os.fdopen(os.open(self._path, flags, 0o644), "a", encoding="utf-8") as file:
            file.write(line)


@contextmanager
def keep_log(folder: Path) -> Iterator[None]:
    """Keep the warnings of all of `bptt` in this folder, until it is left."""
    handler = FolderLog(folder)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
