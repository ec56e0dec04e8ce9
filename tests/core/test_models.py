"""Forward values of every model against its equations, written out here; state, stacks, ragged lengths."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from bptt.core.evaluation import predict
from bptt.core.parameters import list_parameters, parameter_count, to_named
from bptt.core.run import Run
from bptt.core.sequences import Floats, Sequences
from tests.core.comparing import finished
from tests.core.discovering import components
from tests.core.making import make_model, make_run
from tests.core.test_training import Given

Named = Mapping[str, Floats]


def σ(z: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -z))


def torch_names(named: Named, layer: int) -> tuple[Floats, Floats, Floats, Floats]:
    """weight_ih_l, weight_hh_l, bias_ih_l, bias_hh_l: PyTorch's, which multiply from the right."""
    return (
        named[f"cell.{layer}.input"].T,
        named[f"cell.{layer}.recurrent"].T,
        named[f"cell.{layer}.bias"],
        named[f"cell.{layer}.recurrent_bias"],
    )


def torch_rnn(named: Named, layer: int, x: Floats) -> Floats:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    W_ih, W_hh, b_ih, b_hh = torch_names(named, layer)
    h, out = np.zeros(W_hh.shape[1]), []
    for x_t in x:
        h = np.tanh(W_ih @ x_t + b_ih + W_hh @ h + b_hh)
        out.append(h)
    return np.array(out)


def torch_lstm(named: Named, layer: int, x: Floats) -> Floats:
    """i, f, g, o from rows 0…H−1, H…2H−1, …; c' = f∗c + i∗g; h' = o∗tanh(c')."""
    W_ih, W_hh, b_ih, b_hh = torch_names(named, layer)
    H = W_hh.shape[1]
    h, c, out = np.zeros(H), np.zeros(H), []
    for x_t in x:
        W_i, W_f, W_g, W_o = (W_ih[k * H : (k + 1) * H] @ x_t + b_ih[k * H : (k + 1) * H] for k in range(4))
        R_i, R_f, R_g, R_o = (W_hh[k * H : (k + 1) * H] @ h + b_hh[k * H : (k + 1) * H] for k in range(4))
        i, f, g, o = σ(W_i + R_i), σ(W_f + R_f), np.tanh(W_g + R_g), σ(W_o + R_o)
        c = f * c + i * g
        h = o * np.tanh(c)
        out.append(h)
    return np.array(out)


def torch_gru(named: Named, layer: int, x: Floats) -> Floats:
    """r, z, n; n = tanh(W_in x + b_in + r∗(W_hn h + b_hn)); h' = (1 − z)∗n + z∗h."""
    W_ih, W_hh, b_ih, b_hh = torch_names(named, layer)
    H = W_hh.shape[1]
    h, out = np.zeros(H), []
    for x_t in x:
        a_r, a_z, a_n = (W_ih[k * H : (k + 1) * H] @ x_t + b_ih[k * H : (k + 1) * H] for k in range(3))
        u_r, u_z, u_n = (W_hh[k * H : (k + 1) * H] @ h + b_hh[k * H : (k + 1) * H] for k in range(3))
        r, z = σ(a_r + u_r), σ(a_z + u_z)
        n = np.tanh(a_n + r * u_n)
        h = (1.0 - z) * n + z * h
        out.append(h)
    return np.array(out)


TORCH = {"elman": torch_rnn, "lstm": torch_lstm, "gru": torch_gru}


def run_of(name: str, *, inputs: int = 3, outputs: int = 2, **changes: Any) -> tuple[Run, dict[str, Floats]]:
    """A run of a model, and parameters of the size 0.7."""
    run = make_run(model=make_model(name, **({"readout": "identity"} | changes)), inputs=inputs, outputs=outputs)
    blocks = list_parameters(run.model, inputs, outputs)
    return run, to_named(blocks, np.random.default_rng(1).standard_normal(parameter_count(blocks)) * 0.7)


def outputs_of(run: Run, named: Named, x: Floats, lengths: Any = None, state: Floats | None = None) -> Floats:
    return predict(run, named, Sequences(x, np.zeros((*x.shape[:2], run.task.outputs)), lengths), state)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("hidden", [1, 5, 9])
@pytest.mark.parametrize("name", TORCH)
def test_with_double_bias_the_equations_are_pytorchs(name: str, hidden: int, layers: int) -> None:
    run, named = run_of(name, bias="double", layers=layers, hidden_size=hidden)
    x = np.random.default_rng(2).standard_normal((11, 7, 3)) * 2.0
    found = outputs_of(run, named, x)
    for n in range(11):
        h = x[n]
        for layer in range(layers):
            h = TORCH[name](named, layer, h)
        np.testing.assert_allclose(
            found[n], h @ named["readout.weight"] + named["readout.bias"], rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize(("name", "theirs"), [("elman", "RNN"), ("lstm", "LSTM"), ("gru", "GRU")])
def test_with_double_bias_they_equal_torch_itself(name: str, theirs: str) -> None:
    torch = pytest.importorskip("torch")
    run, named = run_of(name, bias="double", layers=2, hidden_size=5, readout="none", outputs=5)
    network = getattr(torch.nn, theirs)(3, 5, num_layers=2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for layer in range(2):
            for kind, values in zip(
                ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), torch_names(named, layer), strict=True
            ):
                getattr(network, f"{kind}_l{layer}").copy_(torch.from_numpy(np.ascontiguousarray(values)))
        x = np.random.default_rng(3).standard_normal((4, 6, 3))
        expected = network(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(outputs_of(run, named, x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", TORCH)
def test_a_single_bias_is_a_double_one_whose_second_is_0_and_none_is_0(name: str) -> None:
    _, both = run_of(name, bias="double", layers=2)
    x = np.random.default_rng(4).standard_normal((3, 5, 3))
    single = {key: values for key, values in both.items() if "recurrent_bias" not in key}
    none = {key: values for key, values in single.items() if "bias" not in key}
    for kind, fewer in (("single", single), ("none", none)):
        full = {key: fewer.get(key, np.zeros_like(values)) for key, values in both.items()}
        expected = outputs_of(run_of(name, bias="double", layers=2)[0], full, x)
        np.testing.assert_array_equal(outputs_of(run_of(name, bias=kind, layers=2)[0], fewer, x), expected)


def test_linear_by_hand() -> None:
    run, _ = run_of("linear", inputs=1, outputs=1, hidden_size=1)
    named = {
        "cell.0.input": np.array([[2.0]]),
        "cell.0.recurrent": np.array([[0.5]]),
        "cell.0.bias": np.array([1.0]),
        "readout.weight": np.array([[3.0]]),
        "readout.bias": np.array([-1.0]),
    }
    # s: 2·1 + 1 = 3;  2·0 + 1.5 + 1 = 2.5;  2·(−1) + 1.25 + 1 = 0.25
    assert outputs_of(run, named, np.array([[[1.0], [0.0], [-1.0]]])).ravel().tolist() == [8.0, 6.5, -0.25]


def test_jordan_by_hand() -> None:
    run, _ = run_of("jordan", inputs=1, outputs=1, hidden_size=2, activation="relu")
    named = {
        "cell.0.input": np.array([[1.0, -1.0]]),
        "cell.0.recurrent": np.array([[0.5, 2.0]]),
        "cell.0.bias": np.array([0.0, 1.0]),
        "readout.weight": np.array([[2.0], [1.0]]),
        "readout.bias": np.array([0.5]),
    }
    # y₀ = 0.  x = 1: h = (1, 0), y = 2.5.  x = 2: h = (2 + 1.25, −2 + 5 + 1) = (3.25, 4), y = 11
    # x = −6: h = (−6 + 5.5 → 0, 6 + 22 + 1 = 29), y = 29.5
    assert outputs_of(run, named, np.array([[[1.0], [2.0], [-6.0]]])).ravel().tolist() == [2.5, 11.0, 29.5]


def test_jordan_in_a_stack_feeds_the_networks_output_to_every_layer() -> None:
    run, named = run_of("jordan", layers=2, bias="double", readout="sigmoid")
    x = np.random.default_rng(5).standard_normal((2, 6, 3))
    found = outputs_of(run, named, x)
    for n in range(2):
        y = np.zeros(2)
        for t in range(6):
            h = x[n, t]
            for layer in range(2):
                W, R, b, c = torch_names(named, layer)
                h = np.tanh(W @ h + b + R @ y + c)
            y = σ(h @ named["readout.weight"] + named["readout.bias"])
            np.testing.assert_allclose(found[n, t], y, rtol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
def test_elmans_activations(activation: str) -> None:
    functions: dict[str, Callable[[Floats], Floats]] = {
        "tanh": np.tanh,
        "sigmoid": σ,
        "relu": lambda v: np.maximum(v, 0.0),
        "identity": lambda v: v,
    }
    function = functions[activation]
    run, named = run_of("elman", activation=activation, hidden_size=2, readout="none", bias="single")
    x = np.random.default_rng(6).standard_normal((2, 4, 3))
    found = outputs_of(run, named, x)
    for n in range(2):
        h = np.zeros(2)
        for t in range(4):
            h = function(x[n, t] @ named["cell.0.input"] + h @ named["cell.0.recurrent"] + named["cell.0.bias"])
            np.testing.assert_allclose(found[n, t], h, rtol=1e-12, atol=1e-14)


def test_a_linear_network_is_an_elman_network_with_the_identity() -> None:
    x = np.random.default_rng(7).standard_normal((3, 5, 3))
    linear, named = run_of("linear", layers=2)
    elman, _ = run_of("elman", layers=2, activation="identity")
    assert np.array_equal(outputs_of(linear, named, x), outputs_of(elman, named, x))


@pytest.mark.parametrize("readout", ["identity", "sigmoid", "softmax"])
@pytest.mark.parametrize("name", sorted(set(components("models")) - {"jordan"}))  # whose states depend on the read-out
def test_read_outs(name: str, readout: str) -> None:
    run, named = run_of(name, readout=readout)
    logits_run, _ = run_of(name, readout="identity")
    x = np.random.default_rng(8).standard_normal((3, 4, 3)) * 5.0
    z = outputs_of(logits_run, named, x)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    expected = {"identity": z, "sigmoid": σ(z), "softmax": e / e.sum(axis=-1, keepdims=True)}[readout]
    np.testing.assert_allclose(outputs_of(run, named, x), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", components("models"))
def test_ragged_sequences_are_what_each_is_alone(name: str, layers: int) -> None:
    run, named = run_of(name, layers=layers, bias="double")
    rng = np.random.default_rng(9)
    x, lengths = rng.standard_normal((70, 6, 3)), rng.integers(1, 7, 70)
    x[np.arange(6) >= lengths[:, None]] = np.nan  # what lies behind a sequence's end is ignored
    found = outputs_of(run, named, x, lengths)
    last = predict(run, named, Sequences(x, np.zeros((70, 2)), lengths))
    assert found.shape == (70, 6, 2)
    for n, length in enumerate(lengths):
        alone = outputs_of(run, named, x[n : n + 1, :length])[0]
        np.testing.assert_allclose(found[n, :length], alone, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(last[n], alone[-1], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("batch", [3, 10])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", components("models"))
def test_a_carried_state_continues_the_sequence(name: str, layers: int, batch: int) -> None:
    """A long sequence in two updates gives what it gives at once: in loss, state and prediction."""
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((batch, 8, 2)), rng.random((batch, 8, 3))
    halves = Sequences(np.concatenate([x[:, :4], x[:, 4:]]), np.concatenate([y[:, :4], y[:, 4:]]))
    model = make_model(name, layers=layers)
    settings = {"batch_size": batch, "carry_state": True, "log_points": 2, "updates": 2}
    still = components("optimizers")["sgd"](alpha=0.0)
    carried = finished([make_run(model=model, task=Given(halves), optimizer=still, **settings)])[0]
    run = make_run(model=model, task=Given(Sequences(x, y)), optimizer=still)
    output = outputs_of(run, carried.parameters, x)
    losses = ((output - y) ** 2).sum(axis=(1, 2))
    halved = [((output - y)[:, part] ** 2).sum(axis=(1, 2)).mean() for part in (slice(0, 4), slice(4, 8))]
    np.testing.assert_allclose(carried.history["loss/train"], halved, rtol=1e-12)
    np.testing.assert_allclose(losses.mean(), sum(halved), rtol=1e-12)
    first = finished([make_run(model=model, task=Given(halves), optimizer=still, **(settings | {"updates": 1}))])[0]
    continued = outputs_of(run, carried.parameters, x[:, 4:], state=first.state)
    np.testing.assert_allclose(continued, output[:, 4:], rtol=1e-12)
    np.testing.assert_allclose(carried.state[:, -3:], output[:, -1], rtol=1e-12)  # a row's last output closes it
    shifted = outputs_of(run, carried.parameters, np.roll(x[:, 4:], 1, axis=0), state=np.roll(first.state, 1, axis=0))
    np.testing.assert_allclose(shifted, np.roll(continued, 1, axis=0), rtol=1e-12)
    assert np.abs(outputs_of(run, carried.parameters, x[:, 4:]) - continued).max() > 1e-3


def test_a_state_serves_more_sequences_than_it_has_rows() -> None:
    run, named = run_of("lstm", layers=2)
    x = np.random.default_rng(11).standard_normal((1, 4, 3))
    state = np.random.default_rng(12).standard_normal((3, 2 * 2 * 4 + 2))
    found = outputs_of(run, named, np.repeat(x, 20, axis=0), state=state)
    for n in range(20):
        assert np.array_equal(found[n], found[n % 3])
    assert not np.array_equal(found[0], found[1])


def test_the_states_layout_is_by_layer_hidden_state_then_cell_state_then_output() -> None:
    run, named = run_of("lstm", hidden_size=2, readout="none")
    state = np.arange(1.0, 7.0)[None] / 10.0  # h, c, output
    found = outputs_of(run, named, np.zeros((1, 1, 3)), state=state)
    a = state[0, :2] @ named["cell.0.recurrent"] + named["cell.0.bias"]
    i, f, g, o = σ(a[:2]), σ(a[2:4]), np.tanh(a[4:6]), σ(a[6:])
    np.testing.assert_allclose(found[0, 0], o * np.tanh(f * state[0, 2:4] + i * g), rtol=1e-13)
