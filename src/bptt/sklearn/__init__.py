"""Recurrent networks as scikit-learn's estimators, trained by the core: no MLflow, no files, no global state.

`RecurrentClassifier` and `RecurrentRegressor` go wherever an estimator goes; `LaneSearchCV` is `GridSearchCV` that
trains all candidates side by side. `pip install 'bptt[sklearn]'` has scikit-learn.
"""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("bptt.sklearn needs scikit-learn: pip install 'bptt[sklearn]'", name="sklearn")

from bptt.sklearn.classifier import RecurrentClassifier
from bptt.sklearn.lane_search import LaneSearchCV
from bptt.sklearn.regressor import RecurrentRegressor

__all__ = ["LaneSearchCV", "RecurrentClassifier", "RecurrentRegressor"]
