"""What may be measured of lanes at recorded updates beside what training sees anyway: one file of this folder each.

A file has a `MEASUREMENT`, and is found by being here; its columns stand in every run's history.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from bptt.core.kernel import Kernel
from bptt.core.parameters import Parameter
from bptt.core.run import Run
from bptt.core.sequences import Floats


@dataclass(frozen=True)
class Snapshot:
    """Lanes after a recorded update, those that have ended left out.

    runs        of each lane; they differ in the seed, the init and hyperparameters alone
    update      its number, from 1
    blocks      the parameters by name: where they lie in a row of `parameters`
    parameters  (lanes, P)
    states      (lanes, batch, …): what the update ended with, as `Record.state`
    """

    runs: Sequence[Run]
    update: int
    blocks: tuple[Parameter, ...]
    parameters: Floats
    states: Floats


class Measurement(Protocol):
    """Columns of a run's history. A lane's numbers are its own: they must not depend on the lanes beside it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns: `weights/spectral_radius`."""
        ...

    @property
    def kernels(self) -> tuple[tuple[Kernel, str], ...]:
        """What it calls, each with its mode, so that it can be compiled ahead."""
        ...

    def measure(self, lanes: Snapshot) -> Mapping[str, Floats]:
        """Each column (lanes,); NaN where there is no number."""
        ...


@cache
def shipped_measurements() -> tuple[Measurement, ...]:
    """Those of this folder, by the names of their files."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    names = [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(name) for name in sorted(names) if name != __name__]
    return tuple(module.MEASUREMENT for module in modules)


def measure_all(measurements: Iterable[Measurement], lanes: Snapshot) -> dict[str, Floats]:
    """The columns of all measurements, (lanes,) each.

    Raises ValueError where one does not give what it names, or not a number for each lane.
    """
    columns: dict[str, Floats] = {}
    for measurement in measurements:
        given = measurement.measure(lanes)
        shapes = {name: given[name].shape for name in given}
        if shapes != dict.fromkeys(measurement.names, (len(lanes.runs),)):
            raise ValueError(f"{type(measurement).__name__} gave {shapes} for {len(lanes.runs)} lanes")
        columns |= given
    return columns
