"""What is trained: the rows of the table, each with what it is to reach, and every task with every cell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bptt.core.clips.none import NoClip
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.inits.torch import Torch
from bptt.core.inits.uniform import Uniform
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.models.elman import Elman
from bptt.core.models.gru import Gru
from bptt.core.models.lstm import Lstm
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.random import Generator
from bptt.core.run import Run, Settings
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.languages.adder import Adder
from bptt.tasks.series.sine import Sine

_EVALUATED = 16  # sequences of the evaluation: enough to exist, too few to count
TASKS = (
    *("leftbit", "xor", "counting", "sine", "sentiment", "adder", "charlm", "adding", "temporal_order", "copying"),
)
CELLS = ("linear", "elman", "jordan", "gru", "lstm")
LANES = (1, 16, 64, 256)
OTHERS = ("torch", "jax", "cpp")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One row of a table: `run(seed, updates, log_points)` in `lanes` lanes that differ in their seeds.

    targets  micros: µs of ours at most; best: how many times our time the faster of PyTorch and JAX takes at least;
             limit: the least share of the machine's limit
    sides    who is compared (`suite.SIDES`)
    checked  updates after which all must agree, 32 at most
    tries    how often each form of a side is timed before the fastest is chosen
    """

    name: str
    run: Callable[[int, int, int], Run]
    lanes: int
    targets: Mapping[str, float] = field(default_factory=dict)
    sides: tuple[str, ...] = OTHERS
    checked: int = 32
    tries: int = 3

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

    def _windows(self, rng: Generator, count: int) -> Sequences:
        bits = rng.integers(2, size=count + self.timesteps - 1).astype(float)
        x = np.ascontiguousarray(sliding_window_view(bits, self.timesteps)[:, :, None])
        y = np.zeros_like(x)
        y[:, 1:] = x[:, :-1]
        return Sequences(x, y, scored=np.arange(self.timesteps) > 0)

    def training(self) -> Pool:
        return Pool(self._windows(Generator(np.random.SeedSequence(0)), self.stream), "random")

    def evaluation(self, rng: Generator) -> Sequences:
        return self._windows(rng, _EVALUATED)

    def accuracy(self, output: Floats, sequences: Sequences) -> None:  # noqa: ARG002 (none is needed)
        return None


def build_adder(seed: int, updates: int, log_points: int, *, model: Any = None, bits: int = 7) -> Run:
    """T 8, H 16, batch 1, plain gradient descent; without biases where no other model is given."""
    return Run(
        task=Adder(bits=bits, eval_size=_EVALUATED, readout="sigmoid"),
        model=model or Elman(hidden_size=16, layers=1, activation="sigmoid", bias="none", readout="sigmoid"),
        init=Initialisation(Uniform(scale=1.0)),
        loss=SquaredError(weight=0.5),
        optimizer=Sgd(alpha=0.1),
        clip=NoClip(),
        train=Settings(updates=updates, log_points=log_points),
        seed=seed,
    )


def build_leftbit(seed: int, updates: int, log_points: int) -> Run:
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


def build_sine(
    seed: int, updates: int, log_points: int, *, model: Any = None, window: int = 20, batch_size: int = 32
) -> Run:
    """T 20, H 32, batches of 32, Adam; tanh and PyTorch's two biases where no other model is given."""
    return Run(
        task=Sine(amplitude=1.0, step=0.5, window=window, windows=1600, eval_size=_EVALUATED, readout="identity"),
        model=model or build_elman(32),
        init=Initialisation(Torch(scale=1.0)),
        loss=SquaredError(weight=1.0),
        optimizer=Adam(alpha=0.001, beta1=0.9, beta2=0.999, small_constant=1e-8),
        clip=NoClip(),
        train=Settings(updates=updates, log_points=log_points, batch_size=batch_size),
        seed=seed,
    )


def build_elman(hidden_size: int) -> Elman:
    return Elman(hidden_size=hidden_size, layers=1, activation="tanh", bias="double", readout="identity")


def build_gated(kind: type[Gru] | type[Lstm], hidden_size: int, readout: Any) -> Any:
    return kind(hidden_size=hidden_size, layers=1, bias="double", readout=readout)


def build_configured(task: str, cell: str, seed: int, updates: int, log_points: int) -> Run:
    """What `bptt train task=… model=…` trains: 16 hidden units, one sequence an update, Adam."""
    from dataclasses import replace

    run = _build_configured(task, cell)
    return replace(run, seed=seed, train=replace(run.train, updates=updates, log_points=log_points))


@cache
def _build_configured(task: str, cell: str) -> Run:
    from bptt.configuration.build import check_configuration
    from bptt.configuration.compose import compose

    sets = [] if task in ("counting", "sentiment", "charlm") else [f"task.eval_size={_EVALUATED}"]
    sets += [] if task in ("sentiment", "charlm") else ["task.test_size=0"]  # what is compared has none
    return check_configuration(compose([f"task={task}", f"model={cell}", *sets])).run


TABLE = (
    Workload(name="adder", run=build_adder, lanes=1, targets={"micros": 0.52}),
    Workload(name="adder", run=build_adder, lanes=64),
    Workload(name="adder", run=build_adder, lanes=256, targets={"micros": 0.19, "best": 5.0}),
    Workload(name="leftbit", run=build_leftbit, lanes=1, targets={"micros": 0.20}),
    Workload(name="leftbit", run=build_leftbit, lanes=64),
    Workload(name="leftbit", run=build_leftbit, lanes=256, targets={"micros": 0.035}),
    Workload(name="sine", run=build_sine, lanes=1, targets={"best": 2.0}),
    Workload(name="sine", run=build_sine, lanes=64, targets={"best": 2.8}),
    Workload(
        name="wide",
        run=partial(build_sine, model=build_elman(128), window=50),
        lanes=16,
        targets={"best": 2.0, "limit": 0.7},
    ),
    *(
        Workload(name=f"{name}, {size}", run=run, lanes=64, targets={"best": least})
        for name, kind in (("lstm", Lstm), ("gru", Gru))
        for size, run, least in (
            ("adder", partial(build_adder, model=build_gated(kind, 16, "sigmoid")), 3.0),
            ("sine", partial(build_sine, model=build_gated(kind, 32, "identity")), 2.0),
        )
    ),
)
#: Large networks, beside PyTorch in half the precision too: T 200, one run.
LARGE = tuple(
    Workload(
        name=f"{name}, H {model.hidden_size}, batch {batch}",
        run=partial(build_sine, model=model, window=200, batch_size=batch),
        lanes=1,
        sides=("torch", "torch32", "jax"),
        checked=2,
        tries=1,
    )
    for name, model, batch in (
        ("tanh", build_elman(256), 64),
        ("tanh", build_elman(512), 64),
        ("tanh", build_elman(256), 1),
        ("gru", build_gated(Gru, 256, "identity"), 64),
        ("lstm", build_gated(Lstm, 256, "identity"), 64),
    )
)
GRID = tuple(
    Workload(name=f"{task}, {cell}", run=partial(build_configured, task, cell), lanes=lanes)
    for task in TASKS
    for cell in CELLS
    for lanes in LANES
)
