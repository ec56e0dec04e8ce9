"""The spectral radius of the matrix that takes a state to the next."""

from typing import ClassVar, Final

from bptt.core.kernel import UNITS, Kernel
from bptt.core.measurements.measurement import Measurement, Snapshot
from bptt.core.metrics import radii_of, spectral_radius
from bptt.core.products import product
from bptt.core.sequences import Floats


class SpectralRadius:
    """weights/spectral_radius of every lane."""

    names: ClassVar[tuple[str, ...]] = ("weights/spectral_radius",)
    kernels: ClassVar[tuple[tuple[Kernel, str], ...]] = ((product, UNITS), (radii_of, UNITS))

    def measure(self, lanes: Snapshot) -> dict[str, Floats]:
        return {self.names[0]: spectral_radius(lanes.runs[0].model, lanes.blocks, lanes.parameters)}


MEASUREMENT: Final[Measurement] = SpectralRadius()
