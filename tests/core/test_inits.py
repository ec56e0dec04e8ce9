"""Initialisation: what is drawn, by scheme and block; streams that do not touch each other; parameters from a file."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.inits.constant import Constant
from bptt.core.inits.file import File
from bptt.core.inits.glorot import Glorot
from bptt.core.inits.identity import Identity
from bptt.core.inits.initialisation import Init, Initialisation
from bptt.core.inits.legacy import Legacy
from bptt.core.inits.normal import Normal
from bptt.core.inits.orthogonal import Orthogonal
from bptt.core.inits.sparse import Sparse
from bptt.core.inits.torch import Torch
from bptt.core.inits.uniform import Uniform
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter, list_parameters, parameter_count, to_flat, to_named
from bptt.core.random import Generator
from bptt.core.sequences import Floats
from tests.core.comparing import assert_same_parameters, finished
from tests.core.discovering import components
from tests.core.making import MODELS, make_model, make_run

SEED = np.random.SeedSequence(7)
SCHEMES: dict[str, Init] = {
    "normal": Normal(scale=0.3),
    "uniform": Uniform(scale=0.3),
    "glorot": Glorot(scale=2.0),
    "orthogonal": Orthogonal(scale=0.9),
    "identity": Identity(scale=0.8, input_std=0.05),
    "torch": Torch(scale=2.0),
    "constant": Constant(scale=-0.25),
    "sparse": Sparse(entries=15, radius=0.9, scale=0.05),
    "legacy": Legacy(scale=0.3),
}


def blocks_of(
    name: str = "lstm", hidden: int = 60, inputs: int = 50, layers: int = 2, **more: Any
) -> tuple[Parameter, ...]:
    return list_parameters(make_model(name, hidden_size=hidden, layers=layers, bias="double", **more), inputs, 40)


def drawn(scheme: Init, blocks: tuple[Parameter, ...], **by_kind: Init) -> dict[str, Floats]:
    return to_named(blocks, Initialisation(scheme, by_kind).parameters(SEED, blocks))  # type: ignore[arg-type]


def assert_uniform(values: Floats, bound: float) -> None:
    """Mean, variance and both ends of U(−bound, bound), within five standard errors."""
    count = values.size
    assert np.abs(values).max() <= bound
    assert values.max() > bound * (1.0 - 20.0 / count)
    assert values.min() < -bound * (1.0 - 20.0 / count)
    assert abs(values.mean()) < 5.0 * bound / math.sqrt(3.0 * count)
    assert abs(values.var() / (bound**2 / 3.0) - 1.0) < 5.0 * math.sqrt(0.8 / count)


def assert_normal(values: Floats, std: float) -> None:
    count = values.size
    assert abs(values.mean()) < 5.0 * std / math.sqrt(count)
    assert abs(values.var() / std**2 - 1.0) < 5.0 * math.sqrt(2.0 / count)
    inside = (np.abs(values) < std).mean()
    assert abs(inside - 0.6827) < 5.0 * math.sqrt(0.22 / count)


def gates(block: Parameter, values: Floats) -> list[Floats]:
    return np.split(values, block.gates, axis=-1)


def test_every_scheme_is_tested() -> None:
    assert set(components("inits")) == set(SCHEMES) | {"file"}


def test_normal_fills_weights_and_biases() -> None:
    for values in drawn(SCHEMES["normal"], blocks_of()).values():
        assert_normal(values, 0.3)


def test_uniform_fills_weights_and_biases() -> None:
    for values in drawn(SCHEMES["uniform"], blocks_of()).values():
        assert_uniform(values, 0.3)


@pytest.mark.parametrize("name", MODELS)
def test_glorot_sees_each_gate_for_itself(name: str) -> None:
    blocks = blocks_of(name)
    named = drawn(SCHEMES["glorot"], blocks)
    for block in blocks:
        values = named[block.name]
        if block.is_bias:
            assert (values == 0.0).all()
        else:
            for gate in gates(block, values):
                rows, columns = gate.shape
                assert columns == (40 if block.kind == "readout_weight" else 60)
                assert_uniform(gate, 2.0 * math.sqrt(6.0 / (rows + columns)))


@pytest.mark.parametrize("name", MODELS)
def test_orthogonal_has_orthonormal_rows_or_columns_in_each_gate(name: str) -> None:
    blocks = blocks_of(name)
    named = drawn(SCHEMES["orthogonal"], blocks)
    for block in blocks:
        values = named[block.name]
        if block.is_bias:
            assert (values == 0.0).all()
        else:
            for gate in gates(block, values):
                np.testing.assert_allclose(np.linalg.svd(gate, compute_uv=False), 0.9, rtol=1e-13)


def test_orthogonal_is_uniform_over_the_group() -> None:
    """An element of a 2×2 rotation or reflection is the cosine of a uniform angle; LAPACK's own signs are one-sided."""
    block = Parameter("cell.0.recurrent", "recurrent", (2, 8000), 0, 4000, 2)
    corners = Orthogonal(scale=1.0).values(Generator(np.random.SeedSequence(3)), block)[0, ::2]
    assert abs(corners.mean()) < 5.0 * math.sqrt(0.5 / 4000)
    assert abs((corners**2).mean() - 0.5) < 5.0 * math.sqrt(0.125 / 4000)
    assert 0.45 < (corners > 0).mean() < 0.55


@pytest.mark.parametrize("name", MODELS)
def test_sparse_has_few_entries_a_row_and_its_radius_in_each_gate(name: str) -> None:
    blocks = blocks_of(name)
    named = drawn(SCHEMES["sparse"], blocks)
    for block in blocks:
        values = named[block.name]
        if block.is_bias:
            assert (values == 0.0).all()
        elif block.kind != "recurrent":
            assert_normal(values, 0.05)
        else:
            places = np.zeros(60)
            for gate in gates(block, values):
                assert ((gate != 0.0).sum(axis=1) == 15).all()
                places += (gate != 0.0).sum(axis=0)
                if name == "jordan":  # its matrix is from outputs to units
                    assert_normal(gate[gate != 0.0], 0.05)
                else:
                    np.testing.assert_allclose(np.abs(np.linalg.eigvals(gate)).max(), 0.9, rtol=1e-12)
            assert (places > 0).all()  # wherever they are, they are anywhere


def test_sparse_with_more_entries_than_there_are_and_a_radius_of_zero() -> None:
    square = Parameter("cell.0.recurrent", "recurrent", (4, 4), 0, 1, 4)
    full = Sparse(entries=15, radius=2.0, scale=0.1).values(Generator(np.random.SeedSequence(3)), square)
    assert (full != 0.0).all()
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(full)).max(), 2.0, rtol=1e-12)
    still = Sparse(entries=2, radius=0.0, scale=0.1).values(Generator(np.random.SeedSequence(3)), square)
    assert (still == 0.0).all()


@pytest.mark.parametrize("name", MODELS)
def test_identity_repeats_the_unit_matrix_per_gate(name: str) -> None:
    blocks = blocks_of(name)
    named = drawn(SCHEMES["identity"], blocks)
    for block in blocks:
        values = named[block.name]
        if block.is_bias:
            assert (values == 0.0).all()
        elif block.kind == "recurrent":
            for gate in gates(block, values):
                assert np.array_equal(gate, 0.8 * np.eye(*gate.shape))
        else:
            assert_normal(values, 0.05)


def test_torch_is_bounded_by_the_hidden_size_everywhere() -> None:
    for values in drawn(SCHEMES["torch"], blocks_of("gru")).values():
        assert_uniform(values, 2.0 / math.sqrt(60.0))


def test_legacy_draws_block_after_block_as_a_program_with_the_same_seed() -> None:
    program, blocks = np.random.RandomState(7), blocks_of(hidden=6, inputs=5)
    named = drawn(Legacy(scale=0.3), blocks)
    for block in blocks:  # in the order of the flat row
        assert np.array_equal(named[block.name], 0.3 * (2 * program.random_sample(block.shape) - 1))


def test_legacy_takes_a_block_from_where_the_program_drew_it() -> None:
    program = np.random.RandomState(7)
    expected = {name: 2 * program.random_sample(shape) - 1 for name, shape in [("R", (4, 4)), ("V", (4, 2))]}
    blocks = list_parameters(make_model("elman", hidden_size=4, bias="none"), 1, 2)
    places = {"recurrent": Legacy(scale=1.0, place=0), "readout_weight": Legacy(scale=1.0, place=16)}
    named = drawn(Constant(scale=0.5), blocks, **places)
    assert np.array_equal(named["cell.0.recurrent"], expected["R"])
    assert np.array_equal(named["readout.weight"], expected["V"])
    assert (named["cell.0.input"] == 0.5).all()


def test_constant_is_the_number() -> None:
    assert all((values == -0.25).all() for values in drawn(SCHEMES["constant"], blocks_of()).values())


@pytest.mark.parametrize("name", ["normal", "uniform", "glorot", "orthogonal", "torch", "legacy"])
def test_scale_multiplies_the_same_draw(name: str) -> None:
    blocks = blocks_of()
    small, large = (drawn(type(SCHEMES[name])(scale=scale), blocks) for scale in (0.5, 1.0))  # type: ignore[call-arg]
    for block in blocks:
        assert np.array_equal(2.0 * small[block.name], large[block.name])


@pytest.mark.parametrize("kind", ["input", "recurrent", "bias", "recurrent_bias", "readout_weight", "readout_bias"])
@pytest.mark.parametrize("other", SCHEMES)
def test_another_scheme_for_one_kind_of_block_leaves_the_others_as_they_are(kind: str, other: str) -> None:
    blocks = blocks_of(hidden=6, inputs=5)
    usual, changed = drawn(SCHEMES["normal"], blocks), drawn(SCHEMES["normal"], blocks, **{kind: SCHEMES[other]})
    alone = drawn(SCHEMES[other], blocks)
    assert kind in {block.kind for block in blocks}
    for block in blocks:
        expected = alone if block.kind == kind else usual
        assert changed[block.name].tobytes() == expected[block.name].tobytes()


def test_blocks_draw_from_streams_of_their_own() -> None:
    blocks = blocks_of(hidden=40, inputs=40)  # all weights of one shape but the read-out
    named = drawn(Normal(scale=1.0), blocks)
    weights = [named[f"cell.{layer}.{kind}"].ravel() for layer in (0, 1) for kind in ("input", "recurrent")]
    correlation = np.corrcoef(weights)
    assert np.abs(correlation - np.eye(4)).max() < 5.0 / math.sqrt(weights[0].size)


def start_of(seed: int, **changes: Any) -> Any:
    """A run's initial parameters: nothing has moved after an update with a learning rate of 0."""
    return finished([make_run(seed=seed, updates=1, **({"optimizer": Sgd(alpha=0.0)} | changes))])[0]


def test_seed_0_is_a_seed_like_any_other() -> None:
    again, other = start_of(0), start_of(1)
    assert_same_parameters(start_of(0), again)
    for name, values in again.parameters.items():
        assert not np.array_equal(values, other.parameters[name])
        assert np.unique(values).size == values.size
    assert start_of(0).history["loss/train"][0] != other.history["loss/train"][0]
    assert start_of(0).history["loss/eval"][0] != other.history["loss/eval"][0]


@pytest.mark.parametrize("optimizer", components("optimizers"))
def test_the_optimizer_changes_neither_start_nor_data(optimizer: str) -> None:
    from tests.core.discovering import example

    other = example(components("optimizers")[optimizer])
    first, second = (finished([make_run(updates=3, optimizer=chosen)])[0] for chosen in (Sgd(alpha=0.1), other))
    assert first.history["loss/train"][0] == second.history["loss/train"][0]
    assert first.history["grad/norm"][0] == second.history["grad/norm"][0]


def test_the_init_changes_no_data() -> None:
    """With all weights 0 the loss is a function of the data alone."""
    zero = Initialisation(Constant(scale=0.0))
    mixed = Initialisation(
        Normal(scale=1.0), dict.fromkeys(("input", "readout_weight", "bias", "readout_bias"), Constant(scale=0.0))
    )
    first, second = start_of(5, init=zero), start_of(5, init=mixed)
    for metric in ("loss/train", "loss/eval"):
        assert first.history[metric][0] == second.history[metric][0]


def saved(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def test_file_gives_back_what_was_saved_to_the_bit(tmp_path: Path) -> None:
    trained = finished([make_run(updates=3)])[0]
    path = saved(tmp_path / "weights.npz", dict(trained.parameters))
    assert_same_parameters(start_of(9, init=Initialisation(File(path=str(path)))), trained)
    blocks = list_parameters(make_model("elman"), 2, 3)
    flat = Initialisation(File(path=str(path))).parameters(SEED, blocks)
    assert flat.dtype == np.float64
    assert np.array_equal(flat, to_flat(blocks, trained.parameters))


def test_file_takes_numbers_of_other_types_and_may_hold_more(tmp_path: Path) -> None:
    blocks = list_parameters(make_model("elman", hidden_size=2, bias="none", readout="none"), 1, 2)
    arrays = {"cell.0.input": np.array([[1, 2]]), "cell.0.recurrent": np.eye(2, dtype=np.float32), "more": np.ones(3)}
    path = saved(tmp_path / "w.npz", arrays)
    flat = Initialisation(File(path=str(path))).parameters(SEED, blocks)
    assert flat.dtype == np.float64
    assert flat.tolist() == [1.0, 2.0, 1.0, 0.0, 0.0, 1.0]


def test_a_block_from_a_file_beside_a_scheme(tmp_path: Path) -> None:
    blocks = blocks_of("elman", hidden=3, inputs=2, layers=1)
    path = saved(tmp_path / "w.npz", {"cell.0.bias": np.array([1.0, 2.0, 3.0])})
    named, usual = drawn(SCHEMES["normal"], blocks, bias=File(path=str(path))), drawn(SCHEMES["normal"], blocks)
    assert named.pop("cell.0.bias").tolist() == [1.0, 2.0, 3.0]
    assert all(np.array_equal(values, usual[name]) for name, values in named.items())


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "none.npz")
    with pytest.raises(InvalidValue) as refused:
        File(path=path)
    assert (refused.value.field, refused.value.value, refused.value.allowed) == ("path", path, "no such file")


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 cut short", b"\x80\x04N."])
def test_a_file_that_is_no_npz_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    with pytest.raises(InvalidValue, match="not a readable npz file of numbers"):
        File(path=str(path))


def test_a_single_array_and_pickled_objects_are_refused(tmp_path: Path) -> None:
    single, pickled = tmp_path / "single.npy", tmp_path / "pickled.npz"
    np.save(single, np.ones(3))
    np.savez(pickled, **{"cell.0.input": np.array([{}, None], object)})  # type: ignore[arg-type]
    for path in (single, pickled):
        with pytest.raises(InvalidValue, match="not a readable npz file of numbers"):
            File(path=str(path))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"lacks cell.0.input; it holds nothing"),
        ({"b": np.ones(1), "a": np.ones(1)}, r"lacks cell.0.input; it holds a, b"),
        ({"cell.0.input": np.ones((3, 2))}, r"cell.0.input has shape \(3, 2\), needed is \(2, 3\)"),
        ({"cell.0.input": np.full((2, 3), np.inf)}, r"cell.0.input must hold finite numbers"),
        ({"cell.0.input": np.full((2, 3), "one")}, r"cell.0.input must hold finite numbers"),
        ({"cell.0.input": np.ones((2, 3)) * 1j}, r"cell.0.input must hold finite numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    init = Initialisation(File(path=str(saved(tmp_path / "w.npz", arrays))))
    with pytest.raises(InvalidValue, match=message):
        init.parameters(SEED, list_parameters(make_model("elman", hidden_size=3), 2, 1))


@pytest.mark.parametrize("bias", ["none", "single", "double"])
@pytest.mark.parametrize("readout", ["none", "identity"])
@pytest.mark.parametrize("name", MODELS)
def test_blocks_fill_the_row_without_gaps_under_the_promised_names(name: str, readout: str, bias: str) -> None:
    outputs = 4 if readout == "none" else 3
    model = make_model(name, layers=2, bias=bias, readout=readout)
    blocks = list_parameters(model, 2, outputs)
    stacked = {"lstm": 4, "gru": 3}.get(name, 1) * 4
    context = outputs if name == "jordan" else 4
    expected: dict[str, tuple[int, ...]] = {}
    for layer, width in ((0, 2), (1, 4)):
        expected |= {f"cell.{layer}.input": (width, stacked), f"cell.{layer}.recurrent": (context, stacked)}
        expected |= {f"cell.{layer}.bias": (stacked,)} if bias != "none" else {}
        expected |= {f"cell.{layer}.recurrent_bias": (stacked,)} if bias == "double" else {}
    if readout != "none":
        expected |= {"readout.weight": (4, 3)} | ({"readout.bias": (3,)} if bias != "none" else {})
    assert {block.name: block.shape for block in blocks} == expected
    assert parameter_count(blocks) == sum(math.prod(shape) for shape in expected.values())
    row = np.arange(parameter_count(blocks), dtype=np.float64)
    assert np.array_equal(to_flat(blocks, to_named(blocks, row)), row)
    assert dataclasses.astuple(blocks[0])[:2] == ("cell.0.input", "input")
