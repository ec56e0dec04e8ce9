"""Handwritten digits of 8 × 8 pixels (Alpaydin & Kaynak 1998), the set that scikit-learn ships."""

import gzip
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator, make_generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Integers, Readout, Shares, find_baseline_of, one_hot, score_classes

_SIDE, _CLASSES, _MOST = 8, 10, 16.0
_FILE = "datasets/data/digits.csv.gz"
_CONTENT = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
_CLASS = "bptt.tasks.sets.digits.Digits"
_ORDER_SEED = 0  # of the one order in which permuted pixels come, for everybody


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Say which digit a small picture shows, of which one row, or one pixel, arrives at a timestep.

    1,797 pictures with pixels from 0 to 16, here divided by 16: by rows 8 timesteps of 8 pixels; by pixels 64 of one,
    from the top left; permuted the same in one random order, which no row can be made out of (Le, Jaitly & Hinton 2015
    do so with larger pictures). The set is parted at random, the same way for all runs. The target, at the last
    timestep, is the digit. Accuracy: the share of the pictures whose digit has the largest output (guessing: 1/10).

    by         rows, pixels, permuted
    eval_size  pictures of the evaluation
    test_size  those of the test; 0: there is none
    readout    what the loss expects

    x (N, 8, 8) or (N, 64, 1), y (N, 10).
    """

    outputs: ClassVar[int] = _CLASSES

    by: Literal["rows", "pixels", "permuted"]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    def __post_init__(self) -> None:
        known = len(_load()[1])
        if self.eval_size + self.test_size >= known:
            name, other = ("eval_size", "test_size") if self.eval_size >= self.test_size else ("test_size", "eval_size")
            says = f"with {other}={getattr(self, other)} below {known}, all there are"
            raise InvalidValue(name, getattr(self, name), says)

    @property
    def inputs(self) -> int:
        return _SIDE if self.by == "rows" else 1

    @property
    def timesteps(self) -> int:
        return _SIDE if self.by == "rows" else _SIDE * _SIDE

    @cached_property
    def _parts(self) -> list[Sequences]:
        """The test's, the evaluation's and the training's."""
        pictures, digits = _load()
        if self.by == "permuted":
            pictures = pictures[:, make_generator(np.random.SeedSequence(_ORDER_SEED)).permutation(_SIDE * _SIDE)]
        x = pictures.reshape(len(pictures), self.timesteps, self.inputs) / _MOST
        order = make_generator(np.random.SeedSequence(_ORDER_SEED), 1).permutation(len(x))
        ends = self.test_size, self.test_size + self.eval_size
        places = order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] :]
        return [Sequences(x[place], one_hot(digits[place], _CLASSES)) for place in places]

    def training(self) -> Pool:
        return Pool(self._parts[2], "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._parts[1]

    def test(self, rng: Generator) -> Sequences | None:  # noqa: ARG002 (always the same set)
        return self._parts[0] if self.test_size else None

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the shares of the digits among the evaluation's."""
        return find_baseline_of(loss, self._parts[1])


@lru_cache(maxsize=1)
def _load() -> tuple[Floats, Integers]:
    """(1797, 64) pixels from 0 to 16 and (1797,) digits; InvalidValue where scikit-learn or its file is not there."""
    package = find_spec("sklearn")  # found, not imported, which takes a second
    folders = [] if package is None else list(package.submodule_search_locations or ())
    file = next((found for folder in folders if (found := Path(folder) / _FILE).is_file()), None)
    if file is None:
        raise InvalidValue(
            "_target_", "bptt.tasks.sets.digits.Digits", "scikit-learn ships the pictures: pip install scikit-learn"
        )
    content = gzip.decompress(file.read_bytes())
    if sha256(content).hexdigest() != _CONTENT:
        raise InvalidValue("_target_", _CLASS, f"{file} holds other pictures than it did")
    table = np.array([line.split(",") for line in content.decode().split()], np.float64)
    return table[:, :-1], table[:, -1].astype(np.int64)
