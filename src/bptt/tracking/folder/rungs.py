"""What runs of a sweep with halving go on from: the state of their lanes at a rung, kept until the sweep has ended."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.training import select_lanes
from bptt.tracking.folder.files import make_place, pack_arrays, parse_arrays, write_bytes

RUNGS: Final = "rungs"  # the folder in that of the sweep
_JOBS: Final = "bptt.jobs"
_UPDATE: Final = "bptt.update"


def write_rung(folder: Path, number: int, jobs: Sequence[int], update: int, state: Mapping[str, NDArray[Any]]) -> None:
    """Keep lanes, which are those of these jobs, at an update. A full disk must not fail a run.

    number  of the file
    """
    content = pack_arrays({**state, _JOBS: np.array(jobs), _UPDATE: np.array(update)})
    with suppress(OSError):
        write_bytes(make_place(folder, f"{RUNGS}/{number}.npz"), content)


def read_rungs(folder: Path) -> Iterator[tuple[int, int, dict[str, NDArray[Any]]]]:
    """Job, update and state of each lane that was kept. What is damaged is left out: the run is trained again."""
    for path in sorted((folder / RUNGS).glob("*.npz")):
        with suppress(Exception):
            arrays = parse_arrays(path.read_bytes())
            jobs, update = arrays.pop(_JOBS).tolist(), int(arrays.pop(_UPDATE))
            for place, job in enumerate(jobs):
                yield int(job), update, select_lanes(arrays, [place])


def remove_rungs(folder: Path) -> None:
    """Nothing goes on any more, from what was kept at a rung or on the way to one."""
    for path in (folder / "blocks").glob("*.checkpoint.npz"):
        path.unlink(missing_ok=True)
    if not (folder / RUNGS).is_symlink():
        shutil.rmtree(folder / RUNGS, ignore_errors=True)
