"""Classes of the user's own: what they must be is checked before anything is trained."""

import textwrap
from pathlib import Path

import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError

OWN = '''
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.clips.none import no_clip
from bptt.core.models.cell import Cell
from bptt.core.models.elman import Elman, elman_backward, elman_forward
from bptt.core.optimizers.momentum import momentum
from bptt.core.optimizers.sgd import sgd
from bptt.core.plain import elman
from bptt.core.sequences import Generated, Sequences


@dataclass(frozen=True, kw_only=True)
class Good:
    alpha: Annotated[PerLane, Range(at_least=0)] = 0.1
    kernel = sgd
    slots = 0


@dataclass(frozen=True, kw_only=True)
class NoEpsilon:
    alpha: Annotated[PerLane, Range(at_least=0)] = 0.1
    epsilon: float = 0.9
    kernel = momentum
    slots = 1


@dataclass(frozen=True, kw_only=True)
class TooMuch(Good):
    beta: Annotated[PerLane, Range(at_least=0)] = 0.1


@dataclass(frozen=True)
class Other:
    kernel = no_clip
    keeps_deltas = False

    def penalty(self, run: Any, parameters: Any, held: Any, sequences: Any) -> float:
        return 0.0


@dataclass(frozen=True)
class Still(Other):
    kernel = None


@dataclass(frozen=True)
class NoKernel:
    slots = 0


@dataclass(frozen=True)
class NoSlots:
    kernel = sgd


@dataclass(frozen=True)
class OtherKernel:
    kernel = no_clip
    slots = 0


@dataclass(frozen=True)
class Function:
    kernel = staticmethod(lambda gradient: gradient)
    slots = 0


@dataclass
class Thawed:
    kernel = sgd
    slots = 0


class Plain:
    pass


@dataclass(frozen=True, kw_only=True)
class NoCell:
    hidden_size: int = 2
    layers: int = 1
    activation = "tanh"
    bias = "single"
    readout = "sigmoid"
    cell = None


@dataclass(frozen=True, kw_only=True)
class Swapped(Elman):
    cell: ClassVar[Cell] = Cell(forward=elman_backward, backward=elman_backward, plain=elman)


@dataclass(frozen=True, kw_only=True)
class TooManyNumbers(Elman):
    leak: Annotated[PerLane, Range(above=0)] = 0.5


@dataclass(frozen=True, kw_only=True)
class NoNumber(Elman):
    leak: float = 0.5
    cell: ClassVar[Cell] = Cell(forward=elman_forward, backward=elman_backward, plain=elman, numbers=("leak",))


@dataclass(frozen=True, kw_only=True)
class Task:
    """Of one input and one output; `wrong` names what its data is not."""

    wrong: str
    readout: str = "sigmoid"
    inputs = outputs = 1
    timesteps = 3

    def make(self, rng: Any, count: int) -> Any:
        x, y, lengths, scored = np.zeros((count, 3, 1)), np.zeros((count, 3, 1)), None, None
        if self.wrong == "x":
            x = np.zeros((count, 3, 2))
        elif self.wrong == "y":
            y = np.zeros((count, 2, 1))
        elif self.wrong == "dtype":
            x = x.astype(np.float32)
        elif self.wrong == "lengths":
            lengths = np.full(count, 4)
        elif self.wrong == "scored":
            scored = np.ones(3)
        elif self.wrong == "type":
            return x, y
        return Sequences(x, y, lengths, scored)

    def training(self) -> Any:
        return Generated(self.make, 6)

    def evaluation(self, rng: Any) -> Any:
        return self.make(rng, 5)

    def accuracy(self, output: Any, sequences: Any) -> None:
        return None
'''


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_classes.py").write_text(textwrap.dedent(OWN), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def lines(*overrides: str) -> tuple[str, ...]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigurationError) as raised:
        check_configuration(compose(["allow=[own_classes]", *overrides]))
    return raised.value.lines


@pytest.mark.parametrize(
    ("key", "name", "says"),
    [
        ("optimizer", "NoKernel", "lacks kernel"),
        ("optimizer", "NoSlots", "lacks slots"),
        ("optimizer", "OtherKernel", "kernel must be a function made with @OPTIMIZER or @SOLVER"),
        ("optimizer", "Function", "kernel must be a function made with @OPTIMIZER or @SOLVER"),
        ("optimizer", "Plain", "is no dataclass"),
        ("optimizer", "Thawed", "must be a frozen dataclass: equal ones stand for equal runs"),
        ("optimizer", "NoEpsilon", "its kernel reads epsilon, and no field of it that is PerLane has that name"),
        ("optimizer", "TooMuch", "beta: PerLane, and its kernel does not read it"),
        ("schedule", "Good", "kernel must be a function made with @SCHEDULE"),
        ("schedule", "Thawed", "must be a frozen dataclass: equal ones stand for equal runs"),
        ("regularizer", "Good", "lacks keeps_deltas, penalty"),
        ("regularizer", "Other", "kernel must be a function made with @REGULARIZER"),
        ("clip", "Good", "kernel must be a function made with @CLIP"),
        ("loss", "Good", "lacks weight, fused"),
        ("init", "Good", "lacks values"),
        ("task", "Good", "lacks inputs, outputs, timesteps, training, evaluation, accuracy"),
        ("model", "Good", "lacks hidden_size, layers, activation, bias, readout, cell"),
        ("model", "NoCell", "cell must be a bptt.core.models.cell.Cell"),
        ("model", "Swapped", "cell.forward must be a function made with @FORWARD"),
        ("model", "TooManyNumbers", "leak: PerLane, and its kernel does not read it"),
        ("model", "NoNumber", "its kernel reads leak, and no field of it that is PerLane has that name"),
    ],
)
def test_a_class_that_can_t_stand_there(key: str, name: str, says: str) -> None:
    assert lines(f"{key}._target_=own_classes.{name}") == (f"{key}._target_=own_classes.{name}: {says}",)


def test_a_schedule_or_regularizer_may_have_nothing_to_call() -> None:
    configuration = check_configuration(compose(["allow=[own_classes]", "regularizer._target_=own_classes.Still"]))
    assert configuration.run.regularizer.kernel is None


def test_a_class_that_can(tmp_path: Path) -> None:
    (tmp_path / "mine" / "optimizer").mkdir(parents=True)
    (tmp_path / "mine" / "optimizer" / "good.yaml").write_text("_target_: own_classes.Good\n", encoding="utf-8")
    configuration = check_configuration(compose(["allow=[own_classes]", "optimizer=good"], tmp_path / "mine"))
    assert configuration.resolved["optimizer"] == {"_target_": "own_classes.Good", "alpha": 0.1}


WRONG = {
    "x": "x must be (N, T, 1), the task's inputs, is ({n}, 3, 2)",
    "y": "y must be (N, T, 1) or (N, 1), the task's outputs, for x ({n}, 3, 1); is ({n}, 2, 1)",
    "dtype": "x must be float64, is float32",
    "lengths": "lengths must be (N,), of 1 to 3 timesteps",
    "scored": "scored must be bool, (T,) or (N, T)",
    "type": "must be bptt.core.sequences.Sequences, are tuple",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_task_whose_data_kernels_could_not_read(wrong: str, tmp_path: Path) -> None:
    """They trust shapes, and would read or write behind the end."""
    (tmp_path / "mine" / "task").mkdir(parents=True)
    text = f"_target_: own_classes.Task\nwrong: {wrong}\nreadout: sigmoid\n"
    (tmp_path / "mine" / "task" / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        check_configuration(compose(["allow=[own_classes]", "task=own"], tmp_path / "mine"))
    assert raised.value.lines == tuple(
        f"task._target_=own_classes.Task: {name} data: {WRONG[wrong].format(n=count)}"
        for name, count in (("evaluation", 5), ("training", 4096))
    )
