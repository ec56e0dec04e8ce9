"""Predictions as a file: .csv, .parquet, .npz or .npy."""

import io
from pathlib import Path
from typing import Any, Final

import numpy as np

from bptt.predictions.predictor import PredictionError
from bptt.predictions.tables import PREDICTION, Predictions
from bptt.tracking.folder.files import pack_arrays, write_bytes

KINDS: Final = (".csv", ".parquet", ".npz", ".npy")


def check_output(path: Path, data: Path | None = None) -> None:
    """Raise PredictionError where no predictions can be written to such a path; data: the file that they are of."""
    if path.suffix.lower() not in KINDS:
        raise PredictionError(f"{path}: must end in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if path.is_dir():
        raise PredictionError(f"{path}: is a folder; name a file")
    if data is not None and path.resolve() == data.resolve():
        raise PredictionError(f"{path}: is the data; name another file: -o FILE")
    if not path.parent.is_dir():
        raise PredictionError(f"{path}: there is no folder {path.parent}")


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions, whole or not at all; an earlier file is replaced. Raises OSError."""
    kind = path.suffix.lower()
    write_bytes(
        path,
        {".csv": _pack_csv, ".parquet": Predictions.pack, ".npz": _pack_arrays, ".npy": _pack_array}[kind](predictions),
    )


def _pack_csv(predictions: Predictions) -> bytes:
    import pandas as pd

    text: str = pd.DataFrame(dict(predictions.columns)).to_csv(index=False, lineterminator="\n")
    return text.encode()


def _pack_arrays(predictions: Predictions) -> bytes:
    return pack_arrays({name: _as_plain(values) for name, values in predictions.columns.items()})


def _pack_array(predictions: Predictions) -> bytes:
    """(rows,), or (rows, targets) of several."""
    names = [name for name in predictions.columns if name == PREDICTION or name.startswith(f"{PREDICTION}_")]
    values = [_as_plain(predictions.columns[name]) for name in names]
    content = io.BytesIO()
    np.save(content, values[0] if len(values) == 1 else np.stack(values, axis=1), allow_pickle=False)
    return content.getvalue()


def _as_plain(values: Any) -> Any:
    """What is no number as text, for arrays hold no Python objects; empty where it is not known."""
    if values.dtype.kind != "O":
        return values
    return np.array(["" if value is None else str(value) for value in values])
