"""A block's checkpoint: a file from which its training goes on, to the same bits, when its process was killed."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np

from bptt.core.run import Run
from bptt.core.training import Training
from bptt.tracking.files import read_arrays, write_arrays

_IDENTITY: Final = "bptt.identity"


class Checkpoint:
    """Where a block's state is kept while it is trained, and how often.

    path      None, or in a folder that is not there, as on a cluster's machines: nothing is kept
    identity  of the block: a file of another one is as good as none, and so is a damaged one
    seconds   between two of them; None: none is written
    """

    def __init__(self, path: Path | None, identity: str, seconds: float | None) -> None:
        self._path = path if path is not None and path.parent.is_dir() else None
        self._identity, self._seconds = identity, seconds
        self._last = monotonic()

    def resumed(self, runs: Sequence[Run]) -> Training | None:
        """The training as it was when the last checkpoint was written; None: there is none."""
        if self._path is None or not self._path.exists():
            return None
        try:
            arrays = read_arrays(self._path)
            if arrays.pop(_IDENTITY).item() == self._identity:
                return Training(runs, arrays)
        except Exception:
            # Whatever is wrong, the block can be trained anew; and what is wrong with the runs is seen then.
            return None
        return None

    def keep(self, training: Training) -> None:
        """Write a checkpoint, if it is time."""
        if self._path is None or self._seconds is None or monotonic() < self._last + self._seconds:
            return
        with suppress(OSError):  # a full disk must not fail a run
            write_arrays(self._path, training.checkpoint() | {_IDENTITY: np.array(self._identity)})
        self._last = monotonic()

    def remove(self) -> None:
        """The block is done."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._path.with_name(f".{self._path.name}.part").unlink(missing_ok=True)
