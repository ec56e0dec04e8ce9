from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f_oneway

from bptt.analysis.statistics.settings import variance_shares

EVERY = ["optimizer.alpha", "model.hidden_size", "model", "seed"]


def runs(logarithm: ArrayLike, **keys: Any) -> pd.DataFrame:
    """Runs with the decimal logarithm of their final loss, and what was swept."""
    table = {"loss/eval": 10.0 ** np.asarray(logarithm), "outcome": "completed"}
    return pd.DataFrame(table | {key.replace("__", "."): values for key, values in keys.items()})


def by_source(table: pd.DataFrame, column: str = "share") -> dict[str, float]:
    return dict(zip(table["source"], table[column], strict=True))


def grid(*sizes: int) -> list[NDArray[np.int64]]:
    return [axis.reshape(-1) for axis in np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij")]


def test_one_parameter_and_its_seeds_are_the_one_way_analysis_of_variance() -> None:
    alpha, seed = grid(4, 7)
    y = np.random.default_rng(0).normal(alpha, 2)
    table = variance_shares(runs(y, optimizer__alpha=alpha, seed=seed), EVERY)
    assert table["source"].tolist() == ["alpha", "seed"]
    assert table["df"].tolist() == pytest.approx([3, 24])
    between, within = table["share"] / table["df"]
    assert between / within == pytest.approx(f_oneway(*(y[alpha == level] for level in range(4))).statistic)


def test_a_balanced_grid_has_the_sums_of_squares_that_it_was_made_of() -> None:
    alpha, size, seed = grid(2, 3, 4)
    # Effects that are orthogonal: what each adds to the variance is its mean square.
    first, second = np.array([-1, 1])[alpha], np.array([-3, 0, 3])[size]
    both = np.array([[1, -2, 1], [-1, 2, -1]])[alpha, size]
    noise = np.array([-0.5, 0.5, -0.5, 0.5])[seed]
    table = variance_shares(
        runs(first + second + both + noise, optimizer__alpha=alpha, model__hidden_size=size, seed=seed), EVERY
    )
    parts = np.array([1, 6, 2, 0.25])
    assert table["source"].tolist() == ["alpha", "hidden_size", "interactions", "seed"]
    assert table["share"].tolist() == pytest.approx(parts / parts.sum())
    assert table["df"].tolist() == pytest.approx([1, 2, 2, 18])
    adjusted = (24 * parts - np.array([1, 2, 2, -5]) * 24 * 0.25 / 18) / (24 * parts.sum())
    assert table["adjusted"].tolist() == pytest.approx(adjusted)


def test_where_runs_were_lost_orders_are_averaged() -> None:
    rng = np.random.default_rng(1)
    alpha, size, seed = np.array(grid(3, 4, 5))[:, rng.random(60) < 0.5]
    y = rng.normal(alpha + 0.5 * size + 0.3 * alpha * size)
    found = variance_shares(runs(y, optimizer__alpha=alpha, model__hidden_size=size, seed=seed), EVERY)

    def explained(*columns: NDArray[np.int64]) -> float:
        design = np.column_stack([np.ones(len(y)), *((column == level) for column in columns for level in set(column))])
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return float(np.sum((fitted - y.mean()) ** 2) / np.sum((y - y.mean()) ** 2))

    one, other, both = explained(alpha), explained(size), explained(alpha, size)
    cells = explained(5 * alpha + size)
    expected = [(one + both - other) / 2, (other + both - one) / 2, cells - both, 1 - cells]
    assert found["share"].tolist() == pytest.approx(expected)
    assert found["adjusted"].sum() == pytest.approx(1)
    assert not np.isclose(one + other, both)  # the design is one where the order matters


def test_parameters_that_go_together_share_what_they_explain() -> None:
    # hidden_size is twice as large where alpha is, in all runs but one setting's.
    alpha = np.repeat([0, 1, 0], 4)
    size = np.repeat([0, 1, 1], 4)
    y = np.tile([-0.1, 0.1], 6) + alpha + size
    table = variance_shares(runs(y, optimizer__alpha=alpha, model__hidden_size=size), EVERY)
    shares = by_source(table)
    assert shares["alpha"] == pytest.approx(shares["hidden_size"])
    assert table["source"].tolist() == ["alpha", "hidden_size", "seed"]  # three settings leave no interaction


def test_shares_sum_to_one_and_none_is_negative() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        count = int(rng.integers(5, 60))
        keys = {name: rng.integers(0, 3, count) for name in ("a", "b", "c")}
        table = variance_shares(runs(rng.normal(size=count), **keys), [*keys])
        assert table["share"].sum() == pytest.approx(1)
        assert (table["share"] >= 0).all()


def test_a_parameter_without_effect_has_an_adjusted_share_of_zero_on_average() -> None:
    # Of 150 sweeps of 5 × 3 runs: a share of 4/14 by chance alone, whose standard deviation is about 0.15.
    rng = np.random.default_rng(3)
    alpha, seed = grid(5, 3)
    tables = [variance_shares(runs(rng.normal(size=15), optimizer__alpha=alpha, seed=seed), EVERY) for _ in range(150)]
    assert np.mean([by_source(table)["alpha"] for table in tables]) == pytest.approx(4 / 14, abs=0.04)
    assert np.mean([by_source(table, "adjusted")["alpha"] for table in tables]) == pytest.approx(0, abs=0.05)


def test_runs_that_diverged_count_as_the_worst_that_did_not() -> None:
    alpha = np.repeat([0, 1], 3)
    table = runs([-3.0, -2, -3, -1, -1, -1], optimizer__alpha=alpha)
    diverged = table.copy()
    diverged.loc[4, ["loss/eval", "outcome"]] = [np.nan, "diverged"]
    assert variance_shares(diverged, EVERY).equals(variance_shares(table, EVERY))
    exploded = table.copy()
    exploded.loc[4, "loss/eval"] = 1e200
    assert variance_shares(exploded, EVERY, ceiling=0.1).equals(variance_shares(table, EVERY))


def test_runs_that_failed_do_not_count() -> None:
    alpha, seed = grid(2, 3)
    table = runs(np.random.default_rng(4).normal(size=6), optimizer__alpha=alpha, seed=seed)
    failed = table.iloc[[0]].assign(outcome=None, **{"loss/eval": 1e9})
    assert variance_shares(pd.concat([table, failed], ignore_index=True), EVERY).equals(variance_shares(table, EVERY))


def test_a_loss_of_zero_counts_as_the_least_that_is_not() -> None:
    alpha = np.repeat([0, 1], 3)
    table = runs([-9.0, -3, -3, -1, -1, -2], optimizer__alpha=alpha)
    assert variance_shares(table.replace({"loss/eval": {1e-9: 0.0}}), EVERY)["share"].tolist() == pytest.approx(
        variance_shares(runs([-3.0, -3, -3, -1, -1, -2], optimizer__alpha=alpha), EVERY)["share"]
    )


def test_an_accuracy_is_taken_as_it_is() -> None:
    alpha = np.repeat([0, 1], 3)
    table = runs(np.zeros(6), optimizer__alpha=alpha).assign(**{"accuracy/eval": [0.1, 0.2, 0.3, 0.7, 0.8, 0.9]})
    shares = by_source(variance_shares(table, EVERY, "accuracy/eval"))
    assert shares["alpha"] == pytest.approx(6 * 0.3**2 / (6 * 0.3**2 + 4 * 0.1**2))


def test_with_one_run_each_the_seed_cannot_be_told_from_interactions() -> None:
    alpha, size = grid(3, 4)
    y = alpha + 0.1 * np.random.default_rng(5).normal(size=12)
    table = variance_shares(runs(y, optimizer__alpha=alpha, model__hidden_size=size), EVERY)
    assert table["source"].tolist() == ["alpha", "hidden_size", "interactions and seed"]
    assert table["df"].tolist() == pytest.approx([2, 3, 6])


def test_values_drawn_at_random_are_taken_by_their_quantiles() -> None:
    rng = np.random.default_rng(6)
    alpha, epsilon = rng.random((2, 200))
    y = 3 * alpha + 0.1 * rng.normal(size=200)
    table = variance_shares(
        runs(y, optimizer__alpha=alpha, optimizer__epsilon=epsilon), ["optimizer.alpha", "optimizer.epsilon"]
    )
    shares = by_source(table)
    # Of a straight line eight steps leave 1/64; alone, seven steps of epsilon explain 7/199 by chance.
    assert shares["interactions and seed"] == pytest.approx(1 - (1 - 1 / 64) * 0.75 / 0.76, abs=0.01)
    assert shares["epsilon"] == pytest.approx(7 / 199 / 2, abs=0.02)
    assert table["df"].tolist() == pytest.approx([7, 7, 185])


def test_of_many_parameters_those_that_explain_most_are_shown() -> None:
    rng = np.random.default_rng(7)
    keys = {f"k{number}": rng.integers(0, 2, 400) for number in range(10)}
    y = sum((0 if name in ("k3", "k7") else 1) * values for name, values in keys.items()) + rng.normal(size=400)
    table = variance_shares(runs(y, **keys), [*keys])
    assert table["source"].tolist() == ["k0", "k1", "k2", "k4", "k5", "k6", "k8", "k9", "interactions and seed"]
    assert table["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("logarithm", [[1.0, 1.0, 1.0, 1.0], [np.inf] * 4])
def test_where_all_end_alike_there_is_nothing_to_explain(logarithm: list[float]) -> None:
    assert variance_shares(runs(logarithm, optimizer__alpha=[1, 1, 2, 2]), EVERY).empty
    assert variance_shares(runs([1.0, 2.0], seed=[1, 2]), EVERY).empty


def test_a_condition_explains_nothing_and_hides_nothing() -> None:
    length, alpha, size, seed = grid(3, 2, 3, 4)
    first, second = np.array([-1, 1])[alpha], np.array([-3, 0, 3])[size]
    noise = np.array([-0.5, 0.5, -0.5, 0.5])[seed]
    keys = {"optimizer__alpha": alpha, "model__hidden_size": size, "seed": seed}
    swept = ["task.length", *EVERY]

    def shares(shift: NDArray[np.float64], conditions: list[str]) -> pd.DataFrame:
        table = runs(first + second + noise + shift[length], task__length=length, **keys)
        return variance_shares(table, swept, conditions=conditions)

    parts = np.array([1, 6, 0, 0.25])
    within = shares(np.array([0.0, 100.0, -7.0]), ["task.length"])
    assert within["source"].tolist() == ["alpha", "hidden_size", "interactions", "seed"]
    assert within["share"].tolist() == pytest.approx(parts / parts.sum())
    # 72 runs, 18 groups, 3 conditions: (18 − 3) − 1 − 2 degrees for what goes beyond, 72 − 18 for the seed.
    assert within["df"].tolist() == pytest.approx([1, 2, 12, 54])
    across = by_source(shares(np.array([0.0, 100.0, -7.0]), []))
    assert across["length"] > 0.9
    assert by_source(shares(np.zeros(3), [])) == pytest.approx({"length": 0, **by_source(within)}, abs=1e-12)


def test_where_the_condition_alone_was_swept_nothing_is_left_to_explain() -> None:
    length, seed = grid(3, 4)
    table = runs(length + seed, task__length=length, seed=seed)
    assert variance_shares(table, ["task.length", "seed"], conditions=["task.length"]).empty
