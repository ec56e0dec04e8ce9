"""What runs that are trained now have recorded so far, in their sweep's folder, for whoever watches.

    blocks/block-12.points  a line of JSON, the runs' numbers and the metrics' names; then for each recorded update its
                            number, int64, and each metric of all runs, float32, all little-endian

It lies beside the sign of the block, is written as often, and goes when the block has ended: what counts is then in the
block's folder. The loss of a run that diverged is infinite; whatever else a run did not record is NaN.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bptt.core.records.history import Points

POINTS: Final = "points"

#: Those that are kept, as far as they are recorded.
WATCHED: Final = ("loss/eval", "accuracy/eval", "loss/train", "grad/norm")

_LOSSES: Final = ("loss/eval", "loss/train")

_LONGEST_HEADER: Final = 2**24  # bytes: a block has some hundred runs


@dataclass(frozen=True)
class PointsSoFar:
    """What runs have recorded so far.

    runs     (R,) their numbers
    updates  (U,) from the first recorded one on
    values   metric → (U, R)
    """

    runs: NDArray[np.int64]
    updates: NDArray[np.int64]
    values: dict[str, NDArray[np.float32]]


def place_points(sign: Path) -> Path:
    """Where the points of a block lie whose sign is kept in this file."""
    return sign.with_name(f"{sign.name.partition('.')[0]}.{POINTS}")


class PointsLog:
    """Keeps what runs record, in a file to which it appends. A full disk must not fail a run: then it keeps nothing.

    path   of the file
    runs   the numbers of the runs, in the order of the lanes
    since  the update from which they go on: of what an earlier process has written, what lies before stays
    """

    def __init__(self, path: Path, runs: Sequence[int], since: int) -> None:
        self._path, self._runs, self._since = path, [*map(int, runs)], since
        self._waiting: list[bytes] = []
        self._names: list[str] = []
        self._begun = False

    def add(self, points: "Points") -> None:
        """Take what was recorded at an update; `write` writes it."""
        metrics = points.metrics
        self._names = self._names or [name for name in WATCHED if name in metrics]
        rows = np.stack([metrics[name] for name in self._names]).astype("<f4")
        for place, name in enumerate(self._names):
            if name in _LOSSES:
                rows[place][points.recorded & np.isnan(rows[place])] = np.inf
        self._waiting.append(np.int64(points.update).astype("<i8").tobytes() + rows.tobytes())

    def write(self) -> None:
        """Append what was taken since the last time."""
        if not self._waiting:
            return
        content, self._waiting = b"".join(self._waiting), []
        with suppress(OSError):
            if self._begun:
                with self._path.open("ab") as file:
                    file.write(content)
                return
            self._begun = True
            head = json.dumps({"runs": self._runs, "metrics": self._names}).encode() + b"\n"
            earlier = self._recall()
            self._path.unlink(missing_ok=True)  # a link in its place may lead anywhere
            self._path.write_bytes(head + earlier + content)

    def _recall(self) -> bytes:
        """The points of an earlier process, up to where this one goes on."""
        found = read_points(self._path) if self._since else None
        if found is None or found.runs.tolist() != self._runs or [*found.values] != self._names:
            return b""
        kept = found.updates <= self._since
        rows = np.zeros(int(kept.sum()), _describe_row(self._names, len(self._runs)))
        rows["update"] = found.updates[kept]
        for place, values in enumerate(found.values.values()):
            rows["values"][:, place] = values[kept]
        return rows.tobytes()


def _describe_row(names: Sequence[str], runs: int) -> np.dtype[Any]:
    return np.dtype([("update", "<i8"), ("values", "<f4", (len(names), runs))])


def read_points(path: Path) -> PointsSoFar | None:
    """The points in a file, as far as they are whole; None: there are none, or none that can be read."""
    try:
        head, _, content = path.read_bytes().partition(b"\n")
        if len(head) > _LONGEST_HEADER:
            return None
        noted = json.loads(head)
        runs = np.array(noted["runs"], np.int64)
        names = [name for name in noted["metrics"] if name in WATCHED]
        if runs.ndim != 1 or not len(runs) or not names or len(names) < len(noted["metrics"]):
            return None
        row = _describe_row(names, len(runs))
        rows = np.frombuffer(content[: len(content) // row.itemsize * row.itemsize], row)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    updates = rows["update"].astype(np.int64)
    if len(updates) and (updates[0] < 1 or (np.diff(updates) <= 0).any()):
        return None
    values = {name: rows["values"][:, place].astype(np.float32) for place, name in enumerate(names)}
    return PointsSoFar(runs, updates, values)
