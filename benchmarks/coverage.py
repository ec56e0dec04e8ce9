"""python -m benchmarks.coverage: how often each interval that bptt prints holds what it is an interval of.

Shares and pairs are enumerated: the probability of each outcome, summed over those whose interval holds the truth. The
rest is simulated. Writes docs/trust/coverage.md.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy
from scipy.stats import binom, cauchy, expon, lognorm, norm, t

from benchmarks import candidates
from bptt.analysis.statistics.differences import PairCounts, mean_ends, paired_difference
from bptt.analysis.statistics.intervals import (
    LARGE,
    Location,
    exact_ends,
    location_intervals,
    median_updates,
    survival,
)
from bptt.analysis.statistics.roc import roc_area

SIZES: Final = (10, 20, 50, LARGE + 1, 20_000)
PAGE: Final = Path(__file__).parents[1] / "docs/trust/coverage.md"
_FINE: Final = np.round(np.arange(0.02, 0.9801, 0.005), 3)
_COARSE: Final = np.array([0.02, *np.round(np.arange(0.05, 0.951, 0.05), 2), 0.98])
_CORRELATIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_TOLERANCE: Final = 1e-9
_AT_ONCE: Final = 250  # samples of many values, which would fill the memory
_INFINITE: Final = 0.2  # of the values, as of runs of which a fifth diverged

Ends = tuple[NDArray[Any], NDArray[Any]]
_Case = tuple[str, float, float]  # where, how often it is covered, how wide the interval is


@dataclass(frozen=True)
class Coverage:
    """Of an interval and a size: the least coverage and where it is, the mean over all cases, and the mean width."""

    interval: str
    size: int
    least: float
    where: str
    mean: float
    width: float
    used: bool
    trials: int = 0  # 0: enumerated


def summarise(
    name: str, size: int, cases: Sequence[tuple[str, float, float]], used: bool = True, trials: int = 0
) -> Coverage:
    where, covered, width = zip(*cases, strict=True)
    least = int(np.argmin(covered))
    return Coverage(
        name, size, covered[least], where[least], float(np.mean(covered)), float(np.mean(width)), used, trials
    )


# Enumerated.


def enumerate_share(name: str, find_ends: Callable[..., Ends], n: int, used: bool) -> Coverage:
    x = np.arange(n + 1)
    low, high = find_ends(x / n, n)
    cases = []
    for p in _FINE:
        weight = binom.pmf(x, n, p)
        cases.append((f"{p:g}", float(weight[(low <= p) & (p <= high)].sum()), float(weight @ (high - low))))
    return summarise(name, n, cases, used)


def enumerate_difference(name: str, find_ends: Callable[..., Ends], n: int, used: bool) -> Coverage:
    x, y = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    low, high = find_ends(x, y, n, n)
    cases = []
    for p, q in _list_shares():
        weight = np.outer(binom.pmf(np.arange(n + 1), n, p), binom.pmf(np.arange(n + 1), n, q))
        cases.append((f"{p:g}, {q:g}", _cover(weight, low, high, p - q), float((weight * (high - low)).sum())))
    return summarise(name, n, cases, used)


def hybrid(x: NDArray[Any], y: NDArray[Any], m: int, n: int) -> Ends:
    """`share_difference`, for arrays; a test compares them."""
    p, q = x / m, y / n
    (l1, u1), (l2, u2) = exact_ends(p, m), exact_ends(q, n)
    return p - q - np.hypot(p - l1, u2 - q), p - q + np.hypot(u1 - p, q - l2)


def enumerate_pairs(name: str, find_ends: Callable[[NDArray[Any]], Ends], n: int, used: bool) -> Coverage:
    table = list_tables(n)
    low, high = find_ends(table)
    combinations = gammaln(n + 1) - gammaln(table + 1).sum(axis=1)
    cases = []
    for (p, q), correlation in product(_list_shares(), _CORRELATIONS):
        both = min(p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q)), p, q)
        cells = np.clip([both, p - both, q - both, 1 - p - q + both], 0, 1)
        weight = np.exp(combinations + xlogy(table, cells).sum(axis=1))
        where = f"{p:g}, {q:g}, correlation {correlation:g}"
        cases.append((where, _cover(weight, low, high, p - q), float(weight @ (high - low))))
    return summarise(name, n, cases, used)


def find_paired_ends(table: NDArray[Any]) -> Ends:
    n = int(table[0].sum())
    found = [_find_paired(int(b), int(c), n) for b, c in table[:, 1:3]]
    low, high = np.array(found).T
    return low, high


def find_tango_ends(table: NDArray[Any]) -> Ends:
    return candidates.tango(table[:, 1], table[:, 2], int(table[0].sum()))


@cache
def _find_paired(b: int, c: int, n: int) -> tuple[float, float]:
    found = paired_difference(PairCounts(b, c, n - b - c))
    return found.low, found.high


def enumerate_ties(n: int) -> Coverage:
    """The probability that one is better on a pair, ties half, with 0 to 90 % of the most ties that can be."""
    counts = np.array([(w, t, n - w - t) for w in range(n + 1) for t in range(n + 1 - w)])
    ends = np.array([_find_paired(int(w), int(rest), n) for w, _, rest in counts])
    low, high = 0.5 + 0.5 * ends.T
    combinations = gammaln(n + 1) - gammaln(counts + 1).sum(axis=1)
    cases = []
    for theta, share in product(_COARSE, (0.0, 0.1, 0.3, 0.6, 0.9)):
        ties = share * 2 * min(theta, 1 - theta)
        cells = np.clip([theta - ties / 2, ties, 1 - theta - ties / 2], 0, 1)
        weight = np.exp(combinations + xlogy(counts, cells).sum(axis=1))
        where = f"{theta:g}, {ties:.0%} ties".replace("%", " %")
        cases.append((where, _cover(weight, low, high, theta), float(weight @ (high - low))))
    return summarise("probability of better on a pair", n, cases)


def list_tables(n: int) -> NDArray[np.int64]:
    """All (both, first alone, second alone, neither) of n pairs."""
    return np.array(
        [(a, b, c, n - a - b - c) for a in range(n + 1) for b in range(n + 1 - a) for c in range(n + 1 - a - b)]
    )


def _list_shares() -> Iterator[tuple[float, float]]:
    yield from ((float(p), float(q)) for p, q in product(_COARSE, repeat=2) if q <= p)


def _cover(weight: NDArray[Any], low: NDArray[Any], high: NDArray[Any], truth: float) -> float:
    return float(weight[(low - _TOLERANCE <= truth) & (truth <= high + _TOLERANCE)].sum())


# Simulated.


def simulate_stratified(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    """Over two conditions of n runs of each setting, and over two of n pairs with independent values."""
    ends = exact_ends(np.arange(n + 1) / n, n)
    ours, usual, paired = [], [], []
    shares = (0.02, 0.1, 0.3, 0.5, 0.8, 0.98)
    for q in product(shares, repeat=2):
        for shift in (0.0, 0.15, -0.4):
            second = np.array(q)
            first = np.clip(second + shift, 0.02, 0.98)
            truth, where = float((first - second).mean()), f"{first[0]:g}, {second[0]:g}; {first[1]:g}, {second[1]:g}"
            x, y = rng.binomial(n, first, (trials, 2)), rng.binomial(n, second, (trials, 2))
            difference = ((x - y) / n).mean(axis=1)
            below = np.sqrt(((x / n - ends[0][x]) ** 2 + (ends[1][y] - y / n) ** 2).sum(axis=1)) / 2
            above = np.sqrt(((ends[1][x] - x / n) ** 2 + (y / n - ends[0][y]) ** 2).sum(axis=1)) / 2
            ours.append((where, *_score(difference - below, difference + above, truth)))
            estimate, variance = candidates.sato(x, y, np.full(2, n), np.full(2, n))
            half = norm.ppf(0.975) * np.sqrt(variance)
            usual.append((where, *_score(estimate - half, estimate + half, truth)))
            wins = rng.binomial(n, first * (1 - second), (trials, 2))
            rest = first * second + (1 - first) * (1 - second)
            losses = rng.binomial(n - wins, (1 - first) * second / (rest + (1 - first) * second))
            found = np.array(
                [_find_paired(int(b), int(c), 2 * n) for b, c in zip(wins.sum(1), losses.sum(1), strict=True)]
            )
            paired.append((where, *_score(found[:, 0], found[:, 1], truth)))
    return [
        summarise("difference of shares over two conditions, unpaired", n, ours, trials=trials),
        summarise("the same with Sato's variance", n, usual, False, trials),
        summarise("difference of shares over two conditions, pairs", n, paired, trials=trials),
    ]


_DISTRIBUTIONS: Final[dict[str, Any]] = {
    "normal": norm(),
    "lognormal": lognorm(1),
    "lognormal, σ 2": lognorm(2),
    "Cauchy": cauchy(),
}


def simulate_locations(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    """Of four distributions; a median of differences of pairs is a median like any other."""
    medians, means = list[_Case](), list[_Case]()
    for name, one in _DISTRIBUTIONS.items():
        found = location_intervals(list(one.rvs((trials, n), random_state=rng)))
        for kind, cases in (("median", medians), ("iqm", means)):
            cases.append((name, *_score_locations(found, kind, one)))
    return [
        summarise("median, and median difference of pairs (BCa bootstrap)", n, medians, trials=trials),
        summarise("interquartile mean (BCa bootstrap)", n, means, trials=trials),
    ]


def simulate_large_locations(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    """Of more values than a bootstrap is made of: the same distributions, and one with infinite values among them."""
    medians, means = list[_Case](), list[_Case]()
    for name, one in _DISTRIBUTIONS.items():
        for infinite in (0.0, _INFINITE) if name == "lognormal" else (0.0,):
            found = []
            for start in range(0, trials, _AT_ONCE):
                samples = one.rvs((min(_AT_ONCE, trials - start), n), random_state=rng)
                if infinite:
                    samples[rng.random(samples.shape) < infinite] = np.inf
                found += location_intervals(list(samples))
            where = f"{name}, {infinite:.0%} infinite".replace("%", " %") if infinite else name
            for kind, cases in (("median", medians), ("iqm", means)):
                cases.append((where, *_score_locations(found, kind, one, infinite)))
    return [
        summarise("median of many (binomial)", n, medians, trials=trials),
        summarise("interquartile mean of many (Tukey–McLaughlin)", n, means, trials=trials),
    ]


def _score_locations(found: Sequence[Location], kind: str, one: Any, infinite: float = 0.0) -> tuple[float, float]:
    """How often intervals of `Location.median` or `.iqm` hold the distribution's own, a share of which is infinite."""
    middle = one.ppf(np.linspace(0.25, 0.75, 100_001) / (1 - infinite))
    truth = float(one.ppf(0.5 / (1 - infinite)) if kind == "median" else np.mean(middle))
    low, high = np.array([(getattr(each, kind).low, getattr(each, kind).high) for each in found]).T
    return _score(low, high, truth, float(one.ppf(0.75) - one.ppf(0.25)))


def simulate_improvement(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    ends = exact_ends(np.arange(2 * n * n + 1) / (2 * n * n), n)  # of all values that there can be
    ours, drawn, few = [], [], max(trials // 20, 1)
    spreads = {"spread alike": 1.0, "one spread thrice the other": 3.0, "one not at all": 1e6}
    for theta, kind in product((0.02, 0.05, 0.1, 0.2, 0.3, 0.5), (*spreads, "solved or not")):
        if kind in spreads:
            shift = np.hypot(1, spreads[kind]) * norm.ppf(theta)
            a, b = rng.normal(shift, spreads[kind], (trials, n)), rng.normal(size=(trials, n))
        else:
            a, b = (rng.random((2, trials, n)) < np.array([theta, 1 - theta])[:, None, None]).astype(float)
        larger = [np.greater.outer(*pair).sum() * 2 + np.equal.outer(*pair).sum() for pair in zip(a, b, strict=True)]
        where = f"{theta:g}, {kind}"
        ours.append((where, *_score(ends[0][larger], ends[1][larger], theta)))
        if kind == "one spread thrice the other" and theta in (0.02, 0.1, 0.5):
            found = [candidates.bootstrap_improvement(*pair) for pair in zip(a[:few], b[:few], strict=True)]
            low, high = np.array(found).T
            drawn.append((where, *_score(low, high, theta)))
    return [
        summarise("probability of improvement, unpaired", n, ours, trials=trials),
        summarise("the same with a BCa bootstrap", n, drawn, False, few),
    ]


def simulate_restricted_means(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    """Of differences as a share of the horizon."""

    def draw(solving: float, scale: float, spread: float, shape: tuple[int, int]) -> NDArray[Any]:
        times = np.minimum(rng.lognormal(np.log(scale), spread, shape), 1.0)
        return np.where(rng.random(shape) < solving, times, 1.0)

    kinds = {
        "2 % solve it": ((0.02, 0.5, 0.5), (0.0, 1, 1)),
        "20 % against 10 %": ((0.2, 0.5, 0.5), (0.1, 0.5, 0.5)),
        "half of both": ((0.5, 0.3, 0.5), (0.5, 0.3, 0.5)),
        "90 % against half": ((0.9, 0.2, 1), (0.5, 0.3, 0.5)),
        "all, soon": ((1, 0.05, 0.5), (1, 0.1, 0.5)),
        "all, widely spread": ((1, 0.05, 1.5), (1, 0.1, 0.5)),
    }
    ours, students = [], []
    for name, (first, second) in kinds.items():
        truth = float(np.mean(draw(*first, (2000, 1000))) - np.mean(draw(*second, (2000, 1000))))
        differences = draw(*first, (trials, n)) - draw(*second, (trials, n))
        low, high = mean_ends(differences, -1.0, 1.0)
        ours.append((name, *_score(low, high, truth)))
        mean, half = differences.mean(1), t.ppf(0.975, n - 1) * differences.std(1, ddof=1) / np.sqrt(n)
        students.append((name, *_score(mean - half, mean + half, truth)))
    return [
        summarise("restricted mean difference, pairs", n, ours, trials=trials),
        summarise("the same with Student's t", n, students, False, trials),
    ]


def simulate_survival(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    """Exponential times, and runs that are given up: none, or a fifth or half of them before they solve it."""
    bands, medians = [], []
    for lost in (0.0, 0.2, 0.5):
        covered: dict[float, list[bool]] = {share: [] for share in (0.02, 0.1, 0.5, 0.9)}
        widths: dict[float, list[float]] = {share: [] for share in covered}
        held, wide = [], []
        for _ in range(trials):
            times = rng.exponential(size=n)
            ends = rng.exponential((1 - lost) / lost, size=n) if lost else np.full(n, 4.0)
            observed, solved = np.minimum(times, ends), times <= ends
            curve = survival(observed, solved)
            for share in covered:
                at = np.searchsorted(curve["update"], expon.ppf(share), "right") - 1
                if at == len(curve) - 1:
                    continue  # no run was watched so long
                low, high = curve["low"].iloc[at], curve["high"].iloc[at]
                covered[share].append(low <= share <= high)
                widths[share].append(high - low)
            median = median_updates(observed, solved)
            low, high = np.nan_to_num([median.low, median.high], nan=np.inf)
            held.append(low <= np.log(2) <= high)
            wide.append(high - low if np.isfinite(high) else np.nan)
        case = f"{lost:.0%} given up".replace("%", " %")
        bands += [
            (f"{share:g}, {case}", float(np.mean(hits)), float(np.mean(widths[share])))
            for share, hits in covered.items()
            if len(hits) > trials / 2
        ]
        medians.append((case, float(np.mean(held)), float(np.nanmean(wide))))
    return [
        summarise("survival band, at an update", n, bands, trials=trials),
        summarise("median updates to solve", n, medians, trials=trials),
    ]


def simulate_roc(n: int, trials: int, rng: np.random.Generator) -> list[Coverage]:
    """Of n seeds with one run each, or with one of each of six settings, which then have something in common.

    Scores are normal and shifted where a run succeeds, or rounded to integers, or those of the settings, of which later
    ones succeed more often.
    """
    cases: dict[str, list[tuple[str, float, float]]] = {"ours": [], "wald": [], "logit": [], "independent": []}
    for (runs, alike), (area, share) in product(
        ((1, 0.0), (6, 0.5), (6, 0.9)), product((0.5, 0.7, 0.9, 0.98), (0.1, 0.5))
    ):
        for kind in ("normal", "rounded") if runs == 1 else ("normal", "of settings"):
            case = runs, alike, area, share, kind
            truth = _find_area(runs, area, share, kind)
            where = f"{truth:.2g}, {kind}, {share:.0%} succeed".replace("%", " %")
            where += f", runs of a seed {alike:g} alike" if alike else ""
            ends: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            for _ in range(trials):
                scores, did = _draw_scores(n, *case, rng)
                if did.all() or not did.any():
                    continue  # there is no area
                found = roc_area(scores, did, np.repeat(np.arange(n), runs))
                interval = found.find_interval()
                ends["ours"].append((interval.low, interval.high))
                ends["wald"].append(candidates.wald_of_area(found))
                ends["logit"].append(candidates.logit_of_area(found))
                least, most = exact_ends(found.value, found.fewer)
                ends["independent"].append((float(least), float(most)))
            for name, pairs in ends.items():
                low, high = np.array(pairs).T
                cases[name].append((where, *_score(low - _TOLERANCE, high + _TOLERANCE, truth)))
    return [
        summarise("area under the ROC curve, of runs that share seeds", n, cases["ours"], trials=trials),
        summarise("the same with Obuchowski's (Wald)", n, cases["wald"], False, trials),
        summarise("the same with the logit's", n, cases["logit"], False, trials),
        summarise("the same as if all runs were independent", n, cases["independent"], False, trials),
    ]


def _draw_scores(
    seeds: int, runs: int, alike: float, area: float, share: float, kind: str, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """A score of each run, (seeds, runs), and whether it succeeded."""
    common, own = rng.normal(size=(2, seeds, 1)), rng.normal(size=(2, seeds, runs))
    latent, noise = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
    if kind == "of settings":
        return np.arange(runs) + 0.1 * noise, latent + _shift_settings(runs, area) > norm.isf(share)
    did = latent > norm.isf(share)
    scores = noise + np.sqrt(2) * norm.ppf(area) * did
    return np.round(scores) if kind == "rounded" else scores, did


def _shift_settings(runs: int, area: float) -> NDArray[Any]:
    return 6 * (area - 0.5) * np.linspace(-1, 1, runs)


def _find_area(runs: int, area: float, share: float, kind: str) -> float:
    """What the area of `_draw_scores` is of many seeds."""
    if kind == "normal":
        return area
    if kind == "of settings":
        won = norm.sf(norm.isf(share) - _shift_settings(runs, area))
        lost = 1 - won
    else:
        borders = np.arange(-20, 21) + 0.5
        won, lost = (np.diff(norm.cdf(borders - shift)) for shift in (np.sqrt(2) * norm.ppf(area), 0.0))
    right = np.cumsum(lost) - lost / 2  # of the same score half
    return float(won @ right / (won.sum() * lost.sum()))


def _score(low: NDArray[Any], high: NDArray[Any], truth: float, scale: float = 1.0) -> tuple[float, float]:
    return float(np.mean((low <= truth) & (truth <= high))), float(np.mean(high - low)) / scale


def measure(sizes: Sequence[int], trials: int) -> Iterator[Coverage]:
    for n in sizes:
        # A stream of its own for each size: a part that is run alone has the same numbers.
        rng = np.random.default_rng([20170811, n])
        if n > LARGE:
            yield from simulate_large_locations(n, trials, rng)
            continue
        yield enumerate_share("share (Clopper–Pearson)", exact_ends, n, True)
        yield enumerate_share("the same with Wilson's", candidates.score_ends, n, False)
        yield enumerate_difference("difference of shares, unpaired", hybrid, n, True)
        yield enumerate_difference("the same with Newcombe's (Wilson's ends)", candidates.newcombe, n, False)
        yield enumerate_pairs("difference of shares, pairs (Fay–Lumbard)", find_paired_ends, n, True)
        yield enumerate_pairs("the same with Tango's", find_tango_ends, n, False)
        yield enumerate_pairs("the same with Newcombe's for pairs", candidates.newcombe_paired, n, False)
        yield enumerate_ties(n)
        yield from simulate_stratified(n, trials, rng)
        yield from simulate_locations(n, trials, rng)
        yield from simulate_restricted_means(n, trials, rng)
        yield from simulate_survival(n, max(trials // 5, 1), rng)
        yield from simulate_improvement(n, trials, rng)
        yield from simulate_roc(n, max(trials // 5, 1), np.random.default_rng([19970601, n]))


# The page.

_HEAD: Final = """# How often intervals hold the truth

Written by `python -m benchmarks.coverage`, which counts, for samples of 10, 20 and 50, how often each interval that
`bptt` prints holds what it is an interval of; for 5,001 and 20,000 those that medians and interquartile means have of
more than 5,000 values. All say 95 %. The least is over all cases: shares from 0.02 to 0.98 and, of pairs, correlations
from 0 to 1; distributions, shares of ties, shares of runs that were given up. "All" samples: every outcome with its
probability, which is exact. Other numbers are of samples that were drawn; the least of many such shares is a little too
small by chance. What is in italics was tried and is not used. The width is the mean over all cases; of medians and
interquartile means in interquartile ranges of the distribution, of restricted means in horizons.

| interval | n | least | where | mean | width | samples |
|---|---:|---:|---|---:|---:|---:|
"""


def write_page(found: Sequence[Coverage]) -> str:
    order = list(dict.fromkeys(one.interval for one in found))
    rows = sorted(found, key=lambda one: (order.index(one.interval), one.size))
    lines = []
    for one in rows:
        name = one.interval if one.used else f"*{one.interval}*"
        least = f"{100 * one.least:.1f} %"
        samples = f"{one.trials:,}" if one.trials else "all"
        lines.append(
            f"| {name} | {one.size:,} | {f'**{least}**' if one.used and one.least < 0.93 else least} | {one.where} "
            f"| {100 * one.mean:.1f} % | {one.width:.3f} | {samples} |"
        )
    below = [one for one in rows if one.used and one.least < 0.93]
    told = (
        "Of the intervals that are used none is below 93 % anywhere."
        if not below
        else "Below 93 % are, of those that are used: "
        + "; ".join(f"{one.interval}, n = {one.size}: {100 * one.least:.1f} % ({one.where})" for one in below)
        + "."
    )
    return _HEAD + "\n".join(lines) + f"\n\n{told}\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coverage", description="How often intervals hold the truth."
    )
    parser.add_argument("--trials", type=int, default=5000, help="samples of each case that is simulated (5000)")
    parser.add_argument("--size", type=int, action="append", help="only samples of this size; may be repeated")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page (docs/trust/coverage.md)")
    arguments = parser.parse_args()
    found = []
    for one in measure(arguments.size or SIZES, arguments.trials):
        print(
            f"{one.interval}, {one.size}: least {one.least:.4f} ({one.where}), mean {one.mean:.4f}, {one.width:.3f}",
            flush=True,
        )
        found.append(one)
    arguments.out.write_text(write_page(found), encoding="utf-8")
    print(f"written to {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
