"""Gradients of every model, read-out, loss, truncation and depth against automatic differentiation."""

import itertools
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from bptt.core.gradcheck import gradient_of, plain_loss
from bptt.core.kernel import LANES, UNITS
from bptt.core.parameters import list_parameters, parameter_count, to_flat, to_named
from bptt.core.sequences import Sequences
from tests.core.comparing import assert_same_bits
from tests.core.making import LOSSES, make_model, make_run
from tests.core.pairs import every_pair

#: Also with noise, which is held, and signs.
VARIANTS: dict[str, Any] = {"noisy leaky": {"noise": 0.4}, "signed leaky": {"dale": 0.6, "noise": 0.2, "leak": 1.0}}
MODELS = ("linear", "elman", "jordan", "leaky", "gru", "lstm", *VARIANTS)
OUTPUTS = [
    ("none", "squared_error"),
    ("identity", "squared_error"),
    ("sigmoid", "squared_error"),
    ("softmax", "squared_error"),
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "cross_entropy"),
]


def some_sequences(rng: np.random.Generator, count: int, outputs: int, kind: str) -> Sequences:
    x = rng.standard_normal((count, 5, 2))
    if kind == "last":
        return Sequences(x, rng.dirichlet(np.ones(outputs), count))
    y = rng.dirichlet(np.ones(outputs), (count, 5))
    if kind == "every":
        return Sequences(x, y)
    lengths = rng.integers(1, 6, count)
    lengths[0] = 5
    return Sequences(x, y, lengths, np.array([False, True, True, False, True]) | (rng.random((count, 5)) < 0.3))


def expected_gradient(run: Any, flat: Any, sequences: Sequences) -> dict[str, Any]:
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    held = to_named(blocks, flat)

    def loss(named: Any) -> Any:
        return plain_loss(run, named, held, sequences, anp)

    return autograd.grad(loss)(held)


def assert_gradient_right(run: Any, sequences: Sequences, seed: int) -> None:
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    flat = np.random.default_rng(seed).standard_normal(parameter_count(blocks)) * 0.4
    of_units, of_lanes = (gradient_of(run, flat, sequences, mode) for mode in (UNITS, LANES))
    assert_same_bits(of_lanes, of_units, "what stands side by side in a vector changes no bit")
    found = to_named(blocks, of_units)
    expected = expected_gradient(run, flat, sequences)
    scale = np.linalg.norm(to_flat(blocks, expected))
    assert scale > 0
    for block in blocks:
        error = np.linalg.norm(found[block.name] - expected[block.name])
        size = np.linalg.norm(expected[block.name])
        assert error <= 1e-10 * size, f"{block.name}: relative error {error / size:.1e}"


@pytest.mark.parametrize(("name", "output", "layers"), every_pair(MODELS, OUTPUTS, (1, 2)))
def test_gradient_equals_automatic_differentiation(name: str, output: tuple[str, str], layers: int) -> None:
    readout, loss = output
    # Half of all pairs, like a chessboard; of each cell, loss and number of layers others have the other half.
    odd = MODELS.index(name) + OUTPUTS.index(output) + layers
    pairs = [*itertools.product((None, 1, 2, 4), ("every", "last", "ragged"))]
    for seed, (truncation, kind) in enumerate(pairs[odd % 2 :: 2]):
        batch = (2, 9)[seed % 2]
        outputs = 3 if readout != "none" else 4
        bias, changes = ("none", "single", "double")[seed % 3], VARIANTS.get(name, {})
        kind_of_cell = name.rpartition(" ")[2]
        model = make_model(kind_of_cell, layers=layers, readout=readout, hidden_size=4, bias=bias, **changes)
        run = make_run(model=model, loss=LOSSES[loss](weight=0.7), inputs=2, outputs=outputs, truncation=truncation)
        assert_gradient_right(run, some_sequences(np.random.default_rng(seed), batch, outputs, kind), seed)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("name", ["elman", "jordan", "leaky"])
def test_gradient_of_every_activation(name: str, activation: str) -> None:
    model = make_model(name, activation=activation, hidden_size=9, layers=3, bias="double")
    run = make_run(model=model, inputs=2, outputs=3)
    assert_gradient_right(run, some_sequences(np.random.default_rng(5), 3, 3, "ragged"), 6)
