"""New data for a trained network: a table whose columns it was trained on, or arrays, checked and cut into sequences.

What is wrong is a PredictionError with one line, in which rows are counted from 1.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats
from bptt.predictions.predictor import PredictionError, Predictor
from bptt.predictions.tables import Meaning, Predictions, tabulate_predictions
from bptt.tasks.cutting import Cutting, cut_whole, cut_windows, list_groups
from bptt.tasks.data_files import check_members
from bptt.tasks.labels import encode_labels, write_classes
from bptt.tasks.table import find_ends
from bptt.tasks.tables import find_column, is_numeric, read_table, refuse_missing, to_numbers

if TYPE_CHECKING:
    import pandas as pd

_ARRAYS: Final = (".npz", ".npy")
_TABLES: Final = (".csv", ".tsv", ".txt", ".parquet", ".pq")
_TRAINING_KEYS: Final = ("eval_x", "eval_y", "eval_lengths")


@dataclass(frozen=True, kw_only=True, eq=False)
class NewData:
    """Sequences in the data's own units.

    x        (N, T, inputs)
    lengths  (N,); None: all T
    names    (N,) of the sequences; None: they have none
    rows     (N, T), or (N,) of a network that answers at the end: the row, from 1, that each prediction is of; one
             behind the last, or 0 of several series, where that is yet to come; None: the data are no table
    true     (N, T, outputs), or (N, outputs): what is true, prepared, nan where it is not known; None: the data don't
             say
    """

    x: Floats
    lengths: NDArray[np.int64] | None = None
    names: NDArray[Any] | None = None
    rows: NDArray[np.int64] | None = None
    true: Floats | None = None


def read_data(path: Path, predictor: Predictor) -> NewData:
    """What is in a file, for this network."""
    kind = path.suffix.lower()
    if not path.exists():
        raise PredictionError(f"{path}: there is no such file")
    if path.is_dir():
        raise PredictionError(f"{path}: is a folder; name a file")
    cutting = None if predictor.preparation is None else predictor.preparation.cutting
    if kind not in (*_ARRAYS, *_TABLES):
        wanted = _TABLES if cutting is not None else _ARRAYS
        raise PredictionError(f"{path}: must end in {', '.join(wanted)}")
    try:
        if kind in _ARRAYS:
            return _read_arrays(path, predictor)
        if cutting is None:
            raise ValueError(f"the network was trained on arrays: x ({_describe_x(predictor)}) in an .npz or .npy file")
        return cut_frame(read_table(path), cutting, predictor)
    except (ValueError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PredictionError(f"{path}: {told}") from None


def predict_data(predictor: Predictor, data: NewData) -> Predictions:
    """What the network says of new data."""
    sequences = predictor.make_sequences(data.x, data.lengths)
    output = predictor.compute(sequences)
    true = data.true is not None
    return tabulate_predictions(
        output,
        sequences if data.true is None else replace(sequences, y=data.true),
        predictor.meaning,
        with_targets=true,
        names=data.names,
        rows=data.rows,
    )


def _describe_x(predictor: Predictor) -> str:
    return f"N, T, {predictor.inputs}"


def _read_arrays(path: Path, predictor: Predictor) -> NewData:
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            arrays = {"x": np.lib.format.read_array(file, allow_pickle=False)}
    else:
        check_members(path)
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files if name in ("x", "y", "lengths")}
            if "x" not in held.files:
                raise ValueError(f"no array x; there are: {', '.join(held.files) or 'none'}")
    return check_arrays(arrays["x"], arrays.get("lengths"), arrays.get("y"), predictor)


def check_arrays(x: Any, lengths: Any, y: Any, predictor: Predictor) -> NewData:
    """Arrays as new data: x (N, T, inputs), lengths (N,) or None, y what is true or None. Raises ValueError."""
    x = np.asarray(x)
    if x.dtype.kind not in "buif":
        raise ValueError(f"x holds {x.dtype}; only real numbers are read")
    if x.ndim == 2 and predictor.inputs == 1:
        raise ValueError(f"x has shape {x.shape}; one input for each timestep is x[:, :, None]")
    if x.ndim != 3 or x.shape[2] != predictor.inputs:
        raise ValueError(f"x has shape {x.shape}; the network needs ({_describe_x(predictor)})")
    if 0 in x.shape:
        raise ValueError(f"x of shape {x.shape} is empty")
    count, timesteps = x.shape[:2]
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != (count,) or lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths must be {count:,} whole numbers, one for each sequence")
        outside = np.flatnonzero((lengths < 1) | (lengths > timesteps))
        if len(outside):
            raise ValueError(f"lengths[{outside[0]}] is {lengths[outside[0]]}, not between 1 and T = {timesteps}")
        lengths = lengths.astype(np.int64)
    inside = np.arange(timesteps) < (np.full(count, timesteps) if lengths is None else lengths)[:, None]
    numbers = np.where(inside[..., None], np.asarray(x, np.float64), 0.0)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        place = tuple(map(int, wrong[0]))
        raise ValueError(f"x[{', '.join(map(str, place))}] is {numbers[place]}; every number must be finite")
    return NewData(
        x=numbers, lengths=lengths, true=None if y is None else _check_true(np.asarray(y), count, timesteps, predictor)
    )


def _check_true(y: NDArray[Any], count: int, timesteps: int, predictor: Predictor) -> Floats:
    """Targets of arrays, labels or numbers in their own units, prepared."""
    rows = (count,) if predictor.last_only else (count, timesteps)
    known, full = predictor.preparation, (*rows, predictor.outputs)
    if known is not None and known.classes is not None and y.shape in (rows, (*rows, 1)):
        labels = y.reshape(rows)
        try:
            codes = encode_labels(labels, known.classes)
        except KeyError as error:
            raise ValueError(
                f"y has the label {error}, which the network does not know; it knows {write_classes(known.classes)}"
            ) from None
        return codes[..., None].astype(np.float64) if predictor.outputs == 1 else np.eye(predictor.outputs)[codes]
    if y.shape == rows and predictor.outputs == 1:
        y = y[..., None]
    if y.shape != full or y.dtype.kind not in "buif":
        raise ValueError(f"y holds {y.dtype} of shape {y.shape}; real numbers of shape {full} are needed")
    numbers = np.asarray(y, np.float64)
    if known is None or known.classes is not None:
        return numbers
    return (numbers - np.asarray(known.target_mean)) / np.asarray(known.target_scale)


def cut_frame(frame: "pd.DataFrame", cutting: Cutting, predictor: Predictor) -> NewData:
    """A table as new data, cut as the one was that the network was trained on. Raises ValueError.

    Each sequence, or window, is there whose inputs are, also where its target is yet to come.
    """
    shorter = cutting.row == "sequence"  # one has nothing behind its end
    values = np.stack([to_numbers(frame[_need(name, frame)], missing=shorter) for name in cutting.inputs], axis=1)
    true = _read_true(frame, cutting, predictor.meaning)
    if shorter:
        lengths = find_ends(values, cutting.inputs)
        rows = np.arange(len(frame)) + 1
        return NewData(x=np.nan_to_num(values)[:, :, None], lengths=lengths, rows=rows, true=true)
    groups, names = _group(frame, cutting)
    if cutting.window is not None:
        longest = max(map(len, groups))
        if longest < cutting.window:
            raise ValueError(f"has {longest:,} rows in a row; a window of the network has {cutting.window:,}")
        stride = cutting.stride if cutting.each == "timestep" else 1
        cut = cut_windows(groups, replace(cutting, stride=stride), ahead=True)
        counts = [len(range(0, len(group) - cutting.window + 1, stride)) for group in groups]
    else:
        cut = cut_whole(groups, replace(cutting, horizon=0))
        counts = [1] * len(groups)
    steps = cut.steps if cutting.each == "timestep" else cut.steps[np.arange(len(cut.steps)), cut.lengths - 1]
    rows = _find_later(groups, len(frame), cutting.horizon)[steps]
    even = len(np.unique(cut.lengths)) == 1
    return NewData(
        x=values[cut.steps],
        lengths=None if even else cut.lengths,
        names=None if names is None else np.repeat(names, counts),
        rows=rows,
        true=None
        if true is None
        else np.concatenate([true, np.full((1, true.shape[1]), np.nan)])[_place(rows, len(frame))],
    )


def _place(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Rows, from 1, as places; of one that is yet to come the place behind the last."""
    return np.where((rows < 1) | (rows > count), count, rows - 1)


def _need(name: str, frame: "pd.DataFrame") -> str:
    try:
        return find_column(name, frame)
    except ValueError as error:
        raise ValueError(f"column {name!r}: {error}") from None


def _group(frame: "pd.DataFrame", cutting: Cutting) -> tuple[list[NDArray[np.int64]], NDArray[Any] | None]:
    """The rows of each sequence in their order, and the names of the sequences."""
    names, groups = None, [np.arange(len(frame))]
    if cutting.sequence is not None:
        column = frame[_need(cutting.sequence, frame)]
        refuse_missing(column)
        found, groups = list_groups(column.to_numpy())
        names = np.array(found, dtype=object if any(isinstance(name, str) for name in found) else None)
    if cutting.time is not None:
        times = frame[_need(cutting.time, frame)]
        refuse_missing(times)
        groups = [group[times.iloc[group].argsort(kind="stable").to_numpy()] for group in groups]
    return groups, names


def _find_later(groups: list[NDArray[np.int64]], count: int, horizon: int) -> NDArray[np.int64]:
    """(rows,): the row, from 1, that stands `horizon` rows later in the same series; see `NewData` for one to come."""
    if len(groups) == 1 and np.array_equal(groups[0], np.arange(count)):
        return np.arange(count) + horizon + 1
    later = np.zeros(count, np.int64)
    for group in groups:
        later[group[: len(group) - horizon]] = group[horizon:] + 1
    return later


def _read_true(frame: "pd.DataFrame", cutting: Cutting, meaning: Meaning) -> Floats | None:
    """(rows, outputs) of what the table says is true, prepared; nan where a row does not; None: it does not at all."""
    known = meaning.preparation
    if known is None or not all(name in frame.columns for name in cutting.targets):
        return None
    columns = [frame[name] for name in cutting.targets]
    if known.classes is None:
        if not all(is_numeric(column) for column in columns):
            return None
        values = np.stack([to_numbers(column, missing=True) for column in columns], axis=1)
        return (values - np.asarray(known.target_mean)) / np.asarray(known.target_scale)
    labels = columns[0]
    there = ~labels.isna().to_numpy()
    try:
        codes = encode_labels(labels[there].to_numpy(), known.classes)
    except (KeyError, ValueError):  # a class that the network does not know
        return None
    outputs = len(known.target_mean)
    made = np.full((len(frame), outputs), np.nan)
    made[there] = codes[:, None] if outputs == 1 else np.eye(outputs)[codes]
    return made
