"""`experiment=zhu_adder_original` beside its program: the same start, the same additions, the same printed errors.

The program is public: iamtrask.github.io, "Anyone Can Learn To Code an LSTM-RNN in Python (Part 1: RNN)". What it
computes stands here, in NumPy.
"""

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.evaluation import predict
from bptt.core.run import Record, Run
from bptt.core.sequences import Floats, Sequences
from bptt.core.training import Training, train
from tests.core.comparing import assert_same_record, finished

UPDATES = 10_000
#: What its page prints below "Runtime Output", of the additions 0, 1,000 … 9,000: error, both numbers, and what it
#: takes for their sum.
PUBLISHED = [
    "3.45638663 9 + 60 = 1",
    "3.63389116 28 + 35 = 255",
    "3.91366595 116 + 44 = 72",
    "3.72191702 4 + 73 = 223",
    "3.5852713 71 + 11 = 8",
    "2.53352328 81 + 113 = 162",
    "0.57691441 81 + 0 = 81",
    "1.42589952 4 + 125 = 129",
    "0.47477457 39 + 17 = 56",
    "0.21595037 11 + 3 = 14",
]


@dataclass(frozen=True)
class Steps:
    """A training from one seed: weights before and after it; numbers, loss, error and answer of each addition."""

    start: dict[str, Floats]
    end: dict[str, Floats]
    numbers: list[tuple[int, int]]
    losses: Floats
    errors: Floats
    answers: list[int]


def sigmoid(a: Floats) -> Floats:
    squashed: Floats = 1 / (1 + np.exp(-a))
    return squashed


@cache
def run_program(seed: int) -> Steps:
    """Everything that the program draws and computes, one addition after another."""
    generator = np.random.RandomState(seed)
    W, V, R = (2 * generator.random_sample(shape) - 1 for shape in ((2, 16), (16, 1), (16, 16)))
    start = {"cell.0.input": W, "cell.0.recurrent": R, "readout.weight": V}
    places = np.arange(8)
    numbers, losses, errors, answers = [], [], [], []
    for _ in range(UPDATES):
        a, b = generator.randint(128), generator.randint(128)
        x = np.stack([a >> places & 1, b >> places & 1], axis=1).astype(float)
        y = (a + b >> places & 1)[:, None].astype(float)
        h = np.zeros((9, 16))
        for t in range(8):
            h[t + 1] = sigmoid(x[t] @ W + h[t] @ R)
        output = sigmoid(h[1:] @ V)
        e = (output - y) * output * (1 - output)
        delta = np.zeros((9, 16))
        for t in range(7, -1, -1):
            delta[t] = (e[t] @ V.T + delta[t + 1] @ R.T) * h[t + 1] * (1 - h[t + 1])
        W, R, V = W - 0.1 * x.T @ delta[:8], R - 0.1 * h[:8].T @ delta[:8], V - 0.1 * h[1:].T @ e
        numbers.append((a, b))
        losses.append(((output - y) ** 2).sum() / 2)
        errors.append(np.abs(output - y).sum())
        answers.append(int(np.rint(output[:, 0]) @ 2**places))
    end = {"cell.0.input": W, "cell.0.recurrent": R, "readout.weight": V}
    return Steps(start, end, numbers, np.array(losses), np.array(errors), answers)


def make_original(seed: int, *overrides: str) -> Run:
    return check_configuration(compose(["experiment=zhu_adder_original", f"seed={seed}", *overrides])).run


@cache
def train_original() -> tuple[Run, Record]:
    """From the program's own seed, with every update recorded and the weights after each, and seen on a few pairs."""
    run = make_original(0, f"train.log_points={UPDATES}", f"train.snapshots={UPDATES}", "task.eval_size=10")
    return run, train([run])[0]


def add(run: Run, record: Record, update: int) -> Sequences:
    """The addition that an update, from 0 on, is trained with."""
    page = run.task.training().page(np.random.SeedSequence(entropy=run.seed, spawn_key=(1,)), update, 1)
    rows = page.rows[update - page.first]
    return Sequences(page.sequences.x[rows], page.sequences.y[rows])


def test_the_plain_program_prints_what_is_published() -> None:
    steps = run_program(0)
    printed = [
        f"{np.round(steps.errors[j], 8)} {steps.numbers[j][0]} + {steps.numbers[j][1]} = {steps.answers[j]}"
        for j in range(0, UPDATES, 1000)
    ]
    assert printed == PUBLISHED


def test_it_starts_from_the_programs_weights_to_the_bit() -> None:
    _, record = train_original()
    for name, values in run_program(0).start.items():
        assert np.array_equal(record.snapshots[0][name], values)


def test_the_printed_trace_comes_out_digit_by_digit() -> None:
    run, record = train_original()
    for j, published in zip(range(0, UPDATES, 1000), PUBLISHED, strict=True):
        sequences = add(run, record, j)
        output = predict(run, record.snapshots[j], sequences)[0, :, 0]
        target = sequences.y[0, :, 0]
        a, b = (int(bits @ 2 ** np.arange(8)) for bits in sequences.x[0].T)
        answer = int(np.rint(output) @ 2 ** np.arange(8))
        assert f"{np.round(np.abs(output - target).sum(), 8)} {a} + {b} = {answer}" == published


def test_all_updates_are_the_programs() -> None:
    _, record = train_original()
    steps = run_program(0)
    assert record.history["update"].tolist() == list(range(1, UPDATES + 1))
    np.testing.assert_allclose(record.history["loss/train"], steps.losses, rtol=1e-8, atol=0)
    for name, values in steps.end.items():
        np.testing.assert_allclose(record.parameters[name], values, rtol=0, atol=1e-8)
    (seen,) = train([make_original(0, "train.log_points=2")])  # on all pairs
    for name, values in seen.parameters.items():
        assert np.array_equal(values, record.parameters[name])
    assert seen.history["accuracy/eval"][-1] == 1


@pytest.mark.slow
def test_another_seed_is_the_program_with_another_seed() -> None:
    run = make_original(5, "train.updates=200", "train.log_points=200")
    (record,) = train([run])
    np.testing.assert_allclose(record.history["loss/train"], run_program(5).losses[:200], rtol=1e-10, atol=0)


def test_seeds_side_by_side_have_the_bits_that_each_has_alone() -> None:
    runs = [make_original(seed, "train.updates=300", "train.log_points=4") for seed in range(9)]
    together = train(runs)
    for place in (0, 5, 8):
        assert_same_record(train([runs[place]])[0], together[place])


def test_what_goes_on_from_a_checkpoint_has_the_bits_of_what_did_not_stop() -> None:
    runs = [make_original(seed, "train.updates=300", "train.log_points=4") for seed in range(2)]
    training = Training(runs)
    training.advance()
    training.advance()
    for resumed, whole in zip(finished(runs, training.checkpoint()), finished(runs), strict=True):
        assert_same_record(resumed, whole)


@pytest.mark.parametrize("updates", [300, 5_000])
def test_a_shorter_training_is_the_beginning_of_a_longer_one(updates: int) -> None:
    run, record = train_original()
    shorter = dataclasses.replace(run, train=dataclasses.replace(run.train, updates=updates, snapshots=0, log_points=3))
    (found,) = train([shorter])
    for name, values in found.parameters.items():
        assert np.array_equal(values, record.snapshots[updates][name])
