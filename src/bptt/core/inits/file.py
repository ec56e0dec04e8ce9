"""Parameters from a file."""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bptt.core.annotations import InvalidValue
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class File:
    """θ from the arrays of an npz file, by their full names (`cell.0.input`, …), such as the `weights.npz` of any run.

    Raises InvalidValue where the file is missing, no npz, or holds pickled objects (they are never read), and, when the
    parameters are asked for, where an array is missing, of another shape, or not finite.
    """

    path: str

    def __post_init__(self) -> None:
        if not Path(self.path).is_file():
            raise InvalidValue("path", self.path, "no such file")
        _ = self.arrays

    @cached_property
    def arrays(self) -> dict[str, Floats]:
        try:
            with Path(self.path).open("rb") as file:
                archive = np.load(file, allow_pickle=False)
                if isinstance(archive, np.ndarray):
                    raise ValueError("a single array without a name")
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise InvalidValue("path", self.path, f"not a readable npz file of numbers ({error})") from None

    def values(self, rng: Generator, block: Parameter) -> Floats:
        if block.name not in self.arrays:
            raise InvalidValue(
                "path", self.path, f"lacks {block.name}; it holds {', '.join(sorted(self.arrays)) or 'nothing'}"
            )
        array = self.arrays[block.name]
        if array.shape != block.shape:
            raise InvalidValue("path", self.path, f"{block.name} has shape {array.shape}, needed is {block.shape}")
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise InvalidValue("path", self.path, f"{block.name} must hold finite numbers")
        return array.astype(np.float64)
