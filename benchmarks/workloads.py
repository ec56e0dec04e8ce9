"""What is trained, as runs for us and as plain arrays for the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bptt.core.blocks import parameter_blocks, to_named
from bptt.core.clips.none import NoClip
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.inits.torch import Torch
from bptt.core.inits.uniform import Uniform
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.models.elman import Elman
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.run import Run, Settings
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.adder import Adder
from bptt.tasks.sine import Sine

_EVALUATED = 16  # sequences of the evaluation: enough to exist, too few to count


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One row of the table: `run(seed, updates, log_points)` in `lanes` lanes that differ in their seeds.

    targets: how many times our time each of the others should take at least.
    """

    name: str
    run: Callable[[int, int, int], Run]
    lanes: int
    targets: Mapping[str, float] = field(default_factory=dict)

    def runs(self, updates: int, log_points: int) -> list[Run]:
        return [self.run(seed, updates, log_points) for seed in range(self.lanes)]


@dataclass(frozen=True, kw_only=True)
class Bits:
    """LEFTBIT in windows of one length: 7 random bits, the target of each is the one before, the first isn't scored."""

    timesteps: int = 7
    stream: int = 256

    @property
    def inputs(self) -> int:
        return 1

    @property
    def outputs(self) -> int:
        return 1

    def _windows(self, rng: np.random.Generator, count: int) -> Sequences:
        bits = rng.integers(2, size=count + self.timesteps - 1).astype(float)
        x = np.ascontiguousarray(sliding_window_view(bits, self.timesteps)[:, :, None])
        y = np.zeros_like(x)
        y[:, 1:] = x[:, :-1]
        return Sequences(x, y, scored=np.arange(self.timesteps) > 0)

    def training(self) -> Pool:
        return Pool(self._windows(np.random.default_rng(0), self.stream), "random")

    def evaluation(self, rng: np.random.Generator) -> Sequences:
        return self._windows(rng, _EVALUATED)

    def accuracy(self, output: Floats, sequences: Sequences) -> None:  # noqa: ARG002 (none is needed)
        return None


def adder(seed: int, updates: int, log_points: int) -> Run:
    """T 8, H 16, batch 1, plain gradient descent."""
    return Run(
        task=Adder(bits=7, eval_size=_EVALUATED, readout="sigmoid"),
        model=Elman(hidden_size=16, layers=1, activation="sigmoid", bias="none", readout="sigmoid"),
        init=Initialisation(Uniform(scale=1.0)),
        loss=SquaredError(weight=0.5),
        optimizer=Sgd(alpha=0.1),
        clip=NoClip(),
        train=Settings(updates=updates, log_points=log_points),
        seed=seed,
    )


def leftbit(seed: int, updates: int, log_points: int) -> Run:
    """T 7, H 3, batch 1, momentum, a gradient of one timestep, the state carried over."""
    return Run(
        task=Bits(),
        model=Elman(hidden_size=3, layers=1, activation="sigmoid", bias="single", readout="sigmoid"),
        init=Initialisation(Normal(scale=2.0)),
        loss=BinaryCrossEntropy(weight=1 / 13),
        optimizer=Momentum(alpha=0.1, epsilon=0.3),
        clip=NoClip(),
        train=Settings(updates=updates, log_points=log_points, truncation=1, carry_state=True),
        seed=seed,
    )


def sine(seed: int, updates: int, log_points: int) -> Run:
    """T 20, H 32, batch 32, Adam, tanh and PyTorch's two biases."""
    return Run(
        task=Sine(amplitude=1.0, step=0.5, window=20, windows=1600, eval_size=_EVALUATED, readout="identity"),
        model=Elman(hidden_size=32, layers=1, activation="tanh", bias="double", readout="identity"),
        init=Initialisation(Torch(scale=1.0)),
        loss=SquaredError(weight=1.0),
        optimizer=Adam(alpha=0.001, beta1=0.9, beta2=0.999, small_constant=1e-8),
        clip=NoClip(),
        train=Settings(updates=updates, log_points=log_points, batch_size=32),
        seed=seed,
    )


WORKLOADS = (
    Workload(name="adder", run=adder, lanes=1, targets={"torch": 100, "jax": 2}),
    Workload(name="adder", run=adder, lanes=64, targets={"jax": 1}),
    Workload(name="adder", run=adder, lanes=256, targets={"jax": 1}),
    Workload(name="leftbit", run=leftbit, lanes=1, targets={"torch": 200}),
    Workload(name="leftbit", run=leftbit, lanes=64, targets={"jax": 1}),
    Workload(name="leftbit", run=leftbit, lanes=256, targets={"jax": 1}),
    Workload(name="sine", run=sine, lanes=1),
    Workload(name="sine", run=sine, lanes=16, targets={"jax": 1}),
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A workload as arrays: where training starts, and what each update sees. U updates, L lanes, B rows.

    run         any of the runs: they differ in their seeds only
    parameters  name → (L, …)
    x           (U, L, T, B, inputs)
    y           (U, L, S, B, outputs): the targets of the last S timesteps, the scored ones
    """

    run: Run
    parameters: Mapping[str, Floats]
    x: Floats
    y: Floats

    @property
    def lanes(self) -> int:
        return self.x.shape[1]

    @property
    def updates(self) -> int:
        return self.x.shape[0]

    @property
    def first_scored(self) -> int:
        return self.x.shape[2] - self.y.shape[2]

    def first(self, updates: int) -> "Problem":
        """The same with fewer updates."""
        return replace(self, x=self.x[:updates], y=self.y[:updates])

    @property
    def loss_weight(self) -> float:
        """What the sum of all scored terms is multiplied with."""
        return float(self.run.loss.weight / self.run.train.batch_size)


def problem(workload: Workload, updates: int) -> Problem:
    """The numbers that our own training starts from and draws, so that all sides train the same.

    Written for sequences of one length whose scored timesteps are the last ones, one Elman layer, and a gradient that
    flows through all timesteps or through one; raises ValueError for others.
    """
    runs = workload.runs(updates, 1)
    first = runs[0]
    if not isinstance(first.model, Elman) or first.model.layers != 1 or first.train.truncation not in (None, 1):
        raise ValueError(f"{workload.name}: the others' side of this is not written")
    blocks = parameter_blocks(first.model, first.task.inputs, first.task.outputs)
    flat = [run.init.parameters(np.random.SeedSequence(run.seed, spawn_key=(0,)), blocks) for run in runs]
    named = [to_named(blocks, row) for row in flat]
    stream = first.task.training()
    data = [_lane_data(stream, run, updates) for run in runs]
    return Problem(
        run=first,
        parameters={block.name: np.stack([lane[block.name] for lane in named]) for block in blocks},
        x=np.stack([x for x, _ in data], axis=1),
        y=np.stack([y for _, y in data], axis=1),
    )


def _lane_data(stream: Any, run: Run, updates: int) -> tuple[Floats, Floats]:
    """x (U, T, B, inputs) and y (U, S, B, outputs) of one lane."""
    seed, xs, ys, done = np.random.SeedSequence(run.seed, spawn_key=(1,)), [], [], 0
    while done < updates:
        page = stream.page(seed, done, run.train.batch_size)
        rows = page.rows[done - page.first : min(page.end, updates) - page.first]
        sequences = page.sequences
        scored = sequences.full_scored
        first = int(scored[0].argmax())
        if sequences.lengths is not None or not (scored == (np.arange(sequences.timesteps) >= first)).all():
            raise ValueError("sequences of one length, scored at their end, are needed")
        y = sequences.y[:, None] if sequences.last_only else sequences.y[:, first:]
        xs.append(sequences.x[rows].swapaxes(1, 2))
        ys.append(y[rows].swapaxes(1, 2))
        done += len(rows)
    return np.concatenate(xs), np.concatenate(ys)
