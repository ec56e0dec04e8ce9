"""scikit-learn's own checks of an estimator: it is one."""

from typing import Any

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from bptt.sklearn import RecurrentClassifier, RecurrentRegressor

#: One check asks for a regressor that learns to sum what matters among ten timesteps, with the learning rate 0.01.
LEARNING = [
    RecurrentClassifier(hidden_size=4, updates=100, log_points=2),
    RecurrentRegressor(updates=400, log_points=10),
]
#: The checks that ask for something learned; the others are content with a few updates.
ASKING = {"check_classifiers_train", "check_regressors_train"}


@pytest.mark.filterwarnings("default")
@parametrize_with_checks(LEARNING)
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator if check.func.__name__ in ASKING else clone(estimator).set_params(updates=4))
