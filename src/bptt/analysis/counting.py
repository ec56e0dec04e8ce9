"""The counting article's figures, with its settings or others: a linear unit's cost surface, and why gradients explode.

s_k = x_k·wx + s_{k−1}·wrec, s_0 = 0, loss = mean over the sequences of (s_n − target)²
(peterroelants.github.io, "How to implement a recurrent neural network", part 1; `experiment=roelants_counting`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.style import COLUMN, STYLE
from bptt.analysis.surface import (
    compute_state_gradients,
    compute_surface,
    draw_cost_surface,
    draw_evaluation,
    draw_gradient_lines,
    draw_gradients,
    draw_surfaces,
    follow_path,
)
from bptt.analysis.tables import show_value
from bptt.configuration.owners import check_kernel_folder
from bptt.core.evaluation import predict
from bptt.core.lanes import is_noisy
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.run import Run
from bptt.core.sequences import Sequences

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure, FigureBase
    from numpy.typing import NDArray

EXPERIMENT: Final = "experiment=roelants_counting"
#: (wx, wrec) where the article looks at the gradient: steady, exploding (twice, once with alternating sign), cut off
#: at once, vanishing (twice).
POINTS: Final = ((2.0, 1.0), (1.0, 2.0), (1.0, -2.0), (1.0, 0.0), (1.0, 0.5), (1.0, -0.5))
#: Where the article's training ends, as it is published.
PUBLISHED: Final = (1.00135554, 0.99967447)
LABELS: Final = ("wx", "wrec")
_WINDOWS: Final = ((-3.0, 3.0), (0.0, 2.0))
_SHOWN: Final = (0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1)


def build_article_run(overrides: Sequence[str] = ()) -> Run:
    """The article's run, or one that differs from it: `build_article_run(["optimizer.eta_plus=1.5"])`.

    Raises ConfigurationError.
    """
    from bptt.configuration.build import check_configuration
    from bptt.configuration.compose import compose

    return check_configuration(compose([EXPERIMENT, *overrides])).run


def compute_surfaces(run: Run, points: int = 100) -> "list[pd.DataFrame]":
    """The cost surface over wx and wrec on [−3, 3]² and on [0, 2]²; as the article, 100 points along each side."""
    weights = _name_weights(*PUBLISHED)
    axes = [np.linspace(low, high, points) for low, high in _WINDOWS]
    return [compute_surface(run, weights, xs=axis, ys=axis) for axis in axes]


def compute_gradients(run: Run, points: Sequence[tuple[float, float]] = POINTS) -> "pd.DataFrame":
    """∂loss/∂s_k, k from 0, summed over the samples: as `surface.compute_state_gradients`.

    The article's code adds the samples up twice, once before it goes back in time and once after, so its curves are
    ours times a constant.
    """
    data = draw_evaluation(run)
    # A timestep whose input is zero leaves the state at zero: behind it stands s_0.
    before = Sequences(np.concatenate([np.zeros((data.count, 1, 1)), data.x], axis=1), data.y)
    table = compute_state_gradients(run, _name_weights(*PUBLISHED), points, sequences=before)
    return table.assign(k=table["k"] - 1)


def list_settings(run: Run, way: "pd.DataFrame") -> "pd.DataFrame":
    """What was chosen, and what came of it: setting, value; way is the run's `surface.follow_path`."""
    import pandas as pd

    first, last = way.iloc[0], way.iloc[-1]
    bits = np.array(_SHOWN, dtype=float)
    one = Sequences(bits[None, :, None], bits.sum()[None, None])
    check_kernel_folder()
    output = predict(run, _name_weights(last["x"], last["y"]), one).item()
    off = () if is_noisy(run) else vars(AddsNoise())
    rows = {
        "sequences": f"{draw_evaluation(run).count} of {run.task.timesteps} bits",
        "optimizer": type(run.optimizer).__name__.lower(),
        **{name: show_value(value) for name, value in vars(run.optimizer).items() if name not in off},
        "updates": f"{run.train.updates:,}",
        "wx, wrec at the start": f"{first['x']:.6g}, {first['y']:.6g}",
        "wx, wrec at the end": f"{last['x']:.9f}, {last['y']:.9f}",
        "the article's": f"{PUBLISHED[0]:.8f}…, {PUBLISHED[1]:.8f}…",
        "loss at the end": f"{last['loss']:.3g}",
        "".join(map(str, _SHOWN)): f"{bits.sum():.0f} vs {output:.2f}",
    }
    return pd.DataFrame(rows.items(), columns=["setting", "value"])


def draw_figures(run: Run) -> "dict[str, Figure]":
    """The article's three figures, each a column wide: cost_surface, state_gradients, path."""
    here = compute_surfaces(run)
    return {
        "cost_surface": draw_cost_surface(here, points=POINTS, labels=LABELS),
        "state_gradients": draw_gradient_lines(compute_gradients(run), labels=LABELS, state="s"),
        "path": draw_cost_surface(here, paths={"path": follow_path(run)}, labels=LABELS),
    }


def draw_side_by_side(run: Run) -> "Figure":
    """The article's three figures on one page of two columns, beside the settings that they were made with."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    here, way = compute_surfaces(run), follow_path(run)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN + 0.2, 5.6), layout="constrained")
        parts: Any = figure.subfigures(2, 2, height_ratios=[1.1, 1])
        (top, right), (left, corner) = parts
        draw_surfaces(top, here, points=POINTS, labels=LABELS)
        draw_gradients(right, compute_gradients(run), labels=LABELS, state="s")
        draw_surfaces(left, here, paths={"path": way}, labels=LABELS)
        _draw_settings(corner, list_settings(run, way))
        for part, title in (
            (top, "a  cost surface"),
            (right, "b  gradient through time"),
            (left, "c  path of training"),
            (corner, "d  settings"),
        ):
            part.suptitle(title, x=0.02, ha="left", fontsize=8, fontweight="bold")
    return figure


def _draw_settings(figure: "FigureBase", table: "pd.DataFrame") -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    for row, (setting, value) in enumerate(zip(table["setting"], table["value"], strict=True)):
        height = 1 - (row + 0.5) / len(table)
        axes.text(0.0, height, setting, transform=axes.transAxes, va="center", color="#555555")
        axes.text(0.46, height, value, transform=axes.transAxes, va="center")


def _name_weights(wx: float, wrec: float) -> "dict[str, NDArray[np.float64]]":
    return {"cell.0.input": np.array([[wx]]), "cell.0.recurrent": np.array([[wrec]])}
