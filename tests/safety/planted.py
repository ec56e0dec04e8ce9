"""Files and nodes that would do something if they were trusted: each leaves a witness."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


class Planted:
    """Unpickled, it makes the witness."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._witness),)


def npz(path: Path, witness: Path, like: dict[str, Any]) -> None:
    """An npz file of these arrays, the first of which is pickled; as bptt reads them, without a mark of its own."""
    arrays = dict(like)
    arrays[next(iter(arrays))] = np.array([Planted(witness)], object)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=True)
            archive.writestr(f"{name}.npy", content.getvalue())


def yaml(witness: Path) -> str:
    """YAML that makes the witness where its tags are followed."""
    return f"seed: !!python/object/apply:os.mkdir ['{witness}']\n"
