import numpy as np
import pandas as pd
import pytest

from bptt.analysis.figures import draw_profiles
from bptt.analysis.figures.flow import have_equal_profiles
from tests.analysis.figures.swept import (
    LAGS,
    Swept,
    diverge,
    drawable,
    fail,
    legend,
    lines,
    panel_titles,
    sweep_of,
)

SIZES = np.repeat([2, 4, 8], 4)


@pytest.fixture
def sweep() -> Swept:
    return sweep_of(model__hidden_size=SIZES)


def given(sweep: Swept) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    return sweep.gradient_flow, sweep.runs, sweep.swept


def test_profiles_are_medians_by_lag_at_the_first_and_the_last_update(sweep: Swept) -> None:
    figure = drawable(draw_profiles(*given(sweep)))
    assert panel_titles(figure) == ["first update", "last update"]
    for axes, update in zip(figure.axes, (1, 100), strict=True):
        assert axes.get_yscale() == "log"
        assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == [LAGS.tolist()] * 3
        # Runs 0 to 3 have (run + 1)·10⁻ᵏ.
        assert lines(axes)[0] == pytest.approx((2.5 * 10.0**-LAGS / update).tolist())
    assert legend(figure) == ["2", "4", "8"]


def test_profiles_at_an_update_of_ones_own(sweep: Swept) -> None:
    (axes,) = drawable(draw_profiles(*given(sweep), updates=[50])).axes
    assert lines(axes)[0] == pytest.approx((2.5 * 10.0**-LAGS / 50).tolist())


def test_a_gradient_that_was_cut_off_is_zero_on_a_symlog_axis(sweep: Swept) -> None:
    sweep.gradient_flow.loc[sweep.gradient_flow["lag"] > 1, "norm"] = 0.0
    axes = drawable(draw_profiles(*given(sweep))).axes[0]
    assert axes.get_yscale() == "symlog"
    assert lines(axes)[0] == pytest.approx([2.5, 0.25, 0.0, 0.0])
    assert 0.0 in axes.get_yticks()


def test_a_gradient_that_vanished_is_near_zero(sweep: Swept) -> None:
    sweep.gradient_flow["norm"] = 10.0 ** (-100 * sweep.gradient_flow["lag"])
    axes = drawable(draw_profiles(*given(sweep))).axes[0]
    assert axes.get_yscale() == "symlog"
    assert axes.yaxis.get_transform().linthresh == pytest.approx(1e-16)  # type: ignore[attr-defined]


def test_each_panel_of_another_key_has_its_profiles() -> None:
    sweep = sweep_of(24, a__x=np.repeat([1, 2, 3, 4], 6), model=np.tile(["elman", "gru", "lstm"], 8))
    figure = drawable(draw_profiles(*given(sweep), updates=["last"]))
    assert panel_titles(figure) == ["cell elman", "cell gru", "cell lstm"]
    assert [len(axes.lines) for axes in figure.axes[:3]] == [4, 4, 4]
    assert lines(figure.axes[1])[0][0] == pytest.approx(3.5 / 100)  # of runs 1 and 4


def test_whether_settings_differ_at_an_update(sweep: Swept) -> None:
    assert not have_equal_profiles(*given(sweep), "first")
    sweep.gradient_flow["norm"] = 10.0 ** -sweep.gradient_flow["lag"]
    assert have_equal_profiles(*given(sweep), "first")
    longer = sweep.gradient_flow[(sweep.gradient_flow["run"] < 4) | (sweep.gradient_flow["lag"] < 3)]
    assert not have_equal_profiles(longer, sweep.runs, sweep.swept, "first")


def test_what_diverged_or_failed_does_not_count(sweep: Swept) -> None:
    diverge(sweep, 0, update=1)
    fail(sweep, 1, "FAILED")
    axes = draw_profiles(*given(sweep)).axes[1]
    assert lines(axes)[0] == pytest.approx((3.5 * 10.0**-LAGS / 100).tolist())  # of runs 2 and 3


@pytest.mark.parametrize("norm", [0.0, np.nan, 1e300, 5e-324])
def test_unusual_gradients_are_drawn(sweep: Swept, norm: float) -> None:
    sweep.gradient_flow["norm"] = norm
    drawable(draw_profiles(*given(sweep)))
