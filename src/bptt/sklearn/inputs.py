"""What scikit-learn calls X, as sequences: a table, an array of sequences, or a list of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from bptt.core.sequences import Floats

Lengths = NDArray[np.int64] | None


def list_sequences(X: Any) -> list[NDArray[Any]] | None:
    """The sequences of a list of them, each (T, inputs), or (T,) of one input; None: X is an array, or none of both.

    What has the same length everywhere and one number per timestep is a table, as scikit-learn takes it.
    """
    if isinstance(X, np.ndarray):
        if X.dtype != object or X.ndim != 1:
            return None
    elif not isinstance(X, list | tuple):
        return None
    try:
        items = [np.asarray(item) for item in X]
    except ValueError:  # rows of different lengths within one: told of as any array's
        return None
    if not items or any(item.ndim == 0 for item in items):
        return None
    table = all(item.ndim == 1 for item in items) and len({len(item) for item in items}) == 1
    return None if table else items


def read_inputs(estimator: Any, X: Any, *, fitting: bool) -> tuple[Floats, Lengths]:
    """(x (N, T, inputs), lengths (N,) or None), checked and copied: finite numbers, sizes as at the fit.

    A table (N, T) is one input per timestep. Lists are padded with zeros to the longest. With `fitting` the estimator
    learns `n_features_in_`, columns of a table, else inputs per timestep, and `n_inputs_`.
    Raises ValueError as scikit-learn words it; of a list with the number of the sequence.
    """
    items = list_sequences(X)
    if items is not None:
        x, lengths = _pad(items)
    elif getattr(X, "ndim", None) == 3:
        x, lengths = (
            check_array(X, dtype=np.float64, allow_nd=True, copy=True, input_name="X", estimator=estimator),
            None,
        )
        if 0 in x.shape:
            raise ValueError(f"X has the shape {x.shape}: 0 timesteps or inputs; one of each is the least")
    else:
        return _read_table(estimator, X, fitting)[:, :, None], None
    if fitting:
        _forget_names(estimator)
        estimator.n_features_in_ = estimator.n_inputs_ = x.shape[2]
        estimator.reads_table_ = False
    elif x.shape[2] != estimator.n_inputs_:
        kind = type(estimator).__name__
        raise ValueError(f"X has {x.shape[2]} inputs per timestep, but {kind} is expecting {estimator.n_inputs_}")
    return x, lengths


def _read_table(estimator: Any, X: Any, fitting: bool) -> Floats:
    if fitting or estimator.reads_table_:
        # Columns are counted, and their names compared, where there were columns at the fit.
        table: Floats = validate_data(estimator, X, reset=fitting, dtype=np.float64, copy=True)
    else:
        table = check_array(X, dtype=np.float64, copy=True, input_name="X", estimator=estimator)
    if fitting:
        estimator.n_inputs_, estimator.reads_table_ = 1, True
    elif estimator.n_inputs_ != 1:
        kind = type(estimator).__name__
        raise ValueError(f"X is a table, one input per timestep, but {kind} is expecting {estimator.n_inputs_}")
    return table


def _forget_names(estimator: Any) -> None:
    """Of columns of an earlier fit."""
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _pad(items: list[NDArray[Any]]) -> tuple[Floats, Lengths]:
    checked = []
    for number, item in enumerate(items):
        rows = item[:, None] if item.ndim == 1 else item
        checked.append(check_array(rows, dtype=np.float64, input_name=f"sequence {number} of X"))
        if checked[-1].shape[1] != checked[0].shape[1]:
            says = f"has {checked[-1].shape[1]} inputs per timestep, sequence 0 has {checked[0].shape[1]}"
            raise ValueError(f"sequence {number} of X {says}")
    lengths = np.array([len(item) for item in checked], np.int64)
    x = np.zeros((len(checked), lengths.max(), checked[0].shape[1]))
    for row, item in zip(x, checked, strict=True):
        row[: len(item)] = item
    return x, None if (lengths == lengths[0]).all() else lengths
