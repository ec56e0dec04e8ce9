"""A grid search that trains all candidates on all folds side by side, and gives what scikit-learn's gives."""

import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable

from bptt.configuration.build import Checker
from bptt.configuration.direct import make_checker
from bptt.core.lanes import fusing_key, lanes_per_vector
from bptt.core.run import Record, Run
from bptt.core.training import kernels_of, train
from bptt.sklearn.estimator import RecurrentEstimator


class LaneSearchCV(GridSearchCV):
    """`GridSearchCV` for recurrent estimators, alone or at the end of a `Pipeline`: candidates are trained together.

    Runs of candidates that differ in numbers alone (learning rate, momentum, threshold, seed) and see the same
    sequences are lanes of one training; a candidate with other units or another cell is in another. A lane has the bits
    that it has alone, so `cv_results_` has the scores that `GridSearchCV` gives, `best_params_` and all that follows.
    `fit_time` is a candidate's own preparation and its share of its training.

    estimator   a `RecurrentClassifier` or `RecurrentRegressor`, or a `Pipeline` with one at its end
    param_grid  as of `GridSearchCV`: names → values, or a list of such
    scoring     a name or a function; several as a list or a dict; None: the estimator's own
    refit       whether the best candidate is trained again on everything; of several scores the name of the one that
                decides; a function of `cv_results_` gives the candidate's number
    n_jobs      how many threads train, each on a core of its own, without copies of the data; None: 1
    cv          folds, or how many; None: 5
    error_score  what a candidate gets that can't be fitted; "raise"
    return_train_score  whether scores on what was trained on are computed too
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            error_score=error_score,
            return_train_score=return_train_score,
        )

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Train all candidates on all folds, and the best one on everything; groups: of splitters that need them.

        Raises TypeError of another estimator, ValueError where no candidate could be fitted, and what the first one
        that can't be raises where error_score="raise".
        """
        if not isinstance(find_recurrent(self.estimator), RecurrentEstimator):
            says = "must be a RecurrentClassifier or a RecurrentRegressor, or a Pipeline with one at its end"
            raise TypeError(f"estimator={type(self.estimator).__name__}: {says}; GridSearchCV takes any")
        if y is None:
            raise ValueError("LaneSearchCV requires y to be passed, but the target y is None.")
        self._validate_params()
        X, y = indexable(X, y)
        folds = list(check_cv(self.cv, y, classifier=is_classifier(self.estimator)).split(X, y, groups))
        candidates = list(ParameterGrid(self.param_grid))
        scorers = _find_scorers(self.estimator, self.scoring)
        if isinstance(scorers, dict):
            self._check_refit_for_multimetric(scorers)
        trials = [Trial(self._make(candidate), X, y, *fold) for candidate in candidates for fold in folds]
        fit_together(trials, effective_n_jobs(self.n_jobs))
        self._tell_failures(trials)
        scored = _name_alike([self._score(trial, scorers) for trial in trials])
        results = self._format_results(candidates, len(folds), scored)
        self.multimetric_ = isinstance(scored[0]["test_scores"], dict)
        self.n_splits_, self.scorer_, self.cv_results_ = len(folds), scorers, results
        if self.refit or not self.multimetric_:
            self._choose(results)
        if self.refit:
            started = time.perf_counter()
            self.best_estimator_ = self._make(self.best_params_).fit(X, y)
            self.refit_time_ = time.perf_counter() - started
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    def _make(self, candidate: Mapping[str, Any]) -> Any:
        return clone(self.estimator).set_params(**clone(candidate, safe=False))

    def _choose(self, results: Mapping[str, Any]) -> None:
        if self.multimetric_ and callable(self.scoring):
            self._check_refit_for_multimetric([name[10:] for name in results if name.startswith("mean_test_")])
        metric = self.refit if self.multimetric_ else "score"
        self.best_index_ = self._select_best_index(self.refit, metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _tell_failures(self, trials: Sequence["Trial"]) -> None:
        """Raise, or warn of, what could not be fitted."""
        errors = [trial.error for trial in trials if trial.error is not None]
        if errors and (self.error_score == "raise" or len(errors) == len(trials)):
            raise errors[0]
        if errors:
            counted = "\n".join(f"{count} × {text}" for text, count in Counter(map(str, errors)).items())
            says = f"{len(errors)} of {len(trials)} fits failed, and score {self.error_score}:\n{counted}"
            warnings.warn(says, FitFailedWarning, stacklevel=3)

    def _score(self, trial: "Trial", scorers: Any) -> dict[str, Any]:
        """What `_format_results` makes its tables of."""
        started = time.perf_counter()
        scores = {"test_scores": self._score_part(trial, scorers, trial.test)}
        times = {"fit_time": trial.seconds, "score_time": time.perf_counter() - started}
        if self.return_train_score:
            scores["train_scores"] = self._score_part(trial, scorers, trial.train)
        return scores | times

    def _score_part(self, trial: "Trial", scorers: Any, rows: NDArray[Any]) -> Any:
        named = scorers if isinstance(scorers, dict) else {"score": scorers}
        found = {}
        for name, scorer in named.items():
            try:
                if trial.error is not None:
                    raise trial.error
                found[name] = scorer(trial.estimator, *trial.select(rows))
            except Exception as error:
                if self.error_score == "raise":
                    raise
                found[name] = self.error_score
                if trial.error is None:
                    warnings.warn(
                        f"scoring failed, and counts as {self.error_score}: {error}", UserWarning, stacklevel=4
                    )
        return found if isinstance(scorers, dict) else found["score"]


def _find_scorers(estimator: Any, scoring: Any) -> Any:
    """Name → scorer of several, else the one."""
    if isinstance(scoring, list | tuple | set):
        return {name: check_scoring(estimator, scoring=name) for name in scoring}
    if isinstance(scoring, Mapping):
        return {name: check_scoring(estimator, scoring=one) for name, one in scoring.items()}
    return check_scoring(estimator, scoring=scoring)


def _name_alike(scored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a function gives several scores, let what could not be fitted have as many."""
    for key in ("test_scores", "train_scores"):
        named = [row[key] for row in scored if isinstance(row.get(key), dict)]
        for row in scored if named else ():
            if not isinstance(row[key], dict):
                row[key] = dict.fromkeys(named[0], row[key])
    return scored


def find_recurrent(estimator: Any) -> Any:
    """The estimator itself, or the last of a `Pipeline`."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


@dataclass(eq=False)
class Trial:
    """A candidate on a fold: what is fitted, to which rows, and tested on which; what that took, and what failed."""

    estimator: Any
    X: Any
    y: Any
    train: NDArray[Any]
    test: NDArray[Any]
    seconds: float = 0.0
    error: Exception | None = None

    def select(self, rows: NDArray[Any]) -> tuple[Any, Any]:
        """X and y of these rows."""
        return _safe_indexing(self.X, rows), _safe_indexing(self.y, rows)

    def begin(self, checker: Checker) -> Run:
        """The run that a fit would train, behind the steps of a pipeline, which are fitted here."""
        X, y = self.select(self.train)
        pipeline = self.estimator
        if isinstance(pipeline, Pipeline) and len(pipeline.steps) > 1:
            before = pipeline[:-1]
            X = before.fit_transform(X, y)
            pipeline.steps[:-1] = before.steps  # a pipeline with a memory fits others than it was given
        run: Run = find_recurrent(pipeline).begin_fit(X, y, checker)
        return run

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count the time that is spent, and keep an error, after which nothing more is tried."""
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.error = error
        self.seconds += time.perf_counter() - started


def fit_together(trials: Iterable[Trial], jobs: int) -> None:
    """Fit all that can be, runs that fuse as lanes of one training, in so many threads."""
    groups: dict[Any, list[tuple[Trial, Run]]] = defaultdict(list)
    checker, tasks = make_checker(), dict[Any, Any]()
    for trial in trials:
        with trial.attempt():
            run = trial.begin(checker)
            run = replace(run, task=tasks.setdefault(run.task, run.task))  # the same numbers are held once
            groups[fusing_key(run)].append((trial, run))
    pieces = [piece for group in groups.values() for piece in _cut(group, jobs)]
    for piece in pieces if jobs > 1 else ():  # here, as threads would wait for each other's compiler
        for kernel, mode in kernels_of([run for _, run in piece]):
            kernel.compile(mode)
    records = Parallel(n_jobs=jobs, require="sharedmem")(delayed(_train)([run for _, run in piece]) for piece in pieces)
    for piece, (found, seconds) in zip(pieces, records, strict=True):
        for (trial, run), record in zip(piece, found, strict=True):
            trial.seconds += seconds / len(piece)
            with trial.attempt():
                find_recurrent(trial.estimator).end_fit(run, record)


def _cut(group: list[tuple[Trial, Run]], jobs: int) -> Iterator[list[tuple[Trial, Run]]]:
    """Cut runs that fuse into a piece for each thread, whose vectors are full but for the last one's."""
    vector = lanes_per_vector(group[0][1])
    size = -(-len(group) // (jobs * vector)) * vector
    for first in range(0, len(group), size):
        yield group[first : first + size]


def _train(runs: list[Run]) -> tuple[list[Record], float]:
    """What runs that fuse leave, and the seconds that it took."""
    started = time.perf_counter()
    return train(runs), time.perf_counter() - started
