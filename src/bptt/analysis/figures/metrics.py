"""How each metric is shown: its name, its scale, and what a run has once it has diverged."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS

CLIPPED: Final = "grad/clipped"
DECAY: Final = "grad/decay"
RADIUS: Final = "weights/spectral_radius"
RATIO: Final = "update/ratio"
SOLVED: Final = "solved"
#: What is that much smaller than the largest has vanished, however small it is.
SPAN: Final = 1e16


@dataclass(frozen=True)
class Shown:
    """How a metric is shown.

    label  in the middle of a sentence, and at an axis
    scale  of an axis
    worst  what a run has of it once it has diverged; None: the run doesn't count from there on
    start  how many times the usual first value a logarithmic axis reaches at most; None: all values are shown
    span   how many times its least value that axis reaches at most: what is below has vanished
    """

    label: str
    scale: Literal["log", "linear", "percent"] = "linear"
    worst: float | None = None
    start: float | None = None
    span: float = SPAN


_SHOWN: Final = {
    LOSS: Shown("evaluation loss", "log", np.inf, 10),
    "loss/train": Shown("training loss", "log", np.inf, 10),
    ACCURACY: Shown("accuracy", "percent", 0.0),
    SOLVED: Shown("solved runs", "percent"),
    GRADIENT: Shown("gradient norm", "log", np.inf, 1000),
    CLIPPED: Shown("clipped updates", "percent"),
    DECAY: Shown("gradient decay per timestep"),
    RADIUS: Shown("spectral radius"),
    RATIO: Shown("relative update size ‖Δθ‖/‖θ‖", "log", None, 1000, 1e8),
    "activations/saturation": Shown("saturated activations", "percent"),
}


def shown(metric: str) -> Shown:
    """How a metric is shown; one that is not known, or the best of a run, by its name."""
    if metric.startswith("best/"):
        best = shown(metric.removeprefix("best/"))
        return Shown(f"best {best.label}", best.scale, best.worst, best.start, best.span)
    return _SHOWN.get(metric, Shown(metric))


def axis_label(metric: str) -> str:
    """With the unit, where there is one."""
    found = shown(metric)
    return f"{found.label} (%)" if found.scale == "percent" else found.label
