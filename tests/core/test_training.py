"""Training: what is recorded and when, every metric recomputed plainly, early stopping, divergence, data and fusing."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from bptt.core import plain
from bptt.core.clips.norm import Norm
from bptt.core.clips.value import Value
from bptt.core.evaluation import predict
from bptt.core.gradcheck import gradient_of, plain_loss
from bptt.core.inits.constant import Constant
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.lane_block import single_lane
from bptt.core.lanes import recorded_updates
from bptt.core.layout import ACTIVATIONS
from bptt.core.losses.squared_error import SquaredError
from bptt.core.measurements.measurement import shipped_measurements
from bptt.core.measurements.spectral_radius import spectral_radii, spectral_radius
from bptt.core.metrics import decay_rate, saturated
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.rprop import Rprop
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, parameter_count, to_flat, to_named
from bptt.core.random import Generator
from bptt.core.run import TIMED, EarlyStop, Record, Run, seed_of
from bptt.core.sequences import Floats, Generated, Page, Pool, Sequences
from bptt.core.training import METRICS, WORK, Training, needs_compiling, train
from tests.core.comparing import finished
from tests.core.discovering import components
from tests.core.making import Noise, make_model, make_run

MEASURED = [name for measurement in shipped_measurements() for name in measurement.names]


@dataclass(frozen=True, eq=False)
class Given:
    """A task of given sequences, in their order; evaluated on the same, or on others."""

    sequences: Sequences
    evaluated: Sequences | None = None
    order: Any = "sequential"

    @property
    def inputs(self) -> int:
        return self.sequences.x.shape[2]

    @property
    def outputs(self) -> int:
        return self.sequences.y.shape[-1]

    @property
    def timesteps(self) -> int:
        return self.sequences.timesteps

    def training(self) -> Pool:
        return Pool(self.sequences, self.order)

    def evaluation(self, rng: Generator) -> Sequences:
        return self.evaluated or self.sequences

    def accuracy(self, output: Floats, sequences: Sequences) -> float | None:
        return None


def batch_of(run: Run, update: int) -> Sequences:
    """The batch of an update, from 1, chosen from its page."""
    page: Page = run.task.training().page(
        np.random.SeedSequence(run.seed, spawn_key=(1,)), update - 1, run.train.batch_size
    )
    rows, data = page.rows[update - 1 - page.first], page.sequences
    scored = data.scored if data.scored is None or data.scored.ndim == 1 else data.scored[rows]
    return Sequences(data.x[rows], data.y[rows], None if data.lengths is None else data.lengths[rows], scored)


def evaluation_of(run: Run) -> Sequences:
    return run.task.evaluation(Generator(np.random.SeedSequence(run.seed, spawn_key=(2,))))


def start_of(run: Run) -> dict[str, Floats]:
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    return to_named(blocks, run.init.parameters(np.random.SeedSequence(run.seed, spawn_key=(0,)), blocks))


def after(run: Run, updates: int) -> dict[str, Floats]:
    """The parameters after so many updates."""
    if updates == 0:
        return start_of(run)
    shorter = dataclasses.replace(run, train=dataclasses.replace(run.train, updates=updates, log_points=1))
    return dict(finished([shorter])[0].parameters)


def flow_of(run: Run, named: dict[str, Floats], sequences: Sequences) -> Floats:
    """(T,), lag 0 first: ‖∂(loss of each sequence's last scored timestep)/∂h‖, by shifts of h."""
    model, steps = run.model, sequences.timesteps
    loss = type(run.loss).__name__

    def h_of(state: Any) -> Any:
        return state if model.cell.slots == 1 else state[0]

    def of_shifts(shifts: Any, n: int) -> Any:
        length = int(sequences.full_lengths[n])
        state, output = plain.zero_state(model, run.task.outputs, anp)
        losses = []
        for t in range(length):
            x, new = sequences.x[n, t], []
            for layer in range(model.layers):
                p = {k: named.get(f"cell.{layer}.{k}", 0.0) for k in ("input", "recurrent", "bias", "recurrent_bias")}
                p |= {name: getattr(model, name) for name in model.cell.numbers} | {"xi": 0.0}
                e = shifts[steps - length + t, layer]
                context = output if model.cell.feedback else state[layer]
                after = model.cell.plain(p, x, context, model.activation, anp)
                new.append(after + e if model.cell.slots == 1 else (after[0] + e, *after[1:]))
                x = h_of(new[-1])
            state, logit = new, x @ named["readout.weight"] + named.get("readout.bias", 0.0)
            output = plain.sigmoid(logit, anp)
            target = sequences.y[n] if sequences.last_only else sequences.y[n, t]
            losses.append(plain.timestep_loss(loss, logit, output, target, anp))
        scored = np.flatnonzero(sequences.full_scored[n])
        return losses[scored[-1]] * (run.loss.weight / sequences.count) if scored.size else 0.0 * anp.sum(shifts)

    zero = np.zeros((steps, model.layers, model.hidden_size))
    each = [autograd.grad(lambda shifts, n=n: of_shifts(shifts, n))(zero) for n in range(sequences.count)]
    return np.sqrt(np.sum(np.square(each), axis=(0, 2, 3)))[::-1]


@dataclass(frozen=True, kw_only=True)
class Unscored(Noise):
    """Noise of which some timesteps do not count; of most sequences not the last."""

    def make(self, rng: Generator, count: int) -> Sequences:
        made = super().make(rng, count)
        scored = rng.random((count, self.timesteps)) < 0.7
        scored[:, -1] = rng.random(count) < 0.2
        scored[:, 0] = True
        return Sequences(made.x, made.y, made.lengths, scored)


def steep(record: Record) -> Floats:
    """grad/decay by NumPy's polynomial fit."""
    slopes = []
    for norms in record.flow:
        lags = np.flatnonzero(norms > 0)
        slopes.append(np.polyfit(lags, np.log(norms[lags]), 1)[0] if lags.size > 1 else np.nan)
    return np.array(slopes)


@pytest.mark.parametrize("batch_size", [2, 9])
def test_an_update_ratio_from_zero_is_none_and_from_tiny_weights_is_exact(batch_size: int) -> None:
    zero = make_run(init=Initialisation(Constant(scale=0.0)), updates=2, log_points=2, batch_size=batch_size)
    ratios = finished([zero])[0].history["update/ratio"]
    assert np.isnan(ratios[0])
    assert ratios[1] > 0
    tiny = make_run(
        init=Initialisation(Constant(scale=1e-200)),
        optimizer=Rprop(eta_plus=1.0, eta_minus=0.5, delta_zero=2e-200),
        updates=1,
        batch_size=batch_size,
    )
    ratio = finished([tiny])[0].history["update/ratio"][0]  # the first update halves the step: 1e-200 for each weight
    assert 0 < ratio <= 1.0 + 1e-15


#: Each model with one of two sizes; the slow tests have the others.
MODELS_AND_BATCHES = [
    pytest.param(name, size, marks=pytest.mark.slow if (i + j) % 2 else ())
    for i, name in enumerate(components("models"))
    for j, size in enumerate((2, 9))
]


@pytest.mark.parametrize(("name", "batch_size"), MODELS_AND_BATCHES)
def test_every_metric_is_what_a_plain_computation_gives(name: str, batch_size: int) -> None:
    for number, task in enumerate((Noise(), Noise(ragged=True), Noise(last_only=True), Unscored(ragged=True))):
        run = make_run(
            model=make_model(name, layers=1 + number % 2, bias=("single", "none", "double", "single")[number]),
            task=task,
            loss=SquaredError(weight=0.5),
            init=Initialisation(Normal(scale=0.6)),
            optimizer=Momentum(alpha=0.05, epsilon=0.5),
            updates=6,
            log_points=3,
            batch_size=batch_size,
        )
        record = finished([run])[0]
        assert record.history["update"].tolist() == [1, 4, 6] == recorded_updates(6, 3, "linear").tolist()
        omega = {"grad/omega"} if name in ("elman", "linear") else set()
        assert set(record.history) == {"update", *METRICS, *MEASURED, *WORK} | omega
        np.testing.assert_allclose(record.history["grad/decay"], steep(record), rtol=1e-9)
        for point, update in enumerate(record.history["update"]):
            found = {metric: values[point] for metric, values in record.history.items()}
            before, now = after(run, int(update) - 1), after(run, int(update))
            assert_metrics_right(run, batch_of(run, int(update)), before, now, found)
            expected = flow_of(run, before, batch_of(run, int(update)))
            np.testing.assert_allclose(record.flow[point], expected, rtol=1e-9, atol=1e-18)
            assert expected[:2].max() > 0


def assert_metrics_right(
    run: Run, batch: Sequences, before: dict[str, Floats], now: dict[str, Floats], found: dict[str, Any]
) -> None:
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    np.testing.assert_allclose(found["loss/train"], plain_loss(run, before, before, batch, np), rtol=1e-12)
    gradient = autograd.grad(lambda named: plain_loss(run, named, before, batch, anp))(before)
    np.testing.assert_allclose(found["grad/norm"], np.linalg.norm(to_flat(blocks, gradient)), rtol=1e-10)
    evaluation = evaluation_of(run)
    np.testing.assert_allclose(found["loss/eval"], plain_loss(run, now, now, evaluation, np), rtol=1e-12)
    assert found["accuracy/eval"] == run.task.accuracy(predict(run, now, evaluation), evaluation)
    assert found["accuracy/all_right"] == run.task.all_right(predict(run, now, evaluation), evaluation)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found["weights/spectral_radius"], radius_of(run, now), rtol=1e-10)
    assert found["activations/saturation"] == pytest.approx(share_saturated(run, batch, before), rel=1e-12)
    assert found["grad/clipped"] == 0.0
    old, new = to_flat(blocks, before), to_flat(blocks, now)
    np.testing.assert_allclose(found["update/ratio"], np.linalg.norm(new - old) / np.linalg.norm(old), rtol=1e-9)


def radius_of(run: Run, named: dict[str, Floats]) -> float:
    """By repeated squaring of the state-to-state matrix: ‖Aⁿ‖^(1/n)."""
    radii, hidden = [], run.model.hidden_size
    for layer in range(run.model.layers):
        A = named[f"cell.{layer}.recurrent"]
        A = {"Lstm": A[:, 2 * hidden : 3 * hidden], "Gru": A[:, 2 * hidden :]}.get(type(run.model).__name__, A)
        if type(run.model).__name__ == "Jordan":
            A = named["readout.weight"] @ A
        log_scale = 0.0
        for _ in range(40):
            size = np.linalg.norm(A)
            A, log_scale = (A / size) @ (A / size), 2.0 * (log_scale + np.log(size))
        radii.append(np.exp((log_scale + np.log(np.linalg.norm(A))) / 2.0**40))
    return float(max(radii))


def activations_of(run: Run, batch: Sequences, named: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """(function, values) of every gate, or hidden state, at every timestep of every sequence."""
    model = run.model
    for n in range(batch.count):
        state, output = plain.zero_state(model, run.task.outputs, np)
        for t in range(int(batch.full_lengths[n])):
            x, before = batch.x[n, t], state
            state, output, _ = plain.timestep(model, named, x, before, output, np)
            for layer in range(model.layers):
                p = {k: named.get(f"cell.{layer}.{k}", 0.0) for k in ("input", "recurrent", "bias", "recurrent_bias")}
                if type(model).__name__ == "Lstm":
                    z = np.split(
                        x @ p["input"] + before[layer][0] @ p["recurrent"] + p["bias"] + p["recurrent_bias"], 4
                    )
                    for gate, function in zip(z, ("sigmoid", "sigmoid", "tanh", "sigmoid"), strict=True):
                        yield function, plain.activation(function, gate, np)
                    x = state[layer][0]
                elif type(model).__name__ == "Gru":
                    a = np.split(x @ p["input"] + p["bias"], 3) if "bias" in p else []
                    u = np.split(before[layer] @ p["recurrent"] + p["recurrent_bias"], 3)
                    r, z = (plain.sigmoid(a[k] + u[k], np) for k in (0, 1))
                    yield "sigmoid", r
                    yield "sigmoid", z
                    yield "tanh", np.tanh(a[2] + r * u[2])
                    x = state[layer]
                elif type(model).__name__ == "Leaky":
                    z = x @ p["input"] + before[layer] @ p["recurrent"] + p["bias"] + p["recurrent_bias"]
                    yield model.activation, plain.activation(model.activation, z, np)
                    x = state[layer]
                else:
                    yield model.activation, state[layer]
                    x = state[layer]


def share_saturated(run: Run, batch: Sequences, named: dict[str, Floats]) -> float:
    limits: dict[str, Callable[[Floats], Any]] = {
        "tanh": lambda h: 1.0 - h**2 < 0.01,
        "sigmoid": lambda h: h * (1.0 - h) < 0.01 * 0.25,
        "relu": lambda h: h == 0.0,
        "identity": lambda h: np.zeros(h.shape, bool),
    }
    return float(
        np.mean(np.concatenate([limits[f](values).ravel() for f, values in activations_of(run, batch, named)]))
    )


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("batch_size", [3, 10])
def test_saturation_of_large_weights_and_every_activation(activation: str, batch_size: int) -> None:
    shares = []
    for name in ("elman", "lstm", "gru"):
        changes = {"activation": activation} if name == "elman" else {}
        run = make_run(
            model=make_model(name, layers=2, readout="identity", **changes),
            task=Noise(ragged=True),
            init=Initialisation(Normal(scale=2.0)),
            updates=1,
            batch_size=batch_size,
        )
        found = finished([run])[0].history["activations/saturation"][0]
        assert found == pytest.approx(share_saturated(run, batch_of(run, 1), start_of(run)), rel=1e-12)
        shares.append(found)
    assert all(0.0 < share < 1.0 for share in shares[activation == "identity" :])


def test_what_saturated_means() -> None:
    h = np.array([-0.996, -0.99, 0.0, 0.002, 0.003, 0.99, 0.996, 0.998])

    def where(activation: str, values: Floats) -> list[bool]:
        return [bool(saturated.py_func(ACTIVATIONS[activation], value)) for value in values]

    assert where("tanh", h) == [True, False, False, False, False, False, True, True]
    assert where("sigmoid", h[2:]) == [True, True, False, False, False, True]
    assert where("relu", h) == [False, False, True, False, False, False, False, False]
    assert not any(where("identity", h * 1e9))


def test_decay_rate() -> None:
    lags = np.arange(6.0)
    flows = np.array(
        [np.exp(-0.5 * lags), 3.0 * np.exp(0.25 * lags), np.exp(-700.0 * (lags > 0)), np.zeros(6), np.full(6, np.nan)]
    )
    flows[0, 2], flows[1, 3], flows[1, 5] = 0.0, np.inf, np.nan  # left out
    slopes = decay_rate(flows)
    np.testing.assert_allclose(slopes[:2], [-0.5, 0.25], rtol=1e-12)
    np.testing.assert_allclose(slopes[2], np.polyfit(lags, -700.0 * (lags > 0), 1)[0], rtol=1e-12)
    assert np.isnan(slopes[3:]).all()
    assert np.isnan(decay_rate(np.array([[2.0]])))[0]
    assert np.isnan(decay_rate(np.array([[0.0, 2.0]])))[0]
    assert decay_rate(np.array([[1, 2], [3, 4]])).tolist() == decay_rate(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()


def test_gradient_flow_of_a_linear_network_falls_by_its_weight_each_timestep() -> None:
    for weight in (0.5, 1.0, 1.7):
        init = Initialisation(Constant(scale=0.3), {"recurrent": Constant(scale=weight)})
        model = make_model("linear", hidden_size=1, readout="identity")
        run = make_run(model=model, init=init, task=Noise(timesteps=9), updates=1, truncation=2)
        record = finished([run])[0]
        np.testing.assert_allclose(record.flow[0] / record.flow[0, 0], weight ** np.arange(9.0), rtol=1e-12)
        np.testing.assert_allclose(record.history["grad/decay"], np.log(weight), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(
            record.history["weights/spectral_radius"], abs(record.parameters["cell.0.recurrent"][0, 0])
        )


def test_the_spectral_radius_of_complex_and_broken_weights() -> None:
    model = make_model("elman", hidden_size=2, bias="none", readout="none")
    blocks = list_parameters(model, 1, 2)
    rotation = np.array([0.0, 0.0, 0.6, -0.8, 0.8, 0.6])
    lanes = np.stack([3.0 * rotation, rotation, rotation, rotation])
    lanes[1, 3], lanes[2, 2] = np.nan, np.inf
    radii = spectral_radius(model, blocks, lanes)
    np.testing.assert_allclose(radii, [3.0, np.nan, np.nan, 1.0], rtol=1e-14)
    assert np.isnan(spectral_radius(model, blocks, lanes[1:3])).all()
    jordan = make_model("jordan", hidden_size=2, bias="none")
    blocks = list_parameters(jordan, 1, 1)
    assert np.isnan(spectral_radius(jordan, blocks, np.full((1, 6), 1e200)))  # V R leaves the range; and no warning


def test_the_spectral_radius_is_the_largest_eigenvalue() -> None:
    rng = np.random.default_rng(1)
    for size in (1, 2, 3, 8, 17, 50):
        matrices = rng.standard_normal((40, size, size)) * 10.0 ** rng.uniform(-200, 200, (40, 1, 1))
        matrices[:10] += np.swapaxes(matrices[:10], 1, 2)
        expected = np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
        np.testing.assert_allclose(spectral_radii(matrices), expected, rtol=1e-12)
    orthogonal = np.linalg.qr(rng.standard_normal((9, 16, 16)))[0]
    np.testing.assert_allclose(spectral_radii(0.9 * orthogonal), 0.9, rtol=1e-13)
    triangular = np.triu(np.ones((1, 6, 6)))  # one eigenvalue, 1, with one eigenvector
    np.testing.assert_allclose(spectral_radii(triangular), 1.0, rtol=1e-12)
    assert spectral_radii(np.stack([np.eye(5), 0.0 * np.eye(5), np.eye(5, k=1)])).tolist() == [1.0, 0.0, 0.0]
    assert spectral_radii(np.empty((0, 5, 5))).tolist() == []


@pytest.mark.parametrize("name", components("models"))
def test_the_spectral_radius_of_a_lane_among_others_has_the_bits_of_the_lane_alone(name: str) -> None:
    rng = np.random.default_rng(3)
    for hidden in (1, 2, 5, 8, 17):
        model = make_model(name, hidden_size=hidden, layers=2)
        blocks = list_parameters(model, 2, 3)
        lanes = rng.standard_normal((9, sum(block.size for block in blocks)))
        recurrent = next(block for block in blocks if block.name == "cell.0.recurrent")
        whole = np.zeros(recurrent.shape)
        np.fill_diagonal(whole[:, -hidden:], rng.standard_normal(hidden))
        lanes[2, recurrent.first : recurrent.first + recurrent.size] = whole.ravel()  # among it, real eigenvalues
        lanes[5] = np.inf
        expected = [spectral_radius(model, blocks, lane[None])[0] for lane in lanes]
        assert np.array_equal(spectral_radius(model, blocks, lanes), expected, equal_nan=True)


@pytest.mark.parametrize("lags", [1, 2, 3, 7, 8, 9, 30, 129, 300])
def test_the_decay_rate_of_a_lane_among_others_has_the_bits_of_the_lane_alone(lags: int) -> None:
    rng = np.random.default_rng(lags)
    for lanes in (1, 2, 5, 64):
        flow = rng.random((lanes, lags)) + 1e-3
        flow[::3, ::4] = 0.0
        expected = [decay_rate(lane[None])[0] for lane in flow]
        assert np.array_equal(decay_rate(flow), expected, equal_nan=True)


def test_the_recorded_updates() -> None:
    assert recorded_updates(10, 4, "linear").tolist() == [1, 4, 7, 10]
    assert recorded_updates(10, 1, "linear").tolist() == [1, 10]
    assert recorded_updates(10, 2, "log").tolist() == [1, 10]
    assert recorded_updates(1, 100, "linear").tolist() == [1]
    assert recorded_updates(1, 1, "log").tolist() == [1]
    assert recorded_updates(5, 100, "linear").tolist() == [1, 2, 3, 4, 5]
    assert recorded_updates(1000, 4, "log").tolist() == [1, 10, 100, 1000]
    for spacing in ("linear", "log"):
        for updates, points in ((60_000, 100), (500_000, 37), (7, 7), (99, 100), (3, 2)):
            chosen = recorded_updates(updates, points, spacing)
            assert chosen[0] == 1
            assert chosen[-1] == updates
            assert (np.diff(chosen) > 0).all()
            assert len(chosen) <= points + 1
    assert len(recorded_updates(60_000, 100, "linear")) == 100


@pytest.mark.parametrize("spacing", ["linear", "log"])
def test_points_come_one_by_one_and_agree_with_the_record(spacing: str) -> None:
    runs = [make_run(seed=seed, updates=50, log_points=4, log_spacing=spacing) for seed in range(3)]
    training, seen = Training(runs), []
    assert training.update == 0
    while (points := training.advance()) is not None:
        seen.append(points)
        assert training.update == points.update
        assert points.recorded.all()
        assert (points.lane_update == points.update).all()
        assert set(points.metrics) == {*METRICS, *MEASURED, "grad/omega", *WORK}
        assert all(len(record.history["update"]) == len(seen) for record in training.records())
    assert training.advance() is None
    assert [points.update for points in seen] == recorded_updates(50, 4, spacing).tolist()
    for lane, record in enumerate(training.records()):
        assert record.outcome == "completed"
        assert record.updates == 50
        for name, values in record.history.items():
            given = [points.update if name == "update" else points.metrics[name][lane] for points in seen]
            np.testing.assert_array_equal(values, given)
        np.testing.assert_array_equal(record.flow, [points.flow[lane] for points in seen])


class Mistaken(Noise):
    """A task whose accuracy mixes the networks that it is given."""

    def accuracy(self, output: Floats, sequences: Sequences) -> Any:
        return output.mean()


def test_an_accuracy_that_is_not_one_number_for_each_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task.accuracy gave shape \(\) for outputs of shape \(1, 11, 5, 3\)"):
        finished([make_run(task=Mistaken())])


def test_accuracy_is_left_out_where_the_task_has_no_notion_of_it() -> None:
    noise = Noise().make(Generator(np.random.SeedSequence(1)), 4)
    record = finished([make_run(task=Given(noise), updates=3)])[0]
    known = {"update", *METRICS, *MEASURED, "grad/omega", *WORK}
    assert set(record.history) == known - {"accuracy/eval", "accuracy/all_right"}
    assert record.once == {}


@pytest.mark.parametrize("last_only", [False, True])
def test_the_test_set_is_looked_at_when_a_run_has_ended_and_not_before(last_only: bool) -> None:
    runs = [
        make_run(task=Noise(last_only=last_only), loss=SquaredError(weight=weight), seed=seed, updates=6, log_points=3)
        for seed, weight in enumerate((0.5, 2.0, 1.0))
    ]
    training = Training(runs)
    assert training.advance() is not None
    assert [record.once for record in training.records()] == [{"baseline": 1.25}, {"baseline": 5.0}, {"baseline": 2.5}]
    while training.advance() is not None:
        pass
    for run, record in zip(runs, training.records(), strict=True):
        test = run.task.test(Generator(seed_of(run, 3)))  # type: ignore[attr-defined]
        assert list(record.once) == ["loss/test", "accuracy/test", "baseline"]
        expected = plain_loss(run, dict(record.parameters), dict(record.parameters), test, np)
        np.testing.assert_allclose(record.once["loss/test"], expected, rtol=1e-12)
        assert record.once["accuracy/test"] == run.task.accuracy(predict(run, record.parameters, test), test)
        assert record.once["loss/test"] != record.history["loss/eval"][-1]


def test_the_test_of_a_carried_state_starts_from_the_state_that_training_ended_with() -> None:
    run = make_run(updates=6, log_points=2, carry_state=True, batch_size=2)
    (record,) = finished([run])
    test = run.task.test(Generator(seed_of(run, 3)))  # type: ignore[attr-defined]
    shares = [run.task.accuracy(predict(run, record.parameters, test, state), test) for state in (record.state, None)]
    assert record.once["accuracy/test"] == shares[0]


def test_a_run_that_diverged_is_not_tested() -> None:
    model = make_model("elman", readout="identity")
    runs = [make_run(model=model, optimizer=Sgd(alpha=alpha), updates=8, log_points=4) for alpha in (1e200, 0.01)]
    diverged, completed = finished(runs)
    assert (diverged.outcome, list(diverged.once)) == ("diverged", ["baseline"])
    assert (completed.outcome, len(completed.once)) == ("completed", 3)


class Untested(Noise):
    """A task whose test set was switched off."""

    def test(self, rng: Generator) -> None:  # type: ignore[override]
        return None


def test_a_test_set_changes_no_bit_of_training() -> None:
    tested, untested = (finished([make_run(task=task(), updates=9, log_points=3)])[0] for task in (Noise, Untested))
    assert list(untested.once) == ["baseline"]
    for name in tested.history.keys() - TIMED:
        assert np.array_equal(tested.history[name], untested.history[name])


@pytest.mark.parametrize("metric", ["loss/train", "loss/eval"])
def test_a_lane_stops_at_the_first_recorded_update_that_reaches_its_loss(metric: Any) -> None:
    def make(threshold: float) -> Run:
        adam = Adam(alpha=0.05, beta1=0.9, beta2=0.99, small_constant=1e-8)
        stop = EarlyStop(metric=metric, threshold=threshold)
        return make_run(updates=40, log_points=14, optimizer=adam, early_stop=stop)

    whole = finished([make(0.0)])[0]
    course = whole.history[metric]
    assert whole.outcome == "completed"
    assert whole.updates == 40
    thresholds = [0.0, float(course[0]), float(np.sort(course)[6]), float(course.min())]
    records = finished([make(threshold) for threshold in thresholds])
    for threshold, record in zip(thresholds[1:], records[1:], strict=True):
        stop = int(np.flatnonzero(course <= threshold)[0])
        assert record.outcome == "early_stopped"
        assert record.updates == whole.history["update"][stop]
        assert np.array_equal(record.history[metric], course[: stop + 1])
        assert len(record.flow) == stop + 1
        assert_same_as_trained_so_far(make(0.0), record)
    assert np.array_equal(records[0].history[metric], course)
    assert records[1].updates == 1


def assert_same_as_trained_so_far(run: Run, record: Record) -> None:
    for name, values in after(run, record.updates).items():
        assert np.array_equal(record.parameters[name], values)


def test_a_lane_stops_at_the_accuracy_it_was_to_reach() -> None:
    def make(threshold: float) -> Run:
        stop = EarlyStop(metric="accuracy/eval", threshold=threshold)
        return make_run(updates=60, log_points=20, optimizer=Sgd(alpha=0.5), early_stop=stop, seed=3)

    course = finished([make(1.1)])[0].history["accuracy/eval"]
    between = float(np.unique(course)[len(np.unique(course)) // 2])
    low, middle, high = finished([make(0.0), make(between), make(1.1)])
    assert (low.outcome, low.updates) == ("early_stopped", 1)
    stop = int(np.flatnonzero(course >= between)[0])
    assert middle.outcome == "early_stopped"
    assert np.array_equal(middle.history["accuracy/eval"], course[: stop + 1])
    assert (high.outcome, high.updates) == ("completed", 60)


def test_no_metric_never_stops_whatever_the_threshold() -> None:
    assert finished([make_run(early_stop=EarlyStop(metric=None, threshold=1e9))])[0].outcome == "completed"


@pytest.mark.parametrize("batch_size", [1, 9])
def test_a_lane_whose_loss_is_no_longer_finite_is_frozen_there(batch_size: int) -> None:
    """s grows until (y − target)² overflows; the update at which it does is found by recording every one."""

    def make(updates: int, points: int, alpha: float = 0.5) -> Run:
        return make_run(
            model=make_model("linear", readout="identity"),
            optimizer=Sgd(alpha=alpha),
            updates=updates,
            log_points=points,
            batch_size=batch_size,
        )

    every = finished([make(60, 60)])[0]
    assert every.outcome == "diverged"
    end = every.updates
    assert 3 < end < 60
    assert every.history["update"].tolist() == list(range(1, end + 1))
    assert np.isfinite(every.history["loss/train"][:-1]).all()
    assert not np.isfinite(every.history["loss/train"][-1])
    for name, values in every.history.items():
        if name not in ("update", "loss/train"):
            assert np.isnan(values[-1]), name
    assert np.isnan(every.flow[-1]).all()
    assert np.isnan(every.state).all()
    for name, values in after(make(60, 60), end - 1).items():
        assert np.array_equal(every.parameters[name], values, equal_nan=True)  # as they were before that update
    some = finished([make(60, 3)])[0]  # points 1, 30 or so, 60: it diverged between two of them
    assert some.outcome == "diverged"
    assert some.updates == end
    assert some.history["update"][-1] == end
    assert np.array_equal(some.history["loss/train"][-1], every.history["loss/train"][-1], equal_nan=True)
    beside = Training([make(60, 3), make(60, 3, alpha=1e-3)])
    seen = []
    while (points := beside.advance()) is not None:
        seen.append(points)
    assert [points.update for points in seen] == recorded_updates(60, 3, "linear").tolist()
    assert [points.recorded.tolist() for points in seen] == [[True, True], [True, True], [False, True]]
    assert seen[1].lane_update.tolist() == [end, seen[1].update]
    assert [record.outcome for record in beside.records()] == ["diverged", "completed"]


def test_training_ends_when_all_lanes_have_diverged() -> None:
    run = make_run(
        model=make_model("linear", readout="identity"), optimizer=Sgd(alpha=1e300), updates=1000, log_points=500
    )
    training = Training([run, dataclasses.replace(run, seed=1)])
    steps = 0
    while training.advance() is not None:
        steps += 1
    assert steps < 5
    assert [record.outcome for record in training.records()] == ["diverged", "diverged"]


@pytest.mark.parametrize(
    "other",
    [
        make_run(updates=21),
        make_run(batch_size=2),
        make_run(truncation=3),
        make_run(log_points=6),
        make_run(model=make_model("elman", hidden_size=5)),
        make_run(model=make_model("elman", readout="identity")),
        make_run(model=make_model("gru")),
        make_run(optimizer=Momentum(alpha=0.1, epsilon=0.0)),
        make_run(clip=Norm(threshold=1.0)),
        make_run(task=Noise(timesteps=6)),
        make_run(early_stop=EarlyStop(metric="loss/eval")),
    ],
)
def test_runs_that_do_not_fuse_are_refused(other: Run) -> None:
    with pytest.raises(ValueError, match="only runs that differ in seed, init and per-lane hyperparameters"):
        Training([make_run(), other])


def test_runs_that_fuse_differ_in_seed_init_and_what_is_per_lane() -> None:
    runs = [
        make_run(clip=Value(threshold=1.0)),
        make_run(clip=Value(threshold=0.1), seed=1, init=Initialisation(Constant(scale=0.1))),
        make_run(clip=Value(threshold=0.1), optimizer=Sgd(alpha=0.2), loss=SquaredError(weight=2.0)),
        make_run(clip=Value(threshold=0.1), early_stop=EarlyStop(threshold=3.0)),
    ]
    assert [record.updates for record in train(runs)] == [20] * 4
    assert not needs_compiling([runs])


@pytest.mark.parametrize("batch", [1, 3, 7, 10])
def test_shuffled_takes_each_sequence_once_per_epoch(batch: int) -> None:
    sequences = Noise().make(Generator(np.random.SeedSequence(1)), 10)
    rows = rows_of(Pool(sequences, "shuffled"), np.random.SeedSequence(5), 4096 + 300, batch)
    epochs = rows[: len(rows) // 10 * 10].reshape(-1, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs}) > 0.95 * len(epochs)
    assert not np.array_equal(rows, rows_of(Pool(sequences, "shuffled"), np.random.SeedSequence(6), 4096 + 300, batch))


def test_sequential_and_random_order() -> None:
    sequences = Noise().make(Generator(np.random.SeedSequence(1)), 10)
    rows = rows_of(Pool(sequences, "sequential"), np.random.SeedSequence(5), 5000, 3)
    assert np.array_equal(rows, np.arange(15_000) % 10)
    rows = rows_of(Pool(sequences, "random"), np.random.SeedSequence(5), 5000, 3)
    counts = np.bincount(rows, minlength=10)
    assert ((counts - 1500) ** 2 / 1500).sum() < 40.0  # χ² with 9 degrees of freedom
    assert (rows[1:] == rows[:-1]).mean() == pytest.approx(0.1, abs=0.02)  # drawn with replacement
    assert np.array_equal(rows, rows_of(Pool(sequences, "random"), np.random.SeedSequence(5), 5000, 3))


def rows_of(pool: Pool, seed: np.random.SeedSequence, updates: int, batch: int) -> Any:
    """The sequences that serve the updates, one after the other; any update of a page asks for the same."""
    rows: list[Any] = []
    while len(rows) < updates:
        page, again = (pool.page(seed, len(rows) + further, batch) for further in (0, 7))
        assert page.first == len(rows)
        assert np.array_equal(page.rows, again.rows)
        rows.extend(page.rows)
    return np.concatenate(rows[:updates])


@pytest.mark.parametrize("numbers", [1, 25, 9_000, 100_000])
@pytest.mark.parametrize("batch", [1, 4, 5000])
def test_a_generated_page_is_a_function_of_seed_and_place(numbers: int, batch: int) -> None:
    stream, seed = Generated(Noise().make, numbers), np.random.SeedSequence(3, spawn_key=(1,))
    first = stream.page(seed, 0, batch)
    assert first.first == 0
    second = stream.page(seed, first.end, batch)
    assert second.first == first.end
    assert first.rows.shape == (first.end, batch)
    assert np.unique(first.rows).size == first.rows.size == first.sequences.count
    for update in {second.first, second.end - 1, (second.first + second.end) // 2}:
        page = stream.page(seed, update, batch)
        assert (page.first, page.end) == (second.first, second.end)
        assert np.array_equal(page.sequences.x, second.sequences.x)
        assert np.array_equal(page.sequences.y, second.sequences.y)
    assert not np.array_equal(first.sequences.x[:1], second.sequences.x[:1])
    assert not np.array_equal(first.sequences.x, stream.page(np.random.SeedSequence(4), 0, batch).sequences.x)


@pytest.mark.parametrize("batch_size", [1, 3, 9])
@pytest.mark.parametrize("name", components("models"))
def test_evaluation_starts_from_the_carried_state(name: str, batch_size: int) -> None:
    """For streams whose evaluation goes on where the training stands: row n from the state of batch row n mod batch."""
    run = make_run(model=make_model(name, layers=2), batch_size=batch_size, carry_state=True, updates=4, log_points=2)
    record = finished([run])[0]
    evaluation = evaluation_of(run)
    output = predict(run, record.parameters, evaluation, record.state)
    expected = ((output - evaluation.y) ** 2).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(record.history["loss/eval"][-1], expected, rtol=1e-12)
    from_zero = ((predict(run, record.parameters, evaluation) - evaluation.y) ** 2).sum(axis=(1, 2)).mean()
    assert abs(from_zero / expected - 1.0) > 1e-6


def test_without_carrying_the_state_evaluation_starts_from_zero() -> None:
    run = make_run(updates=4, log_points=2)
    record, evaluation = finished([run])[0], evaluation_of(run)
    expected = ((predict(run, record.parameters, evaluation) - evaluation.y) ** 2).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(record.history["loss/eval"][-1], expected, rtol=1e-12)


def test_a_gradient_does_not_flow_into_the_carried_state() -> None:
    """An update from a carried state has the gradient of its own timesteps, the state it starts from being held."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 4, 2)), rng.random((2, 4, 3))
    still = Sgd(alpha=0.0)
    settings: dict[str, Any] = {
        "carry_state": True,
        "updates": 2,
        "log_points": 2,
        "optimizer": still,
        "task": Given(Sequences(x, y)),
    }
    run = make_run(**settings)
    found = finished([run])[0]
    blocks = list_parameters(run.model, 2, 3)
    held = start_of(run)
    joined = Sequences(x.reshape(1, 8, 2), y.reshape(1, 8, 3), None, np.arange(8) >= 4)

    def loss(named: Any) -> Any:
        state, output = plain.zero_state(run.model, 3, np)
        for t in range(8):
            state, output, logit = plain.timestep(
                run.model, held if t < 4 else named, joined.x[0, t], state, output, anp
            )
            if t >= 4:
                losses.append(plain.timestep_loss("SquaredError", logit, output, joined.y[0, t], anp))
        return sum(losses)

    losses: list[Any] = []
    gradient = autograd.grad(loss)(held)
    np.testing.assert_allclose(found.history["grad/norm"][1], np.linalg.norm(to_flat(blocks, gradient)), rtol=1e-10)
    through = np.linalg.norm(gradient_of(run, to_flat(blocks, held), joined))
    assert abs(through / found.history["grad/norm"][1] - 1.0) > 1e-4  # through both halves it would be another


def test_a_lane_that_is_trained_no_more_reports_nothing_more() -> None:
    run = make_run(updates=9)
    count = parameter_count(list_parameters(run.model, run.task.inputs, run.task.outputs))
    block = single_lane(run, run.task.training(), np.full(count, 0.1))
    assert block.train(0, 3).gradient_norm[0] > 0
    block.freeze(0)
    assert not block.train(3, 5).numbers.any()
