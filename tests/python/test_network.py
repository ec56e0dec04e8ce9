"""`bptt.Network`: trained or fresh, it says what the core says; what does not fit is refused in a line."""

from pathlib import Path

import numpy as np
import pytest

import bptt
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.evaluation import predict
from bptt.core.sequences import Sequences

WORDS = "task=adding task.length=10 model=gru train.updates=10 train.log_points=2"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bptt.TrainedRun:
    return bptt.train(WORDS, folder=tmp_path_factory.mktemp("network") / "run", tracking=False)


def test_it_says_what_the_core_says(run: bptt.TrainedRun) -> None:
    made = check_configuration(compose(WORDS.split())).run
    x = np.random.Generator(np.random.PCG64(0)).random((3, 5, made.task.inputs))
    whole = predict(made, run.parameters, Sequences(x, np.zeros((3, made.task.outputs))))
    assert run.network.trained.sequences.last_only
    assert np.array_equal(run.predict(x), whole)
    parts = [x[0, :2], x[1, :5], x[2, :3]]
    cut = predict(made, run.parameters, Sequences(x, np.zeros((3, made.task.outputs)), np.array([2, 5, 3])))
    assert np.array_equal(run.predict(parts), cut)
    assert np.array_equal(run.predict(x, lengths=[2, 5, 3]), cut)


def test_it_is_read_from_a_folder_or_from_weights(run: bptt.TrainedRun) -> None:
    assert run.folder is not None
    names = {name: array.shape for name, array in run.parameters.items()}
    for source in (run.folder, run.folder / "weights.npz"):
        network = bptt.Network.load(source)
        assert {name: array.shape for name, array in network.parameters.items()} == names
        assert np.array_equal(network.predict(), run.predict())
    alone = run.folder.parent / "alone.npz"
    alone.write_bytes((run.folder / "weights.npz").read_bytes())
    with pytest.raises(Exception, match=r"alone.npz: no config.yaml lies beside it; say what it is of"):
        bptt.Network.load(alone)
    assert np.array_equal(bptt.Network.load(alone, WORDS).predict(), run.predict())
    with pytest.raises(bptt.ConfigurationError, match=r"cell.0.input has shape \(2, 48\); this network's is \(2, 21\)"):
        bptt.Network.load(alone, f"{WORDS} model.hidden_size=7")


def test_a_fresh_one_is_what_training_starts_from() -> None:
    fresh = bptt.Network.fresh(WORDS, seed=5, train={"snapshots": 1})
    run = bptt.train(WORDS, seed=5, train={"snapshots": 1}, tracking=False)
    start = run.record.snapshots[0]
    assert start.keys() == fresh.parameters.keys()
    assert all(np.array_equal(start[name], array) for name, array in fresh.parameters.items())
    assert fresh.config["cell"] == "gru"
    assert "readout.weight" in fresh._repr_html_()


@pytest.mark.parametrize(
    ("x", "lengths", "says"),
    [
        (np.zeros((4, 2)), None, r"x of shape \(4, 2\): must be \(N, T, 2\); one sequence is x\[None\]"),
        (np.zeros((4, 5, 3)), None, r"x of shape \(4, 5, 3\): must be \(N, T, 2\); this network has 2 inputs"),
        (np.full((1, 2, 2), np.nan), None, r"x\[0, 0, 0\]: nan, and no finite number"),
        ("text", None, r"x: no array of numbers; give \(N, T, 2\)"),
        (np.zeros((2, 3, 2)), [1, 4], r"lengths: 2 whole numbers of 1 to 3 are needed"),
    ],
)
def test_what_does_not_fit_is_refused(run: bptt.TrainedRun, x: object, lengths: object, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}$"):
        run.predict(x, lengths)


@pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version
def test_it_is_exported_and_gives_the_same(run: bptt.TrainedRun, tmp_path: Path) -> None:
    from bptt.export.mlflow_model import load_model

    made = run.export(tmp_path / "model")
    x = run.network.trained.sequences.x
    assert np.allclose(load_model(made).predict(x), run.predict(), rtol=1e-9, atol=1e-9)
    with pytest.raises(Exception, match=r"model: is there already; name a new folder$"):
        run.export(made)
