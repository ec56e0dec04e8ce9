"""What is measured of networks after the fact: how their states and gradients grow, and what their loss looks like.

Functions of weights, one lane per network, and sequences. Nothing is trained, read or recorded here.
"""

from bptt.dynamics.fixed_points import FixedPoints, fixed_points
from bptt.dynamics.gradients import TruncationBias, noise_scale, truncation_bias
from bptt.dynamics.lyapunov import (
    LyapunovSpectrum,
    SingularValues,
    jacobian_singular_values,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
    measure_growth,
)
from bptt.dynamics.networks import Networks, visit_states
from bptt.dynamics.sharpness import sharpness

__all__ = [
    "FixedPoints",
    "LyapunovSpectrum",
    "Networks",
    "SingularValues",
    "TruncationBias",
    "fixed_points",
    "jacobian_singular_values",
    "kaplan_yorke_dimension",
    "lyapunov_spectrum",
    "measure_growth",
    "noise_scale",
    "sharpness",
    "truncation_bias",
    "visit_states",
]
