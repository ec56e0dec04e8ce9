"""A recurrent network that gives a number, or several, for a sequence."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from bptt.core.sequences import Floats
from bptt.sklearn.estimator import RecurrentEstimator, Targets


class RecurrentRegressor(RegressorMixin, RecurrentEstimator):
    """A recurrent network that gives a number, or several, for a sequence, by the squared error.

    Its parameters and what a fit leaves are those of `RecurrentEstimator`.
    y  (N,), or (N, outputs) of several; predictions have its units and its axes
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> Floats:
        """(N,), or (N, outputs) where targets were: in the units of the targets."""
        outputs = self._compute(X)
        predicted: Floats = self.preparation_.restore(outputs)
        return predicted[:, 0] if self.flat_targets_ else predicted

    def _read_targets(self, y: Any) -> Targets:
        targets = validate_data(self, y=y, multi_output=True, y_numeric=True).astype(np.float64)
        self.flat_targets_ = targets.ndim == 1
        return Targets("numbers", targets.reshape(len(targets), -1))
