"""Figures: tidy tables in, Matplotlib figures out, no file touched; `save` alone writes."""

from bptt.analysis.figures.files import save
from bptt.analysis.figures.flow import gradient_flow_map, gradient_profiles
from bptt.analysis.figures.gradients import radius_against_decay
from bptt.analysis.figures.maps import heat_map
from bptt.analysis.figures.material import Drawn
from bptt.analysis.figures.outcomes import final_loss, success_rate, variance_bars
from bptt.analysis.figures.run import gradient_flow, loss_curve
from bptt.analysis.figures.survivals import survival_curves
from bptt.analysis.figures.sweep import drawn
from bptt.analysis.figures.training import clipped_share, convergence, gradient_norm, update_ratio

__all__ = [
    "Drawn",
    "clipped_share",
    "convergence",
    "drawn",
    "final_loss",
    "gradient_flow",
    "gradient_flow_map",
    "gradient_norm",
    "gradient_profiles",
    "heat_map",
    "loss_curve",
    "radius_against_decay",
    "save",
    "success_rate",
    "survival_curves",
    "update_ratio",
    "variance_bars",
]
