"""Lanes trained in a worker: side by side, to an update or to their ends; what goes wrong with one hits that one alone.

A sweep's block, a stage of a search and runs that are trained again from their record are all this: `train_lanes`.
"""

import gc
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.configuration.errors import ConfigurationError
from bptt.core.run import Record, Run
from bptt.core.training import Training, join_checkpoints, rescue_record, select_lanes
from bptt.sweeps.workers.calls import TooLittleMemory
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.measurements import choose_measurements
from bptt.sweeps.workers.pool import Lost, Workers
from bptt.sweeps.workers.relay import Inbox, Places, Relay, find_relay, name_block
from bptt.tracking.folder.files import pack_arrays, parse_arrays, write_bytes
from bptt.tracking.folder.progress import BlockBeacon, remove_sign
from bptt.tracking.provenance.blas import use_one_blas_thread

_log = logging.getLogger(__name__)

_IDENTITY: Final = "bptt.identity"

LaneArrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class LaneTask:
    """Runs that fuse, to be trained side by side.

    number              by which the result is known
    update              a recorded one, to which they are trained: their last one, or one before
    start               the state that they go on from, in their order; None: they begin
    compared            whether what the runs recorded so far is wanted, even of those that have not ended
    checkpoint          the file to go on from and to keep the state in; None: there is none
    checkpoint_seconds  how often that is done; None: never
    kept                what that file held when the task was handed to workers that may not see it; None: nothing
    sign                the file that tells other processes how far it is; None: nobody is told
    identity            which runs they are: only a checkpoint that was kept under the same one is used
    """

    number: int
    runs: tuple[Run, ...]
    update: int
    start: LaneArrays | None = None
    compared: bool = False
    checkpoint: Path | None = None
    checkpoint_seconds: float | None = None
    kept: bytes | None = None
    sign: Path | None = None
    identity: str = ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What became of one run.

    record  None where it has neither ended nor was asked for, or where there is none
    error   the traceback, where training it raised
    """

    ended: bool
    record: Record | None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class LaneResult:
    """The runs of a task, in their order.

    state         of those that have not ended, in their order; None: all have
    began, ended  when they were trained, in seconds since 1970; not what was compiled before
    """

    number: int
    lanes: tuple[Lane, ...]
    state: LaneArrays | None
    began: float
    ended: float


def hand_out(
    tasks: Sequence[LaneTask],
    workers: Workers,
    interrupts: Interrupts,
    retried: Callable[[LaneTask, str], None] | None = None,
) -> Iterator[LaneResult]:
    """Have tasks trained by workers; the results as they come. Ctrl-C is heard while it waits for one.

    The runs of a task whose workers died end with an error that says so. retried: see `Workers.run`. Raises
    KeyboardInterrupt and WorkersError.
    """
    names, inbox = dict[int, str](), None
    with interrupts.raising():
        if workers.can_be_heard:
            names = {task.number: name_block(task.identity) for task in tasks}
            inbox = Inbox({names[task.number]: Places(task.checkpoint, task.sign) for task in tasks if task.checkpoint})
            workers.listen(inbox.take)
            tasks = [_take_along(task) for task in tasks]
        outcomes = workers.run(train_lanes, tasks, retried)
    while True:
        with interrupts.raising():
            outcome = next(outcomes, None)
        if outcome is None:
            return
        result = lose_lanes(outcome.task, outcome.reason) if isinstance(outcome, Lost) else outcome
        if inbox is not None:
            inbox.close(names[result.number])
        elif isinstance(outcome, Lost):
            _remove_files(outcome.task)
        yield result


def _remove_files(task: LaneTask) -> None:
    """Remove what is kept of a task that has ended."""
    with suppress(OSError):
        for path in (task.checkpoint, task.sign):
            if path is not None:
                path.unlink(missing_ok=True)


def _take_along(task: LaneTask) -> LaneTask:
    """The task with what its checkpoint's file holds, for workers that may not see it."""
    with suppress(OSError):
        return task if task.checkpoint is None else replace(task, kept=task.checkpoint.read_bytes())
    return task


def lose_lanes(task: LaneTask, reason: str) -> LaneResult:
    """The result of a task that nobody could compute."""
    lane, now = Lane(ended=True, record=None, error=reason), time.time()
    return LaneResult(number=task.number, lanes=(lane,) * len(task.runs), state=None, began=now, ended=now)


def train_lanes(task: LaneTask) -> LaneResult:
    """Train runs side by side. One that raises has ended with an error, and the others keep their bits."""
    _keep_imports()
    with suppress(Exception):  # which comes once more where it is told
        _compile(task.runs)
    began = time.time()
    checkpoint = Checkpoint(task.checkpoint, task.identity, task.checkpoint_seconds, task.kept)
    # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
    with use_one_blas_thread():
        lanes, state = _train(task, checkpoint)
    checkpoint.remove()
    remove_sign(task.sign)
    return LaneResult(number=task.number, lanes=tuple(lanes), state=state, began=began, ended=time.time())


@cache
def _keep_imports() -> None:
    """Once per process: what was imported stays, and a fifth of the time would go into searching it for garbage."""
    import bptt.core.training  # noqa: F401

    gc.freeze()


def _train(task: LaneTask, checkpoint: "Checkpoint | None") -> tuple[list[Lane], LaneArrays | None]:
    """Where training raises, each half is trained anew, down to the run that raised."""
    from bptt.sweeps.workers.processes import Unwanted, check_wanted

    training: Training | None = None
    try:
        _compile(task.runs)
        training = (checkpoint and checkpoint.resume(task.runs)) or _make_training(task.runs, task.start)
        relay = None if checkpoint is None else _find_relay()
        send = None if relay is None else partial(relay.signal, name_block(task.identity))
        beacon = BlockBeacon(task.sign, len(task.runs), training.update, task.update, send)
        while training.update < task.update and training.advance() is not None:
            beacon.tell(training.update)
            if checkpoint is not None:
                checkpoint.keep(training)
            check_wanted()
        return _sort_ended(task, training)
    except (Unwanted, ConfigurationError, TooLittleMemory):  # it is of none of the runs
        raise
    except Exception:
        if len(task.runs) == 1:
            return [Lane(ended=True, record=rescue_record(training), error=traceback.format_exc())], None
        _log.info("a run raised: each half of %d is trained anew", len(task.runs))
    middle = len(task.runs) // 2
    halves = [_train(_choose(task, lanes), None) for lanes in (range(middle), range(middle, len(task.runs)))]
    states = [state for _, state in halves if state is not None]
    return [lane for lanes, _ in halves for lane in lanes], join_checkpoints(states) if states else None


def _make_training(runs: Sequence[Run], state: Mapping[str, NDArray[Any]] | None) -> Training:
    return Training(runs, state, choose_measurements(runs[0]))


def _compile(runs: Sequence[Run]) -> None:
    from bptt.sweeps.workers.kernels import compile_kernels

    compile_kernels(runs)


def _choose(task: LaneTask, lanes: Sequence[int]) -> LaneTask:
    """The task, of these runs alone."""
    start = None if task.start is None else select_lanes(task.start, lanes)
    return replace(task, runs=tuple(task.runs[lane] for lane in lanes), start=start)


def _sort_ended(task: LaneTask, training: Training) -> tuple[list[Lane], LaneArrays | None]:
    """The lanes, and the state of those that have not ended."""
    state, records = training.checkpoint(), training.records()
    ended = state["ended"] > 0
    lanes = [
        Lane(ended=bool(over), record=record if over or task.compared else None)
        for over, record in zip(ended, records, strict=True)
    ]
    going_on = np.flatnonzero(~ended).tolist()
    return lanes, select_lanes(state, going_on) if going_on else None


def _find_relay() -> Relay | None:
    """See `find_relay`; a worker that is no Dask's has none."""
    return find_relay() if "distributed" in sys.modules else None


class Checkpoint:
    """Where the state of lanes is kept while they are trained, and how often: they go on from it to the same bits.

    path      None: nothing is kept. In a folder that is not there, as on a cluster's machines: it is kept with Dask's
              scheduler and the command, see `relay`; nowhere, where there is no Dask
    identity  of the runs: a checkpoint of others is as good as none, and so is a damaged one
    seconds   between two of them; None: none is written
    kept      the one before, where a command has brought it
    """

    def __init__(self, path: Path | None, identity: str, seconds: float | None, kept: bytes | None = None) -> None:
        self._path = path if path is not None and path.parent.is_dir() else None
        self._relay = None if path is None else _find_relay()
        self._identity, self._seconds, self._kept = identity, seconds, kept
        self._name = "" if self._relay is None else name_block(identity)
        self._last = monotonic()

    def resume(self, runs: Sequence[Run]) -> Training | None:
        """The training as it was when the last checkpoint was written; None: there is none."""
        for content in self._contents():
            # Whatever is wrong, the runs can be trained anew; and what is wrong with the runs is seen then.
            with suppress(Exception):
                arrays = parse_arrays(content)
                if arrays.pop(_IDENTITY).item() == self._identity:
                    return _make_training(runs, arrays)
        return None

    def _contents(self) -> Iterator[bytes]:
        """What may be the last checkpoint, from the newest on."""
        if self._path is not None:
            with suppress(OSError):
                yield self._path.read_bytes()
        elif self._relay is not None and (content := self._relay.recall(self._name)) is not None:
            yield content
        if self._kept is not None:
            yield self._kept

    def keep(self, training: Training) -> None:
        """Write a checkpoint, if it is time."""
        nowhere = self._path is None and self._relay is None
        if nowhere or self._seconds is None or monotonic() < self._last + self._seconds:
            return
        content = pack_arrays(training.checkpoint() | {_IDENTITY: np.array(self._identity)})
        with suppress(OSError):  # a full disk must not fail a run
            if self._path is not None:
                write_bytes(self._path, content)
            if self._relay is not None:
                self._relay.keep(self._name, content if self._path is None else None)
        self._last = monotonic()

    def remove(self) -> None:
        """The runs are done."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._path.with_name(f".{self._path.name}.part").unlink(missing_ok=True)
        elif self._relay is not None:
            self._relay.forget(self._name)
