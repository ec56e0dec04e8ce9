"""Several comparisons at once: p-values and levels that hold for all of them together."""

from collections.abc import Sequence

from bptt.analysis.statistics.intervals import LEVEL


def correct_holm(p: Sequence[float]) -> list[float]:
    """Each p-value as Holm's procedure corrects it, in their order.

    With p₍₁₎ ≤ … ≤ p₍ₘ₎ the i-th becomes max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎): S. Holm, "A Simple Sequentially
    Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979). Who calls what is at most α a
    difference is wrong anywhere in the family with probability α at most, however the comparisons depend on each other.
    """
    corrected, reached = [0.0] * len(p), 0.0
    for place, number in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        reached = max(reached, min(1.0, (len(p) - place) * p[number]))
        corrected[number] = reached
    return corrected


def correct_level(comparisons: int, level: float = LEVEL) -> float:
    """The level of each interval with which all of a family cover together: 1 − (1 − level)/m, Bonferroni's.

    Holm's procedure has no two-sided intervals of its own that are as simple. Bonferroni's are a little wider, so that
    one of them excludes 0 only where Holm's p-value is below 1 − level too.
    """
    return 1 - (1 - level) / comparisons
