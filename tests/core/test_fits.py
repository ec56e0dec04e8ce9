"""How well outputs fit targets: against scikit-learn, and as lanes have it."""

import dataclasses
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from bptt.core.evaluation import predict
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.cross_entropy import CrossEntropy
from bptt.core.random import Generator, make_generator
from bptt.core.records.fits import NumberFits, balanced_accuracy, count_classes, list_fits, log_loss
from bptt.core.run import Record, Run, Target, seed_of
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.core.simd import WIDTH
from tests.core.comparing import assert_same_record, finished
from tests.core.making import make_model, make_run

RNG = np.random.default_rng(3)
SHAPES = ["last", "all", "ragged", "own"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """A fixed set of random sequences with numbers, or classes, for targets; three of five timesteps with one each."""

    target: Target
    outputs: int = 3
    inputs: int = 2
    timesteps: int = 5
    last_only: bool = False
    scale: tuple[float, ...] | None = None
    forecasts: bool = False
    tests: bool = True

    def make(self, number: int, count: int) -> Sequences:
        rng = make_generator(np.random.SeedSequence(11), number)
        shape = (count,) if self.last_only else (count, self.timesteps)
        y: Any = rng.standard_normal((*shape, self.outputs)) + 1.0
        if self.target == "two_classes":
            y = (y > 1.3) * 1.0
        elif self.target == "classes":
            y = np.eye(self.outputs)[(y + [0.0, 0.5, -0.2][: self.outputs]).argmax(-1)]
        lengths = np.asarray(rng.integers(1, self.timesteps + 1, count), np.int64)
        return Sequences(rng.standard_normal((count, self.timesteps, self.inputs)), y, lengths)

    @property
    def preparation(self) -> Any:
        return None if self.scale is None else SimpleNamespace(target_scale=self.scale)

    def naive(self, sequences: Sequences) -> Any:
        return np.full(sequences.y.shape, 0.7) if self.forecasts else None

    def training(self) -> Pool:
        return Pool(self.make(0, 20), "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:
        return self.make(1, 11)

    def test(self, rng: Generator) -> Any:
        return self.make(2, 13) if self.tests else None

    def accuracy(self, output: Floats, sequences: Sequences) -> Any:
        return None


def make(target: Target, **changes: Any) -> Run:
    readout = {"numbers": "identity", "classes": "softmax", "two_classes": "sigmoid"}[target]
    loss = {"classes": CrossEntropy(weight=1.0), "two_classes": BinaryCrossEntropy(weight=1.0)}.get(target)
    outputs = 1 if target == "two_classes" else 3
    given = {"model": make_model("gru", readout=readout), "loss": loss} | {
        name: changes.pop(name) for name in ("model", "seed", "updates", "keep", "early_stop") if name in changes
    }
    return make_run(task=Data(**({"target": target, "outputs": outputs} | changes)), **given)


def choose_sets(shape: str, target: Target, outputs: int, networks: int = 4) -> tuple[Floats, Sequences, list[Any]]:
    """Outputs of some networks, their sequences, and of each network what is scored: (targets, outputs)."""
    data = Data(target=target, outputs=outputs, last_only=shape == "last")
    if shape == "own":
        sets = [data.make(number, 6) for number in range(networks)]
        sequences = Sequences(*(np.stack([getattr(one, name) for one in sets]) for name in ("x", "y", "lengths")))
    else:
        one = data.make(0, networks)  # as many sequences as networks, which must not be taken for each other
        sets = [one if shape == "ragged" else dataclasses.replace(one, lengths=None)] * networks
        sequences = sets[0]
    given = (
        RNG.random((networks, *sets[0].y.shape))
        if target != "numbers"
        else RNG.normal(size=(networks, *sets[0].y.shape))
    )
    if target == "classes":
        given = given / given.sum(axis=-1, keepdims=True)
    scored = [
        (own.y, output) if own.last_only else (own.y[own.full_scored], output[own.full_scored])
        for own, output in zip(sets, given, strict=True)
    ]
    return given, sequences, scored


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_fit_as_scikit_learn_says(shape: str) -> None:
    outputs, sequences, scored = choose_sets(shape, "numbers", 3)
    task = Data(target="numbers", scale=(2.0, 3.0, 0.5))
    fits = NumberFits(task)
    scale = np.array([2.0, 3.0, 0.5])
    rmse, mae, r2 = (compute(outputs, sequences) for compute in (fits.rmse, fits.mae, fits.r2))
    training = task.training().sequences
    mean = training.y[training.full_scored].mean(axis=0)
    for lane, (y, output) in enumerate(scored):
        squares = metrics.mean_squared_error(y * scale, output * scale)
        np.testing.assert_allclose(rmse[lane], np.sqrt(squares), rtol=1e-12)
        np.testing.assert_allclose(mae[lane], metrics.mean_absolute_error(y * scale, output * scale), rtol=1e-12)
        shares = ((y - output) ** 2).sum(axis=0) / ((y - mean) ** 2).sum(axis=0)
        np.testing.assert_allclose(r2[lane], (1 - shares).mean(), rtol=1e-12)


def test_r2_is_scikit_learn_s_where_the_naive_forecast_is_the_mean_of_the_set_itself() -> None:
    data = Data(target="numbers")
    training = data.training().sequences
    output = RNG.normal(size=(1, *training.y.shape))
    scored = training.full_scored
    expected = metrics.r2_score(training.y[scored], output[0][scored])
    np.testing.assert_allclose(NumberFits(data).r2(output, training)[0], expected, rtol=1e-12)


def test_a_task_may_have_a_naive_forecast_of_its_own() -> None:
    outputs, sequences, ((y, output), *_) = choose_sets("ragged", "numbers", 3)
    found = NumberFits(Data(target="numbers", forecasts=True)).r2(outputs, sequences)
    shares = ((y - output) ** 2).sum(axis=0) / ((y - 0.7) ** 2).sum(axis=0)
    np.testing.assert_allclose(found[0], (1 - shares).mean(), rtol=1e-12)


def test_where_the_naive_forecast_is_right_there_is_no_r2() -> None:
    sequences = Sequences(np.zeros((3, 2, 1)), np.full((3, 2, 1), 0.7))
    task = SimpleNamespace(naive=lambda given: np.full(given.y.shape, 0.7))
    assert np.isnan(NumberFits(task).r2(np.zeros((2, 3, 2, 1)), sequences)).all()
    generated = SimpleNamespace(training=object)
    assert np.isnan(NumberFits(generated).r2(np.zeros((2, 3, 2, 1)), sequences)).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", ["classes", "two_classes"])
def test_classes_fit_as_scikit_learn_says(target: Target, shape: str) -> None:
    classes = 3 if target == "classes" else 2
    outputs, sequences, scored = choose_sets(shape, target, 3 if target == "classes" else 1)
    balanced, losses, counts = (compute(outputs, sequences) for compute in (balanced_accuracy, log_loss, count_classes))
    for lane, (y, output) in enumerate(scored):
        if target == "classes":
            truth, found, likely = y.argmax(-1), output.argmax(-1), output
        else:
            truth, found = y[:, 0].astype(int), (output[:, 0] > 0.5).astype(int)
            likely = np.hstack([1 - output, output])
        expected = metrics.recall_score(
            truth, found, labels=np.unique(truth), average="macro", zero_division=0
        )  # as balanced_accuracy_score, which warns of classes that no target has
        np.testing.assert_allclose(balanced[lane], expected, rtol=1e-12)
        np.testing.assert_allclose(losses[lane], metrics.log_loss(truth, likely, labels=range(classes)), rtol=1e-12)
        np.testing.assert_array_equal(counts[lane], metrics.confusion_matrix(truth, found, labels=range(classes)))


def test_a_class_that_no_target_has_counts_nowhere_and_nan_is_never_right() -> None:
    y = np.eye(3)[[0, 0, 1]]
    sequences = Sequences(np.zeros((3, 1, 1)), y)
    output = np.array([[[0.9, 0.1, 0], [0.1, 0, 0.9], [0, 1, 0]], [[np.nan] * 3] * 3])
    np.testing.assert_array_equal(balanced_accuracy(output, sequences), [0.75, 0.0])
    np.testing.assert_array_equal(count_classes(output, sequences)[0], [[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert count_classes(output, sequences)[1].sum() == 0
    assert np.isfinite(log_loss(output, sequences)[0])  # of a probability of 0 too


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("numbers", {"rmse", "mae", "r2"}),
        ("classes", {"balanced_accuracy", "log_loss"}),
        ("two_classes", {"balanced_accuracy", "log_loss"}),
    ],
)
def test_a_run_ends_with_the_fit_of_its_kept_network(target: Target, names: set[str], last_only: bool) -> None:
    run = make(target, last_only=last_only, keep="best", updates=30)
    (record,) = finished([run])
    assert {name for name in record.once if not name.startswith(("kept/", "loss/"))} == {
        f"{name}/{part}" for name in names for part in ("eval", "test")
    }
    for part, sequences in (
        ("eval", run.task.evaluation(Generator(seed_of(run, 2)))),
        ("test", run.task.test(Generator(seed_of(run, 3)))),  # type: ignore[attr-defined]
    ):
        output = predict(run, record.parameters, sequences)
        for name, compute in list_fits(run).items():
            assert record.once[name.replace("/eval", f"/{part}")] == compute(output, sequences)
    (last,) = finished([dataclasses.replace(run, train=dataclasses.replace(run.train, keep="last"))])
    assert (record.kept_update == last.updates) or record.once != last.once


def test_without_a_test_set_it_is_of_the_evaluation_alone_and_without_a_target_of_nothing() -> None:
    (record,) = finished([make("numbers", tests=False)])
    assert {*record.once} == {"rmse/eval", "mae/eval", "r2/eval"}
    assert list_fits(make_run()) == {}


def test_of_several_bits_the_accuracy_says_it_all() -> None:
    assert list_fits(make("two_classes", outputs=3)) == {}


def test_probabilities_alone_have_a_log_loss() -> None:
    identity = make("classes", model=make_model("gru", readout="identity"))
    assert [*list_fits(identity)] == ["balanced_accuracy/eval"]


@pytest.mark.parametrize("target", ["numbers", "classes"])
def test_lanes_fit_as_they_do_alone(target: Target) -> None:
    runs = [make(target, seed=lane, keep="best") for lane in range(WIDTH + 2)]

    def alone(run: Run) -> Record:
        return finished([run])[0]

    for found, run in zip(finished(runs), runs, strict=True):
        assert_same_record(found, alone(run))
