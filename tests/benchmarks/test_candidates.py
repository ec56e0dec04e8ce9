import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.candidates import newcombe, newcombe_paired, sato, score_ends, tango


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (7, 10), (41, 50), (3, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_wilsons_ends_are_scipys(successes: int, trials: int, level: float) -> None:
    expected = binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert score_ends(successes / trials, trials, level) == pytest.approx((expected.low, expected.high), abs=1e-14)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        ((56, 48), (70, 80), 0.0524, 0.3339),
        ((9, 3), (10, 10), 0.1705, 0.8090),
        ((5, 0), (56, 29), -0.0381, 0.1926),
        ((0, 0), (10, 20), -0.1611, 0.2775),
        ((10, 0), (10, 10), 0.6075, 1.0),
    ],
)
def test_difference_of_shares_as_newcombe_published_it(
    successes: tuple[int, int], trials: tuple[int, int], low: float, high: float
) -> None:
    found = newcombe(np.array(successes[0]), np.array(successes[1]), *trials)
    assert np.array(found) == pytest.approx(np.array([low, high]), abs=5e-5)


# M. W. Fagerland, S. Lydersen, P. Laake, "Recommended tests and confidence intervals for paired binomial proportions",
# Statistics in Medicine 33 (2014), as the programs contingencytables (Cavo et al.) and ratesci (Bentur et al.) have it.
@pytest.mark.parametrize(
    ("table", "expected"), [((59, 6, 16, 80), (-0.1186, -0.0046)), ((1, 1, 7, 12), (-0.5069, -0.0256))]
)
def test_newcombes_paired_interval_as_published(
    table: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    found = newcombe_paired(np.array([table]))
    assert np.ravel(found) == pytest.approx(np.array(expected), abs=5e-5)


@pytest.mark.parametrize(
    ("table", "expected"), [((59, 6, 16, 80), (-0.1240, -0.0054)), ((1, 1, 7, 12), (-0.5172, -0.0260))]
)
def test_tangos_interval_as_published(table: tuple[int, int, int, int], expected: tuple[float, float]) -> None:
    found = tango(np.array(table[1]), np.array(table[2]), sum(table))
    assert np.ravel(found) == pytest.approx(np.array(expected), abs=6e-5)


def test_satos_variance_of_pairs_that_are_strata_is_mcnemars() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 200)) < np.array([[0.7], [0.4]])
    difference, variance = sato(x.astype(float), y.astype(float), np.ones(200), np.ones(200))
    b, c = np.sum(x & ~y), np.sum(~x & y)
    assert difference == pytest.approx((b - c) / 200)
    assert variance == pytest.approx((b + c - (b - c) ** 2 / 200) / 200**2)


def test_satos_variance_is_that_of_the_estimate_where_strata_have_one_difference() -> None:
    rng = np.random.default_rng(1)
    m, n, p = np.array([20.0, 35, 50]), np.array([40.0, 30, 15]), np.array([0.2, 0.5, 0.6])
    x, y = rng.binomial(m.astype(int), p + 0.15, (50_000, 3)), rng.binomial(n.astype(int), p, (50_000, 3))
    difference, variance = sato(x, y, m, n)
    assert difference.mean() == pytest.approx(0.15, abs=0.002)
    assert variance.mean() == pytest.approx(difference.var(), rel=0.03)
