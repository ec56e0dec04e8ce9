"""A workload as plain arrays: where training starts, and what each update sees, so that all sides train the same."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Workload
from bptt.core.parameters import list_parameters, to_named
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Sequences

Marks = NDArray[np.bool_]
#: Losses (updates, lanes), and the last parameters, name → (lanes, …).
Trained = tuple[Floats, Mapping[str, Floats]]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """U updates of L lanes with B sequences each, right-aligned: all end at the last of T timesteps.

    run         any of the runs: they differ in their seeds only
    parameters  name → (L, …)
    x           (U, L, T, B, inputs)
    y           (U, L, S, B, outputs): the targets of the timesteps `asked`
    asked       (S,): the timesteps that any update scores
    live        (U, L, T, B): from a sequence's first timestep on; None: all sequences have all timesteps
    scored      (U, L, S, B): whether a target counts; None: all do
    """

    run: Run
    parameters: Mapping[str, Floats]
    x: Floats
    y: Floats
    asked: NDArray[np.int64]
    live: Marks | None
    scored: Marks | None

    @property
    def lanes(self) -> int:
        return self.x.shape[1]

    @property
    def updates(self) -> int:
        return self.x.shape[0]

    @property
    def timesteps(self) -> int:
        return self.x.shape[2]

    def first(self, updates: int) -> "Problem":
        """The same with fewer updates."""
        live, scored = (None if marks is None else marks[:updates] for marks in (self.live, self.scored))
        return replace(self, x=self.x[:updates], y=self.y[:updates], live=live, scored=scored)

    def of_lane(self, lane: int) -> "Problem":
        """One lane's."""
        live, scored = (None if marks is None else marks[:, lane : lane + 1] for marks in (self.live, self.scored))
        named = {name: value[lane : lane + 1] for name, value in self.parameters.items()}
        x, y = self.x[:, lane : lane + 1], self.y[:, lane : lane + 1]
        return replace(self, parameters=named, x=x, y=y, live=live, scored=scored)

    @property
    def loss_weight(self) -> float:
        """What the sum of all scored terms is multiplied with."""
        return float(self.run.loss.weight / self.run.train.batch_size)


class Disagreement(Exception):
    """Two sides did not train the same: their times say nothing about each other."""


def measure_difference(ours_trained: Trained, other: Trained) -> float:
    """The largest difference of a loss, relative to that loss, or of a parameter, relative to its block's largest."""
    worst = float(np.max(np.abs(other[0] - ours_trained[0]) / np.abs(ours_trained[0])))
    for name, value in ours_trained[1].items():
        worst = max(worst, float(np.max(np.abs(other[1][name] - value)) / np.max(np.abs(value))))
    return worst


def build_problem(workload: Workload, updates: int) -> Problem:
    """The numbers that our own training starts from and draws.

    Written for one layer, and a gradient that flows through all timesteps or through one; raises ValueError for others.
    """
    runs = workload.runs(updates, 1)
    first = runs[0]
    if first.model.layers != 1 or first.train.truncation not in (None, 1):
        raise ValueError(f"{workload.name}: the others' side of this is not written")
    blocks = list_parameters(first.model, first.task.inputs, first.task.outputs)
    named = [to_named(blocks, run.init.parameters(seed_of(run, 0), blocks)) for run in runs]
    lanes = [_Lane(run, updates) for run in runs]
    scored = np.stack([lane.scored for lane in lanes], axis=1)
    asked = np.flatnonzero(scored.any(axis=(0, 1, 3)))
    live, kept = np.stack([lane.live for lane in lanes], axis=1), scored[:, :, asked]
    y = np.stack([lane.y for lane in lanes], axis=1)
    return Problem(
        run=first,
        parameters={block.name: np.stack([lane[block.name] for lane in named]) for block in blocks},
        x=np.stack([lane.x for lane in lanes], axis=1),
        y=y[:, :, asked],
        asked=asked,
        live=None if live.all() else live,
        scored=None if kept.all() else kept,
    )


class _Lane:
    """One lane's data: x (U, T, B, inputs), y (U, T, B, outputs), live and scored (U, T, B)."""

    def __init__(self, run: Run, updates: int) -> None:
        stream, found = run.task.training(), []
        done = 0
        while done < updates:
            page = stream.page(seed_of(run, 1), done, run.train.batch_size)
            rows = page.rows[done - page.first : min(page.end, updates) - page.first]
            found.append(_align_right(page.sequences, rows))
            done += len(rows)
        self.x, self.y, self.live, self.scored = (np.concatenate(parts) for parts in zip(*found, strict=True))


def _align_right(data: Sequences, rows: NDArray[np.int64]) -> tuple[Floats, Floats, Marks, Marks]:
    """Sequences `rows` (U, B) with the timesteps before B, and before a sequence begins zeros."""
    steps, lengths = data.timesteps, data.full_lengths[rows]
    came = np.arange(steps)[:, None] - (steps - lengths)[:, None, :]  # (U, T, B): the timestep that stands there
    live, at = came >= 0, (rows[:, None, :], np.maximum(came, 0))
    x = np.where(live[..., None], data.x[at], 0.0)
    if data.last_only:
        y = np.zeros((*live.shape, data.y.shape[-1]))
        y[:, -1] = data.y[rows]
    else:
        y = np.where(live[..., None], data.y[at], 0.0)
    return x, y, live, live & data.full_scored[at]
