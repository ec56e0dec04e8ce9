"""Figures: tidy tables in, Matplotlib figures out, no file touched; `save_figure` alone writes."""

from bptt.analysis.figures.files import save_figure
from bptt.analysis.figures.flow import draw_flow_map, draw_profiles
from bptt.analysis.figures.gradients import draw_radius_against_decay
from bptt.analysis.figures.maps import draw_heat_map
from bptt.analysis.figures.material import SweepFigure
from bptt.analysis.figures.outcomes import draw_final_loss, draw_success_rate, draw_variance_bars
from bptt.analysis.figures.run import draw_gradient_flow, draw_loss_curve
from bptt.analysis.figures.survivals import draw_survival_curves
from bptt.analysis.figures.sweep import draw_sweep
from bptt.analysis.figures.training import draw_clipped_share, draw_convergence, draw_gradient_norm, draw_update_ratio

__all__ = [
    "SweepFigure",
    "draw_clipped_share",
    "draw_convergence",
    "draw_final_loss",
    "draw_flow_map",
    "draw_gradient_flow",
    "draw_gradient_norm",
    "draw_heat_map",
    "draw_loss_curve",
    "draw_profiles",
    "draw_radius_against_decay",
    "draw_success_rate",
    "draw_survival_curves",
    "draw_sweep",
    "draw_update_ratio",
    "draw_variance_bars",
    "save_figure",
]
