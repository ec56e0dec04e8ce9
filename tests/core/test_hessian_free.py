"""Hessian-free optimization: its product against automatic differentiation, its updates against a plain statement."""

import dataclasses
import itertools
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from bptt.configuration.checks import check_remedies
from bptt.core import gradcheck, plain
from bptt.core.clips.norm import Norm
from bptt.core.gradcheck import check_gradients, curvature_of, gradient_of, plain_curvature, plain_loss
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.kernel import LANES, UNITS, Kernel
from bptt.core.lane_block import single_lane
from bptt.core.losses.binary_cross_entropy import binary_cross_entropy_curvature
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.hessian_free import HessianFree
from bptt.core.parameters import list_parameters, mark_trained, to_flat, to_named
from bptt.core.regularizers.l2 import L2
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.core.simd import WIDTH
from bptt.core.training import Training
from bptt.core.updates import EVALUATIONS
from tests.core.comparing import assert_runs_are_the_same_beside_others, assert_same_bits, finished
from tests.core.discovering import components, example
from tests.core.making import LOSSES, Noise, make_model, make_run
from tests.core.pairs import every_pair
from tests.core.test_gradients import OUTPUTS, some_sequences

CELLS = ("linear", "elman", "gru", "lstm")


def solver(**changes: Any) -> HessianFree:
    usual = {"damping": 0.5, "structural_damping": 0.1, "cg_decay": 0.9, "cg_iterations": 60}
    return HessianFree(**(usual | changes))


def named_of(run: Run, flat: Any) -> dict[str, Any]:
    """Named arrays of a flat row that automatic differentiation may follow."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    return {b.name: anp.reshape(flat[b.first : b.first + b.size], b.shape) for b in blocks}


def run_plainly(run: Run, flat: Any, sequences: Sequences) -> tuple[Any, Any, Any]:
    """(outputs (K, o), what the loss is convex in (K, o), states (M, H) of all timesteps and layers), plainly."""
    named, outputs, seen, states = named_of(run, flat), [], [], []
    for n in range(sequences.count):
        state, output = plain.zero_state(run.model, run.task.outputs, anp)
        for t in range(int(sequences.full_lengths[n])):
            state, output, logit = plain.timestep(run.model, named, sequences.x[n, t], state, output, anp)
            states += [one[0] if isinstance(one, tuple) else one for one in state]
            if sequences.full_scored[n, t]:
                outputs.append(output)
                seen.append(logit if run.loss.fused else output)
    return anp.stack(outputs), anp.stack(seen), anp.stack(states)


def differentiate(function: Any, flat: Floats, v: Floats, turn: Any) -> Floats:
    """Jᵀ turn(J v) for the Jacobian J of a function of the parameters."""
    back, value = autograd.core.make_vjp(function, flat)
    again, _ = autograd.core.make_vjp(lambda u: autograd.core.make_vjp(function, flat)[0](u), np.ones_like(value))
    product: Floats = back(turn(again(v)))
    return product


def plain_product(run: Run, flat: Floats, v: Floats, sequences: Sequences, damping: float) -> Floats:
    """(Σ JᵀHJ + damping · mean over the batch of Σ JₕᵀJₕ) v."""
    h = plain_curvature(run, run_plainly(run, flat, sequences)[0], sequences)
    of_loss = differentiate(
        lambda p: run_plainly(run, p, sequences)[1], flat, v, lambda change: np.einsum("koi,ki->ko", h, change)
    )
    of_states = differentiate(lambda p: run_plainly(run, p, sequences)[2], flat, v, lambda change: change)
    return of_loss + damping / sequences.count * of_states


# ---------------------------------------------------------------------------------------------------------- the product
@pytest.mark.parametrize(("name", "output", "layers"), every_pair(CELLS, OUTPUTS, (1, 2)))
def test_product_equals_automatic_differentiation(name: str, output: tuple[str, str], layers: int) -> None:
    """In both modes to the same bit, positive, for every read-out and loss, ragged sequences and every bias."""
    readout, loss = output
    for seed, kind in enumerate(("every", "last", "ragged")):
        rng, outputs = np.random.default_rng(seed), 3 if readout != "none" else 5
        model = make_model(name, layers=layers, readout=readout, hidden_size=5, bias=("none", "single", "double")[seed])
        run = make_run(model=model, loss=LOSSES[loss](weight=0.7), outputs=outputs)
        sequences = some_sequences(rng, (2, 9, 3)[seed], outputs, kind)
        flat, v = rng.standard_normal((2, list_parameters(model, 2, outputs)[-1].first + 100)) * 0.4
        count = sum(block.size for block in list_parameters(model, 2, outputs))
        flat, v, damping = flat[:count], v[:count], (0.0, 0.3, 2.0)[seed]
        of_units, of_lanes = (curvature_of(run, flat, v, sequences, mode, damping) for mode in (UNITS, LANES))
        assert_same_bits(of_lanes, of_units, "what stands side by side in a vector changes no bit")
        expected = plain_product(run, flat, v, sequences, damping)
        assert np.linalg.norm(of_units - expected) <= 1e-10 * np.linalg.norm(expected)
        assert v @ of_units > 0
        assert np.array_equal(gradient_of(run, flat, sequences), gradient_of(run, flat, sequences, LANES))


@pytest.mark.parametrize("readout", ["none", "identity"])
def test_it_is_the_hessian_where_outputs_are_linear_in_what_moves(readout: str) -> None:
    """A linear network's outputs are linear in its input weights and biases, over all timesteps."""
    model = make_model("linear", readout=readout, hidden_size=3)
    run, rng = make_run(model=model), np.random.default_rng(0)
    blocks, sequences = list_parameters(model, 2, 3), some_sequences(rng, 4, 3, "every")
    moves = mark_trained(blocks, ("input", "bias"))
    flat = rng.standard_normal(moves.size) * 0.5
    v = rng.standard_normal(moves.size) * moves
    ahead, behind = (gradient_of(run, flat + step * v, sequences) for step in (0.5, -0.5))
    found = curvature_of(run, flat, v, sequences)
    np.testing.assert_allclose((moves * found)[moves > 0], (ahead - behind)[moves > 0], rtol=1e-10)
    elsewhere = ((ahead - behind) - found)[moves == 0]
    assert readout == "none" or np.abs(elsewhere).max() > 0.1  # where it is not linear it is not the Hessian


def test_check_gradients_compares_it_and_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(optimizer=solver(), task=Noise(ragged=True), batch_size=4)
    names = [block.name for block in list_parameters(run.model, 2, 3)]
    errors = check_gradients(run)
    assert [error.name for error in errors] == [*names, *(f"curvature of {name}" for name in names)]
    assert all(error.relative_error < 1e-7 for error in errors)

    right = curvature_of

    def wrong(run: Run, flat: Floats, *rest: Any) -> Floats:
        product, block = right(run, flat, *rest), list_parameters(run.model, 2, 3)[1]
        product[block.first : block.first + block.size] *= 1.001
        return product

    monkeypatch.setattr(gradcheck, "curvature_of", wrong)
    assert [error.name for error in check_gradients(run) if not error.ok] == [f"curvature of {names[1]}"]


def test_a_loss_that_says_the_wrong_curvature_is_found() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Halved(SquaredError):
        curvature = binary_cross_entropy_curvature

    Halved.__name__ = "SquaredError"
    run = make_run(optimizer=solver(), loss=Halved(weight=1.0))
    for error in check_gradients(run):
        assert error.ok != error.name.startswith("curvature")


# ---------------------------------------------------------------------------------------------------------- the updates
_TINY = 1e-30  # of a step along the imaginary axis, whose derivative is exact


def jacobian(function: Any, flat: Floats) -> Floats:
    """(K, P): of K real numbers by each parameter."""
    return np.stack([function(flat + 1j * _TINY * row).ravel().imag / _TINY for row in np.eye(flat.size)], axis=1)


@dataclasses.dataclass
class State:
    """What an update begins with and what it leaves: parameters, λ, where conjugate gradients ended.

    work        of the update, in gradients beside its own
    iterations  of conjugate gradients; back: over how many iterates it went; share: by what the step was shortened
    """

    theta: Floats
    damping: float
    x: Floats
    work: float = 0.0
    iterations: int = 0
    back: int = 0
    share: float = 1.0


def follow(run: Run, u: int, state: State) -> State:
    """Update u by Martens' algorithm in plain NumPy, on dense matrices that the kernels have no part in."""
    chosen, blocks = run.optimizer, list_parameters(run.model, run.task.inputs, run.task.outputs)
    assert isinstance(chosen, HessianFree)
    theta, damping, x = state.theta, state.damping, state.x
    trained = np.ones(theta.size) if run.train.only is None else mark_trained(blocks, run.train.only)
    page = run.task.training().page(seed_of(run, 1), 0, run.train.batch_size)
    rows, data = page.rows[u - 1], page.sequences
    sequences = Sequences(data.x[rows], data.y[rows], None if data.lengths is None else data.lengths[rows])

    def loss(flat: Any) -> Any:
        return plain_loss(run, to_named(blocks, flat), to_named(blocks, theta), sequences, np)

    before, g = loss(theta), trained * gradient_of(run, theta, sequences)
    h = plain_curvature(run, run_plainly(run, theta, sequences)[0], sequences)
    of_outputs = jacobian(lambda p: run_plainly(run, p, sequences)[1], theta).reshape(len(h), -1, theta.size)
    of_states = jacobian(lambda p: run_plainly(run, p, sequences)[2], theta)
    curvature = np.einsum("koi,kop,kiq->pq", h, of_outputs, of_outputs) * np.outer(trained, trained)
    structural = of_states.T @ of_states / sequences.count * np.outer(trained, trained)
    a = curvature + damping * np.eye(theta.size) + damping * chosen.structural_damping * structural
    x = chosen.cg_decay * x if u > 1 else np.zeros(theta.size)
    products, attempts = int(u > 1), 1
    r = -g - a @ x
    p, models, iterates = r, [-0.5 * x @ (r - g)], [x]
    for i in range(1, chosen.cg_iterations + 1):
        products, along = products + 1, a @ p
        length = (r @ r) / (p @ along)
        x, rest = x + length * p, r - length * along
        p, r = rest + (rest @ rest) / (r @ r) * p, rest
        models.append(-0.5 * x @ (r - g))
        iterates.append(x)
        k = max(10, i // 10)
        if i > k and models[i] < 0 and (models[i] - models[i - k]) / models[i] < 0.0005 * k:
            break
    made, d, best, back = len(models) - 1, x, loss(theta + x), 0
    kept = [1, 2, 3, 4, 6, 8, 11, 15, 20, 26, 34, 45, 59]
    for i in reversed([i for i in kept if i < made]):
        attempts, value = attempts + 1, loss(theta + iterates[i])
        if value > best:
            break
        d, best, back = iterates[i], value, back + 1
    products += 1
    promised = 0.5 * d @ curvature @ d + g @ d
    rho = (best - before) / promised
    damping *= 1.5 if rho < 0.25 or promised > 0 else 2 / 3 if rho > 0.75 else 1.0
    share, shortened = 1.0, 0
    while loss(theta + share * d) > before + 0.01 * share * min(float(g @ d), 0.0):
        if shortened == 60:
            share = 0.0
            break
        share, attempts, shortened = 0.8 * share, attempts + 1, shortened + 1
    return State(theta + share * d, damping, x, products + attempts / 3, made, back, share)


def follow_training(run: Run, atol: float) -> list[State]:
    """Each update of a run, from where the kernels were: parameters, λ, what is kept and work are the statement's."""
    training, blocks = Training([run]), list_parameters(run.model, run.task.inputs, run.task.outputs)
    assert isinstance(run.optimizer, HessianFree)
    start, found = run.init.parameters(seed_of(run, 0), blocks), []
    state = State(start, run.optimizer.damping, np.zeros(start.size))
    for u in range(1, run.train.updates + 1):
        training.advance()
        (block,) = training._lanes._blocks
        saved, expected = block.saved(0), follow(run, u, state)
        np.testing.assert_allclose(saved["parameters"], expected.theta, rtol=1e-8, atol=atol)
        np.testing.assert_allclose(saved["slots"][0], expected.x, rtol=1e-8, atol=atol)
        np.testing.assert_allclose(saved["kept"], expected.damping, rtol=1e-14)
        np.testing.assert_allclose(block._report[EVALUATIONS, 0], expected.work, rtol=1e-12)
        found.append(expected)
        state = State(saved["parameters"], float(saved["kept"][0]), saved["slots"][0])
    return found


def test_updates_are_those_of_the_plain_statement() -> None:
    """Steps that are whole, shortened and not made at all, back over none and several iterates, λ that grows, falls and
    stays; conjugate gradients that end by themselves and after as many iterations as they may.
    """
    readouts = {"squared_error": "identity", "binary_cross_entropy": "sigmoid", "cross_entropy": "softmax"}
    cases: list[tuple[str, str, float, dict[str, Any]]] = [
        ("linear", "squared_error", 2.5, {"damping": 1e-4, "structural_damping": 0.0, "cg_iterations": 4}),
        ("elman", "cross_entropy", 2.0, {"damping": 1e-3, "cg_iterations": 5}),
        ("elman", "squared_error", 1.0, {"damping": 3.0, "cg_iterations": 60}),
        ("gru", "binary_cross_entropy", 1.0, {"damping": 2.0, "cg_iterations": 12}),
        ("lstm", "cross_entropy", 1.0, {"damping": 1.0, "cg_iterations": 8}),
    ]
    found, moves = [], set()
    for name, loss, scale, changes in cases:
        run = make_run(
            model=make_model(name, readout=readouts[loss], hidden_size=3),
            loss=LOSSES[loss](weight=0.5),
            optimizer=solver(**changes),
            init=Initialisation(Normal(scale=scale)),
            task=Noise(timesteps=4, ragged=True),
            batch_size=5,
            updates=6,
            log_points=6,
            seed=1,
        )
        states = follow_training(run, 1e-10)
        before = [changes["damping"], *(state.damping for state in states[:-1])]
        moves |= {round(state.damping / of, 6) for state, of in zip(states, before, strict=True)}
        found += [(state, changes["cg_iterations"]) for state in states]
    assert {state.share for state, _ in found} >= {0.0, 0.8, 1.0}
    assert {state.back for state, _ in found} >= {0, 1, 2, 3}
    assert moves >= {1.5, 0.666667}
    assert {state.iterations < most for state, most in found} == {False, True}


def regression(rows: int, unknowns: int) -> tuple[Run, Floats]:
    """Least squares of one output as a network: one timestep, and what solves it.

    The squared singular values of the inputs lie from 1 to 50, and the loss hangs on each.
    """
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.standard_normal((rows, unknowns)))[0]
    right = np.linalg.qr(rng.standard_normal((unknowns, unknowns)))[0]
    x = left @ np.diag(np.sqrt(np.linspace(1.0, 50.0, unknowns))) @ right.T
    y = left @ np.geomspace(30.0, 1.0, unknowns) + 0.5
    sequences = Sequences(x[:, None, :], y[:, None])

    @dataclasses.dataclass(frozen=True)
    class Regression(Noise):
        def training(self) -> Pool:  # type: ignore[override]
            return Pool(sequences, "sequential")

        def evaluation(self, rng: Any) -> Sequences:
            return sequences

    model = make_model("linear", readout="none", hidden_size=1, bias="none")
    run = make_run(
        model=model,
        task=Regression(inputs=unknowns, outputs=1, timesteps=1, last_only=True),
        optimizer=solver(damping=1e-12, structural_damping=0.0, cg_iterations=20),
        updates=1,
        batch_size=rows,
    )
    return run, np.linalg.lstsq(x, y, rcond=None)[0]


def test_one_update_solves_linear_regression_in_as_many_steps_as_there_are_unknowns() -> None:
    run, solution = regression(60, 20)
    training = Training([run])
    training.advance()
    found = training.records()[0].parameters["cell.0.input"][:, 0]
    assert np.linalg.norm(found - solution) <= 1e-8 * np.linalg.norm(solution)
    products, attempts = 21, 1  # 20 iterations and one for ρ; going back ends at the first iterate, which is worse
    assert training._lanes._blocks[0]._report[EVALUATIONS, 0] == pytest.approx(products + (attempts + 1) / 3)
    fewer = dataclasses.replace(run, optimizer=solver(damping=1e-12, structural_damping=0.0, cg_iterations=12))
    found = finished([fewer])[0].parameters["cell.0.input"][:, 0]
    assert np.linalg.norm(found - solution) > 1e-3 * np.linalg.norm(solution)


@pytest.mark.parametrize("only", [("readout",), ("recurrent", "bias")])
def test_only_what_is_named_is_trained(only: Any) -> None:
    run = make_run(
        optimizer=solver(cg_iterations=9), task=Noise(timesteps=3), batch_size=3, updates=3, log_points=3, only=only
    )
    blocks = list_parameters(run.model, 2, 3)
    start, part = run.init.parameters(seed_of(run, 0), blocks), mark_trained(blocks, only)
    found = to_flat(blocks, finished([run])[0].parameters)
    assert np.array_equal(found[part == 0], start[part == 0])
    follow_training(run, 1e-10)


def test_a_step_that_does_not_lower_the_loss_is_not_made() -> None:
    """A loss that is as low as can be: no gradient, no step, and λ stays; then one with nothing to be had."""
    run, solution = regression(30, 20)
    for mode in (LANES, UNITS):
        exact = Sequences(run.task.evaluation(None).x, run.task.evaluation(None).x[:, 0] @ solution[:, None])  # type: ignore[arg-type]
        flat = np.append(solution, 0.0)
        exact = Sequences(exact.x, curious(run, flat, exact))
        block = single_lane(run, Pool(exact, "sequential"), flat, mode)
        block.train(0, 1)
        assert np.array_equal(block.parameters[0], flat)
        assert block._kept[0, 0] == 1e-12


def curious(run: Run, flat: Floats, sequences: Sequences) -> Floats:
    """The outputs themselves as targets, to the bit."""
    from bptt.core.evaluation import Evaluation

    evaluation = Evaluation(run.model, run.loss, [sequences], sequences.count)
    (_, _, _, output), *_ = evaluation.by_part(flat[None], None, np.ones(1, bool))
    found: Floats = np.asarray(output)[0].reshape(sequences.count, 1)
    return found


def test_a_model_beyond_all_numbers_is_left_behind() -> None:
    """A gradient whose square overflows moves nothing; the next batch is solved as if there had been none before."""
    run, solution = regression(30, 20)
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, updates=2))
    first = run.task.evaluation(np.random.default_rng())  # type: ignore[arg-type]
    huge = Sequences(np.concatenate([first.x * 1e60, first.x]), np.concatenate([first.y * 1e95, first.y]))
    for mode in (LANES, UNITS):
        block = single_lane(run, Pool(huge, "sequential"), np.zeros(21), mode)
        report = block.train(0, 1)
        assert np.isfinite(report.loss).all()
        assert report.gradient_norm[0] > 1e155
        assert not block.parameters.any()
        block.train(1, 2)
        np.testing.assert_allclose(block.parameters[0][:20], solution, rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- the bits
def mixed(lane: int, **changes: Any) -> Run:
    """Lanes that differ in all that may, and so in how long they iterate; the third is spoilt from the start."""
    scale = 1e200 if lane == 2 else 0.3 + 0.2 * lane
    given: dict[str, Any] = {"updates": 6, "log_points": 3, "task": Noise(ragged=True)}
    return make_run(
        optimizer=solver(
            damping=10.0 ** (lane % 5 - 3),
            structural_damping=0.3 * (lane % 2),
            cg_decay=0.1 * (lane % 10),
            cg_iterations=40,
        ),
        init=Initialisation(Normal(scale=scale)),
        seed=lane,
        **(given | changes),
    )


@pytest.mark.parametrize(
    ("name", "batch_size"),
    [("elman", 2), ("linear", 9), *(pytest.param(n, 3, marks=pytest.mark.slow) for n in ("gru", "lstm"))],
)
def test_a_run_among_others_and_one_that_goes_on_are_the_run_alone(name: str, batch_size: int) -> None:
    model = make_model(name, readout="identity", layers=2 if name == "elman" else 1, hidden_size=5)
    runs = [mixed(lane, model=model, batch_size=batch_size) for lane in range(WIDTH + 2)]
    assert finished([runs[2]])[0].outcome == "diverged"
    assert_runs_are_the_same_beside_others(runs, "cell.0.recurrent")
    work = [Training([run]) for run in runs]
    for training in work:
        training.advance()
    assert len({training._lanes._blocks[0]._report[EVALUATIONS, 0] for training in work}) > WIDTH // 2


def test_what_fills_the_vectors_changes_no_bit_and_what_is_recorded_neither() -> None:
    run = mixed(4, batch_size=3)
    stream, flat = run.task.training(), run.init.parameters(seed_of(run, 0), list_parameters(run.model, 2, 3))
    found = []
    for mode, stops in itertools.product((LANES, UNITS), ((5,), (1, 2, 5))):
        block = single_lane(run, stream, flat, mode)
        for since, update in itertools.pairwise((0, *stops)):
            block.train(since, update)
        found.append(block)
    for block in found[1:]:
        assert_same_bits(block.parameters, found[0].parameters, "parameters")
        assert block._kept[0, 0] == found[0]._kept[0, 0]


def test_gradients_and_flow_are_recorded_of_where_the_update_begins() -> None:
    """As of any other optimizer: trials of other parameters leave no trace in what is measured."""
    first, second = (
        finished([make_run(optimizer=optimizer, updates=1, batch_size=4)])[0] for optimizer in (solver(), None)
    )
    for metric in ("loss/train", "grad/norm", "grad/decay", "activations/saturation"):
        assert_same_bits(first.history[metric], second.history[metric], metric)
    assert_same_bits(first.flow, second.flow, "flow")


# ---------------------------------------------------------------------------------------------------- what can't be had
@dataclasses.dataclass(frozen=True, kw_only=True)
class Uncurved:
    """A loss of another package that does not say its curvature."""

    weight: float = 1.0
    kernel: Kernel = SquaredError.kernel
    fused: bool = False


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": make_model("jordan")}, "knows no curvature of this cell: use model=linear, elman, gru or lstm"),
        ({"loss": Uncurved()}, "knows no curvature of this loss"),
        ({"regularizer": L2(factor=0.1)}, "knows no curvature of a regularizer: use regularizer=none"),
        ({"clip": Norm(threshold=1.0)}, "finds the length of a step itself: use clip=none"),
        ({"truncation": 3}, "asks for gradients that flow through all timesteps: use train.truncation=null"),
        ({"carry_state": True}, "compares losses of one batch, from one state: use train.carry_state=false"),
    ],
)
def test_what_it_cant_train_is_refused_in_one_line(changes: Any, says: str) -> None:
    run = make_run(optimizer=solver(), **changes)
    (line,) = check_remedies(run)
    assert line.startswith(f"optimizer=hessian_free: {says}")
    with pytest.raises(ValueError, match=f"^HessianFree {says}"):
        Training([run])


def test_a_schedule_has_nothing_to_scale() -> None:
    run = make_run(optimizer=solver(), schedule=example(components("schedules")["cosine"]))
    (line,) = check_remedies(run)
    assert line == "schedule=cosine: scales optimizer.alpha, which hessian_free does not have; use schedule=constant"


@pytest.mark.slow(seconds=20)
def test_it_learns_which_symbol_came_first() -> None:
    """Temporal order over 30 timesteps, every sequence right, within 40 updates in each of two runs."""
    from bptt.configuration.build import check_configuration
    from bptt.configuration.compose import compose

    stop = "train.early_stop={metric: accuracy/eval, threshold: 1}"
    overrides = ["experiment=temporal_order", "task.length=30", "optimizer=hessian_free", "clip=none"]
    settings = [
        "train.batch_size=200",
        "train.updates=40",
        "train.log_points=20",
        stop,
        "optimizer.structural_damping=0",
    ]
    runs = [check_configuration(compose([*overrides, *settings, f"seed={seed}"])).run for seed in range(2)]
    for record in finished(runs):
        assert record.outcome == "early_stopped"
        assert record.history["accuracy/eval"][-1] == 1.0
