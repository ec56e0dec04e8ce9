"""Figures of what was measured: what is drawn are the numbers of the table."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bptt.analysis.factors import build_factor
from bptt.analysis.figures import (
    draw_exponents,
    draw_portrait,
    draw_sharpness_against_bound,
    draw_sharpness_along,
    draw_singular_values,
    draw_solved_map,
    draw_spectra,
)
from bptt.analysis.figures.portraits import project_states
from bptt.dynamics.fixed_points import FixedPoints
from tests.analysis.figures.swept import drawable, lines, panel_titles

UPDATES = [0, 1, 10, 100, 1000]
ALPHAS = [0.1, 0.4]


@pytest.fixture(autouse=True, scope="module")
def blank_figures() -> None:
    """Here they are looked at."""


@pytest.fixture
def ended() -> pd.DataFrame:
    """Four runs with each of two learning rates; those with the larger one, and the last of the others, are solved."""
    number = np.arange(8)
    return pd.DataFrame(
        {"run": number, "optimizer.alpha": np.repeat(ALPHAS, 4), "updates": 1000.0, "solved": number >= 3}
    )


@pytest.fixture
def measures() -> pd.DataFrame:
    """Exponents rise towards 0, sharpness to the edge of stability."""
    rows: list[dict[str, Any]] = []
    for run in range(8):
        for place, update in enumerate(UPDATES):
            top = -1.0 - 0.1 * run + 0.2 * place
            spectrum = np.array([top, top - 1.0, -np.inf])
            rows.append(
                {
                    "run": run,
                    "update": update,
                    "dynamics/lyapunov_max": top,
                    "dynamics/lyapunov_spectrum": spectrum,
                    "dynamics/singular_max": 10.0 ** (run + place),
                    "dynamics/singular_median": 1.0,
                    "dynamics/singular_min": 0.0,
                    "dynamics/sharpness": (2 / ALPHAS[run // 4]) * (place + 1) / 5,
                    "dynamics/sharpness_ratio": (place + 1) / 5,
                }
            )
    return pd.DataFrame(rows)


def test_spectra_are_medians_of_each_exponent(measures: pd.DataFrame, ended: pd.DataFrame) -> None:
    figure = drawable(draw_spectra(measures, ended, build_factor(ended, "optimizer.alpha")))
    assert panel_titles(figure) == ["start", "last update"]
    np.testing.assert_allclose(lines(figure.axes[0])[:2], [[-1.15, -2.15, -4.0], [-1.55, -2.55, -4.0]])
    np.testing.assert_allclose(lines(figure.axes[1])[1], [-0.75, -1.75, -4.0])


def test_exponents_through_training_have_a_panel_for_each_value(measures: pd.DataFrame, ended: pd.DataFrame) -> None:
    figure = drawable(draw_exponents(measures, ended, build_factor(ended, "optimizer.alpha")))
    assert panel_titles(figure) == ["learning rate α 0.1", "learning rate α 0.4"]
    np.testing.assert_allclose(lines(figure.axes[1])[0], [-1.55, -1.35, -1.15, -0.95, -0.75])
    np.testing.assert_allclose(lines(figure.axes[0])[2], [-4.0] * 5)
    assert figure.axes[0].get_xscale() == "symlog"


def test_bars_reach_over_all_singular_values(measures: pd.DataFrame, ended: pd.DataFrame) -> None:
    figure = drawable(draw_singular_values(measures, ended, build_factor(ended, "optimizer.alpha")))
    bars = [line for line in lines(figure.axes[1]) if len(line) == 2 and line[0] != line[1]]
    np.testing.assert_allclose(
        [bar[1] for bar in bars], [np.median(10.0 ** np.arange(4, 8)), np.median(10.0 ** np.arange(8, 12))]
    )
    low, high = figure.axes[1].get_ylim()
    assert all(low <= bar[0] < 10.0 for bar in bars)
    assert high >= max(bar[1] for bar in bars)


def test_points_of_sharpness_stand_above_their_bounds(measures: pd.DataFrame, ended: pd.DataFrame) -> None:
    figure = drawable(draw_sharpness_against_bound(measures, ended, build_factor(ended, "optimizer.alpha")))
    found = [np.asarray(points.get_offsets()) for points in figure.axes[0].collections]
    assert [len(points) for points in found] == [4, 4, 4, 4]  # at the start, then at the end
    np.testing.assert_allclose(found[0][0], [20.0, 4.0])
    np.testing.assert_allclose(found[3][0], [5.0, 5.0])


def test_sharpness_through_training_is_a_share_of_the_bound(measures: pd.DataFrame, ended: pd.DataFrame) -> None:
    figure = drawable(draw_sharpness_along(measures, ended, build_factor(ended, "optimizer.alpha")))
    np.testing.assert_allclose(lines(figure.axes[0])[0], [0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_map_counts_runs_by_exponent_and_learning_rate(measures: pd.DataFrame, ended: pd.DataFrame) -> None:
    figure = drawable(draw_solved_map(measures, ended, build_factor(ended, "optimizer.alpha")))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1/1", "0/1", "0/1", "0/1", "1/1", "1/1", "1/1", "1/1"]


def test_where_nothing_was_measured_of_a_value_the_others_are_drawn(
    measures: pd.DataFrame, ended: pd.DataFrame
) -> None:
    hue, some = build_factor(ended, "optimizer.alpha"), measures[measures["run"] < 4]
    nothing = some.assign(
        **{"dynamics/sharpness_ratio": np.where(some["update"] == 0, np.nan, some["dynamics/sharpness_ratio"])}
    )
    for draw in (draw_spectra, draw_exponents, draw_singular_values, draw_sharpness_along, draw_solved_map):
        assert isinstance(drawable(draw(some, ended, hue)), Figure)
    assert isinstance(drawable(draw_sharpness_against_bound(nothing, ended, hue)), Figure)


def test_a_portrait_is_in_the_plane_in_which_states_vary_most() -> None:
    angle = np.linspace(0.0, 2.0 * np.pi, 40)
    way = np.stack([3.0 * np.cos(angle), np.zeros(40), np.sin(angle)], axis=1)[None] + np.array([1.0, 2.0, 3.0])
    states = np.array([[1.0, 2.0, 3.0], [4.0, 2.0, 3.0]])
    points = FixedPoints(states, np.zeros(2), np.zeros((2, 3), complex), np.array([True, False]), np.ones(2, np.int64))
    portrait = project_states(way, points)
    mean = way[0].mean(axis=0)
    np.testing.assert_allclose(portrait.fixed, (states - mean)[:, [0, 2]], atol=1e-9)
    np.testing.assert_allclose(portrait.shares.sum(), 1.0)
    assert portrait.shares[0] > 0.85
    figure = drawable(draw_portrait(portrait))
    unstable, stable = (np.asarray(found.get_offsets()) for found in figure.axes[0].collections)
    np.testing.assert_allclose(stable, portrait.fixed[:1])
    np.testing.assert_allclose(unstable, portrait.fixed[1:])
    flat = dataclasses.replace(points, states=states[:, :1])
    assert np.array_equal(project_states(way[..., :1], flat).fixed[:, 1], [0.0, 0.0])
