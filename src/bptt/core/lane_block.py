"""The lanes that are trained by the same vectors: WIDTH runs side by side, or one run whose rows stand side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt.core import stability
from bptt.core.evaluation import sequence_arrays
from bptt.core.kernel import LANES, SHARED, check_memory
from bptt.core.lanes import hyperparameters
from bptt.core.layout import Net
from bptt.core.run import Run
from bptt.core.sequences import Floats, Page, Stream
from bptt.core.simd import WIDTH, aligned_zeros
from bptt.core.updates import (
    CLIPPED,
    DIVERGED_AT,
    DIVERGED_LOSS,
    GRADIENT_NORM,
    LOSS_VALUE,
    REPORT_ROWS,
    STEP_NORM,
    WEIGHTS_NORM,
    train_updates,
)

_ROWS_FROM = (
    8  # batches of this size on fill vectors with rows of one run; a matter of shape alone, never of how many lanes
)


def mode_of(batch_size: int) -> str:
    """What stands side by side in a vector: lanes, or the rows of one lane's batch."""
    return SHARED if batch_size >= _ROWS_FROM else LANES


@dataclass(frozen=True)
class LaneReport:
    """What one lane did up to a recorded update; formulas in `stability`. diverged_at 0: it did not diverge."""

    loss: float
    gradient_norm: float
    clipped: float
    update_ratio: float
    saturation: float
    flow: Floats
    diverged_at: int
    diverged_loss: float
    state: Floats


class LaneBlock:
    """Parameters, optimizer state and data of some lanes, and their way through updates."""

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        net: Net,
        mode: str,
        memory: Floats,
        stream: Stream,
        seeds: Sequence[np.random.SeedSequence],
        parameters: Sequence[Floats],
        parameter_count: int,
    ) -> None:
        self.runs, self.net, self._mode, self._memory = runs, net, mode, memory
        self._sizes = np.array(net, np.int64)
        self._stream, self._seeds = stream, seeds
        self._count = parameter_count
        self._batch = runs[0].train.batch_size
        first = runs[0]
        self._vectors = parameter_count if mode == LANES else -(-parameter_count // WIDTH)
        self._parameters = aligned_zeros(self._vectors, WIDTH)
        self._previous = aligned_zeros(self._vectors, WIDTH)
        self._gradient = aligned_zeros(self._vectors, WIDTH)
        self._slots = aligned_zeros(max(first.optimizer.slots, 1) * self._vectors, WIDTH)
        for place, row in enumerate(parameters):
            self._lane_view(place)[:] = row
        side_by_side = mode == LANES
        self._optimizer_hyper = hyperparameters([run.optimizer for run in runs], side_by_side)
        self._clip_hyper = hyperparameters([run.clip for run in runs], side_by_side)
        self._weights = hyperparameters([run.loss for run in runs], side_by_side)[0] / self._batch
        self._live = aligned_zeros(1, WIDTH)
        self._live[0, : len(runs) if side_by_side else WIDTH] = 1.0
        self._carried = (
            aligned_zeros(*self._carried_regions()[0].shape),
            aligned_zeros(*self._carried_regions()[1].shape),
        )
        self._report = aligned_zeros(REPORT_ROWS, WIDTH)
        self._pages: list[Page] = []
        self._data: tuple[Any, ...] = ()
        cell = first.model.cell
        components = (cell.forward, cell.backward, first.loss.kernel, first.clip.kernel, first.optimizer.kernel)
        self._addresses = [kernel.address(mode) for kernel in components]
        check_memory(
            memory=memory,
            parameters=self._parameters,
            previous=self._previous,
            gradient=self._gradient,
            slots=self._slots,
        )

    def _as_mode(self, vectors: Floats) -> Floats:
        return vectors if self._mode == LANES else vectors.reshape(-1)

    def _lane_view(self, place: int) -> Floats:
        return self._parameters[:, place] if self._mode == LANES else self._parameters.reshape(-1)[: self._count]

    def lane_parameters(self, place: int) -> Floats:
        """One lane's flat row (P,), copied."""
        return self._lane_view(place)[: self._count].copy()

    def lane_gradient(self, place: int) -> Floats:
        """One lane's gradient (P,) of its last update, after clipping."""
        lane = self._gradient[:, place] if self._mode == LANES else self._gradient.reshape(-1)
        return lane[: self._count].copy()

    def freeze(self, place: int) -> None:
        """Train this lane no more."""
        self._live[0, place if self._mode == LANES else slice(None)] = 0.0

    def train(self, since: int, update: int) -> list[LaneReport]:
        """Train from update `since` (done already) to `update`, and report on each lane."""
        self._report[:] = 0.0
        done = since
        while done < update and self._live.any():
            page = self._page(done)
            count = min(update, page.end) - done
            self._call(page, done, count, done + count == update)
            done += count
        return [self._lane_report(place) for place in range(len(self.runs))]

    def _page(self, done: int) -> Page:
        if not self._pages or done >= self._pages[0].end or done < self._pages[0].first:
            self._pages = [self._stream.page(seed, done, self._batch) for seed in self._seeds]
            shared = all(page.sequences is self._pages[0].sequences for page in self._pages)
            if not (shared and self._data and self._data[0] is self._pages[0].sequences):
                sets = [page.sequences for page in self._pages[: 1 if shared else None]]
                arrays = [sequence_arrays(sequences) for sequences in sets]
                joined = arrays[0] if shared else tuple(np.concatenate(parts) for parts in zip(*arrays, strict=True))
                uniform = all(s.lengths is None and (s.scored is None or s.scored.ndim == 1) for s in sets)
                self._data = (sets[0], joined, uniform)
            self._rows = np.ascontiguousarray(np.stack([page.rows for page in self._pages]))
        return self._pages[0]

    def _call(self, page: Page, done: int, count: int, measure: bool) -> None:
        settings = self.runs[0].train
        _, arrays, uniform = self._data
        self._memory[: self.net.state] = 0.0
        for region, carried in zip(self._carried_regions(), self._carried, strict=True):
            region[:] = carried
        train_updates.compile(self._mode)
        train_updates.dispatcher(
            *self._addresses,
            self._sizes,
            self._as_mode(self._parameters),
            self._as_mode(self._gradient),
            self._parameters,
            self._previous,
            self._gradient,
            self._slots,
            self._optimizer_hyper,
            self._clip_hyper,
            self._memory,
            *arrays,
            self._rows,
            self._weights,
            uniform,
            done - page.first,
            done + 1,
            count,
            settings.carry_state,
            settings.truncation or 0,
            measure,
            self._live,
            self._report,
        )
        for region, carried in zip(self._carried_regions(), self._carried, strict=True):
            carried[:] = region

    def _carried_regions(self) -> tuple[Floats, Floats]:
        """Where the last timestep's states (layers, numbers, WIDTH) and outputs (numbers, WIDTH) stand."""
        net = self.net
        states = self._memory[net.state : net.gate].reshape(net.layers, net.timesteps + 1, -1, WIDTH)
        outputs = self._memory[net.output : net.output_delta].reshape(net.timesteps + 1, -1, WIDTH)
        return states[:, -1], outputs[-1]

    def state(self, place: int) -> Floats:
        """(batch, layers · slots · H + outputs): what a lane's last update ended with, of each row."""
        net, batch = self.net, self._batch
        states, outputs = self._carried
        by_row = states.reshape(net.layers, net.rows, -1, WIDTH)
        row_outputs = outputs.reshape(net.rows, -1, WIDTH)
        if self._mode == LANES:
            states = by_row[..., place].transpose(1, 0, 2).reshape(batch, -1)
            return np.concatenate([states, row_outputs[..., place]], axis=1)
        states = by_row.transpose(1, 3, 0, 2).reshape(net.rows * WIDTH, -1)
        return np.concatenate([states, row_outputs.transpose(0, 2, 1).reshape(net.rows * WIDTH, -1)], axis=1)[:batch]

    def _saturation(self) -> Floats:
        net, cell = self.net, self.runs[0].model.cell
        live = self._memory[net.live : net.scored].reshape(net.timesteps, net.rows, WIDTH) > 0
        if cell.squashed:
            kept = self._memory[net.gate : net.logit].reshape(
                net.layers, net.timesteps, net.rows, net.kept, net.hidden, WIDTH
            )
            groups = [(function, kept[:, :, :, gate]) for gate, function in cell.squashed]
        else:
            states = self._memory[net.state : net.gate].reshape(net.layers, net.timesteps + 1, net.rows, -1, WIDTH)
            groups = [(self.runs[0].model.activation, states[:, 1:])]
        if self._mode == LANES:
            return stability.saturation(groups, live)
        flat = [
            (function, np.moveaxis(values, -1, 3).reshape(*values.shape[:2], -1, values.shape[3], 1))
            for function, values in groups
        ]
        return np.repeat(stability.saturation(flat, live.reshape(net.timesteps, -1, 1)), WIDTH)

    def _lane_report(self, place: int) -> LaneReport:
        number = place if self._mode == LANES else 0
        if number == 0:
            self._shares = self._saturation()
        return LaneReport(
            loss=float(self._report[LOSS_VALUE, number]),
            gradient_norm=float(self._report[GRADIENT_NORM, number]),
            clipped=float(self._report[CLIPPED, number]),
            update_ratio=stability.update_ratio(*self._report[[STEP_NORM, WEIGHTS_NORM], number].tolist()),
            saturation=float(self._shares[number]),
            flow=self._memory[self.net.flow : self.net.flow + self.net.timesteps, number][::-1].copy(),
            diverged_at=int(self._report[DIVERGED_AT, number]),
            diverged_loss=float(self._report[DIVERGED_LOSS, number]),
            state=self.state(place),
        )

    def saved(self, place: int) -> dict[str, Floats]:
        """All of a lane that changes while it is trained, for a checkpoint."""
        return {name: view.copy() for name, view in self._changing(place).items()}

    def restore(self, place: int, saved: Mapping[str, Floats]) -> None:
        """Let a lane go on from what `saved` gave; raises ValueError where a shape differs."""
        for name, view in self._changing(place).items():
            if saved[name].shape != view.shape:
                raise ValueError(
                    f"the checkpoint's {name} have shape {saved[name].shape}, this training's {view.shape}"
                )
            view[:] = saved[name]

    def _changing(self, place: int) -> dict[str, Floats]:
        states, outputs = self._carried
        arrays = {
            "parameters": self._parameters,
            "slots": self._slots,
            "live": self._live,
            "states": states,
            "outputs": outputs,
        }
        return {name: array[..., place] if self._mode == LANES else array for name, array in arrays.items()}
