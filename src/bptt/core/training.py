"""Training as a pure function: components, lanes and seeds in, records out. Nothing is logged or written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.core.blocks import parameter_blocks, parameter_count, to_named
from bptt.core.checkpoint import Checkpoint
from bptt.core.evaluation import EvaluationSet, evaluate_chunks
from bptt.core.kernel import LANES, SHARED
from bptt.core.lane_block import LaneBlock, LaneReport, mode_of
from bptt.core.lanes import fusing_key, recorded_updates
from bptt.core.layout import build_net
from bptt.core.run import Record, Run
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros
from bptt.core.stability import decay_rate, spectral_radius
from bptt.core.updates import train_updates

_OUTCOMES: tuple[Literal["completed", "early_stopped", "diverged"], ...] = ("completed", "early_stopped", "diverged")
_EARLY_STOPPED, _DIVERGED = 1, 2
_LANE = "lane."  # in a checkpoint: what the lane's block keeps of it

#: What is recorded, defined in `bptt.core.stability`; accuracy/eval only where the task has a notion of right.
METRICS = (
    "loss/train",
    "loss/eval",
    "accuracy/eval",
    "grad/norm",
    "grad/clipped",
    "grad/decay",
    "update/ratio",
    "weights/spectral_radius",
    "activations/saturation",
)


def _seed(run: Run, stream: int) -> np.random.SeedSequence:
    """The run's independent streams: 0 initialisation, 1 training data, 2 evaluation data."""
    return np.random.SeedSequence(entropy=run.seed, spawn_key=(stream,))


@dataclass(frozen=True)
class Points:
    """What was recorded at one update.

    update       the update, from 1
    metrics      name → (lanes,)
    flow         (lanes, timesteps), lag 0 first
    recorded     (lanes,): who recorded; a lane that had stopped before did not
    lane_update  (lanes,): the update of each lane's values; below `update` for a lane that diverged in between
    """

    update: int
    metrics: Mapping[str, Floats]
    flow: Floats
    recorded: NDArray[np.bool_]
    lane_update: NDArray[np.int64]


def kernels_of(run: Run) -> list[tuple[Any, str]]:
    """The kernels, each with its mode, that training this run calls."""
    mode = mode_of(run.train.batch_size)
    cell = run.model.cell
    called = [(k, mode) for k in (cell.forward, cell.backward, run.clip.kernel, run.optimizer.kernel, train_updates)]
    return [
        *called,
        (run.loss.kernel, mode),
        (run.loss.kernel, SHARED),
        (cell.forward, SHARED),
        (evaluate_chunks, SHARED),
    ]


def needs_compiling(runs: Sequence[Run]) -> bool:
    """Whether a kernel must be compiled before these runs can be trained: the first time ever on a machine."""
    return not all(kernel.is_ready(mode) for run in runs for kernel, mode in kernels_of(run))


class Training:
    """Runs that fuse, trained side by side from one recorded update to the next.

    Raises ValueError when the runs don't fuse (see `lanes.fusing_key`). A lane among others has the same bits as its
    run alone; one that goes on from `checkpoint()`, also with some of the lanes or with those of other trainings beside
    them (`bptt.core.checkpoint`), has the same bits as one that was not interrupted.
    """

    def __init__(self, runs: Sequence[Run], checkpoint: Checkpoint | None = None) -> None:
        if len({fusing_key(run) for run in runs}) != 1:
            raise ValueError("only runs that differ in seed, init and per-lane hyperparameters can be trained together")
        self.runs = list(runs)
        self.first = first = self.runs[0]
        self.points = recorded_updates(first.train.updates, first.train.log_points, first.train.log_spacing)
        self.blocks = parameter_blocks(first.model, first.task.inputs, first.task.outputs)
        mode = mode_of(first.train.batch_size)
        per_block = WIDTH if mode == LANES else 1
        stream = first.task.training()
        probe = stream.page(_seed(first, 1), 0, first.train.batch_size).sequences
        self.net = build_net(
            model=first.model,
            inputs=first.task.inputs,
            outputs=first.task.outputs,
            timesteps=probe.timesteps,
            rows=first.train.batch_size if mode == LANES else -(-first.train.batch_size // WIDTH),
            last_only=probe.last_only,
            fused=first.loss.fused,
        )
        memory = aligned_zeros(self.net.size, WIDTH)
        self._lane_blocks = [
            LaneBlock(
                self.runs[start : start + per_block],
                net=self.net,
                mode=mode,
                memory=memory,
                stream=stream,
                seeds=[_seed(run, 1) for run in self.runs[start : start + per_block]],
                parameters=[
                    run.init.parameters(_seed(run, 0), self.blocks) for run in self.runs[start : start + per_block]
                ],
                parameter_count=parameter_count(self.blocks),
            )
            for start in range(0, len(self.runs), per_block)
        ]
        self._evaluation = self._evaluation_sets()
        self._names = self._metric_names()
        self._next = 0
        self._history: list[Points] = []
        self._outcome = np.zeros(len(self.runs), np.int64)
        self._ended = np.zeros(len(self.runs), np.int64)  # the update at which a lane ended; 0: it is trained
        # Kept here because a block goes on computing the states of lanes that have ended.
        self._states = np.stack([block.state(place) for block, place in map(self._place, range(len(self.runs)))])
        if checkpoint is not None:
            self._restore(checkpoint)

    def _evaluation_sets(self) -> list[EvaluationSet]:
        sets: dict[int, EvaluationSet] = {}
        chosen = []
        for run in self.runs:
            sequences = self.first.task.evaluation(np.random.Generator(np.random.PCG64(_seed(run, 2))))
            if id(sequences) not in sets:
                sets[id(sequences)] = EvaluationSet(run.model, run.loss, sequences)
            chosen.append(sets[id(sequences)])
        return chosen

    def _metric_names(self) -> list[str]:
        evaluation = self._evaluation[0].sequences
        without = self.first.task.accuracy(np.zeros(evaluation.y.shape), evaluation) is None
        return [name for name in METRICS if not (without and name == "accuracy/eval")]

    @property
    def update(self) -> int:
        """The update that training has reached."""
        return int(self.points[self._next - 1]) if self._next else 0

    def advance(self) -> Points | None:
        """Train all lanes to the next recorded update and say what was recorded; None when nothing is left to do."""
        if self._next == len(self.points) or self._ended.all():
            return None
        since, update = self.update, int(self.points[self._next])
        reports = [report for block in self._lane_blocks for report in block.train(since, update)]
        points = self._recorded(reports, since, update)
        self._history.append(points)
        self._next += 1
        self._stop_early(points)
        if self._next == len(self.points):
            self._ended[self._ended == 0] = update
        return points

    def _recorded(self, reports: list[LaneReport], since: int, update: int) -> Points:
        lanes, running = len(self.runs), self._ended == 0
        metrics = {name: np.full(lanes, np.nan) for name in self._names}
        flow = np.full((lanes, self.net.timesteps), np.nan)
        lane_update = np.where(running, update, self._ended)
        for lane in np.flatnonzero(running).tolist():
            report = reports[lane]
            if report.diverged_at:
                self._outcome[lane], self._ended[lane] = _DIVERGED, report.diverged_at
                lane_update[lane] = report.diverged_at
                metrics["loss/train"][lane] = report.diverged_loss
                self._states[lane] = np.nan
        sound = np.flatnonzero(self._ended == 0).tolist()
        if sound:
            thetas = np.stack([block.lane_parameters(place) for block, place in map(self._place, sound)])
            metrics["weights/spectral_radius"][sound] = spectral_radius(self.first.model, self.blocks, thetas)
            for lane, theta in zip(sound, thetas, strict=True):
                report = reports[lane]
                flow[lane], self._states[lane] = report.flow, report.state
                for name, value in self._lane_metrics(lane, theta, report, update - since).items():
                    metrics[name][lane] = value
        metrics["grad/decay"] = decay_rate(flow)
        return Points(update, metrics, flow, running, lane_update)

    def _lane_metrics(self, lane: int, theta: Floats, report: LaneReport, updates: int) -> dict[str, float]:
        evaluation, task = self._evaluation[lane], self.first.task
        loss, output = evaluation.evaluate(theta, report.state if self.first.train.carry_state else None)
        accuracy = task.accuracy(output, evaluation.sequences)
        return {
            "loss/train": report.loss,
            "loss/eval": loss * self.runs[lane].loss.weight,
            **({} if accuracy is None else {"accuracy/eval": accuracy}),
            "grad/norm": report.gradient_norm,
            "grad/clipped": report.clipped / updates,
            "update/ratio": report.update_ratio,
            "activations/saturation": report.saturation,
        }

    def _place(self, lane: int) -> tuple[LaneBlock, int]:
        block, place = divmod(lane, len(self._lane_blocks[0].runs))
        return self._lane_blocks[block], place

    def _stop_early(self, points: Points) -> None:
        metric = self.first.train.early_stop.metric
        if metric is None:
            return
        values = points.metrics[metric]
        thresholds = np.array([run.train.early_stop.threshold for run in self.runs])
        reached = values >= thresholds if metric == "accuracy/eval" else values <= thresholds
        for lane in np.flatnonzero(reached & (self._ended == 0)):
            block, place = self._place(int(lane))
            block.freeze(place)
            self._outcome[lane], self._ended[lane] = _EARLY_STOPPED, points.update

    def records(self) -> list[Record]:
        """What each run has left so far; whole once `advance()` returned None."""
        return [self._record(lane) for lane in range(len(self.runs))]

    def _record(self, lane: int) -> Record:
        seen = [points for points in self._history if points.recorded[lane]]
        block, place = self._place(lane)
        return Record(
            outcome=_OUTCOMES[self._outcome[lane]],
            updates=int(self._ended[lane]) or self.update,
            history={
                "update": np.array([points.lane_update[lane] for points in seen], np.int64),
                **{name: np.array([points.metrics[name][lane] for points in seen]) for name in self._names},
            },
            flow=np.array([points.flow[lane] for points in seen]).reshape(len(seen), self.net.timesteps),
            parameters=to_named(self.blocks, block.lane_parameters(place)),
            state=self._states[lane].copy(),
        )

    def checkpoint(self) -> dict[str, NDArray[Any]]:
        """All that is needed to go on with the same bits, as plain arrays; see the `checkpoint` argument."""
        history = self._history
        saved: dict[str, NDArray[Any]] = {
            "next": np.array(self._next),
            "history.update": np.array([points.update for points in history], np.int64),
            "outcome": self._outcome.copy(),
            "ended": self._ended.copy(),
            "states": self._states.copy(),
            "history.flow": self._lanes_first([points.flow for points in history], self.net.timesteps),
            "history.recorded": self._lanes_first([points.recorded for points in history]),
            "history.lane_update": self._lanes_first([points.lane_update for points in history]),
        }
        for name in self._names:
            saved[f"metric.{name}"] = self._lanes_first([points.metrics[name] for points in history])
        lanes = [block.saved(place) for block, place in map(self._place, range(len(self.runs)))]
        return saved | {_LANE + name: np.stack([lane[name] for lane in lanes]) for name in lanes[0]}

    def _lanes_first(self, points: Sequence[NDArray[Any]], *shape: int) -> NDArray[Any]:
        return np.array(points).reshape(len(points), len(self.runs), *shape).swapaxes(0, 1)

    def _restore(self, saved: Checkpoint) -> None:
        if saved["outcome"].shape != self._outcome.shape:
            raise ValueError(f"the checkpoint has {saved['outcome'].size} lanes, this training {len(self.runs)}")
        self._next = int(saved["next"])
        self._outcome, self._ended, self._states = (saved[key].copy() for key in ("outcome", "ended", "states"))
        self._history = [
            Points(
                int(update),
                {name: saved[f"metric.{name}"][:, point] for name in self._names},
                saved["history.flow"][:, point],
                saved["history.recorded"][:, point],
                saved["history.lane_update"][:, point],
            )
            for point, update in enumerate(saved["history.update"])
        ]
        own = {name.removeprefix(_LANE): arrays for name, arrays in saved.items() if name.startswith(_LANE)}
        for lane in range(len(self.runs)):
            block, place = self._place(lane)
            block.restore(place, {name: arrays[lane] for name, arrays in own.items()})


def train(runs: Sequence[Run]) -> list[Record]:
    """Train runs that fuse, to their end."""
    training = Training(runs)
    while training.advance() is not None:
        pass
    return training.records()
