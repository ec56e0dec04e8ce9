"""A recurrent network that says of which class a sequence is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from bptt.core.sequences import Floats
from bptt.sklearn.estimator import RecurrentEstimator, Targets
from bptt.tasks.common import one_hot


class RecurrentClassifier(ClassifierMixin, RecurrentEstimator):
    """A recurrent network that says of which class a sequence is: soft-max and cross-entropy, of two classes a sigmoid
    and binary cross-entropy. Its parameters and what a fit leaves are those of `RecurrentEstimator`, and `classes_`.

    y  (N,) labels of two classes or more: whole numbers, text, whatever scikit-learn takes
    """

    def predict(self, X: Any) -> NDArray[Any]:
        """(N,): the label of each sequence with the largest probability, the first of equal ones."""
        found = self.predict_proba(X).argmax(axis=1)
        return self.classes_[found]

    def predict_proba(self, X: Any) -> Floats:
        """(N, classes): probabilities, in the order of `classes_`."""
        outputs = self._compute(X)
        return np.column_stack([1.0 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def predict_log_proba(self, X: Any) -> Floats:
        """(N, classes): their logarithms; −∞ of 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _read_targets(self, y: Any) -> Targets:
        labels = validate_data(self, y=y)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            held = f"one class, {self.classes_[0]!s}" if count else "no class"
            raise ValueError(f"y holds {held}; a classifier needs two classes or more")
        names = tuple(label if isinstance(label, int | str) else str(label) for label in self.classes_.tolist())
        if count == 2:
            return Targets("two_classes", numbers[:, None].astype(np.float64), names, numbers)
        return Targets("classes", one_hot(numbers, count), names, numbers)
