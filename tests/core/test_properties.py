"""What holds for any shapes and lengths, tried on random ones."""

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bptt.core.evaluation import predict
from bptt.core.gradcheck import gradient_of
from bptt.core.kernel import LANES, MODES, UNITS
from bptt.core.layout import read_net
from bptt.core.losses.squared_error import SquaredError
from bptt.core.parameters import list_parameters, parameter_count
from bptt.core.run import TIMED, Run
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH, pointer_to
from bptt.core.workspace import Workspace, lay_out, pack, sequence_arrays
from tests.core.comparing import assert_same_bits, finished
from tests.core.discovering import components
from tests.core.making import make_model, make_run
from tests.core.test_training import Given

few = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def ragged(draw: st.DrawFn, most: int = 2 * WIDTH + 3) -> Sequences:
    """Sequences of any count, length and width, some timesteps of which may not be scored."""
    count, timesteps = draw(st.integers(1, most)), draw(st.integers(1, 6))
    inputs, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    lengths = draw(st.none() | st.lists(st.integers(1, timesteps), min_size=count, max_size=count))
    kind = draw(st.sampled_from(["last", "every", "some of all", "some of each"]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.standard_normal((count, timesteps, inputs))
    valid = None if lengths is None else np.array(lengths, np.int64)
    if kind == "last":
        return Sequences(x, rng.random((count, outputs)), valid)
    y = rng.random((count, timesteps, outputs))
    shape = {"every": None, "some of all": (timesteps,), "some of each": (count, timesteps)}[kind]
    return Sequences(x, y, valid, None if shape is None else rng.random(shape) < 0.6)


@st.composite
def networks(draw: st.DrawFn, sequences: Sequences) -> tuple[Run, Floats]:
    """A run for these sequences, and parameters."""
    model = make_model(
        draw(st.sampled_from(sorted(components("models")))),
        hidden_size=draw(st.integers(1, 10)),
        layers=draw(st.integers(1, 3)),
        bias=draw(st.sampled_from(["none", "single", "double"])),
        readout=draw(st.sampled_from(["identity", "sigmoid", "softmax"])),
    )
    inputs, outputs = sequences.x.shape[2], sequences.y.shape[-1]
    truncation = draw(st.none() | st.integers(1, 7))
    run = make_run(model=model, inputs=inputs, outputs=outputs, truncation=truncation)
    count = parameter_count(list_parameters(model, inputs, outputs))
    return run, np.random.default_rng(draw(st.integers(0, 1000))).standard_normal(count) * 0.5


@numba.njit(error_model="numpy")
def _packed(
    sizes: Any, memory: Any, x: Any, y: Any, lengths: Any, scored: Any, rows: Any, shares: Any, alike: Any, places: Any
) -> Any:
    net, batch = read_net(pointer_to(sizes)), rows.shape[2]
    return pack(net, pointer_to(memory), x, y, lengths, scored, rows, 0, batch, shares, alike, False, places)


def pack_once(space: Workspace, sets: list[Sequences], rows: Any, shares: Any) -> int:
    """Pack one update's sequences, rows (lanes, batch); returns the first timestep."""
    *arrays, alike = sequence_arrays(sets)
    return int(_packed(space.sizes, space.memory, *arrays, rows[:, None], shares, alike, space.places))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["elman", "jordan"])
@few
@given(sequences=ragged())
def test_packing_is_undone_by_reading_from_the_right(kind: str, mode: str, sequences: Sequences) -> None:
    count, timesteps, inputs = sequences.x.shape
    model = make_model(kind, bias="none")
    space = Workspace(lay_out(model, SquaredError(weight=1.0), sequences, count, mode), mode)
    order = np.random.default_rng(1).permutation(count)
    begin = pack_once(space, [sequences], order[None], np.array([0.25]))
    assert begin == timesteps - sequences.full_lengths.max()
    net = space.net

    def places(region: int, *shape: int) -> Floats:
        """(…, T, rows) of the first lane."""
        found = space.lanes_first(region, *shape, net.places * net.per)[0, ..., net.lead * net.per :]
        return found[..., : timesteps * net.rows].reshape(*shape, timesteps, net.rows)

    x = space.lanes_first(net.x, timesteps, net.rows, inputs)[0]
    live, scored, target = places(net.live), places(net.scored), places(net.target, sequences.y.shape[-1])
    for row, n in enumerate(order):
        length = sequences.full_lengths[n]
        begin = timesteps - length
        assert np.array_equal(x[begin:, row], sequences.x[n, :length])
        assert np.array_equal(live[:, row], (np.arange(timesteps) >= begin).astype(float))
        assert np.array_equal(scored[begin:, row], 0.25 * sequences.full_scored[n, :length])
        assert (scored[:begin, row] == 0.0).all()
        if sequences.last_only:
            assert np.array_equal(target[:, -1, row], sequences.y[n])
        else:
            assert np.array_equal(target[:, begin:, row].T, sequences.y[n, :length])
    assert (live[:, count:] == 0.0).all()
    assert (scored[:, count:] == 0.0).all()


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("timesteps", "inputs"), [(1, 1), (5, 3), (WIDTH, 1), (2 * WIDTH + 1, 2)])
def test_all_lanes_at_once_are_packed_as_each_alone(timesteps: int, inputs: int, own: bool, last_only: bool) -> None:
    """Sequences of one length in batches of one, which are moved as squares of numbers."""
    rng = np.random.default_rng(timesteps)

    def some() -> Sequences:
        y = rng.standard_normal((7, 1) if last_only else (7, timesteps, 1))
        return Sequences(rng.standard_normal((7, timesteps, inputs)), y)

    sets = [some() for _ in range(WIDTH if own else 1)]
    rows, shares = rng.integers(7, size=(WIDTH, 1)), rng.random(WIDTH)
    model = make_model("elman")
    together = Workspace(lay_out(model, SquaredError(weight=1.0), sets[0], 1, LANES), LANES)
    pack_once(together, sets, rows, shares)
    for lane in range(WIDTH):
        alone = Workspace(lay_out(model, SquaredError(weight=1.0), sets[0], 1, UNITS), UNITS)
        pack_once(alone, [sets[lane if own else 0]], rows[lane : lane + 1], shares[lane : lane + 1])
        for region in ("x", "live", "scored", "target"):
            count = timesteps * (inputs if region == "x" else 1)
            found = together.lanes_first(getattr(together.net, region), count)[lane]
            assert np.array_equal(found, alone.lanes_first(getattr(alone.net, region), count)[0]), region


@few
@given(st.data())
def test_units_and_lanes_give_the_same_gradient_to_the_bit(data: st.DataObject) -> None:
    sequences = data.draw(ragged())
    run, flat = data.draw(networks(sequences))
    found = gradient_of(run, flat, sequences, UNITS)
    assert_same_bits(found, gradient_of(run, flat, sequences, LANES), "gradient")


def one(sequences: Sequences, n: int) -> Sequences:
    """Sequence n cut to its length, with its own scored timesteps."""
    length = int(sequences.full_lengths[n])
    y = sequences.y[n : n + 1] if sequences.last_only else sequences.y[n : n + 1, :length]
    scored = None if sequences.last_only else sequences.full_scored[n : n + 1, :length]
    return Sequences(sequences.x[n : n + 1, :length], y, None, scored)


@few
@given(st.data())
def test_a_batchs_gradient_is_the_mean_of_its_sequences(data: st.DataObject) -> None:
    sequences = data.draw(ragged(WIDTH + 2))
    run, flat = data.draw(networks(sequences))
    each = [gradient_of(run, flat, one(sequences, n)) for n in range(sequences.count)]
    size = max(np.linalg.norm(gradient) for gradient in each)
    error = np.linalg.norm(gradient_of(run, flat, sequences) - np.mean(each, axis=0))
    assert error <= 1e-12 * size


@few
@given(st.data())
def test_what_is_predicted_for_a_sequence_does_not_depend_on_the_others(data: st.DataObject) -> None:
    sequences = data.draw(ragged(9 * WIDTH))
    run, flat = data.draw(networks(sequences))
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    named = {block.name: flat[block.first : block.first + block.size].reshape(block.shape) for block in blocks}
    found = predict(run, named, sequences)
    assert found.shape == sequences.y.shape
    for n in range(0, sequences.count, 5):
        alone = predict(run, named, one(sequences, n))[0]
        mine = found[n] if sequences.last_only else found[n, : int(sequences.full_lengths[n])]
        np.testing.assert_allclose(mine, alone, rtol=1e-12, atol=1e-14)


@few
@given(st.data())
def test_any_lane_among_others_is_the_run_alone(data: st.DataObject) -> None:
    sequences = data.draw(ragged())
    shape, _ = data.draw(networks(sequences))
    task = Given(sequences, order="random")
    chosen: dict[str, Any] = {
        "batch_size": data.draw(st.integers(1, 10)),
        "carry_state": data.draw(st.booleans()),
        "truncation": shape.train.truncation,
        "updates": 3,
        "log_points": 2,
    }
    runs = [
        make_run(task=task, model=shape.model, seed=seed, **chosen)
        for seed in range(data.draw(st.integers(2, WIDTH + 1)))
    ]
    together = finished(runs)
    lane = data.draw(st.integers(0, len(runs) - 1))
    alone = finished([runs[lane]])[0]
    assert np.array_equal(together[lane].state, alone.state)
    assert np.array_equal(together[lane].flow, alone.flow)
    for name, values in alone.parameters.items():
        assert np.array_equal(together[lane].parameters[name], values)
    for name in alone.history.keys() - TIMED:
        assert np.array_equal(together[lane].history[name], alone.history[name], equal_nan=True), name
