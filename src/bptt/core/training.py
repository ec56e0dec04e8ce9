"""Training as a pure function: components, lanes and seeds in, records out. Nothing is logged or written here.

`Training.checkpoint()` gives arrays that have the lanes on their first axis, but for those in `COMMON`; so some lanes
can go on alone (`select_lanes`), or those of several trainings together (`join_checkpoints`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.core.elementwise import log_each
from bptt.core.evaluation import (
    Evaluation,
    SetToSee,
    count_evaluated,
    evaluate_chunks,
    find_baselines,
    list_scores,
    list_sets,
    made_for_evaluation,
    name_in,
)
from bptt.core.kernel import LANES, UNITS, Kernel
from bptt.core.lane_block import FusedRuns, made_for_training
from bptt.core.lane_report import LaneReport, train_to_report
from bptt.core.lanes import blocks_of_lanes, component_kernels, fusing_key, recorded_updates
from bptt.core.measurements.measurement import Measurement, Snapshot, measure_all, shipped_measurements
from bptt.core.metrics import SLOPES, decay_rate
from bptt.core.parameters import list_parameters, to_named
from bptt.core.products import product
from bptt.core.random import DRAWS, Generator
from bptt.core.records.fits import list_fits
from bptt.core.records.history import LaneHistory, Points
from bptt.core.records.keeping import ImprovementWatch, KeptNetworks, KeptParameters
from bptt.core.records.right import count_right
from bptt.core.regularizers.omega import OMEGA_METRIC, find_measured_omega
from bptt.core.run import Record, Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.core.shapes.training import deciding_run
from bptt.core.updates import train_updates

Checkpoint = Mapping[str, NDArray[Any]]


#: What holds for all lanes alike: how many updates were recorded, and which.
COMMON = frozenset({"next", "history.update"})


def select_lanes(checkpoint: Checkpoint, lanes: Sequence[int]) -> dict[str, NDArray[Any]]:
    """These lanes alone, in this order."""
    return {name: array if name in COMMON else array[list(lanes)] for name, array in checkpoint.items()}


def join_checkpoints(checkpoints: Sequence[Checkpoint]) -> dict[str, NDArray[Any]]:
    """All lanes of trainings of runs that fuse, one training's after the other's.

    Raises ValueError unless all have reached the same update.
    """
    first = checkpoints[0]
    if any(not np.array_equal(first[name], other[name]) for name in COMMON for other in checkpoints[1:]):
        raise ValueError("only trainings that have reached the same update can be joined")
    return {
        name: array if name in COMMON else np.concatenate([checkpoint[name] for checkpoint in checkpoints])
        for name, array in first.items()
    }


_OUTCOMES: tuple[Literal["completed", "early_stopped", "diverged"], ...] = ("completed", "early_stopped", "diverged")

_EARLY_STOPPED, _DIVERGED = 1, 2
_LANE = "lane."  # in a checkpoint: what the lane's block keeps of it
_TEST = "test."  # in a checkpoint: what the test set gave, where a lane has ended


#: What is recorded beside measurements and a regularizer's own, as `bptt.core.metrics` defines it; accuracy/eval only
#: where the task has a notion of right, accuracy/all_right only where it tells sequences with every target right.
METRICS = (
    "loss/train",
    "loss/eval",
    "accuracy/eval",
    "accuracy/all_right",
    "grad/norm",
    "grad/clipped",
    "grad/decay",
    "update/ratio",
    "activations/saturation",
)

#: What a run has cost until a recorded update: gradient evaluations, and seconds of processor time.
WORK = ("work/gradients", "work/seconds")


def kernels_of(runs: Sequence[Run], planned: int | None = None) -> list[tuple[Kernel, str]]:
    """The kernels, each with its mode, that training these runs side by side calls; planned: as of `Training`."""
    return [*general_kernels_of(runs), *made_kernels_of(runs, planned)]


def general_kernels_of(runs: Sequence[Run]) -> list[tuple[Kernel, str]]:
    """Those of `kernels_of` that serve all shapes."""
    return general_kernels_in(runs[0], _modes_of(runs))


def made_kernels_of(runs: Sequence[Run], planned: int | None = None) -> list[tuple[Kernel, str]]:
    """Those of `kernels_of` that are made for a shape; to find them calls kernels that draw sequences."""
    return made_kernels_in(deciding_run(runs), _modes_of(runs), count_updates(runs) if planned is None else planned)


def _modes_of(runs: Sequence[Run]) -> set[str]:
    return {mode for mode, _ in blocks_of_lanes(runs[0].model, runs[0].train.batch_size, len(runs))}


def kernels_in(run: Run, modes: Iterable[str], planned: int) -> list[tuple[Kernel, str]]:
    """The kernels, each with its mode, that training such runs calls in these modes."""
    return [*general_kernels_in(run, modes), *made_kernels_in(run, modes, planned)]


def general_kernels_in(run: Run, modes: Iterable[str]) -> list[tuple[Kernel, str]]:
    """The kernels for all shapes, each with its mode, that training such runs calls or may call in these modes."""
    components = [kernel for kernel in component_kernels(run) if kernel is not None]
    kernels = (product, *components, evaluate_chunks, train_updates, train_to_report)
    measured = [called for measurement in shipped_measurements() for called in measurement.kernels]
    own = [(kernel, mode) for kernel in kernels for mode in sorted(modes)]
    return [*own, *measured, *DRAWS, *SLOPES, (log_each, LANES), (count_right, UNITS)]


def made_kernels_in(run: Run, modes: Iterable[str], planned: int) -> list[tuple[Kernel, str]]:
    """The kernels made for the shape of such runs, each with its mode."""
    return [*made_for_training(run, modes, planned), *made_for_evaluation(run, modes, planned)]


def count_updates(runs: Sequence[Run]) -> int:
    """Updates of all lanes of runs that fuse."""
    return runs[0].train.updates * len(runs)


def needs_compiling(blocks: Iterable[Sequence[Run]], planned: int | None = None) -> bool:
    """Whether a kernel must be compiled before such blocks of runs can be trained: the first time ever on a machine.

    planned: as of `Training`, of each block.
    """
    blocks = [*blocks]
    general = {called for runs in blocks for called in general_kernels_of(runs)}
    if not all(kernel.is_ready(mode) for kernel, mode in general):
        return True  # and nothing is drawn, for which kernels may be missing
    return not all(kernel.is_ready(mode) for runs in blocks for kernel, mode in made_kernels_of(runs, planned))


class Training:
    """Runs that fuse, trained side by side from one recorded update to the next.

    Raises ValueError when the runs don't fuse (see `lanes.fusing_key`). A lane among others has the same bits as its
    run alone; one that goes on from `checkpoint()`, also with some of the lanes or with those of other trainings beside
    them (`bptt.core.training`), has the same bits as one that was not interrupted.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        checkpoint: Checkpoint | None = None,
        measurements: Sequence[Measurement] | None = None,
        planned: int | None = None,
    ) -> None:
        """measurements: of recorded updates, those of `train.measure` among them; None: those that are shipped.

        planned: updates of all lanes in the long run, by which it is decided whether a kernel is made for their shape,
        which changes no bit; None: those of these runs.
        """
        if len({fusing_key(run) for run in runs}) != 1:
            raise ValueError("only runs that differ in seed, init and per-lane hyperparameters can be trained together")
        self.runs = list(runs)
        self.first = first = self.runs[0]
        self.points = recorded_updates(first.train.updates, first.train.log_points, first.train.log_spacing)
        self.blocks = list_parameters(first.model, first.task.inputs, first.task.outputs)
        planned = count_updates(runs) if planned is None else planned
        self._lanes = FusedRuns(self.runs, self.blocks, planned)
        sets = [first.task.evaluation(self._generator(lane, 2)) for lane in range(len(self.runs))]
        self._models = [run.model for run in self.runs]
        evaluated = count_evaluated(first.train, sets[0].count, planned)
        batch = first.train.batch_size
        self._evaluation = Evaluation(first.model, first.loss, sets, batch, evaluated, self._models)
        self._scores = list_scores(first.task, sets[0])
        self._measurements = shipped_measurements() if measurements is None else measurements
        measured = [name for measurement in self._measurements for name in measurement.names]
        if lacking := [name for name in first.train.measure if not any(own.endswith(f"/{name}") for own in measured)]:
            raise ValueError(f"train.measure={list(lacking)}: not among the measurements that were given")
        names = [name for name in METRICS if name in self._scores or not name.startswith("accuracy/")]
        self._said = [first.regularizer.metric] if hasattr(first.regularizer, "metric") else []
        self._omega = [OMEGA_METRIC] if find_measured_omega(first) is not None else []
        # A history's columns keep their order.
        self._names = [*names[:-1], *measured, names[-1], *self._said, *self._omega, *WORK]
        if len(set(self._names)) < len(self._names):
            raise ValueError(f"two metrics have the same name: {', '.join(sorted(self._names))}")
        self._next = 0
        self._history = LaneHistory(self._names, len(self.points), len(self.runs), self._lanes.timesteps)
        self._weights = np.array([run.loss.weight for run in self.runs])
        self._outcome = np.zeros(len(self.runs), np.int64)
        self._ended = np.zeros(len(self.runs), np.int64)  # the update at which a lane ended; 0: it is trained
        self._work = {name: np.zeros(len(self.runs)) for name in WORK}
        self._baselines = find_baselines(self.runs)
        self._fits = list_fits(first)
        self._tested = {name: score for name, score in self._scores.items() if name == "accuracy/eval"} | self._fits
        self._sets = list(list_sets(first.task))
        names = [name_in(name, own.part) for own in self._sets for name in ("loss/eval", *self._tested)]
        self._tests = {
            name: np.full(len(self.runs), np.nan) for name in (*names, *self._fits)
        }  # nan of a lane that was not tested
        # Kept here because a block goes on computing the states of lanes that have ended.
        self._states = self._lanes.states
        self._kept = KeptParameters(first.train, self._lanes.parameters)
        self._networks = KeptNetworks(first.train, self._lanes.parameters, self._states)
        self._patience = ImprovementWatch(self.runs)
        if checkpoint is not None:
            self._restore(checkpoint)

    @property
    def update(self) -> int:
        """The update that training has reached."""
        return int(self.points[self._next - 1]) if self._next else 0

    def advance(self) -> Points | None:
        """Train all lanes to the next recorded update and say what was recorded; None when nothing is left to do."""
        if self._next == len(self.points) or self._ended.all():
            return None
        since, update, going_on = self.update, int(self.points[self._next]), self._ended == 0
        points = self._recorded(self._lanes.train(since, update), since, update)
        self._next += 1
        self._stop_early(points)
        if self._next == len(self.points):
            self._ended[self._ended == 0] = update
        self._look_back(going_on & self._over)
        return points

    @property
    def _over(self) -> NDArray[np.bool_]:
        """(lanes,): which came to their end with a network to look at: have not diverged, or kept one from before."""
        return (self._ended > 0) & ((self._outcome != _DIVERGED) | (self._networks.update > 0))

    def _look_back(self, wanted: NDArray[np.bool_]) -> None:
        """See how well the networks that these lanes keep fit their evaluation sets, and what test sets say of them."""
        if not wanted.any():
            return
        thetas, kept = self._networks.choose(self._lanes.parameters, self._states)
        states = kept if self.first.train.carry_state else None
        if self._fits:
            seen = self._evaluate(self._evaluation, range(len(self.runs)), thetas, states, wanted, self._fits)
            for name in self._fits:
                self._tests[name] = np.where(wanted, seen[name], self._tests[name])
        for own in self._sets:
            self._test(own, wanted, thetas, states)

    def _test(self, own: SetToSee, wanted: NDArray[np.bool_], thetas: Floats, states: Floats | None) -> None:
        """Look at such sets of these lanes, some at a time: sets of all at once would fill the memory."""
        first, batch = self.first, self.first.train.batch_size
        # Blocks as those of the training, for which there are kernels.
        for _, block in blocks_of_lanes(first.model, batch, len(self.runs)):
            lanes = np.array(block)
            if not wanted[lanes].any():
                continue
            drawn = {lane: own.draw(self.runs[lane]) for lane in lanes[wanted[lanes]]}
            some = next(iter(drawn.values()))
            if some is None:
                return
            sets = [drawn.get(lane) or some for lane in lanes]
            evaluation = Evaluation(first.model, first.loss, sets, batch, models=self._models[block.start : block.stop])
            seen = self._evaluate(evaluation, block, thetas, states, wanted, self._tested)
            for name, values in seen.items():
                kept = self._tests[name_in(name, own.part)]
                kept[lanes] = np.where(wanted[lanes], values, kept[lanes])

    def _generator(self, lane: int, stream: int) -> Generator:
        return Generator(seed_of(self.runs[lane], stream))

    def _evaluate(
        self,
        evaluation: Evaluation,
        lanes: range,
        thetas: Floats,
        states: Floats | None,
        wanted: NDArray[np.bool_],
        scores: Mapping[str, Callable[[Floats, Sequences], Any]],
    ) -> dict[str, Floats]:
        """loss/eval and scores, (lanes,) each, of lanes that have sets in `evaluation`; of those not wanted, any."""
        place = slice(lanes.start, lanes.stop)
        found = {name: np.full(len(lanes), np.nan) for name in ("loss/eval", *scores)}
        given = None if states is None else states[place]
        weights = self._weights[place]
        for some, sequences, loss, output in evaluation.by_part(thetas[place], given, wanted[place]):
            found["loss/eval"][some] = weights[some] * loss
            for name, score in scores.items():
                shares = np.asarray(score(output, sequences))
                if shares.shape != loss.shape:
                    said = f"task.{score.__name__} gave shape {shares.shape}"
                    raise ValueError(f"{said} for outputs of shape {output.shape}")
                found[name][some] = shares
        return found

    def _recorded(self, report: LaneReport, since: int, update: int) -> Points:
        running = self._ended == 0
        self._work["work/gradients"][running] += update - since + report.evaluations[running]
        self._work["work/seconds"][running] += report.seconds[running]
        diverged = running & (report.diverged_at > 0)
        self._outcome[diverged], self._ended[diverged] = _DIVERGED, report.diverged_at[diverged]
        self._states[diverged] = np.nan
        sound = self._ended == 0
        which: Any = slice(None) if sound.all() else sound
        self._states[which] = report.state[which]
        points = self._history.begin(self._next, update)
        metrics, flow = points.metrics, points.flow
        metrics["loss/train"][diverged] = report.diverged_loss[diverged]
        flow[which] = report.flow[which]
        if sound.any():
            thetas = self._lanes.parameters
            self._kept.keep(update, thetas, which)
            for name, values in self._seen(report, thetas, sound, update - since).items():
                metrics[name][which] = values[which]
            snapshot = self._snapshot(update, thetas[which], self._states[which], sound)
            for name, values in measure_all(self._measurements, snapshot).items():
                metrics[name][which] = values
            self._networks.take(update, metrics, thetas, self._states, sound)
        metrics["grad/decay"][:] = decay_rate(flow)
        points.recorded[:], points.lane_update[:] = running, np.where(sound, update, self._ended)
        return points

    def _snapshot(self, update: int, thetas: Floats, states: Floats, sound: NDArray[np.bool_]) -> Snapshot:
        runs = self.runs if sound.all() else [self.runs[lane] for lane in np.flatnonzero(sound)]
        return Snapshot(runs, update, self.blocks, thetas, states)

    def _seen(self, report: LaneReport, thetas: Floats, sound: NDArray[np.bool_], updates: int) -> dict[str, Floats]:
        """Metrics (lanes,) of the sound lanes; of the others something."""
        states = self._states if self.first.train.carry_state else None
        return {
            "loss/train": report.loss,
            **self._evaluate(self._evaluation, range(len(self.runs)), thetas, states, sound, self._scores),
            "grad/norm": report.gradient_norm,
            "grad/clipped": report.clipped / updates,
            "update/ratio": report.update_ratio,
            "activations/saturation": report.saturation,
            **dict.fromkeys(self._said, report.penalty),
            **dict.fromkeys(self._omega, report.omega),
            **self._work,
        }

    def _stop_early(self, points: Points) -> None:
        metric = self.first.train.early_stop.metric
        if metric is None:
            return
        values, running = points.metrics[metric], self._ended == 0
        thresholds = np.array([run.train.early_stop.reached_at for run in self.runs])
        reached = values >= thresholds if metric == "accuracy/eval" else values <= thresholds
        reached |= self._patience.take(values, running)
        for lane in np.flatnonzero(reached & running):
            self._lanes.freeze(int(lane))
            self._outcome[lane], self._ended[lane] = _EARLY_STOPPED, points.update

    def records(self) -> list[Record]:
        """What each run has left so far; whole once `advance()` returned None."""
        thetas, states = self._networks.choose(self._lanes.parameters, self._states)
        history = self._history.by_lane(self._next)
        return [
            self._record(lane, *network, *next(history))
            for lane, network in enumerate(zip(thetas, states, strict=True))
        ]

    def _record(self, lane: int, flat: Floats, state: Floats, history: dict[str, NDArray[Any]], flow: Floats) -> Record:
        return Record(
            outcome=_OUTCOMES[self._outcome[lane]],
            updates=int(self._ended[lane]) or self.update,
            history=history,
            flow=flow,
            parameters=to_named(self.blocks, flat),
            state=state.copy(),
            once={name: float(tests[lane]) for name, tests in self._tests.items() if not np.isnan(tests[lane])}
            | self._baselines[lane]
            | self._networks.describe(lane, history),
            snapshots=self._kept.of_lane(lane, self.blocks),
        )

    def checkpoint(self) -> dict[str, NDArray[Any]]:
        """All that is needed to go on with the same bits, as plain arrays; see the `checkpoint` argument."""
        saved: dict[str, NDArray[Any]] = {
            "next": np.array(self._next),
            "history.update": self.points[: self._next].copy(),
            "outcome": self._outcome.copy(),
            "ended": self._ended.copy(),
            "states": self._states.copy(),
            **self._history.saved(self._next),
            **self._kept.saved(self.update),
            **self._networks.saved(),
            **self._patience.saved(),
            **{name: values.copy() for name, values in self._work.items()},
        }
        saved |= {_TEST + name: values.copy() for name, values in self._tests.items()}
        return saved | {_LANE + name: arrays for name, arrays in self._lanes.saved().items()}

    def _restore(self, saved: Checkpoint) -> None:
        if saved["outcome"].shape != self._outcome.shape:
            raise ValueError(f"the checkpoint has {saved['outcome'].size} lanes, this training {len(self.runs)}")
        self._next = int(saved["next"])
        self._outcome, self._ended, self._states = (saved[key].copy() for key in ("outcome", "ended", "states"))
        self._work = {name: saved[name].copy() for name in WORK}
        self._history.restore(saved, self._next)
        self._kept.restore(saved)
        self._networks.restore(saved)
        self._patience.restore(saved)
        self._tests |= {name: saved[_TEST + name].copy() for name in self._tests}
        own = {name.removeprefix(_LANE): arrays for name, arrays in saved.items() if name.startswith(_LANE)}
        self._lanes.restore(own)


def rescue_record(training: Training | None) -> Record | None:
    """What its first run recorded; None where it is nothing, or where an error left the training without sense."""
    try:
        record = None if training is None else training.records()[0]
    except Exception:
        return None
    return record if record is not None and len(record.history["update"]) else None


def train(runs: Sequence[Run]) -> list[Record]:
    """Train runs that fuse, to their end."""
    training = Training(runs)
    while training.advance() is not None:
        pass
    return training.records()
