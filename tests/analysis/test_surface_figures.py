import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bptt.analysis.surface_figures import draw_cost_surface, draw_gradient_lines

XS, YS = np.linspace(-1.0, 1.0, 5), np.linspace(0.0, 3.0, 4)


def surface(loss: Any) -> pd.DataFrame:
    x, y = (values.ravel() for values in np.meshgrid(XS, YS))
    return pd.DataFrame({"x": x, "y": y, "loss": loss(x, y)})


def path(*points: tuple[float, float]) -> pd.DataFrame:
    x, y = np.array(points).T
    return pd.DataFrame({"update": range(len(points)), "x": x, "y": y, "loss": 1.0})


def gradients(*lines: tuple[float, float, list[float]]) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"x": x, "y": y, "layer": 0, "unit": 0, "k": range(1, len(line) + 1), "gradient": line})
        for x, y, line in lines
    )


def drawn(figure: Figure) -> None:
    """Drawing finds what building does not: every warning is an error here."""
    figure.savefig(io.BytesIO())


def mesh_of(figure: Figure, panel: int = 0) -> Any:
    return figure.axes[panel].collections[0]


def test_colours_are_the_loss_on_one_logarithmic_scale() -> None:
    bowl = surface(lambda x, y: 10 ** (x + y))
    flat = surface(lambda x, y: 1e5 + 0 * x)
    figure = draw_cost_surface([bowl, flat], labels=("wx", "wrec"), title="two of them")
    assert figure.get_suptitle() == "two of them"
    assert np.array_equal(mesh_of(figure).get_array(), bowl["loss"].to_numpy().reshape(4, 5))
    assert mesh_of(figure).norm is mesh_of(figure, 1).norm
    assert (mesh_of(figure).norm.vmin, mesh_of(figure).norm.vmax) == (0.1, 1e5)
    left, right, bar = figure.axes
    assert (left.get_xlabel(), left.get_ylabel(), right.get_ylabel()) == ("wx", "wrec", "")
    assert (left.get_xlim(), left.get_ylim()) == ((-1.0, 1.0), (0.0, 3.0))
    assert bar.get_xlabel() == "loss"
    assert figure.get_size_inches()[0] == 3.4
    drawn(figure)


def test_a_loss_of_zero_has_the_lowest_colour_and_one_that_is_not_finite_has_none() -> None:
    figure = draw_cost_surface([surface(lambda x, y: np.where(x == 0, 0.0, np.where(y == 3, np.inf, 1 + y)))])
    losses = mesh_of(figure).get_array()
    assert losses[:3, 2].tolist() == [1.0] * 3
    assert losses.mask.sum() == 4
    drawn(figure)


def test_a_flat_surface_still_shows_what_there_is() -> None:
    figure = draw_cost_surface([surface(lambda x, y: 0.05 + 0.001 * x)])
    norm = mesh_of(figure).norm
    assert (norm.vmin, norm.vmax) == pytest.approx((0.049, 0.051))
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.axes[1].get_xticklabels() if text.get_text()]
    assert 3 <= len(texts) <= 6
    drawn(figure)


def test_an_exploding_loss_leaves_the_others_their_colours() -> None:
    figure = draw_cost_surface([surface(lambda x, y: 10 ** (-100 * y))])
    norm = mesh_of(figure).norm
    assert (norm.vmin, norm.vmax) == (1e-12, 1.0)
    drawn(figure)


def test_a_path_has_a_dot_for_each_update_and_marks_at_its_ends() -> None:
    way = path((0.5, 0.0), (0.25, 1.0), (0.0, 2.0))
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)], paths={"rprop": way})
    line, dots, start, end = figure.axes[0].lines
    assert np.array_equal(np.asarray(line.get_xydata()), way[["x", "y"]])
    assert np.array_equal(np.asarray(dots.get_xydata()), way[["x", "y"]])
    assert (start.get_marker(), np.asarray(start.get_xydata()).tolist()) == ("o", [[0.5, 0.0]])
    assert (end.get_marker(), np.asarray(end.get_xydata()).tolist()) == ("*", [[0.0, 2.0]])
    assert not figure.legends
    drawn(figure)


def test_several_paths_have_a_legend() -> None:
    ways = {f"eta_plus={value}": path((0, 0), (value, value)) for value in (0.5, 1.0)}
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)] * 2, paths=ways)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*ways]
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert len(colours) == 2
    drawn(figure)


def test_long_names_stand_below_each_other() -> None:
    ways = {f"eta_plus={value} eta_minus=0.5 seed=1": path((0, 0), (value, value)) for value in (0.5, 1.0)}
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)], paths=ways)
    assert figure.legends[0]._ncols == 1  # type: ignore[attr-defined]
    drawn(figure)


def test_points_look_as_their_gradients_do() -> None:
    points = [(0.5, 1.0), (-0.5, 2.0)]
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)], points=points)
    lines = draw_gradient_lines(gradients(*[(*point, [1.0, 2.0]) for point in points]))
    shown = [(m.get_marker(), m.get_color(), np.asarray(m.get_xydata())[0].tolist()) for m in figure.axes[0].lines]
    assert [entry[:2] for entry in shown] == [(m.get_marker(), m.get_color()) for m in lines.axes[0].lines]
    assert [tuple(entry[2]) for entry in shown] == points
    drawn(figure)


def test_gradients_go_back_in_time_on_a_symlog_axis() -> None:
    figure = draw_gradient_lines(gradients((1, -2, [16.0, -8.0, 4.0]), (1, 0, [0.0, 0.0, 0.1])), state="s")
    (axes,) = figure.axes
    first, second = axes.lines
    assert np.array_equal(np.asarray(first.get_xydata()), [[1, 16], [2, -8], [3, 4]])
    assert np.array_equal(np.asarray(second.get_ydata()), [0.0, 0.0, 0.1])
    assert axes.get_yscale() == "symlog"
    assert axes.xaxis_inverted()
    assert axes.get_ylabel() == "∂loss/∂sₖ"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["(1, −2)", "(1, 0)"]
    drawn(figure)


def test_a_line_is_the_sum_over_layers_and_units() -> None:
    table = gradients((1, 1, [1.0, 2.0]))
    both = pd.concat([table, table.assign(unit=1, gradient=[10.0, -2.0])])
    assert np.array_equal(np.asarray(draw_gradient_lines(both).axes[0].lines[0].get_ydata()), [11.0, 0.0])


@pytest.mark.parametrize("loss", [np.nan, np.inf, 0.0, 1e300, 5e-324, 1.0])
def test_unusual_losses_are_drawn(loss: float) -> None:
    drawn(draw_cost_surface([surface(lambda x, y: 0 * x + loss)]))


@pytest.mark.parametrize("gradient", [[0.0, 0.0], [np.nan, np.inf], [1e300, -1e300], [1e-300, 1e300], [1.0]])
def test_unusual_gradients_are_drawn(gradient: list[float]) -> None:
    drawn(draw_gradient_lines(gradients((1, 1, gradient))))
