"""Biases of single gates: which numbers they set, what is drawn for them, and how long a unit then remembers."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bptt.core.gradcheck import gradient_of
from bptt.core.inits.constant import Constant
from bptt.core.inits.file import File
from bptt.core.inits.initialisation import Chrono, GateBias, Initialisation, fill_gates
from bptt.core.inits.normal import Normal
from bptt.core.inits.uniform import Uniform
from bptt.core.kernel import LANES, UNITS
from bptt.core.lanes import fusing_key
from bptt.core.models.cell import Cell, Gate
from bptt.core.models.gru import Gru
from bptt.core.models.lstm import Lstm
from bptt.core.parameters import Parameter, list_parameters, to_named
from bptt.core.random import Generator, make_generator
from bptt.core.run import seed_of
from bptt.core.sequences import Floats, Sequences
from tests.core.comparing import assert_same_parameters, assert_same_record, finished
from tests.core.making import MODELS, Noise, make_model, make_run

SEED = np.random.SeedSequence(7)
H = 6
STACKED = {"lstm": ("input", "forget", "cell", "output"), "gru": ("reset", "update", "new")}


def blocks_of(name: str, bias: str = "single", layers: int = 2) -> tuple[Parameter, ...]:
    return list_parameters(make_model(name, hidden_size=H, layers=layers, bias=bias), 2, 3)


def start(name: str, gate_bias: dict[str, GateBias], bias: str = "single", init: Any = None) -> dict[str, Floats]:
    blocks = blocks_of(name, bias)
    return to_named(blocks, Initialisation(init or Normal(scale=0.5), {}, gate_bias).parameters(SEED, blocks))


def columns(name: str, gate: str) -> slice:
    first = STACKED[name].index(gate) * H
    return slice(first, first + H)


@pytest.mark.parametrize("name", MODELS)
def test_a_cell_names_its_gates_in_the_order_in_which_they_are_stacked(name: str) -> None:
    assert tuple(gate.name for gate in MODELS[name].cell.named_gates) == STACKED.get(name, ())


@pytest.mark.parametrize("bias", ["none", "single", "double"])
@pytest.mark.parametrize("name", MODELS)
def test_without_gates_every_block_is_what_its_scheme_draws(name: str, bias: str) -> None:
    for block, values in zip(blocks_of(name, bias), start(name, {}, bias).values(), strict=True):
        number = [other.name for other in blocks_of(name, bias)].index(block.name)
        assert values.tobytes() == Normal(scale=0.5).values(make_generator(SEED, number), block).tobytes()


@pytest.mark.parametrize("bias", ["single", "double"])
@pytest.mark.parametrize(("name", "gate"), [(name, gate) for name, gates in STACKED.items() for gate in gates])
def test_a_number_sets_one_gate_in_all_layers_and_nothing_else(name: str, gate: str, bias: str) -> None:
    usual, changed = start(name, {}, bias), start(name, {gate: 1.5}, bias)
    for layer in (0, 1):
        usual[f"cell.{layer}.bias"][columns(name, gate)] = 1.5
    assert all(changed[key].tobytes() == usual[key].tobytes() for key in usual)


def test_a_gate_goes_before_a_scheme_of_the_block_and_a_file(tmp_path: Path) -> None:
    blocks = blocks_of("lstm")
    trained = Initialisation(Normal(scale=2.0)).parameters(SEED, blocks)
    np.savez(tmp_path / "weights.npz", **to_named(blocks, trained))  # type: ignore[arg-type]
    expected = to_named(blocks, trained)
    for layer in (0, 1):
        expected[f"cell.{layer}.bias"][columns("lstm", "output")] = -3.0
    from_file = start("lstm", {"output": -3.0}, init=File(path=str(tmp_path / "weights.npz")))
    assert all(np.array_equal(from_file[key], expected[key]) for key in expected)

    own = Initialisation(Normal(scale=0.5), {"bias": Constant(scale=0.25)}, {"forget": 1.0})
    bias = to_named(blocks, own.parameters(SEED, blocks))["cell.1.bias"]
    assert bias.tolist() == [0.25] * H + [1.0] * H + [0.25] * 2 * H


def test_chrono_is_the_logarithm_of_a_uniform_number_and_input_is_minus_forget() -> None:
    """Tallec & Ollivier 2018, equation 16."""
    block = Parameter("cell.0.bias", "bias", (4 * 20_000,), 0, 4, 20_000, Lstm.cell.named_gates)
    both: dict[str, GateBias] = {"forget": Chrono(t_max=50.0), "input": Chrono(t_max=50.0)}
    filled = fill_gates(np.full(block.shape, 0.125), block, both, Generator(np.random.SeedSequence(3)))
    wrote, kept, *others = np.split(filled, 4)
    assert np.array_equal(wrote, -kept)
    assert all((values == 0.125).all() for values in others)
    odds = np.exp(kept)
    assert 1.0 <= odds.min() < 1.01
    assert 48.99 < odds.max() <= 49.0
    assert stats.kstest(odds, stats.uniform(1, 48).cdf).pvalue > 0.001
    forgets_over = 1.0 / (1.0 - 1.0 / (1.0 + np.exp(-kept)))
    assert stats.kstest(forgets_over, stats.uniform(2, 48).cdf).pvalue > 0.001


def test_chrono_of_a_gru_is_of_the_gate_that_keeps() -> None:
    found = start("gru", {"update": Chrono(t_max=1000.0)})
    for layer in (0, 1):
        kept = found[f"cell.{layer}.bias"][columns("gru", "update")]
        assert (kept >= 0).all()
        assert (kept <= math.log(999.0)).all()
        assert kept.max() > math.log(300.0)


def test_each_gate_has_the_t_max_that_it_was_given() -> None:
    found = start("lstm", {"forget": Chrono(t_max=12.0), "input": Chrono(t_max=102.0)})["cell.0.bias"]
    kept, wrote = np.exp(found[columns("lstm", "forget")]), np.exp(-found[columns("lstm", "input")])
    np.testing.assert_allclose((kept - 1.0) / 10.0, (wrote - 1.0) / 100.0, rtol=1e-13)


def test_chrono_draws_a_stream_of_its_own_in_each_layer() -> None:
    gates: dict[str, GateBias] = {"forget": Chrono(t_max=100.0)}
    forget = columns("lstm", "forget")
    drawn = start("lstm", gates)
    assert np.unique(np.concatenate([drawn[f"cell.{layer}.bias"][forget] for layer in (0, 1)])).size == 2 * H
    for init in (Constant(scale=0.0), Uniform(scale=1.0)):
        again = start("lstm", gates, init=init)
        assert np.array_equal(again["cell.0.bias"][forget], drawn["cell.0.bias"][forget])
    scheme = start("lstm", {}, init=Uniform(scale=1.0))["cell.0.bias"][:H]
    shares = (np.exp(drawn["cell.0.bias"][forget]) - 1.0) / 98.0
    assert np.abs(2.0 * shares - 1.0 - scheme).max() > 0.1
    blocks = blocks_of("lstm")
    other = Initialisation(Normal(scale=0.5), {}, gates).parameters(np.random.SeedSequence(8), blocks)
    assert not np.isclose(to_named(blocks, other)["cell.0.bias"][forget], drawn["cell.0.bias"][forget]).any()


@pytest.mark.parametrize("mode", [UNITS, LANES])
@pytest.mark.parametrize("bias", [0.0, 1.0, 4.0, -2.0, Chrono(t_max=30.0)], ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_without_weights_a_gradient_fades_by_the_gate_s_sigmoid(name: str, bias: GateBias, mode: str) -> None:
    """With W = R = 0: ∂c_t/∂c_{t−k} = σ(b_f)^k in an LSTM, ∂h_t/∂h_{t−k} = σ(b_z)^k in a GRU.

    x_t is the t-th unit vector, so that row t of ∂L/∂W is the gradient of timestep t's sums; of the candidate's, whose
    tanh has the slope 1 at 0, it is ∂L/∂c_t · σ(b_i), or ∂L/∂h_t · (1 − z).
    """
    timesteps, keeps, candidate = 40, *{"lstm": ("forget", "cell"), "gru": ("update", "new")}[name]
    start = Initialisation(Constant(scale=0.0), {"readout_weight": Constant(scale=0.5)}, {keeps: bias})
    task = Noise(inputs=timesteps, outputs=1, timesteps=timesteps, last_only=True)
    run = make_run(model=make_model(name, hidden_size=H, readout="identity"), init=start, task=task)
    blocks = list_parameters(run.model, timesteps, 1)
    flat = run.init.parameters(seed_of(run, 0), blocks)
    sequences = Sequences(np.eye(timesteps)[None], np.ones((1, 1)))
    gradient = to_named(blocks, gradient_of(run, flat, sequences, mode))["cell.0.input"][:, columns(name, candidate)]
    assert (gradient != 0).all()
    share = 1.0 / (1.0 + np.exp(-to_named(blocks, flat)["cell.0.bias"][columns(name, keeps)]))
    ages = timesteps - 1 - np.arange(timesteps)[:, None]
    np.testing.assert_allclose(gradient / gradient[-1], share**ages, rtol=1e-13)


def gated(seed: int, gate_bias: dict[str, GateBias]) -> Any:
    model = make_model("lstm", hidden_size=3, layers=2, bias="double")
    return make_run(model=model, init=Initialisation(Normal(scale=0.5), {}, gate_bias), seed=seed, updates=6)


def test_runs_that_differ_in_gates_fuse_and_have_the_bits_that_they_have_alone() -> None:
    chrono = Chrono(t_max=9.0)
    every: list[dict[str, GateBias]] = [{}, {"forget": 1.0}, {"forget": chrono, "input": chrono}, {"output": -1.0}]
    runs = [gated(seed, gate_bias) for gate_bias, seed in itertools.product(every, (0, 1, 2))]
    assert all(fusing_key(run) == fusing_key(runs[0]) for run in runs)
    together = finished(runs)
    for run, record in zip(runs, together, strict=True):
        assert_same_record(record, finished([run])[0])
    losses = {float(record.history["loss/train"][0]) for record in together}
    assert len(losses) == len(runs)


def test_a_gate_at_the_number_that_it_had_changes_no_bit() -> None:
    zero = {"bias": Constant(scale=0.0)}
    model = make_model("gru")
    plain = make_run(model=model, init=Initialisation(Normal(scale=0.5), zero), updates=5)  # type: ignore[arg-type]
    named = Initialisation(Normal(scale=0.5), zero, {"update": 0.0, "reset": 0.0})  # type: ignore[arg-type]
    assert_same_parameters(finished([plain])[0], finished([make_run(model=model, init=named, updates=5)])[0])


def test_a_name_that_is_no_gate_s_and_a_gate_without_a_role_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cell.0.bias has no gate forgt"):
        start("lstm", {"forgt": 1.0})
    with pytest.raises(ValueError, match=r"the gate output neither keeps nor writes"):
        start("lstm", {"output": Chrono(t_max=9.0)})


def test_a_cell_names_all_of_its_gates_or_none() -> None:
    cell = Gru.cell
    with pytest.raises(ValueError, match="1 named_gates for 3 gates"):
        Cell(forward=cell.forward, backward=cell.backward, plain=cell.plain, gates=3, named_gates=(Gate("reset"),))
