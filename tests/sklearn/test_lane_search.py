"""Candidates that are trained together score what they score one after the other."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bptt.sklearn.lane_search as module
from bptt.core import training as core
from bptt.core.run import Run
from bptt.sklearn import LaneSearchCV, RecurrentClassifier, RecurrentRegressor

RNG = np.random.default_rng(1)
X = RNG.standard_normal((23, 4, 1))
Y = X.mean(axis=(1, 2))
QUICK: dict[str, Any] = {"hidden_size": 3, "updates": 15, "log_points": 3, "batch_size": 4, "random_state": 0}
#: What times say is another thing each time.
TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each training has that a search begins."""
    counts = []

    def train(runs: list[Run]) -> Any:
        counts.append(len(runs))
        return core.train(runs)

    monkeypatch.setattr(module, "train", train)
    return counts


def assert_alike(lanes: LaneSearchCV, one_by_one: GridSearchCV) -> None:
    """The same tables, but for times, and the same networks."""
    ours, theirs = lanes.cv_results_, one_by_one.cv_results_
    assert [*ours] == [*theirs]
    for name in ours.keys() - {*TIMES}:
        assert np.ma.asarray(ours[name]).tolist() == np.ma.asarray(theirs[name]).tolist(), name
    assert lanes.multimetric_ == one_by_one.multimetric_
    assert lanes.n_splits_ == one_by_one.n_splits_
    for name in ("best_params_", "best_score_", "best_index_"):
        assert getattr(lanes, name) == getattr(one_by_one, name)


def test_scores_are_those_of_grid_search(trained: list[int]) -> None:
    """Folds of 15 and 16; candidates that differ in numbers are lanes, those with other units are not."""
    estimator = RecurrentRegressor(**QUICK)
    grid = {"alpha": [0.01, 0.1, 0.3], "hidden_size": [2, 3]}
    lanes = LaneSearchCV(estimator, grid, cv=3, return_train_score=True).fit(X, Y)
    assert sorted(trained) == [3] * 6
    one_by_one = GridSearchCV(estimator, grid, cv=3, return_train_score=True).fit(X, Y)
    assert_alike(lanes, one_by_one)
    assert np.array_equal(lanes.predict(X), one_by_one.predict(X))
    assert lanes.score(X, Y) == one_by_one.score(X, Y)
    assert (lanes.cv_results_["mean_fit_time"] > 0).all()
    assert lanes.refit_time_ > 0
    assert lanes.n_features_in_ == 1


def test_threads_change_no_bit(trained: list[int]) -> None:
    """Twelve lanes of a fold are cut where vectors are full."""
    estimator, grid = RecurrentRegressor(**QUICK), {"alpha": np.geomspace(0.01, 0.3, 12).tolist()}
    threads, one = (LaneSearchCV(estimator, grid, cv=2, n_jobs=jobs).fit(X, Y) for jobs in (2, None))
    assert sorted(trained) == [4, 4, 8, 8, 12, 12]
    assert np.array_equal(threads.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"])
    assert np.array_equal(threads.predict(X), one.predict(X))


def test_the_same_numbers_are_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = set[int]()

    def train(runs: list[Run]) -> Any:
        tasks.update(id(run.task) for run in runs)
        return core.train(runs)

    monkeypatch.setattr(module, "train", train)
    LaneSearchCV(RecurrentRegressor(**QUICK), {"alpha": [0.1, 0.2], "hidden_size": [2, 3]}, cv=2).fit(X, Y)
    assert len(tasks) == 2


def test_classes_pipelines_lists_and_several_scores() -> None:
    table, labels = X[:, :, 0], np.where(Y > 0, "up", "down")
    pipeline = make_pipeline(StandardScaler(), RecurrentClassifier(**QUICK))
    grid = [{"recurrentclassifier__alpha": [0.01, 0.1]}, {"recurrentclassifier__scale": [False]}]
    more: dict[str, Any] = {"cv": KFold(2), "scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"}
    lanes, one_by_one = (kind(pipeline, grid, **more).fit(table, labels) for kind in (LaneSearchCV, GridSearchCV))
    assert_alike(lanes, one_by_one)
    assert lanes.score(table, labels) == one_by_one.score(table, labels)
    assert np.array_equal(lanes.predict_proba(table), one_by_one.predict_proba(table))
    assert lanes.classes_.tolist() == ["down", "up"]


def test_groups_lists_and_a_function_that_chooses() -> None:
    sequences, groups = [x[: 2 + number % 3] for number, x in enumerate(X)], np.arange(23) % 4
    estimator, grid = RecurrentRegressor(**QUICK), {"alpha": [0.01, 0.1]}
    more: dict[str, Any] = {"cv": GroupKFold(2), "refit": lambda results: 1}
    more["scoring"] = make_scorer(r2_score)
    lanes, one_by_one = (
        kind(estimator, grid, **more).fit(sequences, Y, groups=groups) for kind in (LaneSearchCV, GridSearchCV)
    )
    for name in one_by_one.cv_results_.keys() - {*TIMES, "params", "param_alpha"}:
        assert np.array_equal(lanes.cv_results_[name], one_by_one.cv_results_[name])
    assert lanes.best_params_ == {"alpha": 0.1}
    assert not hasattr(lanes, "best_score_")


def test_a_function_may_give_several_scores() -> None:
    def score(estimator: Any, X: Any, y: Any) -> dict[str, float]:
        return {"r2": estimator.score(X, y), "bias": float(np.mean(estimator.predict(X) - y))}

    estimator, grid = RecurrentRegressor(**QUICK), {"alpha": [0.01, 0.1]}
    more: dict[str, Any] = {"cv": 2, "scoring": score, "refit": "r2"}
    lanes, one_by_one = (kind(estimator, grid, **more).fit(X, Y) for kind in (LaneSearchCV, GridSearchCV))
    assert_alike(lanes, one_by_one)
    assert lanes.score(X, Y) == one_by_one.score(X, Y)


def test_without_a_refit_there_is_a_table_alone() -> None:
    lanes = LaneSearchCV(RecurrentRegressor(**QUICK), {"alpha": [0.01, 0.1]}, cv=2, refit=False).fit(X, Y)
    assert lanes.best_params_["alpha"] in (0.01, 0.1)
    assert not hasattr(lanes, "best_estimator_")


def test_what_can_not_be_fitted_scores_as_is_said_and_is_told_of() -> None:
    estimator, grid = RecurrentRegressor(**QUICK), {"alpha": [0.1, -1.0]}
    with pytest.warns() as told:
        lanes = LaneSearchCV(estimator, grid, cv=2, error_score=-9.0).fit(X, Y)
    (failed,) = [one for one in told if one.category is FitFailedWarning]
    assert "2 of 4 fits failed, and score -9.0:\n2 × optimizer.alpha=-1.0: must be a number at least 0" in str(
        failed.message
    )
    assert lanes.cv_results_["mean_test_score"][1] == -9.0
    assert lanes.best_params_ == {"alpha": 0.1}
    with pytest.raises(ValueError, match=r"optimizer.alpha=-1.0: must be a number at least 0"):
        LaneSearchCV(estimator, grid, cv=2, error_score="raise").fit(X, Y)
    with pytest.raises(ValueError, match=r"optimizer.alpha=-1.0: must be a number at least 0"):
        LaneSearchCV(estimator, {"alpha": [-1.0]}, cv=2).fit(X, Y)


def test_one_lane_that_diverges_leaves_the_others() -> None:
    wild = RecurrentRegressor("linear", optimizer="sgd", keep="last", **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lanes = LaneSearchCV(wild, {"alpha": [0.01, 1e12]}, cv=2).fit(X, Y)
    calm = LaneSearchCV(wild, {"alpha": [0.01]}, cv=2).fit(X, Y)
    assert lanes.cv_results_["mean_test_score"][0] == calm.cv_results_["mean_test_score"][0]
    assert np.isnan(lanes.cv_results_["mean_test_score"][1])
    assert lanes.cv_results_["rank_test_score"].tolist() == [1, 2]


def test_another_estimator_is_refused() -> None:
    with pytest.raises(
        TypeError, match="must be a RecurrentClassifier or a RecurrentRegressor, or a Pipeline with one"
    ):
        LaneSearchCV(Ridge(), {"alpha": [1.0]}).fit(X[:, :, 0], Y)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"error_score": "rase"}, "The 'error_score' parameter of LaneSearchCV must be"),
        ({"n_jobs": "two"}, "The 'n_jobs' parameter of LaneSearchCV must be"),
        ({"scoring": ["r2", "neg_mean_absolute_error"]}, "For multi-metric scoring, the parameter refit must be set"),
        ({"param_grid": {"alpha": []}}, "Parameter grid for parameter 'alpha' need to be a non-empty sequence"),
        ({"param_grid": {"alhpa": [1.0]}}, "Invalid parameter 'alhpa' for estimator RecurrentRegressor"),
    ],
)
def test_what_grid_search_refuses_is_refused(given: dict[str, Any], says: str) -> None:
    grid = given.pop("param_grid", {"alpha": [0.1]})
    with pytest.raises(ValueError, match=says):
        LaneSearchCV(RecurrentRegressor(**QUICK), grid, **given).fit(X, Y)


def test_targets_are_needed() -> None:
    with pytest.raises(ValueError, match="LaneSearchCV requires y to be passed, but the target y is None"):
        LaneSearchCV(RecurrentRegressor(**QUICK), {"alpha": [0.1]}).fit(X)
