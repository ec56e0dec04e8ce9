"""What is needed to watch a sweep that nobody trains."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bptt.tracking.folder.files import LOCK, PROGRESS
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.points import PointsLog, place_points
from bptt.tracking.folder.progress import make_sign, write_sign
from bptt.tracking.folder.sweep import SweepFolder
from tests.recording import archived, jobs


def points(update: int, losses: list[float], recorded: list[bool] | None = None) -> Any:
    """What training says of an update: losses, and gradients' norms of twice as much."""
    values = np.array(losses)
    there = np.ones(len(losses), bool) if recorded is None else np.array(recorded)
    return SimpleNamespace(update=update, metrics={"loss/eval": values, "grad/norm": 2 * values}, recorded=there)


@contextmanager
def trained(folder: Path, rename: Any = None, **changes: Any) -> Iterator[SweepFolder]:
    """The sweep of `tests.recording`, eight of whose nine runs have ended while this process trains the ninth."""
    archive = archived(folder, status="RUNNING", **changes)
    if rename is not None:
        archive.write_jobs([replace(job, name=rename(job)) for job in jobs()])
    write_sign(archive.folder / PROGRESS, make_sign())
    sign = archive.place_sign(5)
    write_sign(sign, make_sign(runs=1, update=20, last=100))
    log = PointsLog(place_points(sign), [8], since=0)
    for update, loss in ((10, 3.0), (20, 2.0)):
        log.add(points(update, [loss]))
    log.write()
    with file_lock(archive.folder / LOCK):
        yield archive
