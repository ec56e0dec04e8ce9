"""scikit-learn's own checks of an estimator: it is one."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from bptt.sklearn import RecurrentClassifier, RecurrentRegressor

#: One check asks for a regressor that learns to sum what matters among ten timesteps, with the learning rate 0.01.
LEARNING = [
    RecurrentClassifier(hidden_size=4, updates=100, log_points=2),
    RecurrentRegressor(updates=400, log_points=10),
]


@pytest.mark.slow(seconds=30)
@pytest.mark.filterwarnings("default")
@parametrize_with_checks(LEARNING)
def test_scikit_learns_checks_pass(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
