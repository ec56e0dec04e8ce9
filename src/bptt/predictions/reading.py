"""New data for a trained network: a table with the columns that it was trained on, or arrays; and what it says of them.

What is wrong is a PredictionError with one line, in which rows are counted from 1.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats, Sequences
from bptt.predictions.predictor import PredictingNetwork, PredictionError
from bptt.predictions.tables import TARGET, Meaning, Predictions, tabulate_predictions
from bptt.tasks.data_files import read_npy, read_npz
from bptt.tasks.own_data.array_parts import KEYS, check_arrays, to_sequences
from bptt.tasks.own_data.labels import encode_labels, write_classes
from bptt.tasks.own_data.new_data import cut_new_table
from bptt.tasks.own_data.table_layout import order_groups
from bptt.tasks.own_data.tables import is_numeric, load_table, to_numbers

if TYPE_CHECKING:
    import pandas as pd

_ARRAYS: Final = (".npz", ".npy")
_TABLES: Final = (".csv", ".tsv", ".txt", ".parquet", ".pq")


@dataclass(frozen=True, kw_only=True, eq=False)
class NewData:
    """Sequences as the network takes them, and what they are of.

    sequences    y has what is true, as the network would say it, nan where that is not known
    has_targets  whether anything of that is known
    names        (N,) of the sequences; None: they have none
    rows         (N, T), or (N,) of a network that answers at the end: the row of the table, from 1, that each answer is
                 of. One that is yet to come stands behind the last; in one of several series, or of a table that is in
                 no order, it is 0. None: the data are no table
    strange      (N, T), or (N,): what is true where that is a label that the network does not have, None elsewhere;
                 None: there is no such label
    """

    sequences: Sequences
    has_targets: bool = False
    names: NDArray[Any] | None = None
    rows: NDArray[np.int64] | None = None
    strange: NDArray[Any] | None = None


def predict_data(predictor: PredictingNetwork, data: NewData) -> Predictions:
    """What the network says of new data."""
    made = tabulate_predictions(
        predictor.compute(data.sequences),
        data.sequences,
        predictor.meaning,
        with_targets=data.has_targets,
        names=data.names,
        rows=data.rows,
    )
    if data.strange is None:
        return made
    strange = data.strange if data.sequences.last_only else data.strange[np.nonzero(data.sequences.full_scored)]
    true = np.where(_there(strange), strange, made.columns[TARGET])
    return replace(made, columns={**made.columns, TARGET: true})


def read_data(path: Path, predictor: PredictingNetwork) -> NewData:
    """What is in a file, for this network."""
    kind = path.suffix.lower()
    if not path.exists():
        raise PredictionError(f"{path}: there is no such file")
    if path.is_dir():
        raise PredictionError(f"{path}: is a folder; name a file")
    known = predictor.preparation
    of_table = known is not None and known.cutting is not None
    if kind not in (*_ARRAYS, *_TABLES):
        raise PredictionError(f"{path}: must end in {', '.join(_TABLES if of_table else _ARRAYS)}")
    try:
        if kind in _ARRAYS:
            return take_arrays({"x": read_npy(path)} if kind == ".npy" else read_npz(path, KEYS), predictor)
        if not of_table:
            raise ValueError(f"the network was trained on arrays: x (N, T, {predictor.inputs}) in an .npz or .npy file")
        return take_table(load_table(path), predictor)
    except (ValueError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PredictionError(f"{path}: {told}") from None


def take_arrays(arrays: dict[str, NDArray[Any]], predictor: PredictingNetwork) -> NewData:
    """Arrays as new data: x (N, T, inputs) in the data's own units, and, where known, lengths (N,) and y, what is true.

    Raises ValueError.
    """
    if "x" not in arrays:
        raise ValueError(f"no array x; there are: {', '.join(arrays) or 'none'}")
    x = arrays["x"]
    given = {"x": x, "y": np.zeros(x.shape[:1] or (1,))} | {
        name: arrays[name] for name in ("y", "lengths") if name in arrays
    }
    part = check_arrays(given).training
    if part.x.shape[2] != predictor.inputs:
        raise ValueError(f"x has shape {x.shape}; the network needs (N, T, {predictor.inputs})")
    cleared = to_sequences(part, np.zeros((len(part.x), 1)))
    made = predictor.make_sequences(cleared.x, part.lengths)
    if "y" not in arrays:
        return NewData(sequences=made)
    return NewData(sequences=replace(made, y=_read_true(part.y, made.y.shape, predictor)), has_targets=True)


def _read_true(y: NDArray[Any], shape: tuple[int, ...], predictor: PredictingNetwork) -> Floats:
    """Targets of arrays, labels or numbers in their own units, as the network would say them."""
    known, rows, outputs = predictor.preparation, shape[:-1], shape[-1]
    if known is not None and known.classes is not None and y.shape in (rows, (*rows, 1)):
        try:
            return _encode(encode_labels(y.reshape(rows), known.classes), outputs)
        except KeyError as error:
            told = f"y has the label {error}, which the network does not know: it knows"
            raise ValueError(f"{told} {write_classes(known.classes)}") from None
    if y.shape == rows and outputs == 1:
        y = y[..., None]
    if y.shape != shape or y.dtype.kind not in "buif":
        raise ValueError(f"y holds {y.dtype} of shape {y.shape}; real numbers of shape {shape} are needed")
    numbers = np.asarray(y, np.float64)
    if known is None or known.classes is not None:
        return numbers
    return (numbers - np.asarray(known.target_mean)) / np.asarray(known.target_scale)


def _encode(codes: NDArray[np.int64], outputs: int) -> Floats:
    """Places of classes as outputs: one for each, or one for two."""
    return codes[..., None].astype(np.float64) if outputs == 1 else np.eye(outputs)[codes]


def take_table(frame: "pd.DataFrame", predictor: PredictingNetwork) -> NewData:
    """A table as new data, cut as the one was that the network was trained on. Raises ValueError.

    Each sequence, or window, is there whose inputs are, also where its target is yet to come; windows with one target
    are one row apart, whatever their stride was in training.
    """
    known = predictor.preparation
    assert known is not None
    assert known.cutting is not None
    if known.cutting.each == "sequence":
        known = replace(known, cutting=replace(known.cutting, stride=1))
    assert known.cutting is not None
    new, count = cut_new_table(frame, known), len(frame)
    rows = np.where(new.rows < 0, 0, new.rows + 1)
    if known.cutting.sequence is None and (known.cutting.time is None or _ascends(frame[known.cutting.time])):
        rows = np.where(new.rows < 0, count - new.rows, new.rows + 1)
    sequences, (true, labels) = new.sequences, _find_true(frame, predictor.meaning)
    strange = None
    if true is not None:
        places = np.where((rows < 1) | (rows > count), count, rows - 1)
        sequences = replace(sequences, y=np.concatenate([true, np.full((1, true.shape[1]), np.nan)])[places])
        strange = np.concatenate([labels, np.full(1, None, object)])[places]
    names = None if new.names is None else np.array(new.names, dtype=object)
    return NewData(
        sequences=sequences,
        has_targets=true is not None,
        names=names,
        rows=rows,
        strange=None if strange is None or not _there(strange).any() else strange,
    )


def _there(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where there is a label, and not None."""
    return np.array([label is not None for label in labels.ravel().tolist()]).reshape(labels.shape)


def _ascends(times: "pd.Series") -> bool:
    """Whether rows stand in the order of their times: as times, not as the texts that say them."""
    (order,) = order_groups(times, [np.arange(len(times))])
    return bool((np.diff(order) > 0).all())


def _find_true(frame: "pd.DataFrame", meaning: Meaning) -> tuple[Floats | None, NDArray[Any]]:
    """What the table says is true: (rows, outputs) as the network would say it, nan where a row does not, None where it
    does not at all; and (rows,) the labels that the network does not have, None elsewhere.
    """
    known, strange = meaning.preparation, np.full(len(frame), None, object)
    if known is None or known.cutting is None or not all(name in frame.columns for name in known.cutting.targets):
        return None, strange
    columns = [frame[name] for name in known.cutting.targets]
    if known.classes is None:
        if not all(map(is_numeric, columns)):
            return None, strange
        values = np.stack([to_numbers(column, missing=True) for column in columns], axis=1)
        return (values - np.asarray(known.target_mean)) / np.asarray(known.target_scale), strange
    made = np.full((len(frame), len(known.target_mean)), np.nan)
    for label in columns[0].dropna().unique():
        there = columns[0].eq(label).to_numpy(dtype=bool, na_value=False)
        try:
            (code,) = encode_labels(np.array([label]), known.classes)
        except KeyError as error:  # a class that the network does not know
            if type(error.args[0]) is type(known.classes[0]):
                strange[there] = error.args[0]
            continue
        except ValueError:  # no label at all
            continue
        made[there] = _encode(np.array([code]), made.shape[1])
    return made, strange
