"""Kernels that are made for a shape: the bits of all others, whatever happens, and where they are asked for."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core import lane_block, lanes
from bptt.core.clips.norm import Norm
from bptt.core.kernel import LANES, MODES
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.run import EarlyStop, Record, Run
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.core.shapes import training
from bptt.core.shapes.shape import Shape
from bptt.core.shapes.training import ShapeKernel
from bptt.core.simd import WIDTH
from bptt.core.training import Training, kernels_of
from tests.core.comparing import assert_same_record, finished
from tests.core.discovering import components, example
from tests.core.making import Noise, make_model, make_run
from tests.golden.runs import TABLE, hash_all, list_choices

HIDDEN, TIMESTEPS, SIDE_BY_SIDE = (1, 3, 8, 13, 16, 21), (1, 2, 7, 9), (1, 8, 13, 16, 21, 256)
#: A few that have each hidden size and each number of lanes; the slow tests have half of the grid, like a chessboard.
FEW = ((16, 9, 256), (3, 7, 21), (1, 1, 13), (8, 2, 8), (13, 9, 1), (21, 7, 16))
GRID = [
    *(pytest.param(hidden, timesteps, (count,)) for hidden, timesteps, count in FEW),
    *(
        pytest.param(hidden, timesteps, SIDE_BY_SIDE, marks=pytest.mark.slow)
        for (i, hidden), (j, timesteps) in itertools.product(enumerate(HIDDEN), enumerate(TIMESTEPS))
        if (i + j) % 2 == 0
    ),
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
    monkeypatch.setattr(training, "_MOST_ROWS", 3)  # they give the same bits, and take longer


def make(
    way: str, hidden_size: int = 5, timesteps: int = 4, outputs: int = 1, model: str = "elman", **changes: Any
) -> Run:
    chosen = WAYS[way] | changes
    fields = {name: chosen.pop(name) for name in ("bias", "activation", "readout") if name in chosen}
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


#: Every cell on every way, in one mode or the other; of those that are not slow each cell and each way is in both.
CELLS_AND_WAYS = [
    pytest.param(cell, way, [*MODES][(i + j) % 2], marks=() if (j - i) % len(WAYS) in (0, 1, 4) else pytest.mark.slow)
    for i, cell in enumerate(("linear", "elman", "gru", "lstm"))
    for j, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("model", "way", "mode"), CELLS_AND_WAYS)
def test_every_cell_on_every_way(model: str, way: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1 if mode == LANES else WIDTH + 1)
    outputs = 2 if mode == LANES else 1
    trained([make(way, outputs=outputs, model=model, seed=seed) for seed in range(3)], monkeypatch)


@pytest.mark.parametrize("optimizer", components("optimizers"))
def test_every_optimizer_that_has_a_step(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = components("optimizers")[optimizer]
    runs = [make("batches", seed=seed, optimizer=example(kind, 0.07 * seed)) for seed in range(3)]
    if hasattr(kind, "step"):
        trained(runs, monkeypatch)
    else:
        assert all(block._made is None for block in Training(runs)._lanes._blocks)


@pytest.mark.parametrize("way", WAYS)
def test_lanes_that_diverge_are_left_to_other_code_and_disturb_no_other(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.parametrize("mode", MODES)
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


@pytest.mark.parametrize("mode", MODES)
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
        {"clip": Norm(threshold=1.0)},
        {"truncation": 2},
        {"schedule": example(components("schedules")["warmup"])},
        {"regularizer": example(components("regularizers")["l2"])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_there_is_none_for_what_it_does_not_do(changes: dict[str, Any]) -> None:
    assert not any(isinstance(kernel, ShapeKernel) for kernel, _ in kernels_of([make("batches", **changes)] * WIDTH))


def test_sequences_of_several_lengths_are_left_to_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Noise(outputs=1, ragged=True)
    trained([dataclasses.replace(make("batches", seed=seed), task=task) for seed in range(3)], monkeypatch)


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
    other = Shape(shape.net, **parts, onward=not shape.onward, carry=shape.carry)
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
def test_golden_bits(tmp_path: Path) -> None:
    assert dict(hash_all(list_choices(), tmp_path)) == json.loads(TABLE.read_text(encoding="utf-8"))
