"""Kernels that are made for a shape: the bits of all others, whatever happens, and where they are asked for."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core import evaluation, lane_block, lanes
from bptt.core.clips.norm import Norm
from bptt.core.clips.value import Value
from bptt.core.evaluation import Evaluation
from bptt.core.kernel import BATCH_LOSS, LANES, MODES, UNITS
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter, list_parameters
from bptt.core.random import Generator
from bptt.core.run import EarlyStop, Record, Run, seed_of
from bptt.core.schedules.warmup import Warmup
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.core.shapes import forward, training
from bptt.core.shapes.forward import ForwardKernel
from bptt.core.shapes.shape import Shape
from bptt.core.shapes.training import ShapeKernel
from bptt.core.simd import WIDTH
from bptt.core.training import Training, kernels_of
from tests.core.comparing import assert_same_bits, assert_same_record, finished
from tests.core.discovering import components, example, stepping_optimizers
from tests.core.making import Noise, make_model, make_run
from tests.golden.runs import TABLE, hash_all, list_choices

SIDE_BY_SIDE = (1, 8, 13, 16, 21, 256)
#: Hidden units and timesteps: a few that have each hidden size and each number of lanes, half of them left to the slow
#: tests. With the others, which have all numbers of lanes, each hidden size has two lengths.
FEW = ((16, 9, 256), (3, 7, 21), (13, 9, 1))
#: Left to the slow tests, and to those of other widths.
LATER = pytest.mark.slow(widths=True)
MORE = ((1, 1, 13), (8, 2, 8), (21, 7, 16))
OTHERS = ((1, 7), (3, 1), (8, 9), (13, 2), (16, 2), (21, 9))
GRID = [
    *(pytest.param(hidden, timesteps, (count,)) for hidden, timesteps, count in FEW),
    *(pytest.param(hidden, timesteps, (count,), marks=LATER) for hidden, timesteps, count in MORE),
    *(pytest.param(*others, SIDE_BY_SIDE, marks=pytest.mark.slow) for others in OTHERS),
]
#: What an update is made of; together every path through the kernel.
WAYS: dict[str, dict[str, Any]] = {
    "through all timesteps": {
        "bias": "none",
        "activation": "sigmoid",
        "readout": "sigmoid",
        "loss": SquaredError(weight=0.5),
    },
    "through one": {"truncation": 1, "carry_state": True, "loss": BinaryCrossEntropy(weight=1 / 13)},
    "batches": {"batch_size": 3, "bias": "double", "readout": "identity", "loss": SquaredError(weight=2.0)},
    "the last alone": {
        "last_only": True,
        "batch_size": 2,
        "activation": "relu",
        "loss": BinaryCrossEntropy(weight=1.0),
    },
    "carried": {"carry_state": True, "activation": "identity", "readout": "identity", "loss": SquaredError(weight=0.1)},
}


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_WORTH", 0)


def make(
    way: str, hidden_size: int = 5, timesteps: int = 4, outputs: int = 1, model: str = "elman", **changes: Any
) -> Run:
    chosen = WAYS[way] | changes
    fields = {name: chosen.pop(name) for name in ("bias", "activation", "readout", "layers") if name in chosen}
    if model != "elman":
        fields.pop("activation", None)
    task = Noise(outputs=outputs, timesteps=timesteps, last_only=chosen.pop("last_only", False))
    usual: dict[str, Any] = {"optimizer": Momentum(alpha=0.1, epsilon=0.3), "updates": 24, "log_points": 3}
    chosen = usual | chosen
    return make_run(task=task, model=make_model(model, hidden_size=hidden_size, **fields), **chosen)


def trained(runs: Sequence[Run], monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """By kernels that are made for the shape; the same as by all others."""
    with monkeypatch.context() as patch:
        patch.setattr(lane_block, "find_kernel", lambda *_: None)
        expected = finished(runs)
    training = Training(runs)
    assert all(block._made is not None for block in training._lanes._blocks)
    found = finished(runs)
    for record, other in zip(found, expected, strict=True):
        assert_same_record(record, other)
    return found


@pytest.mark.parametrize(("hidden_size", "timesteps", "counts"), GRID)
def test_the_same_bits(
    hidden_size: int, timesteps: int, counts: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = [*WAYS][(hidden_size + timesteps) % len(WAYS)]  # of every cell all ways are tried below
    for count in counts:
        trained([make(way, hidden_size, timesteps, seed=seed) for seed in range(count)], monkeypatch)


#: Every cell on every way, in one mode or the other; one way of each cell is not slow.
CELLS_AND_WAYS = [
    pytest.param(cell, way, [*MODES][(i + j) % 2], marks=() if i == j else pytest.mark.slow)
    for i, cell in enumerate(("linear", "elman", "gru", "lstm"))
    for j, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("model", "way", "mode"), CELLS_AND_WAYS)
def test_every_cell_on_every_way(model: str, way: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    outputs = 2 if mode == LANES else 1
    trained([make(way, outputs=outputs, model=model, seed=seed) for seed in range(3)], monkeypatch)


@pytest.mark.parametrize(
    ("model", "layers", "way"),
    [
        ("elman", 3, "through all timesteps"),
        pytest.param("gru", 2, "carried", marks=pytest.mark.slow),
        pytest.param("lstm", 2, "the last alone", marks=pytest.mark.slow),
        pytest.param("linear", 2, "through one", marks=pytest.mark.slow),
    ],
)
def test_layers(model: str, layers: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1)
    runs = [make(way, outputs=2, model=model, bias="double", layers=layers, seed=seed) for seed in range(3)]
    trained(runs, monkeypatch)
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: WIDTH + 1)
    assert not any(isinstance(kernel, ShapeKernel) for kernel, _ in kernels_of(runs))


#: Whose steps are of a kind with those of others; the slow tests have them too.
ALIKE = {"adamw", "irprop_minus", "nesterov", "rmsprop", "rprop_plus"}
OPTIMIZERS = [
    pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ()) for name in sorted(components("optimizers"))
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = components("optimizers")[optimizer]
    runs = [make("batches", seed=seed, optimizer=example(kind, 0.07 * seed)) for seed in range(3)]
    if optimizer not in stepping_optimizers() or BATCH_LOSS in kind.kernel.hyper:  # which is not computed
        assert all(block._made is None for block in Training(runs)._lanes._blocks)
    else:
        trained(runs, monkeypatch)


ADAM = {"beta1": 0.9, "beta2": 0.99, "small_constant": 1e-8}
#: What stands between a gradient and its step, by lane; all are served by one kernel, which keeps the gradient.
BETWEEN: dict[str, Callable[[int], dict[str, Any]]] = {
    "clip by norm": lambda lane: {"clip": Norm(threshold=1e-3 * 8.0**lane)},
    "clip by value": lambda lane: {"clip": Value(threshold=1e-4 * 8.0**lane)},
    "schedule": lambda lane: {"schedule": Warmup(warmup=1.0 + 5 * lane), "optimizer": Adam(alpha=0.01, **ADAM)},
    "decay and noise": lambda lane: {"optimizer": Sgd(alpha=0.1, weight_decay=0.2 * (lane % 2), noise=0.01 * lane)},
    "a part": lambda lane: {"only": ("recurrent", "readout_bias"), "clip": Norm(threshold=0.1)},
    "no step of its own": lambda lane: {"optimizer": example(components("optimizers")["rprop"], 0.1 * lane)},
    "a clip, and steps that diverge": lambda lane: {
        "clip": Norm(threshold=1e200),
        "optimizer": Sgd(alpha=[1e-3, 1e200, 2e-3, 1e160, 1e307][lane % 5]),
    },
    "a clip, and stops": lambda lane: {
        "clip": Norm(threshold=0.1),
        "early_stop": EarlyStop(metric="loss/train", threshold=[0.0, 1e9, 0.4, 0.5][lane % 4]),
        "log_points": 12,
    },
}


#: Each in both modes; every second one, in the mode that is its turn, is not slow.
BETWEEN_AND_MODES = [
    pytest.param(between, mode, marks=pytest.mark.slow if i % 2 or j != i // 2 % 2 else ())
    for i, between in enumerate(BETWEEN)
    for j, mode in enumerate(MODES)
]


@pytest.mark.parametrize(("between", "mode"), BETWEEN_AND_MODES)
def test_what_stands_between_a_gradient_and_its_step(between: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    activation = "identity" if "diverge" in between else "tanh"
    runs = [make("carried", seed=lane, activation=activation, **BETWEEN[between](lane)) for lane in range(WIDTH + 1)]
    found = trained(runs, monkeypatch)
    if between.startswith("clip"):
        shares = [record.history["grad/clipped"][1:] for record in found]
        assert shares[0].all()
        assert not shares[-1].any()
    outcomes = {record.outcome for record in found}
    assert ("diverged" in outcomes) == ("diverge" in between)
    assert ("early_stopped" in outcomes) == ("stops" in between)


#: Every way in one mode or the other.
WAYS_AND_MODES = [
    pytest.param(way, [*MODES][i % 2], marks=() if i in (1, 2) else pytest.mark.slow) for i, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("way", "mode"), WAYS_AND_MODES)
def test_lanes_that_diverge_are_left_to_other_code_and_disturb_no_other(
    way: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    alphas = [1e-3, 1e200, 2e-3, 1e160, 1e308, 3e-3, 1e100, 1e150, 1e-4, 1e307]
    changes: dict[str, Any] = {"activation": "identity", "readout": "identity", "loss": SquaredError(weight=0.1)}
    runs = [
        make(way, seed=seed, optimizer=Momentum(alpha=alpha, epsilon=0.5), **changes)
        for seed, alpha in enumerate(alphas)
    ]
    outcomes = [record.outcome for record in trained(runs, monkeypatch)]
    assert "completed" in outcomes
    assert outcomes.count("diverged") >= 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pulses(Noise):
    """One sequence of zeros, which asks for nothing, and three of a one and a zero."""

    def training(self) -> Pool:  # type: ignore[override]
        x, y = np.zeros((4, 2, 1)), np.full((4, 1), -2.0)
        x[1:, 0], y[0] = 1.0, 0.0
        return Pool(Sequences(x, y), "sequential")


@dataclasses.dataclass(frozen=True)
class Given:
    """An init of certain weights."""

    weights: tuple[float, ...]

    def parameters(self, seed: np.random.SeedSequence, blocks: tuple[Parameter, ...]) -> Floats:
        return np.array(self.weights)


@pytest.mark.parametrize("mode", [LANES, pytest.param(UNITS, marks=LATER)])
@pytest.mark.parametrize(
    ("weights", "alpha"),
    [
        # R alone becomes infinite, and units saturate: 0 · R is NaN where the first state of zeros meets it.
        ((1.0, 0.0, *[0.0] * 4, 0.0, 1.0), 1e308),
        # The first timestep's δ is infinite and the loss is not: 0 · δ is NaN in R's gradient.
        ((0.0, 0.0, 0.0, 1e200, 0.0, 0.0, 0.0, 1e150), 1e-3),
    ],
    ids=["weights", "delta"],
)
def test_what_is_left_out_is_nothing_only_where_all_is_finite(
    weights: tuple[float, ...], alpha: float, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    fields: dict[str, Any] = {"hidden_size": 2, "bias": "none", "readout": "identity"}
    run = make_run(
        task=Pulses(inputs=1, outputs=1, timesteps=2, last_only=True),
        model=make_model("elman", **fields),
        init=Given(weights),
        optimizer=Sgd(alpha=alpha),
        updates=12,
        log_points=1,
    )
    (record,) = trained([run], monkeypatch)
    assert (record.outcome, record.updates) == ("diverged", 3)


def test_lanes_that_stop_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(threshold: float, seed: int) -> Run:
        stop = EarlyStop(metric="loss/train", threshold=threshold)
        return make("through one", seed=seed, early_stop=stop, updates=40, log_points=12)

    found = trained(
        [stopping(threshold, seed) for seed, threshold in enumerate((0.0, 1e9, 0.02, 0.05, 0.1))], monkeypatch
    )
    assert {record.outcome for record in found} == {"completed", "early_stopped"}


@pytest.mark.parametrize("mode", [pytest.param(LANES, marks=LATER), UNITS])
def test_one_code_goes_on_where_the_other_was(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    runs = [make("carried", seed=seed) for seed in range(3)]
    expected = trained(runs, monkeypatch)
    training = Training(runs)
    training.advance()
    training.advance()
    saved = training.checkpoint()
    with monkeypatch.context() as patch:
        patch.setattr(lane_block, "find_kernel", lambda *_: None)
        for record, other in zip(finished(runs, saved), expected, strict=True):
            assert_same_record(record, other)
        training = Training(runs)
        training.advance()
        saved = training.checkpoint()
    for record, other in zip(finished(runs, saved), expected, strict=True):
        assert_same_record(record, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"truncation": 2},
        {"regularizer": example(components("regularizers")["l2"])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_there_is_none_for_what_it_does_not_do(changes: dict[str, Any]) -> None:
    assert not any(isinstance(kernel, ShapeKernel) for kernel, _ in kernels_of([make("batches", **changes)] * WIDTH))


@pytest.mark.parametrize(
    ("model", "way", "mode"),
    [
        ("elman", "through all timesteps", UNITS),
        pytest.param("elman", "carried", LANES, marks=pytest.mark.slow),
        pytest.param("gru", "batches", LANES, marks=LATER),
        pytest.param("lstm", "the last alone", UNITS, marks=pytest.mark.slow),
    ],
)
def test_sequences_of_several_lengths(model: str, way: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    task = Noise(outputs=1, timesteps=5, ragged=True, last_only=way == "the last alone")
    trained([dataclasses.replace(make(way, model=model, seed=seed), task=task) for seed in range(3)], monkeypatch)


@pytest.mark.parametrize(
    ("model", "layers", "readout", "ragged", "last_only"),
    [
        ("elman", 2, "softmax", True, False),
        ("gru", 1, "sigmoid", False, True),
        ("lstm", 1, "identity", True, True),
        ("linear", 1, "none", False, False),
    ],
)
def test_networks_that_are_evaluated(
    model: str, layers: int, readout: Any, ragged: bool, last_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the pass that is made for the shape; own sets and one for all, from zero and from states, beside NaN and ∞."""
    task = Noise(ragged=ragged, last_only=last_only)
    hidden_size = task.outputs if readout == "none" else 13
    fields = {"hidden_size": hidden_size, "layers": layers, "bias": "double", "readout": readout}
    run = make_run(task=task, model=make_model(model, **fields))
    blocks = list_parameters(run.model, task.inputs, task.outputs)
    seeds = range(WIDTH + 3)
    thetas = np.stack([run.init.parameters(seed_of(dataclasses.replace(run, seed=s), 0), blocks) for s in seeds])
    thetas[1, 0], thetas[2, blocks[1].first] = np.nan, np.inf
    sets = [task.make(Generator(np.random.SeedSequence(s)), 11) for s in seeds]
    slots = layers * run.model.cell.slots * hidden_size + task.outputs
    states = Generator(np.random.SeedSequence(7)).standard_normal((len(seeds), 3, slots))
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1)
    one_shorter = [*sets[:-1], dataclasses.replace(sets[-1], lengths=np.full(11, 2))]
    for given in (sets, sets[:1] * len(seeds), one_shorter):
        made = Evaluation(run.model, run.loss, given, planned=10**9)
        with monkeypatch.context() as patch:
            patch.setattr(evaluation, "find_pass", lambda *_: None)
            general = Evaluation(run.model, run.loss, given)
        kernels = [part.blocks[0][1]._kernels[0] for part in (made._parts[0], general._parts[0])]
        assert kernels[0] != kernels[1]
        for start in (None, states):
            names = ("losses", "outputs")
            for name, found, other in zip(
                names, made.evaluate(thetas, start), general.evaluate(thetas, start), strict=True
            ):
                assert_same_bits(found, other, name)
                assert np.isfinite(found[0]).all()


def test_the_pass_for_evaluation_is_asked_for_where_it_pays() -> None:
    run = make("batches", 4, 3, log_points=12)  # 12 records of 11 sequences in 24 updates
    enough = -(-forward._WORTH * 24 // (12 * 11))
    for planned, count in ((enough, 1), (enough - 1, 0)):
        made = kernels_of([run] * WIDTH, planned)
        assert sum(isinstance(kernel, ForwardKernel) for kernel, _ in made) == count
    assert not any(isinstance(kernel, ForwardKernel) for kernel, _ in kernels_of([run], 10**9))


def test_it_is_asked_for_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(runs: Sequence[Run], planned: int | None = None) -> int:
        return sum(isinstance(kernel, ShapeKernel) for kernel, _ in kernels_of(runs, planned))

    run = make("through one", 6, 11)  # of a shape that no other test has
    monkeypatch.setattr(training, "_WORTH", 24 * WIDTH)
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 2)  # as with vectors of eight numbers
    assert count([run] * WIDTH) == 1
    assert count([run] * (WIDTH + 1)) == 2
    assert count([run] * (WIDTH - 1)) == 0
    assert count([run], 24 * WIDTH) == 1


def test_one_that_is_kept_is_taken_in_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path))
    run = make("through one", 7, 3)
    ((kernel, mode),) = [(k, mode) for k, mode in kernels_of([run]) if isinstance(k, ShapeKernel)]
    monkeypatch.setattr(training, "_WORTH", 10**18)
    assert (kernel, mode) not in kernels_of([run])
    kernel.compile(mode)
    assert kernel.is_kept(mode)
    assert (kernel, mode) in kernels_of([run])
    again = ShapeKernel(kernel.shape)
    again.compile(mode)
    assert again.dispatcher.stats.cache_hits == {again.signatures[mode]: 1}
    shape = kernel.shape
    parts = {"model": type(run.model), "loss": type(run.loss), "optimizer": type(run.optimizer)}
    other = Shape(shape.net, **parts, onward=not shape.onward, carry=shape.carry, masked=False)
    assert not ShapeKernel(other).is_kept(mode)


@pytest.mark.parametrize("order", ["random", "shuffled", "sequential"])
def test_rows_that_no_update_takes_are_not_drawn(order: Any) -> None:
    pool, seed = Pool(Noise().make(Generator(np.random.SeedSequence(1)), 10), order), np.random.SeedSequence(5)
    for update in (0, 4096, 5000):
        whole, some = pool.page(seed, update, 3), pool.until(5001).page(seed, update, 3)
        assert some.first == whole.first
        assert some.end == min(whole.end, 5001)
        assert np.array_equal(some.rows, whole.rows[: len(some.rows)])


@pytest.mark.slow
def test_golden_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_WORTH", 0)
    assert dict(hash_all(list_choices(), tmp_path)) == json.loads(TABLE.read_text(encoding="utf-8"))
