from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.models.elman import Elman
from bptt.core.sequences import Sequences
from bptt.core.training import train
from bptt.export.network import ExportError, load_network, make_network
from tests.core.making import make_model, make_run
from tests.export.making import network, record


@dataclass(frozen=True)
class Recorded:
    """What is asked of a recorded run."""

    config: dict[str, Any]
    record: Any
    current_folder: Path | None = None
    preparation: Any = None
    numerical_version: str | None = None
    name: str = "seed=1"
    status: str = "FINISHED"


def recorded(*overrides: str, folder: Path | None = None) -> Any:
    configuration = check_configuration(compose([*overrides, "train.updates=3", "train.log_points=3"]))
    (trained,) = train([configuration.run])
    return Recorded(configuration.resolved, trained, folder)


def test_what_is_exported_is_what_was_evaluated() -> None:
    run = recorded(
        "task=adding", "task.length=10", "task.eval_size=40", "seed=3", "train.carry_state=true", "train.batch_size=2"
    )
    made = load_network(run)
    assert made.carried
    assert np.array_equal(made.state, run.record.state)
    assert made.sequences.count == 40
    assert made.sequences.lengths is not None
    error = np.sum((made.predict() - made.sequences.y) ** 2, axis=1).mean()
    assert error == pytest.approx(run.record.history["loss/eval"][-1], rel=1e-12)


def test_a_path_is_meant_from_where_the_run_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    y = rng.random((3, 1))
    np.savez(tmp_path / "data.npz", x=rng.random((3, 4, 2)), y=y, lengths=[4, 2, 1])
    monkeypatch.chdir(tmp_path)
    run = recorded("task=arrays", "task.path=data.npz", folder=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    made = load_network(run)
    assert Path.cwd() == elsewhere
    assert np.array_equal(made.sequences.y, y)
    assert made.config["last_only"]
    assert np.array_equal(made.content().lengths, [4, 2, 1])  # type: ignore[arg-type]


def test_a_run_without_weights_is_refused() -> None:
    with pytest.raises(ExportError, match="seed=1: FAILED, and left no weights"):
        load_network(Recorded({}, None, status="FAILED"))  # type: ignore[arg-type]


def test_a_model_that_is_not_bptts_is_refused() -> None:
    class Mine(Elman):
        pass

    run = make_run(model=Mine(hidden_size=2, layers=1, activation="tanh", bias="none", readout="none"))
    with pytest.raises(ExportError, match="model Mine: only bptt's own"):
        make_network(run, record(make_run(), np.random.Generator(np.random.PCG64(1))))


def test_a_carried_state_that_was_not_recorded_is_zero() -> None:
    run = make_run(model=make_model("lstm", layers=2), carry_state=True)
    left = replace(record(run, np.random.Generator(np.random.PCG64(1))), state=np.empty((0, 0)))
    made = make_network(run, left)
    assert not made.carried
    assert np.array_equal(made.state, np.zeros((1, 2 * 2 * 4 + 3)))


def test_symbols_are_listed_in_the_order_of_the_inputs() -> None:
    run = check_configuration(compose(["task=charlm"])).run
    made = make_network(run, record(run, np.random.Generator(np.random.PCG64(1))))
    vocabulary = made.content().metadata["vocabulary"]
    assert len(vocabulary) == made.config["inputs"]
    text = "".join(vocabulary[code] for code in made.sequences.x[0].argmax(axis=-1))
    assert text in run.task._text  # type: ignore[attr-defined]
    assert made.content().metadata["task"] == "charlm"


def test_the_input_example_is_short() -> None:
    plain = network("elman", ragged=True)
    assert plain.content().x.shape == (4, 5, 2)
    long = replace(plain, sequences=Sequences(np.zeros((11, 3000, 2)), np.zeros((11, 3)), np.arange(995, 1006)))
    assert long.content().x.shape == (1, 1000, 2)
    assert np.array_equal(long.content().lengths, [995])  # type: ignore[arg-type]
