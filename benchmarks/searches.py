"""A grid search in lanes beside scikit-learn's own: python -m benchmarks.searches [--rounds N].

Digits that scikit-learn ships and a sine with noise; 16 learning rates on 5 folds, in one thread. Both searches must
come to the same scores, to the bit. Processor time, which others on the machine disturb little.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from benchmarks.measure import summarise
from bptt.sklearn import LaneSearchCV, RecurrentClassifier, RecurrentRegressor

FOLDS = 5
GRID = {"alpha": np.geomspace(0.001, 0.1, 16).tolist()}


def list_workloads() -> Iterator[tuple[str, Any, Any, Any]]:
    """(what, X, y, estimator): digits row by row, and the next value of a sine."""
    pixels, digits = load_digits(return_X_y=True)
    rows = pixels.reshape(-1, 8, 8)
    common: dict[str, Any] = {"log_points": 10, "random_state": 0}
    rng = np.random.default_rng(0)
    series = np.sin(np.arange(1000) / 5) + 0.05 * rng.standard_normal(1000)
    windows = np.lib.stride_tricks.sliding_window_view(series, 21)
    x, y = windows[:, :20], windows[:, 20]
    small = RecurrentRegressor(hidden_size=4, batch_size=1, updates=10_000, **common)
    yield "sine, 4 units, 10,000 updates of 1 sequence", x, y, small
    some = RecurrentRegressor(batch_size=4, updates=10_000, **common)
    yield "sine, 16 units, 10,000 updates of 4", x, y, some
    yield "digits, 8 units, 1,000 updates of 32", rows, digits, RecurrentClassifier(hidden_size=8, **common)
    yield "digits, a GRU of 16 units, 1,000 updates of 32", rows, digits, RecurrentClassifier("gru", **common)


def time_search(kind: Any, estimator: Any, x: Any, y: Any) -> tuple[float, Any]:
    """Seconds of a search without the last fit, and its mean scores."""
    start = time.process_time()
    search = kind(estimator, GRID, cv=FOLDS, refit=False).fit(x, y)
    return time.process_time() - start, search.cv_results_["mean_test_score"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description="Grid searches: how long?")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    given = parser.parse_args(arguments)
    print(f"| {FOLDS * len(GRID['alpha'])} fits | one at a time, s | in lanes, s | ratio |\n|---|---:|---:|---:|")
    for name, x, y, estimator in list_workloads():
        taken: dict[Any, list[float]] = {LaneSearchCV: [], GridSearchCV: []}
        for _ in range(given.rounds + 1):  # the first one compiles, and does not count
            found = []
            for kind, seconds in taken.items():
                second, scores = time_search(kind, estimator, x, y)
                seconds.append(second)
                found.append(scores)
            if not np.array_equal(found[0], found[1], equal_nan=True):
                raise RuntimeError(f"{name}: in lanes other scores than one at a time")
        lanes, alone = (summarise(taken[kind][1:]).median for kind in (LaneSearchCV, GridSearchCV))
        print(f"| {name} | {alone:.2f} | {lanes:.2f} | {alone / lanes:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
