"""A loss and a read-out that are left to the task's targets."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from bptt.configuration.build import Configuration, check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError

OWN = '''
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bptt.core.sequences import Pool, Sequences


@dataclass(frozen=True, kw_only=True)
class Told:
    """A task that says what its targets are, in three outputs or in one."""

    kind: Literal["numbers", "classes", "two_classes", "unknown"]
    readout: Literal["auto", "identity", "sigmoid", "softmax"]
    inputs = 1
    timesteps = 4

    @property
    def target(self) -> Any:
        return None if self.kind == "unknown" else self.kind

    @property
    def outputs(self) -> int:
        return 1 if self.kind == "two_classes" and self.readout != "softmax" else 3

    @property
    def _sequences(self) -> Any:
        y = np.eye(3)[np.arange(6) % 3][:, : self.outputs]
        return Sequences(np.ones((6, 4, 1)), np.ascontiguousarray(y))

    def training(self) -> Any:
        return Pool(self._sequences, "shuffled")

    def evaluation(self, rng: Any) -> Any:
        return self._sequences

    def accuracy(self, output: Any, sequences: Any) -> None:
        return None
'''
FILE = """\
defaults:
  - override /loss@_global_.loss: auto
  - _self_

_target_: told_task.Told
kind: numbers
readout: auto
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "told_task.py").write_text(textwrap.dedent(OWN), encoding="utf-8")
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "told.yaml").write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(*overrides: str) -> Configuration:
        return check_configuration(compose(["allow=[told_task]", *overrides], tmp_path / "mine"))

    return make


def describe(made: Configuration) -> tuple[str, str, str, str | None]:
    """The task's read-out, the model's, the loss, and what was told."""
    loss = made.resolved["loss"]["_target_"].split(".")[-2]
    return made.resolved["task"].get("readout"), made.resolved["model"]["readout"], loss, made.told


@pytest.mark.parametrize(
    ("kind", "readout", "loss", "told"),
    [
        ("numbers", "identity", "squared_error", "the targets are numbers"),
        ("classes", "softmax", "cross_entropy", "the targets are 3 classes"),
        ("two_classes", "sigmoid", "binary_cross_entropy", "the targets are two classes"),
    ],
)
def test_they_follow_the_targets(check: Any, kind: str, readout: str, loss: str, told: str) -> None:
    made = check("task=told", f"task.kind={kind}", "loss.weight=0.5")
    assert describe(made) == (readout, readout, loss, f"{told}: model.readout={readout} and loss={loss}")
    assert made.resolved["loss"]["weight"] == 0.5
    assert made.run.task.readout == made.run.model.readout == readout
    again = check_configuration(made.resolved)
    assert (again.run, again.resolved, again.told) == (made.run, made.resolved, None)
    said = check("task=told", f"task.kind={kind}", f"task.readout={readout}", f"loss={loss}", "loss.weight=0.5")
    assert (said.resolved, said.told) == (made.resolved, None)  # and so is its digest


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (["task.kind=classes", "loss=squared_error"], ("softmax", "softmax", "squared_error")),
        (["task.kind=classes", "model.readout=sigmoid"], ("sigmoid", "sigmoid", "binary_cross_entropy")),
        (["task.kind=classes", "model.readout=identity"], ("identity", "identity", "squared_error")),
        (["task.kind=classes", "task.readout=sigmoid"], ("sigmoid", "sigmoid", "binary_cross_entropy")),
        (["task.kind=numbers", "task.readout=sigmoid"], ("sigmoid", "sigmoid", "squared_error")),
        (["task.kind=two_classes", "loss=cross_entropy"], ("softmax", "softmax", "cross_entropy")),
        (["task.kind=unknown", "loss=cross_entropy"], ("softmax", "softmax", "cross_entropy")),
        (["task.kind=unknown", "model.readout=softmax"], ("softmax", "softmax", "cross_entropy")),
    ],
)
def test_what_is_said_stands_and_the_rest_goes_with_it(check: Any, overrides: list[str], found: tuple[str]) -> None:
    assert describe(check("task=told", *overrides))[:3] == found


@pytest.mark.parametrize("override", ["loss=auto", "loss=squared_error"])
def test_where_nothing_tells_it_is_asked_for(check: Any, override: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check("task=told", "task.kind=unknown", override)
    says = "the task does not say what its targets are; give identity, sigmoid or softmax"
    assert raised.value.lines == (f"task.readout=auto: {says}",)


def test_a_shipped_task_may_leave_its_loss_to_its_read_out() -> None:
    made = check_configuration(compose(["task=xor", "loss=auto"]))
    assert describe(made)[1:] == (
        "sigmoid",
        "binary_cross_entropy",
        "model.readout=sigmoid: loss=binary_cross_entropy",
    )
    assert made.resolved == check_configuration(compose(["task=xor", "loss=binary_cross_entropy"])).resolved


def test_what_is_wrong_with_the_task_is_told_alone(check: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check("task=told", "task.kind=words", "loss=squared_error", "model.readout=identity")
    assert raised.value.lines == ("task.kind=words: must be one of numbers, classes, two_classes, unknown",)
