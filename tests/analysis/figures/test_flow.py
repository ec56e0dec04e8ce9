import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm

from bptt.analysis.figures import draw_flow_map
from tests.analysis.figures.swept import (
    LAGS,
    UPDATES,
    Swept,
    drawable,
    panel_titles,
    sweep_of,
)

SIZES = np.repeat([2, 4, 8], 4)


@pytest.fixture
def sweep() -> Swept:
    return sweep_of(model__hidden_size=SIZES)


def given(sweep: Swept) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    return sweep.gradient_flow, sweep.runs, sweep.swept


def test_a_map_has_medians_by_lag_and_update_in_colours_that_panels_share(sweep: Swept) -> None:
    figure = drawable(draw_flow_map(*given(sweep)))
    assert panel_titles(figure) == ["hidden units 2", "hidden units 4", "hidden units 8"]
    norms = set()
    for axes, middle in zip(figure.axes, (2.5, 6.5, 10.5), strict=False):
        (mesh,) = [part for part in axes.collections if isinstance(part, QuadMesh)]
        expected = middle * 10.0 ** -LAGS[:, None] / UPDATES
        assert np.asarray(mesh.get_array()) == pytest.approx(expected)
        assert isinstance(mesh.norm, LogNorm)
        norms.add((mesh.norm.vmin, mesh.norm.vmax))
    ((low, high),) = norms
    assert (low, high) == pytest.approx((2.5e-5, 10.5))
    assert figure.axes[0].get_ylim() == (3.5, -0.5)  # lag 0 above
    assert figure.axes[-1].get_ylabel() == "‖∂loss/∂h‖"


def test_zero_is_grey_and_what_most_runs_have_not_is_empty(sweep: Swept) -> None:
    flow = sweep.gradient_flow
    flow.loc[flow["lag"] == 2, "norm"] = 0.0
    flow = flow[(flow["lag"] < 3) | (flow["run"] % 4 == 0)]
    axes = drawable(draw_flow_map(flow, sweep.runs, sweep.swept)).axes[0]
    grey, mesh = (np.ma.getmaskarray(np.ma.asarray(part.get_array())) for part in axes.collections)
    assert (~grey).any(axis=1).tolist() == [False, False, True, False]
    assert (~mesh).any(axis=1).tolist() == [True, True, False, False]


def test_of_many_levels_six_are_shown() -> None:
    sweep = sweep_of(16, a__x=np.repeat(np.arange(8), 2))
    assert panel_titles(draw_flow_map(*given(sweep))) == [f"x {level}" for level in (0, 1, 3, 4, 6, 7)]


@pytest.mark.parametrize("norm", [0.0, np.nan, 1e300, 5e-324])
def test_unusual_gradients_are_drawn(sweep: Swept, norm: float) -> None:
    sweep.gradient_flow["norm"] = norm
    drawable(draw_flow_map(*given(sweep)))
