"""The shipped gradient check: it passes what is right and must fail what is wrong by a thousandth."""

from typing import Any

import numpy as np
import pytest

from bptt.core import gradcheck
from bptt.core.gradcheck import BOUND, BlockError, check_gradients
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.parameters import list_parameters
from bptt.core.run import Run
from bptt.core.sequences import Floats, Sequences
from tests.core.discovering import components
from tests.core.making import LOSSES, Noise, make_model, make_run

READOUT = {"squared_error": "sigmoid", "binary_cross_entropy": "sigmoid", "cross_entropy": "softmax"}


def run_of(name: str, **changes: Any) -> Run:
    """Of few parameters: each is moved both ways."""
    return make_run(model=make_model(name, layers=2, bias="double", hidden_size=2), **changes)


@pytest.mark.parametrize("truncation", [None, pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("name", components("models"))
def test_it_passes_every_model(name: str, truncation: int | None) -> None:
    run = run_of(name, truncation=truncation, task=Noise(ragged=True), batch_size=3)
    errors = check_gradients(run)
    assert [error.name for error in errors] == [block.name for block in list_parameters(run.model, 2, 3)]
    for error in errors:
        assert error.ok, error
        assert error.bound == BOUND
        assert error.relative_error < 1e-7, error


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("loss", components("losses"))
def test_it_passes_every_loss_and_both_kinds_of_target(loss: str, last_only: bool) -> None:
    model = make_model("gru", readout=READOUT[loss])
    run = make_run(model=model, loss=LOSSES[loss](weight=1 / 13), task=Noise(last_only=last_only), batch_size=2)
    assert all(error.ok for error in check_gradients(run))


@pytest.mark.parametrize("name", components("models"))
def test_it_passes_gradients_that_have_almost_vanished(name: str) -> None:
    run = run_of(name, init=Initialisation(Normal(scale=0.01)), task=Noise(timesteps=6, last_only=True))
    assert all(error.ok for error in check_gradients(run))


def with_errors(monkeypatch: pytest.MonkeyPatch, run: Run, names: set[str], factor: float) -> dict[str, BlockError]:
    """What the check says when the gradients of some blocks are wrong by a factor."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    right = gradcheck.gradient_of

    def wrong(run: Run, flat: Floats, sequences: Sequences) -> Floats:
        gradient = right(run, flat, sequences)
        for block in blocks:
            if block.name in names:
                gradient[block.first : block.first + block.size] *= factor
        return gradient

    with monkeypatch.context() as patched:
        patched.setattr(gradcheck, "gradient_of", wrong)
        return {error.name: error for error in check_gradients(run)}


@pytest.mark.parametrize("factor", [1.001, pytest.param(0.999, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", components("models"))
def test_an_error_of_a_thousandth_fails_its_block_and_no_other(
    name: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(model=make_model(name, bias="double", hidden_size=2))
    names = [block.name for block in list_parameters(run.model, 2, 3)]
    for spoilt in (set(names[::2]), set(names[1::2])):
        errors = with_errors(monkeypatch, run, spoilt, factor)
        assert {name for name, error in errors.items() if not error.ok} == spoilt
        for name in spoilt:
            assert errors[name].relative_error == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.00001, np.nan, np.inf])
def test_each_block_is_checked_for_itself(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    for block in list_parameters(run.model, 2, 3):
        with np.errstate(invalid="ignore"):
            errors = with_errors(monkeypatch, run, {block.name}, factor)
        assert not errors.pop(block.name).ok
        if np.isfinite(factor):
            assert all(error.ok for error in errors.values())


def test_an_error_in_a_single_weight_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    run, right = make_run(model=make_model("elman", layers=2)), gradcheck.gradient_of

    def wrong(run: Run, flat: Floats, sequences: Sequences) -> Floats:
        gradient = right(run, flat, sequences)
        block = next(block for block in list_parameters(run.model, 2, 3) if block.name == "cell.1.recurrent")
        largest = block.first + int(np.abs(gradient[block.first : block.first + block.size]).argmax())
        gradient[largest] *= 1.001
        return gradient

    monkeypatch.setattr(gradcheck, "gradient_of", wrong)
    assert [error.name for error in check_gradients(run) if not error.ok] == ["cell.1.recurrent"]


def test_a_gradient_without_truncation_fails_the_check_of_a_truncated_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The windows are what is checked: the full gradient is not the truncated one."""
    right, full = gradcheck.gradient_of, run_of("elman")
    monkeypatch.setattr(gradcheck, "gradient_of", lambda run, flat, sequences: right(full, flat, sequences))
    failed = {error.name for error in check_gradients(run_of("elman", truncation=2)) if not error.ok}
    assert failed >= {"cell.0.input", "cell.0.recurrent", "cell.1.input", "cell.1.recurrent"}
    assert "readout.weight" not in failed


@pytest.mark.parametrize(
    ("relative_error", "ok"),
    [(0.0, True), (1e-7, True), (BOUND, True), (1e-5, False), (np.inf, False), (np.nan, False)],
)
def test_what_is_ok(relative_error: float, ok: bool) -> None:
    assert BlockError("cell.0.input", relative_error, BOUND).ok is ok


def test_a_block_without_gradient_passes() -> None:
    """Nothing flows through recurrent weights in sequences of one timestep: 0 equals 0."""
    errors = {error.name: error for error in check_gradients(make_run(task=Noise(timesteps=1)))}
    assert errors["cell.0.recurrent"].relative_error == 0.0
    assert all(error.ok for error in errors.values())
