"""What a recurrent estimator learns, keeps, refuses and predicts."""

import pickle
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss, mean_squared_error, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bptt.configuration.errors import ConfigurationError
from bptt.core import plain
from bptt.sklearn import RecurrentClassifier, RecurrentRegressor
from bptt.sklearn.estimator import KEYS

RNG = np.random.default_rng(0)
#: Sequences of 6 timesteps; which of two inputs was larger on the whole, and by how much.
X = RNG.standard_normal((60, 6, 2))
DIFFERENCE = (X[:, :, 0] - X[:, :, 1]).mean(axis=1)
Y = np.where(DIFFERENCE > 0, "first", "second")
THIRDS = np.digitize(DIFFERENCE, np.quantile(DIFFERENCE, [1 / 3, 2 / 3]))
QUICK: dict[str, Any] = {"hidden_size": 4, "updates": 200, "alpha": 0.05, "log_points": 11, "random_state": 0}


def test_classes_are_learnt_with_their_labels() -> None:
    estimator = RecurrentClassifier(**QUICK).fit(X, Y)
    assert estimator.classes_.tolist() == ["first", "second"]
    assert estimator.score(X, Y) > 0.9
    assert set(estimator.predict(X)) == {"first", "second"}
    proba = estimator.predict_proba(X)
    assert np.array_equal(proba.sum(axis=1), np.ones(60))
    assert np.array_equal(estimator.predict(X) == "second", proba[:, 1] > 0.5)
    assert np.array_equal(estimator.predict_log_proba(X), np.log(proba))


def test_three_classes_have_a_probability_each() -> None:
    estimator = RecurrentClassifier("gru", **QUICK).fit(X, THIRDS)
    assert estimator.score(X, THIRDS) > 0.8
    proba = estimator.predict_proba(X)
    assert proba.shape == (60, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert np.array_equal(estimator.predict(X), proba.argmax(axis=1))


def test_numbers_are_learnt_in_their_own_units() -> None:
    far = 1e4 + 100 * DIFFERENCE
    estimator = RecurrentRegressor(**QUICK).fit(X, far)
    assert estimator.predict(X).shape == (60,)
    assert estimator.score(X, far) > 0.9
    mean, scale = estimator.preparation_.target_mean[0], estimator.preparation_.target_scale[0]
    assert abs(mean - far.mean()) < 10
    assert 0.5 < scale / far.std() < 1.5


def test_several_numbers_are_learnt_at_once() -> None:
    both = np.stack([DIFFERENCE, -3 * DIFFERENCE + 5], axis=1)
    estimator = RecurrentRegressor(**QUICK).fit(X, both)
    assert estimator.predict(X).shape == (60, 2)
    assert r2_score(both, estimator.predict(X)) > 0.9


def test_a_prediction_is_what_the_equations_give_with_the_weights() -> None:
    """Elman by hand, between the scales of inputs and targets."""
    estimator = RecurrentRegressor(**QUICK | {"updates": 20}).fit(X, DIFFERENCE)
    w, scales = estimator.network_.parameters, estimator.preparation_
    h = np.zeros((60, 4))
    for x in ((X - scales.input_mean) / scales.input_scale).swapaxes(0, 1):
        h = np.tanh(x @ w["cell.0.input"] + h @ w["cell.0.recurrent"] + w["cell.0.bias"])
    by_hand = (h @ w["readout.weight"] + w["readout.bias"])[:, 0] * scales.target_scale[0] + scales.target_mean[0]
    np.testing.assert_allclose(estimator.predict(X), by_hand, rtol=1e-12)
    assert plain.__doc__  # the same equations, for every model


def test_a_table_is_one_input_per_timestep() -> None:
    table = pd.DataFrame(X[:, :, 0], columns=[f"t{step}" for step in range(6)])
    few = QUICK | {"updates": 20}
    of_table = RecurrentRegressor(**few).fit(table, DIFFERENCE)
    of_array = RecurrentRegressor(**few).fit(X[:, :, :1], DIFFERENCE)
    assert np.array_equal(of_table.predict(table), of_array.predict(X[:, :, :1]))
    assert (of_table.n_features_in_, of_table.n_inputs_) == (6, 1)
    assert of_table.feature_names_in_.tolist() == [*table.columns]
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        of_table.predict(table.iloc[:, :5])
    unnamed = RecurrentRegressor(**few).fit(table.to_numpy(), DIFFERENCE)
    with pytest.raises(ValueError, match="X has 5 features, but RecurrentRegressor is expecting 6"):
        unnamed.predict(X[:, :5, 0])


def test_sequences_of_several_lengths_are_a_list() -> None:
    """What stands behind a sequence's end is never seen: alone each gives what it gives among longer ones."""
    lengths = RNG.integers(1, 7, 60)
    sequences = [x[:length] for x, length in zip(X, lengths, strict=True)]
    estimator = RecurrentRegressor(**QUICK | {"updates": 20}).fit(sequences, DIFFERENCE)
    together = estimator.predict(sequences)
    assert np.array_equal(together, [estimator.predict([one])[0] for one in sequences])
    assert np.array_equal(together, estimator.predict(np.array(sequences, dtype=object)))
    valid = np.concatenate(sequences)
    means = estimator.preparation_.input_mean
    assert np.abs(np.array(means) - valid.mean(axis=0)).max() < 0.1
    assert estimator.n_features_in_ == 2


def test_lists_of_one_input_may_be_flat() -> None:
    ragged = [[1.0, 2.0], [3.0], [1.0, 2.0, 3.0], [2.0, 2.0]]
    few = QUICK | {"updates": 5}
    flat = RecurrentRegressor(**few).fit(ragged, [3, 3, 6, 4]).predict(ragged)
    deep = RecurrentRegressor(**few).fit([[[x] for x in one] for one in ragged], [3, 3, 6, 4]).predict(ragged)
    assert np.array_equal(flat, deep)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([np.zeros((2, 2)), np.zeros((3, 1))], "sequence 1 of X has 1 inputs per timestep, sequence 0 has 2"),
        ([np.zeros((2, 2)), np.zeros((0, 2))], r"Found array with 0 sample\(s\) \(shape=\(0, 2\)\)"),
        ([np.zeros((2, 2)), np.full((3, 2), np.nan)], "Input sequence 1 of X contains NaN"),
        (np.zeros((2, 3, 0)), r"X has the shape \(2, 3, 0\)"),
        (np.zeros((2, 3, 1, 1)), "Found array with dim 4"),
    ],
)
def test_x_that_is_no_sequences_is_refused(bad: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RecurrentRegressor(**QUICK).fit(bad, [0.0, 1.0])


def test_inputs_are_counted_when_something_is_predicted() -> None:
    estimator = RecurrentRegressor(**QUICK | {"updates": 5})
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    estimator.fit(X, DIFFERENCE)
    with pytest.raises(ValueError, match="X has 1 inputs per timestep, but RecurrentRegressor is expecting 2"):
        estimator.predict(X[:, :, :1])
    with pytest.raises(ValueError, match="X is a table, one input per timestep, but RecurrentRegressor is expecting 2"):
        estimator.predict(X[:, :, 0])
    assert estimator.predict(X[:, :3]).shape == (60,)  # shorter ones are sequences too


def test_the_network_that_is_kept_is_the_one_that_does_best_on_what_was_held_back() -> None:
    estimator = RecurrentRegressor(**QUICK | {"alpha": 0.5}).fit(X, DIFFERENCE)
    history = estimator.history_
    best = history.loc[history["loss/eval"].idxmin()]
    assert estimator.kept_update_ == best["update"] < 200 == estimator.n_iter_
    assert estimator.validation_["loss"] == best["loss/eval"]
    last = RecurrentRegressor(**QUICK | {"alpha": 0.5, "keep": "last"}).fit(X, DIFFERENCE)
    assert last.kept_update_ == 200
    assert not np.array_equal(last.predict(X), estimator.predict(X))


def test_what_is_said_of_the_part_held_back_is_what_scikit_learn_measures() -> None:
    """Six sequences: the ones that the network was not trained on."""
    estimator = RecurrentClassifier(**QUICK).fit(X, Y)
    errors = [-np.log(p[int(y != "first")]) for p, y in zip(estimator.predict_proba(X), Y, strict=True)]
    assert estimator.validation_["log_loss"] == pytest.approx(estimator.validation_["loss"], rel=1e-9)
    assert len(errors) == 60
    assert estimator.validation_["accuracy"] in {k / 6 for k in range(7)}
    assert log_loss(Y, estimator.predict_proba(X)) == pytest.approx(np.mean(errors), rel=1e-9)


def test_patience_ends_a_fit() -> None:
    estimator = RecurrentRegressor(**QUICK | {"alpha": 0.5, "updates": 2000, "log_points": 200, "patience": 3})
    estimator.fit(X, DIFFERENCE)
    assert estimator.n_iter_ < 2000
    losses = estimator.history_["loss/eval"].to_numpy()
    assert losses[-4] == losses.min()
    assert estimator.kept_update_ == estimator.history_["update"].iloc[-4]


def test_nothing_is_held_back_where_nothing_is_asked_for() -> None:
    estimator = RecurrentRegressor(**QUICK | {"validation_fraction": None, "keep": "last"}).fit(X, DIFFERENCE)
    assert estimator.validation_ == {}
    assert [name for name in estimator.history_ if "eval" in name] == []
    mean = np.array(estimator.preparation_.input_mean)
    np.testing.assert_allclose(mean, X.mean(axis=(0, 1)), rtol=1e-12)


def test_a_seed_gives_the_same_network_and_another_one_another() -> None:
    few = QUICK | {"updates": 20}
    first, again = (RecurrentRegressor(**few).fit(X, DIFFERENCE).predict(X) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, RecurrentRegressor(**few | {"random_state": 1}).fit(X, DIFFERENCE).predict(X))
    drawn = RecurrentRegressor(**few | {"random_state": np.random.RandomState(3)})
    assert drawn.fit(X, DIFFERENCE).run_seed_ == np.random.RandomState(3).randint(2**31)


def test_a_pickle_and_a_clone_are_what_they_were() -> None:
    estimator = RecurrentClassifier("lstm", **QUICK | {"updates": 20}).fit(X, Y)
    loaded = pickle.loads(pickle.dumps(estimator))
    assert np.array_equal(loaded.predict_proba(X), estimator.predict_proba(X))
    pd.testing.assert_frame_equal(loaded.history_, estimator.history_)
    assert clone(estimator).get_params() == estimator.get_params()
    assert not hasattr(clone(estimator), "network_")


def test_scikit_learns_tools_take_it() -> None:
    table, few = X[:, :, 0], QUICK | {"updates": 20}
    scores = cross_val_score(RecurrentClassifier(**few), [*X], Y, cv=3)
    assert scores.shape == (3,)
    pipeline = make_pipeline(StandardScaler(), RecurrentRegressor(**few))
    search = GridSearchCV(pipeline, {"recurrentregressor__alpha": [0.01, 0.05]}, cv=2).fit(table, DIFFERENCE)
    assert search.best_params_["recurrentregressor__alpha"] in (0.01, 0.05)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_parameters_are_the_command_lines_keys() -> None:
    run = RecurrentClassifier(
        "gru",
        hidden_size=np.int64(7),  # type: ignore[arg-type]
        layers=2,
        optimizer="momentum",
        alpha=np.float64(0.25),
        epsilon=0.5,
        clip="norm",
        threshold=2,
        init="orthogonal",
        updates=30,
        batch_size=1000,
        truncation=4,
        patience=5,
        log_points=10,
        options={"schedule": "cosine", "model.bias": "double", "init.gate_bias.update": 1},
        random_state=11,
    ).begin_fit(X, THIRDS)
    assert (run.model.hidden_size, run.model.layers, run.model.bias, run.model.readout) == (7, 2, "double", "softmax")
    assert (run.optimizer.alpha, run.optimizer.epsilon) == (0.25, 0.5)  # type: ignore[attr-defined]
    assert run.clip.threshold == 2.0  # type: ignore[attr-defined]
    assert (run.train.updates, run.train.truncation, run.train.log_points) == (30, 4, 10)
    assert run.train.batch_size == 54  # all that are trained on
    assert (run.train.keep, run.train.early_stop.patience) == ("best", 5)
    assert (type(run.schedule).__name__, run.init.gate_bias, run.seed) == ("CosineSchedule", {"update": 1.0}, 11)


def test_every_key_is_a_parameter() -> None:
    assert KEYS.keys() <= RecurrentClassifier().get_params().keys()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "grru"}, "model=grru: no such choice; did you mean gru? (choices: "),
        ({"alpha": -1.0}, "optimizer.alpha=-1.0: must be a number at least 0"),
        ({"epsilon": 0.5}, "optimizer.epsilon=0.5: unknown key; optimizer=momentum or nesterov has it"),
        ({"hidden_size": 0}, "model.hidden_size=0: must be a whole number at least 1"),
        ({"batch_size": 0}, "train.batch_size=0: must be a whole number at least 1"),
        ({"updates": 1.5}, "train.updates=1.5: must be a whole number at least 1"),
        ({"threshold": 1.0}, "clip.threshold=1.0: unknown key; clip=norm or value has it"),
        ({"options": {"train.updatse": 3}}, "train.updatse=3: unknown key; did you mean train.updates?"),
        ({"options": {"task": "xor"}}, "task=xor: no option (those of model, init, loss, optimizer, schedule"),
        ({"options": {"tracking.uri": "x"}}, "tracking.uri=x: no option (those of model, "),
        ({"options": {"seed": 3}}, "seed=3: is said by the parameter random_state"),
        ({"options": {"optimizer.alpha": 3}}, "optimizer.alpha=3: is said by the parameter alpha"),
        ({"options": {"init": "file"}}, "init=file: is said by the parameter init"),
        ({"init": "file"}, "init.path: missing; must be text"),
        ({"options": ["schedule"]}, "options=['schedule']: must be a dict of keys and values, or None"),
        ({"validation_fraction": 1.5}, "validation_fraction=1.5: must be above 0 and below 1, or None"),
        ({"validation_fraction": None}, "keep='best': asks for a part that is held back; give validation_fraction=0.1"),
        ({"validation_fraction": None, "keep": "last", "patience": 3}, "patience=3: asks for a part that is held back"),
        ({"keep": "bset"}, "train.keep=bset: must be one of last, best; did you mean best?"),
        ({"options": {"model.readout": "${oc.env:HOME}"}}, "model.readout"),
    ],
)
def test_a_parameter_that_can_not_be_is_refused_in_a_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        RecurrentRegressor(**QUICK | given).fit(X, DIFFERENCE)
    assert len(str(caught.value).splitlines()) == 1


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        RecurrentRegressor(alpha=-1.0, hidden_size=0).fit(X, DIFFERENCE)
    assert len(caught.value.lines) == 2


def test_a_fit_that_diverges_says_so() -> None:
    wild = QUICK | {"model": "linear", "optimizer": "sgd", "alpha": 1e9, "keep": "last"}
    with pytest.raises(ValueError, match=r"training diverged at update [0-9]+: the loss was no longer a finite number"):
        RecurrentRegressor(**wild).fit(X, DIFFERENCE)


def test_one_class_and_one_sequence_are_too_few() -> None:
    with pytest.raises(ValueError, match=r"y holds one class, first; a classifier needs two classes or more"):
        RecurrentClassifier(**QUICK).fit(X[:3], ["first"] * 3)
    with pytest.raises(ValueError, match=r"n_samples=1: with validation_fraction=0\.1 none is left to train on"):
        RecurrentRegressor(**QUICK).fit(X[:1], [1.0])


def test_units_matter_not_where_numbers_are_scaled() -> None:
    few = QUICK | {"updates": 20}
    plainly = RecurrentRegressor(**few).fit(X, DIFFERENCE).predict(X)
    scaled = RecurrentRegressor(**few).fit(1024 * X, 4 * DIFFERENCE).predict(1024 * X)
    np.testing.assert_allclose(scaled, 4 * plainly, rtol=1e-9, atol=1e-12)
    bare = RecurrentRegressor(**few | {"scale": False}).fit(X, DIFFERENCE)
    assert not bare.preparation_.scales
    assert mean_squared_error(DIFFERENCE, bare.predict(X)) < DIFFERENCE.var()


def test_an_input_that_does_not_vary_is_not_blown_up_by_how_its_mean_is_rounded() -> None:
    x = np.random.default_rng(0).standard_normal((31, 4, 2))
    x[:, :, 1] = 0.1
    regressor = RecurrentRegressor(updates=3, random_state=0).fit(x, x[:, :, 0].sum(axis=1))
    assert regressor.preparation_.input_scale[1] == 1.0
    other = x.copy()
    other[:, :, 1] += 1e-9
    np.testing.assert_allclose(regressor.predict(other), regressor.predict(x), atol=1e-6)


def test_what_can_not_be_squared_is_not_scaled_to_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((31, 4, 1)) * 1e200
    assert RecurrentRegressor(updates=1, random_state=0).fit(x, x[:, 0, 0] > 0).preparation_.input_scale == (1.0,)
