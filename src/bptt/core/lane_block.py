"""The lanes that are trained by the same vectors: up to WIDTH runs side by side, or one run, its units side by side.

Runs that fuse, cut into blocks and trained together; from outside one block of all lanes.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bptt.core.kernel import LANES, UNITS, check_memory
from bptt.core.lane_report import LaneReport, train_to_report
from bptt.core.lanes import (
    alpha_row,
    blocks_of_lanes,
    component_kernels,
    decays,
    fill_lanes,
    find_solver,
    hyperparameters,
    is_noisy,
    loss_row,
    model_numbers,
)
from bptt.core.metrics import list_squashed
from bptt.core.models.dale import keep_signs, sign_parameters
from bptt.core.models.state_noise import count_noise, has_noise
from bptt.core.optimizers.noise import WORDS
from bptt.core.optimizers.recurrent_constraint import Factors, draw_start, find_constraint, find_unfit_constraint
from bptt.core.parameters import Parameter, list_parameters, mark_trained, parameter_count
from bptt.core.products import product
from bptt.core.random import Generator
from bptt.core.run import Run, seed_of, works_on_states
from bptt.core.sequences import Floats, Page, Stream
from bptt.core.shapes.training import ShapeKernel, deciding_run, find_kernel, may_have_kernel
from bptt.core.simd import WIDTH, aligned_zeros
from bptt.core.updates import (
    BESIDE_ROWS,
    DECAY,
    ETA,
    GAMMA,
    REPORT_ROWS,
    STATES,
    TRAINED,
    Addresses,
    Data,
    Hyper,
    Learning,
    Stretch,
    train_updates,
)
from bptt.core.workspace import Workspace, are_alike, as_mode, sequence_arrays, training_layout


def _side_by_side(runs: Sequence[Run], mode: str, blocks: Sequence[Parameter]) -> Hyper:
    unfit = getattr(runs[0].regularizer, "find_unfit", None)
    if unfit is not None and (says := unfit(runs[0])):
        raise ValueError(f"{type(runs[0].regularizer).__name__} {says}")
    if says := find_unfit_constraint(runs[0]):
        raise ValueError(f"recurrent_constraint={runs[0].model.recurrent_constraint} {says}")  # type: ignore[attr-defined]
    optimizer, alpha = hyperparameters([run.optimizer for run in runs], mode), aligned_zeros(1, WIDTH)
    alpha[0] = optimizer[alpha_row(runs[0])]
    return Hyper(
        regularizer=hyperparameters([run.regularizer for run in runs], mode),
        clip=hyperparameters([run.clip for run in runs], mode),
        schedule=hyperparameters([run.schedule for run in runs], mode),
        optimizer=optimizer,
        alpha=alpha,
        signs=_spread_signs(sign_parameters(runs[0].model, blocks), mode),
        beside=_beside_steps(runs, mode, blocks),
    )


def _spread_signs(signs: Floats | None, mode: str) -> Floats:
    """`updates.Hyper.signs` of signs (P,)."""
    if signs is None:
        return aligned_zeros(1, WIDTH)
    spread = aligned_zeros(signs.size if mode == LANES else -(-signs.size // WIDTH), WIDTH)
    if mode == LANES:
        spread[:] = signs[:, None]
    else:
        spread.reshape(-1)[: signs.size] = signs
    return spread


def _beside_steps(runs: Sequence[Run], mode: str, blocks: Sequence[Parameter]) -> Floats:
    """`updates.Hyper.beside` of these lanes; generators are left to who knows the update."""
    only = runs[0].train.only
    trained = mark_trained(blocks, only) if only is not None else np.zeros(0)
    vectors = trained.size if mode == LANES else -(-trained.size // WIDTH)
    beside = aligned_zeros((BESIDE_ROWS + vectors) * WIDTH)
    rows = beside.reshape(-1, WIDTH)
    if mode == LANES:
        rows[TRAINED:] = trained[:, None]
    else:
        beside[TRAINED * WIDTH :][: trained.size] = trained
    if any(decays(run) for run in runs):
        fill_lanes(rows[DECAY], [run.optimizer.weight_decay for run in runs], mode)  # type: ignore[attr-defined]
    if any(is_noisy(run) for run in runs):
        fill_lanes(rows[ETA], [run.optimizer.noise for run in runs], mode)  # type: ignore[attr-defined]
        fill_lanes(rows[GAMMA], [run.optimizer.noise_decay for run in runs], mode)  # type: ignore[attr-defined]
    return beside


class LaneBlock:
    """Parameters, optimizer state and data of some lanes, and their way through updates."""

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        workspace: Workspace,
        stream: Stream,
        parameters: Sequence[Floats],
        made: ShapeKernel | None = None,
        report: LaneReport | None = None,
    ) -> None:
        """parameters: (P,) of each run, to start from; made: the kernel that is made for their shape; report: of
        these lanes, None: their own.

        Where parameters keep to signs, R′ of `bptt.core.models.dale` is trained, and kept in a checkpoint.
        """
        first, mode, net = runs[0], workspace.mode, workspace.net
        self.runs, self.space, self._mode = runs, workspace, mode
        self._stream, self._seeds = stream, [seed_of(run, 1) for run in runs]
        blocks = list_parameters(first.model, first.task.inputs, first.task.outputs)
        self._count = parameter_count(blocks)
        self._batch = first.train.batch_size
        vectors = self._count if mode == LANES else -(-self._count // WIDTH)
        self._parameters, self._previous, self._gradient = (aligned_zeros(vectors, WIDTH) for _ in range(3))
        self._slots = aligned_zeros(max(first.optimizer.slots, 1) * vectors, WIDTH)
        self._solver = solver = find_solver(first)
        self._kept = aligned_zeros(1, WIDTH)
        self._room = aligned_zeros(0 if solver is None else solver.room(vectors), WIDTH)
        for place, row in enumerate(parameters):
            self._of_lane(self._parameters, place)[:] = row
        self._hyper = _side_by_side(runs, mode, blocks)
        self._decays, self._noisy = any(map(decays, runs)), any(map(is_noisy, runs))
        self._stirred = any(has_noise(run.model) for run in runs)
        self._numbers = model_numbers([run.model for run in runs], mode)
        self._signs = sign_parameters(first.model, blocks)
        self._drawn: int | None = None  # the update after which the generators of noise stand; None: at none
        held = find_constraint(first) is not None
        self._factors = Factors(runs, parameters, blocks) if held else None
        self._learning = Learning(
            parameters=as_mode(self._parameters, mode),
            gradient=as_mode(self._gradient, mode),
            previous=as_mode(self._previous, mode),
            slots=self._slots,
            factors=aligned_zeros(1) if self._factors is None else self._factors.memory,
            signed=as_mode(self._parameters if self._signs is None else aligned_zeros(*self._parameters.shape), mode),
            kept=as_mode(self._kept, mode),
            room=as_mode(self._room, mode),
        )
        self._shares = np.array([run.loss.weight / self._batch for run in runs])
        self._live_vector = aligned_zeros(1, WIDTH)
        self._live = self._live_vector[0, : len(runs)]
        self._live[:] = 1.0
        of_row = net.layers * net.slots * net.hidden
        self._left = report or LaneReport.begin(len(runs), net.timesteps, self._batch, of_row + net.outputs)
        states, parts = self._left.state, (len(runs), self._batch, net.layers, net.slots, net.hidden)
        self._states = states[..., :of_row].reshape(parts).transpose(0, 2, 1, 3, 4)
        self._outputs = states[..., of_row:].transpose(0, 2, 1)
        self._last_states = workspace.last_states[: len(runs), :, : self._batch, :, : net.hidden]
        self._last_outputs = workspace.last_outputs[: len(runs), :, : self._batch]
        self._report = aligned_zeros(REPORT_ROWS, WIDTH)
        self._packed = as_mode(aligned_zeros(made.shape.packed if made is not None else 0, WIDTH), mode)
        self._pages: list[Page] = []
        self._data: tuple[Any, ...] = ()
        for kernel in (train_updates, train_to_report, made):  # here, so that no update is said to have taken the time
            if kernel is not None:
                kernel.compile(mode)
        addresses = [kernel.address(mode) if kernel is not None else 0 for kernel in component_kernels(first)]
        self._addresses = Addresses(*addresses, *[product.address(UNITS) if held else 0])
        self._made = made
        self._squashed = list_squashed(first.model.cell.squashed, first.model.activation)
        settings = first.train
        self._stretch = Stretch(
            place=0,
            update=1,
            length=0,
            updates=settings.updates,
            truncation=settings.truncation or 0,
            alpha=alpha_row(first),
            loss=loss_row(first),
            size=self._count,
            iterations=0 if solver is None else solver.iterations,
            carry=settings.carry_state,
            measure=False,
            decays=self._decays,
            noisy=self._noisy,
            partly=settings.only is not None,
            stirred=self._stirred,
            signed=self._signs is not None,
            on_states=works_on_states(first.regularizer),
        )
        check_memory(parameters=self._parameters, previous=self._previous, gradient=self._gradient, slots=self._slots)

    def _of_lane(self, vectors: Floats, place: int) -> Floats:
        """(P,): one lane's numbers among vectors of parameters, as a view."""
        return vectors[:, place] if self._mode == LANES else vectors.reshape(-1)[: self._count]

    def _of_lanes(self, vectors: Floats) -> Floats:
        if self._mode == LANES:
            return np.array(vectors[:, : len(self.runs)].T, order="C")
        return self._of_lane(vectors, 0)[None].copy()

    @property
    def parameters(self) -> Floats:
        """(lanes, P), copied; those that keep to a sign have it."""
        return keep_signs(self._of_lanes(self._parameters), self._signs)

    @property
    def vectors(self) -> Floats:
        """(n, WIDTH): the parameters as kernels have them, in place."""
        return self._parameters

    @property
    def gradients(self) -> Floats:
        """(lanes, P) of the last update, after clipping and noise, copied."""
        return self._of_lanes(self._gradient)

    @property
    def states(self) -> Floats:
        """(lanes, batch, layers · slots · H + outputs): what the last update ended with, of each row, copied."""
        return self._left.state.copy()

    def freeze(self, place: int) -> None:
        """Train this lane no more."""
        self._live[place] = 0.0

    def train(self, since: int, update: int) -> LaneReport:
        """Train from update `since` (done already) to `update`, and report on each lane."""
        self._report[:], self._left.numbers[:] = 0.0, 0.0
        done, trained, began = since, max(int(np.count_nonzero(self._live)), 1), time.thread_time()
        while done < update and self._live.any():
            page = self._page(done)
            count = min(update, page.end) - done
            self._call(page, done, count, done + count == update)
            done += count
        self._left.seconds[:] = (time.thread_time() - began) / trained
        return self._left

    def _page(self, done: int) -> Page:
        if not self._pages or done >= self._pages[0].end or done < self._pages[0].first:
            self._pages = [self._stream.page(seed, done, self._batch) for seed in self._seeds]
            sets = [page.sequences for page in self._pages]
            if all(sequences is sets[0] for sequences in sets):
                sets = sets[:1]
            if not (self._data and len(sets) == 1 and self._data[0] is sets[0]):
                self._data = (sets[0], *sequence_arrays(sets))
            _, x, y, lengths, scored, alike = self._data
            rows = np.stack([page.rows for page in self._pages])
            self._taken = Data(x, y, lengths, scored, rows, self._shares, alike, self.space.places)
        return self._pages[0]

    def _call(self, page: Page, done: int, count: int, measure: bool) -> None:
        space, live, left = self.space, self._live_vector, self._left
        space.set_numbers(self._numbers)
        if self._stretch.carry:
            self._last_states[:], self._last_outputs[:] = self._states, self._outputs
        if self._mode == UNITS:
            live[0] = self._live[0]
        if (self._noisy or self._stirred) and done != self._drawn:
            self._draw_from(done)
        # Called as compiled: to find out the types of what it is given would take Numba longer than some updates.
        made = self._made if self._made is not None and (self._taken.alike or self._made.shape.masked) else None
        train_to_report.compile(self._mode).entry_point(
            0 if made is None else made.address(self._mode),
            train_updates.address(self._mode),
            *(self._addresses, space.sizes, space.trial_sizes, self._learning, self._packed, self._hyper, self._taken),
            self._stretch._replace(place=done - page.first, update=done + 1, length=count, measure=measure),
            *(space.memory, live, self._report, *self._squashed, left.numbers, left.saturated, left.flow, left.state),
        )
        self._drawn = done + count if live.any() else None  # where no lane is left, the kernel has stopped on its way

    def _draw_from(self, done: int) -> None:
        """Let the generators of noise stand where they do after so many updates."""
        model, rows = self.runs[0].model, self._hyper.beside.reshape(-1, WIDTH)
        of_states = count_noise(model, self.space.net.timesteps, self._batch)
        for stream, first, count in ((4, 0, self._count), (5, STATES, of_states)):
            words = rows[first : first + WORDS].reshape(-1).view(np.uint64).reshape(WIDTH, WORDS)
            for place, run in enumerate(self.runs):
                generator = Generator(seed_of(run, stream))
                generator.skip(done * count)
                words[place] = generator.words

    def saved(self, place: int) -> dict[str, Floats]:
        """All of a lane that changes while it is trained, for a checkpoint; the same whatever the mode."""
        return {name: view.copy() for name, view in self._changing(place).items()}

    def restore(self, place: int, saved: Mapping[str, Floats]) -> None:
        """Let a lane go on from what `saved` gave; raises ValueError where a shape differs."""
        for name, view in self._changing(place).items():
            if saved[name].shape != view.shape:
                raise ValueError(
                    f"the checkpoint's {name} have shape {saved[name].shape}, this training's {view.shape}"
                )
            view[...] = saved[name]

    def _changing(self, place: int) -> dict[str, Floats]:
        slots = self._slots.reshape(-1, *self._parameters.shape)
        return {
            "parameters": self._of_lane(self._parameters, place),
            "slots": slots[..., place] if self._mode == LANES else slots.reshape(len(slots), -1)[:, : self._count],
            "live": self._live[place : place + 1],
            "states": self._states[place],
            "outputs": self._outputs[place],
            **({} if self._factors is None else {"factors": self._factors.of_lane(place)}),
            **({} if self._solver is None else {"kept": self._kept[:, place]}),
        }


def single_lane(run: Run, stream: Stream, parameters: Floats, mode: str = UNITS) -> LaneBlock:
    """One run alone, in either mode."""
    sequences = stream.page(seed_of(run, 1), 0, run.train.batch_size).sequences
    workspace = Workspace(training_layout(run, sequences, mode), mode, tries=find_solver(run) is not None)
    return LaneBlock([run], workspace=workspace, stream=stream, parameters=[parameters])


def made_for_training(run: Run, modes: Iterable[str], planned: int) -> Iterator[tuple[ShapeKernel, str]]:
    """The kernels, each with its mode, that are made for the shape of such runs; planned: as of `find_kernel`."""
    if may_have_kernel(run):  # or no sequences are drawn
        sequences = run.task.training().page(seed_of(run, 1), 0, run.train.batch_size).sequences
        for mode in sorted(modes):
            kernel = find_kernel(run, training_layout(run, sequences, mode), are_alike([sequences]), planned)
            if kernel is not None:
                yield kernel, mode


class FusedRuns:
    """Parameters, optimizer state and data of runs that fuse, and their way through updates."""

    def __init__(self, runs: Sequence[Run], blocks: tuple[Parameter, ...], planned: int) -> None:
        """blocks: the parameter blocks of the runs' networks; planned: updates of all lanes, as of `find_kernel`."""
        first, batch = runs[0], runs[0].train.batch_size
        stream = first.task.training()
        if hasattr(stream, "until"):
            stream = stream.until(first.train.updates)
        spaces, made = dict[str, Workspace](), dict[str, ShapeKernel | None]()
        sequences = stream.page(seed_of(first, 1), 0, batch).sequences
        self._blocks: list[LaneBlock] = []
        self.timesteps = sequences.timesteps
        cell = first.model.cell
        numbers = first.model.layers * cell.slots * first.model.hidden_size + first.task.outputs
        self._report = LaneReport.begin(len(runs), self.timesteps, batch, numbers)
        for mode, lanes in blocks_of_lanes(first.model, batch, len(runs)):
            if mode not in spaces:
                layout, tries = training_layout(first, sequences, mode), find_solver(first) is not None
                spaces[mode] = Workspace(layout, mode, tries=tries)
                made[mode] = find_kernel(deciding_run(runs), layout, are_alike([sequences]), planned)
            block = [runs[lane] for lane in lanes]
            start = [draw_start(run, blocks) for run in block]
            own = self._report.of(slice(lanes.start, lanes.stop))
            self._blocks.append(
                LaneBlock(block, workspace=spaces[mode], stream=stream, parameters=start, made=made[mode], report=own)
            )
        self._places = [(block, place) for block in self._blocks for place in range(len(block.runs))]

    def train(self, since: int, update: int) -> LaneReport:
        """Train from update `since` (done already) to `update`, and report on each lane, until the next call."""
        for block in self._blocks:
            block.train(since, update)
        return self._report

    @property
    def parameters(self) -> Floats:
        """(lanes, P), copied."""
        return np.concatenate([block.parameters for block in self._blocks])

    @property
    def states(self) -> Floats:
        """(lanes, batch, …): what the last update ended with, as `Record.state`."""
        return self._report.state.copy()

    def freeze(self, lane: int) -> None:
        """Train this lane no more."""
        block, place = self._places[lane]
        block.freeze(place)

    def saved(self) -> dict[str, Floats]:
        """All that changes while lanes are trained, lanes first."""
        lanes = [block.saved(place) for block, place in self._places]
        return {name: np.stack([lane[name] for lane in lanes]) for name in lanes[0]}

    def restore(self, saved: Mapping[str, Floats]) -> None:
        """Go on from what `saved` gave; raises ValueError where a shape differs."""
        for lane, (block, place) in enumerate(self._places):
            block.restore(place, {name: arrays[lane] for name, arrays in saved.items()})
