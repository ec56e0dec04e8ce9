"""The files that a run leaves in its folder, and what reads them back. Nothing here knows MLflow."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record

HISTORY: Final = "history.parquet"
FLOW: Final = "gradient_flow.parquet"
WEIGHTS: Final = "weights.npz"
CONFIG: Final = "config.yaml"


def history_table(record: "Record") -> "pd.DataFrame":
    """One row per recorded update: `update`, then the metrics in the record's order."""
    import pandas as pd

    columns = {"update": np.asarray(record.history["update"], np.int64)}
    columns |= {name: np.asarray(values) for name, values in record.history.items() if name != "update"}
    return pd.DataFrame(columns)


def flow_table(record: "Record") -> "pd.DataFrame":
    """One row per recorded update and lag: `update`, `lag` (timesteps before the end, from 0), `norm`."""
    import pandas as pd

    points, timesteps = record.flow.shape
    return pd.DataFrame(
        {
            "update": np.repeat(np.asarray(record.history["update"], np.int64), timesteps),
            "lag": np.tile(np.arange(timesteps), points),
            "norm": record.flow.reshape(-1),
        }
    )


def write_record(folder: Path, record: "Record") -> list[Path]:
    """Write history.parquet, gradient_flow.parquet and weights.npz, each whole or not at all."""
    paths = [folder / HISTORY, folder / FLOW, folder / WEIGHTS]
    history_table(record).to_parquet(_beside(paths[0]), index=False)
    flow_table(record).to_parquet(_beside(paths[1]), index=False)
    with _beside(paths[2]).open("wb") as file:
        np.savez(file, allow_pickle=False, **record.parameters)
    for path in paths:
        _beside(path).replace(path)
    return paths


def write_text(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all."""
    _beside(path).write_text(text, encoding="utf-8")
    _beside(path).replace(path)
    return path


def write_config(folder: Path, resolved: Mapping[str, Any]) -> Path:
    """Write config.yaml: the whole resolved configuration."""
    import yaml

    return write_text(folder / CONFIG, yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file, whole or not at all, even when the machine stops."""
    with _beside(path).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        # It must reach the disk before it gets its name.
        file.flush()
        os.fsync(file.fileno())
    _beside(path).replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read an npz file of plain arrays. Raises ValueError where it is cut off, damaged or of another kind."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, EOFError, KeyError, ValueError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: cut off or damaged ({error})") from error


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")
