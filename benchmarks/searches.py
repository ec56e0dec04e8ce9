"""A grid search in lanes beside scikit-learn's own: python -m benchmarks.searches [--rounds N].

Handwritten digits that scikit-learn ships, each read as 8 timesteps of 8 pixels; every candidate on every fold, on one
core. Both must come to the same scores, to the bit.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from benchmarks.measure import summarise
from bptt.sklearn import LaneSearchCV, RecurrentClassifier

#: What is searched: by name the grid, and how many candidates it has.
GRIDS: dict[str, dict[str, list[Any]]] = {
    "8 learning rates": {"alpha": np.geomspace(0.001, 0.1, 8).tolist()},
    "16 learning rates, 2 sizes": {"alpha": np.geomspace(0.001, 0.1, 16).tolist(), "hidden_size": [8, 16]},
    "64 of both numbers": {
        "optimizer": ["momentum"],
        "alpha": np.geomspace(0.001, 0.1, 8).tolist(),
        "epsilon": [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99],
    },
}


def time_searches(kind: Any, grid: Mapping[str, list[Any]], updates: int) -> tuple[float, Any]:
    """Seconds of a search without the last fit, and its mean scores."""
    x, y = load_digits(return_X_y=True)
    estimator = RecurrentClassifier("gru", updates=updates, log_points=20, random_state=0)
    start = time.perf_counter()
    search = kind(estimator, grid, cv=5, refit=False).fit(x.reshape(-1, 8, 8), y)
    return time.perf_counter() - start, search.cv_results_["mean_test_score"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description="Grid searches: how long?")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--updates", type=int, default=500, help="of each fit (500)")
    given = parser.parse_args(arguments)
    print("| candidates | fits | one at a time, s | in lanes, s | ratio |\n|---|---:|---:|---:|---:|")
    for name, grid in GRIDS.items():
        taken: dict[str, list[float]] = {"lanes": [], "alone": []}
        for _ in range(given.rounds + 1):  # the first one compiles, and does not count
            for key, kind in (("lanes", LaneSearchCV), ("alone", GridSearchCV)):
                seconds, scores = time_searches(kind, grid, given.updates)
                taken[key].append(seconds)
                if key == "lanes":
                    expected = scores
            if not np.array_equal(scores, expected, equal_nan=True):
                raise RuntimeError(f"{name}: other scores than one at a time")
        lanes, alone = (summarise(taken[key][1:]).median for key in ("lanes", "alone"))
        print(f"| {name} | {5 * len(scores)} | {alone:.2f} | {lanes:.2f} | {alone / lanes:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
