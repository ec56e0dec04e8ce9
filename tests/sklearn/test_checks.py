"""scikit-learn's own checks of an estimator: it is one."""

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from bptt.sklearn import RecurrentClassifier, RecurrentRegressor

QUICK = {"hidden_size": 4, "log_points": 2}


@pytest.mark.slow(seconds=30)
@pytest.mark.filterwarnings("default")
@parametrize_with_checks([RecurrentClassifier(updates=100, **QUICK), RecurrentRegressor(updates=500, **QUICK)])
def test_scikit_learns_checks_pass(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
