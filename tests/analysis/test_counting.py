"""The counting article's figures, with the numbers that it publishes."""

import io

import numpy as np
import pytest

from bptt.analysis.counting import (
    POINTS,
    build_article_run,
    compute_gradients,
    compute_surfaces,
    draw_figures,
    draw_side_by_side,
    list_settings,
)
from bptt.analysis.surface import follow_path
from bptt.core.gradcheck import check_gradients


def article_loss(run_x: np.ndarray, wx: float, wrec: float) -> float:
    state = np.zeros(len(run_x))
    for k in range(run_x.shape[1]):
        state = run_x[:, k] * wx + state * wrec
    return float(np.mean((run_x.sum(axis=1) - state) ** 2))


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    rng = np.random.RandomState(1)
    return np.stack([np.around(rng.rand(10)) for _ in range(20)])


def test_surfaces_cover_both_of_the_articles_windows(data: np.ndarray) -> None:
    far, near = compute_surfaces(build_article_run())
    for table, (low, high) in ((far, (-3, 3)), (near, (0, 2))):
        assert len(table) == 100 * 100
        assert (table["x"].min(), table["x"].max(), table["y"].min(), table["y"].max()) == (low, high, low, high)
        some = table.iloc[::997]
        expected = [article_loss(data, x, y) for x, y in zip(some["x"], some["y"], strict=True)]
        np.testing.assert_allclose(some["loss"], expected, rtol=1e-11, atol=1e-25)


def test_gradients_reach_back_to_the_state_before_the_first_bit(data: np.ndarray) -> None:
    table = compute_gradients(build_article_run())
    assert len(POINTS) == 6
    for wx, wrec in POINTS:
        line = table[(table["x"] == wx) & (table["y"] == wrec)].set_index("k")["gradient"]
        assert line.index.tolist() == [*range(11)]
        last = sum(data[:, k] * wx * wrec ** (9 - k) for k in range(10))
        arriving = np.sum(2 * (last - data.sum(axis=1))) / 20
        np.testing.assert_allclose(line, arriving * wrec ** (10.0 - np.arange(11)), rtol=1e-12)


def test_the_settings_stand_beside_what_came_of_them() -> None:
    run = build_article_run()
    table = list_settings(run, follow_path(run)).set_index("setting")["value"]
    assert table.to_dict() == {
        "sequences": "20 of 10 bits",
        "optimizer": "rprop",
        "eta_plus": "1.2",
        "eta_minus": "0.5",
        "delta_zero": "0.001",
        "updates": "500",
        "wx, wrec at the start": "-1.5, 2",
        "wx, wrec at the end": "1.001355547, 0.999674474",
        "the article's": "1.00135554…, 0.99967447…",
        "loss at the end": "1.8e-06",
        "011000010011": "5 vs 5.00",
    }


def test_backpropagation_agrees_with_differences_where_the_article_looks() -> None:
    blocks = check_gradients(build_article_run(["init.input=1.2", "init.recurrent=1.2"]))
    assert [block.name for block in blocks] == ["cell.0.input", "cell.0.recurrent"]
    assert all(block.ok for block in blocks)


def test_all_three_figures() -> None:
    found = draw_figures(build_article_run())
    assert [*found] == ["cost_surface", "state_gradients", "path"]
    for figure in found.values():
        assert figure.get_size_inches()[0] == 3.4
        figure.savefig(io.BytesIO())
    assert len(found["cost_surface"].axes[0].lines) == len(found["state_gradients"].axes[0].lines) == 6
    assert len(np.asarray(found["path"].axes[0].lines[0].get_xydata())) == 501


def test_side_by_side_with_other_settings() -> None:
    figure = draw_side_by_side(build_article_run(["optimizer.eta_plus=1.5", "train.updates=60"]))
    texts = [text.get_text() for text in figure.subfigs[3].axes[0].texts]
    assert texts[texts.index("eta_plus") + 1] == "1.5"
    assert [part.get_suptitle()[:1] for part in figure.subfigs] == ["a", "b", "c", "d"]
    figure.savefig(io.BytesIO())
