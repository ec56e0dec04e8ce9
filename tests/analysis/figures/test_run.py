import io

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bptt.analysis.figures import draw_gradient_flow, draw_loss_curve
from bptt.analysis.style import write_power

UPDATES = np.array([1, 10, 20, 30])
LOSS = np.array([1.0, 0.1, 0.01, 0.001])


def drawn(figure: object) -> None:
    """Drawing finds what building does not: every warning is an error here."""
    figure.savefig(io.BytesIO())  # type: ignore[attr-defined]


def history(**columns: NDArray[np.float64]) -> pd.DataFrame:
    names = {"train": "loss/train", "evaluation": "loss/eval", "accuracy": "accuracy/eval"}
    return pd.DataFrame({"update": UPDATES} | {names[name]: values for name, values in columns.items()})


def flow(norms: NDArray[np.float64], updates: NDArray[np.int64] = UPDATES) -> pd.DataFrame:
    points, timesteps = norms.shape
    return pd.DataFrame(
        {
            "update": np.repeat(updates[:points], timesteps),
            "lag": np.tile(np.arange(timesteps), points),
            "norm": norms.reshape(-1),
        }
    )


def test_loss_curves_show_the_data_on_a_logarithmic_axis() -> None:
    figure = draw_loss_curve(history(train=LOSS, evaluation=2 * LOSS), "title")
    (axes,) = figure.axes
    training, evaluation = axes.lines
    assert np.array_equal(training.get_xydata(), np.column_stack([UPDATES, LOSS]))
    assert np.array_equal(evaluation.get_ydata(), 2 * LOSS)
    assert (axes.get_yscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "update", "loss")
    assert axes.get_title() == "title"
    assert figure.get_size_inches()[0] == 3.4
    drawn(figure)


def test_accuracy_has_a_panel_of_its_own_in_percent() -> None:
    figure = draw_loss_curve(history(train=LOSS, accuracy=np.array([0.0, 0.5, 0.75, 1.0])))
    top, bottom = figure.axes
    assert np.array_equal(bottom.lines[0].get_ydata(), [0, 50, 75, 100])
    assert (top.get_xlabel(), bottom.get_xlabel(), bottom.get_ylabel()) == ("", "update", "accuracy (%)")
    drawn(figure)


def test_the_update_of_the_network_that_is_kept_is_marked_in_both_panels() -> None:
    figure = draw_loss_curve(history(train=LOSS, accuracy=np.array([0.0, 0.5, 0.75, 1.0])), kept=20.0)
    marks = [line for axes in figure.axes for line in axes.lines if line.get_gid() == "kept"]
    assert [np.asarray(line.get_xdata())[0] for line in marks] == [20.0, 20.0]
    assert marks[0].get_label() == "kept: update 20"


def test_a_diverged_curve_ends_with_a_cross() -> None:
    figure = draw_loss_curve(history(train=np.array([1.0, 50.0, np.inf, np.nan])))
    curve, cross = figure.axes[0].lines
    assert np.array_equal(curve.get_ydata(), [1.0, 50.0, np.nan, np.nan], equal_nan=True)
    assert cross.get_marker() == "x"
    assert np.array_equal(cross.get_xydata(), [[10.0, 50.0]])
    drawn(figure)


@pytest.mark.parametrize(
    "values", [[np.nan] * 4, [0.0] * 4, [1.0, 0.0, 1.0, 0.0], [1e300, np.inf, 1e308, 1.0], [3.0] * 4]
)
def test_unusual_losses_are_drawn(values: list[float]) -> None:
    drawn(draw_loss_curve(history(train=np.array(values), evaluation=np.array(values))))
    drawn(draw_loss_curve(history(train=np.array(values)).head(1)))


def test_gradient_flow_is_a_map_of_lag_and_update() -> None:
    norms = np.exp(-np.arange(5.0)) * np.ones((4, 1))
    figure = draw_gradient_flow(flow(norms))
    axes, bar = figure.axes
    (mesh,) = axes.collections
    assert np.array_equal(np.asarray(mesh.get_array()), norms.T)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (norms.min(), 1.0)
    assert axes.get_ylim() == (4.5, -0.5)
    assert axes.get_ylabel() == "lag (timesteps before the end)"
    assert bar.get_ylabel() == "‖∂loss/∂h‖"
    drawn(figure)


def test_a_gradient_that_is_cut_off_is_grey() -> None:
    norms = np.ones((4, 5))
    norms[:, 1:] = 0
    figure = draw_gradient_flow(flow(norms))
    assert figure.axes[0].get_xlabel() == "update (grey: zero)"
    drawn(figure)


@pytest.mark.parametrize(
    "norms",
    [
        np.zeros((4, 5)),
        np.ones((1, 5)),
        np.ones((4, 1)),
        np.ones((1, 1)),
        np.full((4, 5), np.nan),
        np.where(np.arange(20).reshape(4, 5) > 9, np.inf, 1e300),
        np.exp(-7.0 * np.arange(400)).reshape(4, 100),
        np.full((4, 5), 5e-324),
        np.full((4, 5), 1.7e308),
    ],
    ids=["zero", "one point", "one timestep", "one of both", "nan", "diverged", "vanished", "smallest", "largest"],
)
def test_unusual_gradients_are_drawn(norms: NDArray[np.float64]) -> None:
    drawn(draw_gradient_flow(flow(norms)))


def test_logarithmically_spaced_updates_get_a_logarithmic_axis() -> None:
    updates = np.array([1, 10, 100, 1000, 10000])
    figure = draw_gradient_flow(flow(np.ones((5, 3)), updates))
    assert figure.axes[0].get_xscale() == "log"
    drawn(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1000, "1,000"),
        (0.01, "0.01"),
        (1e-3, "10⁻³"),
        (5e-12, "5·10⁻¹²"),
        (1e30, "10³⁰"),
        (2e4, "2·10⁴"),
    ],
)
def test_ticks(value: float, text: str) -> None:
    assert write_power(value) == text
