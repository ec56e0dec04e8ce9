"""The pages of the Python interface: what a user calls, and what the author of a component writes with."""

_SHOWN = (
    "bptt",
    "bptt.python.training.train",
    "bptt.python.run",
    "bptt.python.sweeping.sweep",
    "bptt.python.sweeping.load",
    "bptt.python.sweep.TrainedSweep",
    "bptt.python.network.Network",
    "bptt.python.comparing",
    "bptt.python.commands",
    "bptt.sklearn.classifier",
    "bptt.sklearn.regressor",
    "bptt.sklearn.estimator",
    "bptt.sklearn.lane_search",
    "bptt.analysis.sweep",
    "bptt.dynamics",
    "bptt.dynamics.networks",
    "bptt.dynamics.lyapunov",
    "bptt.dynamics.gradients",
    "bptt.dynamics.sharpness",
    "bptt.dynamics.fixed_points",
    "bptt.dynamics.measures",
    "bptt.core.run",
    "bptt.core.sequences",
    "bptt.core.annotations",
    "bptt.core.metrics",
)
_KERNELS = (
    "bptt.core.kernel",
    "bptt.core.models.cell",
    "bptt.core.plain",
    "bptt.core.layers",
    "bptt.core.layout",
    "bptt.core.network",
    "bptt.core.simd.sums",
    "bptt.core.simd.vectors",
    "bptt.core.simd.elementary",
    "bptt.core.simd.memory",
)


def write_page() -> str:
    """Modules for users."""
    return "\n\n".join(f"::: {name}" for name in _SHOWN) + "\n"


def write_kernels_page() -> str:
    """Modules for authors of components."""
    about = "What a component's kernels are written with; [Extend](../extend/optimizer.md) has whole examples."
    return "\n\n".join([about, *(f"::: {name}" for name in _KERNELS)]) + "\n"
