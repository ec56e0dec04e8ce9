"""Small runs for the tests of the core."""

from dataclasses import dataclass
from typing import Any

from bptt.core.clips.none import NoClip
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.cross_entropy import CrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.models.elman import Elman
from bptt.core.models.gru import Gru
from bptt.core.models.jordan import Jordan
from bptt.core.models.leaky import Leaky
from bptt.core.models.linear import Linear
from bptt.core.models.lstm import Lstm
from bptt.core.optimizers.sgd import Sgd
from bptt.core.random import Generator
from bptt.core.regularizers.none import NoRegularizer
from bptt.core.run import Run, Settings
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.sequences import Floats, Generated, Sequences

MODELS: dict[str, Any] = {
    "linear": Linear,
    "elman": Elman,
    "jordan": Jordan,
    "leaky": Leaky,
    "gru": Gru,
    "lstm": Lstm,
}
LOSSES: dict[str, Any] = {
    "squared_error": SquaredError,
    "binary_cross_entropy": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
}


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Random sequences with random targets: a task without meaning, of any shape."""

    inputs: int = 2
    outputs: int = 3
    timesteps: int = 5
    last_only: bool = False
    ragged: bool = False

    def make(self, rng: Generator, count: int) -> Sequences:
        x = rng.standard_normal((count, self.timesteps, self.inputs))
        shape = (count,) if self.last_only else (count, self.timesteps)
        y = rng.random((*shape, self.outputs))
        y = y / y.sum(axis=-1, keepdims=True)
        return Sequences(x, y, rng.integers(1, self.timesteps + 1, count) if self.ragged else None)

    def training(self) -> Generated:
        return Generated(self.make, self.timesteps * (self.inputs + self.outputs))

    def evaluation(self, rng: Generator) -> Sequences:
        return self.make(rng, 11)

    def accuracy(self, output: Floats, sequences: Sequences) -> Any:
        right = output.argmax(-1) == sequences.y.argmax(-1)
        return right.mean(axis=-1 if sequences.last_only else (-2, -1))

    def all_right(self, output: Floats, sequences: Sequences) -> Any:
        right = output.argmax(-1) == sequences.y.argmax(-1)
        return (right if sequences.last_only else right.all(axis=-1)).mean(axis=-1)

    def test(self, rng: Generator) -> Sequences:
        return self.make(rng, 7)

    def baseline(self, loss: Any) -> float:
        return 2.5 * loss.weight


def make_model(name: str, **changes: Any) -> Any:
    fields = {"hidden_size": 4, "layers": 1, "bias": "single", "readout": "sigmoid"}
    if name in ("elman", "jordan", "leaky"):
        fields["activation"] = "tanh"
    if name == "leaky":
        fields["leak"] = 0.3
    return MODELS[name](**(fields | changes))


def make_run(
    *,
    model: Any = None,
    loss: Any = None,
    init: Any = None,
    optimizer: Any = None,
    clip: Any = None,
    schedule: Any = None,
    regularizer: Any = None,
    task: Any = None,
    inputs: int = 2,
    outputs: int = 3,
    seed: int = 0,
    updates: int = 20,
    **settings: Any,
) -> Run:
    return Run(
        task=task or Noise(inputs=inputs, outputs=outputs),
        model=model or make_model("elman"),
        init=init or Initialisation(Normal(scale=0.5)),
        loss=loss or SquaredError(weight=1.0),
        optimizer=optimizer or Sgd(alpha=0.1),
        clip=clip or NoClip(),
        schedule=schedule or ConstantSchedule(),
        regularizer=regularizer or NoRegularizer(),
        train=Settings(updates=updates, **({"log_points": 5} | settings)),
        seed=seed,
    )
