import numpy as np
import pytest
from scipy.stats import norm

from bptt.analysis.statistics.differences import PairCounts, Successes, compute_shares_p, mcnemar, paired_difference
from bptt.analysis.statistics.intervals import probability_of_improvement, share_difference
from bptt.analysis.statistics.power import (
    count_pairs_for_difference,
    count_pairs_for_equivalence,
    count_runs_for_difference,
    count_runs_for_equivalence,
    count_runs_for_improvement,
)

TRIALS = 2000  # a share of 0.8 has a standard error of 0.009


def draw_pairs(shares: tuple[float, float], pairs: int) -> list[PairCounts]:
    rng = np.random.default_rng(0)
    return [PairCounts(*map(int, one)) for one in rng.multinomial(pairs, [*shares, 1 - sum(shares)], TRIALS)]


@pytest.mark.parametrize(("counts", "level"), [((9, 1, 50), 0.95), ((5, 3, 4), 0.95), ((9, 1, 50), 0.99)])
def test_so_many_pairs_find_the_difference_in_four_of_five(counts: tuple[int, int, int], level: float) -> None:
    needed = count_pairs_for_difference(PairCounts(*counts), level)
    assert needed is not None
    shares = counts[0] / sum(counts), counts[1] / sum(counts)
    for pairs, low, high in ((needed, 0.78, 0.85), (needed * 3 // 4, 0.5, 0.76)):
        drawn = draw_pairs(shares, pairs)
        found = np.mean([one.wins > one.losses and mcnemar(one.wins, one.losses) < 1 - level for one in drawn])
        assert low < found < high, pairs


@pytest.mark.parametrize("counts", [(2, 2, 56), (5, 4, 41)])
def test_so_many_pairs_find_no_difference_in_four_of_five(counts: tuple[int, int, int]) -> None:
    needed = count_pairs_for_equivalence(PairCounts(*counts), 0.1)
    assert needed is not None
    rate = (counts[0] + counts[1] + 0.5) / (sum(counts) + 1)
    drawn = draw_pairs((rate / 2, rate / 2), needed)
    cases = {one: paired_difference(one) for one in set(drawn)}
    found = np.mean([cases[one].low > -0.1 and cases[one].high < 0.1 for one in drawn])
    assert 0.78 < found < 0.85


def test_so_many_runs_find_the_difference_in_four_of_five() -> None:
    needed = count_runs_for_difference((0.7, 0.4))
    assert needed is not None
    rng = np.random.default_rng(1)
    x, y = rng.binomial(needed, 0.7, TRIALS), rng.binomial(needed, 0.4, TRIALS)

    def settles(one: tuple[int, int]) -> bool:
        low = share_difference(one, (needed, needed)).low
        return low > 0 and compute_shares_p([Successes(one, (needed, needed))]) < 0.05

    found = np.mean([settles((int(i), int(j))) for i, j in zip(x, y, strict=True)])
    assert 0.78 < found < 0.85
    assert count_runs_for_difference((0.4, 0.7)) == needed


def test_so_many_runs_find_no_difference_in_four_of_five() -> None:
    needed = count_runs_for_equivalence((0.9, 0.94), 0.1)
    assert needed is not None
    x, y = np.random.default_rng(2).binomial(needed, 0.92, (2, TRIALS))
    found = [share_difference((int(i), int(j)), (needed, needed)) for i, j in zip(x, y, strict=True)]
    assert 0.78 < np.mean([one.low > -0.1 and one.high < 0.1 for one in found]) < 0.86


def test_so_many_runs_find_which_is_better_in_four_of_five() -> None:
    needed = count_runs_for_improvement(0.7)
    assert needed is not None
    assert count_runs_for_improvement(0.3) == needed
    rng = np.random.default_rng(3)
    a, b = rng.normal(np.sqrt(2) * norm.ppf(0.7), 1, (TRIALS, needed)), rng.normal(size=(TRIALS, needed))
    found = [probability_of_improvement(one, other, False).low > 0.5 for one, other in zip(a, b, strict=True)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_what_no_number_of_runs_settles() -> None:
    assert count_pairs_for_difference(PairCounts(3, 3, 4)) is None
    assert count_pairs_for_difference(PairCounts(0, 0, 4)) is None
    assert count_runs_for_difference((0.5, 0.5)) is None
    assert count_runs_for_improvement(0.5) is None
    assert count_runs_for_improvement(0.501) is None  # more than are told
    assert count_pairs_for_difference(PairCounts(1000, 999, 1)) is None
