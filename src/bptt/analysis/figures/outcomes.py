"""The figures of what runs came to, with their captions: who solved the task, when, and with which loss runs ended."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor
from bptt.analysis.figures.captioned import Drawn, Material
from bptt.analysis.figures.captions import by_level, lines_of, listed, number, pools
from bptt.analysis.figures.finals import MOST_BARS, MOST_MEDIANS, final_loss, success_rate
from bptt.analysis.figures.maps import cells, heat_map, is_grid
from bptt.analysis.figures.metrics import SOLVED
from bptt.analysis.figures.recorded import pooled
from bptt.analysis.figures.shares import variance_bars
from bptt.analysis.figures.survivals import MOST_BANDS, survival_curves
from bptt.analysis.tables import LOSS, final
from bptt.analysis.variance import INTERACTIONS, variance_shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MOST_LEVELS: Final = 10  # of a key that has colours of its own
_BEYOND: Final = "diverged, or ended above ten times the loss that runs begin with"
_MOST_KEYS: Final = 3  # that have figures of their own


def success(material: Material) -> Iterator[Drawn]:
    """The share of runs that solved their task: over two keys, and against each, as far as there is room."""
    if not material.ended[SOLVED].any():
        return
    meaning = f"A run has solved its task when it first recorded {material.sweep.solved}."
    for across, up in _grid(material):
        shares = cells(material.ended, across, up, SOLVED)
        yield Drawn(
            name="success_map",
            figure=heat_map(material.runs, across.key, up.key, SOLVED),
            title=f"Solved runs over {across.label} and {up.label}",
            caption=(
                f"The share of runs that solved their task, for each combination of {across.label} and {up.label}. "
                f"{meaning} {pools(material.factors, across, up)}{material.note}"
            ),
            alt=(
                f"Heat map of solved runs in percent, {across.label} across and {up.label} up: "
                f"{_cells(shares, across, up, ' %')}."
            ),
        )
    for factor, hue in _keys(material):
        few = hue is None or len(hue.levels) <= MOST_BARS
        shares = _over(factor, 100 * material.ended[SOLVED].to_numpy(dtype=float), np.mean)
        yield Drawn(
            name=_file_name("success", factor),
            figure=success_rate(material.runs, factor.key, hue.key if hue else None),
            title=f"Solved runs against {factor.label}",
            caption=(
                f"The share of runs that solved their task against {factor.label}"
                f"{f', for each {hue.label}' if hue else ''}"
                f"{'; bars are 95 % intervals (Wilson)' if few else ''}. {meaning} "
                f"{pools(material.factors, factor, hue)}{material.note}"
            ),
            alt=(
                f"Points{' joined by a line for each ' + hue.label if hue else ''}: solved runs in percent against "
                f"{factor.label}. {'Over all runs: ' if hue else ''}{by_level(factor, shares, ' %')}."
            ),
        )


def survivals(material: Material) -> Iterator[Drawn]:
    """When runs solved their task."""
    if len(material.ended) < 2 or not material.ended[SOLVED].any():
        return
    told = pooled(material.told, len(material.ended))
    bands = len(material.hue.levels) <= MOST_BANDS
    over = " over all panels" if told.facet else ""
    shares = material.over_lines(100 * material.ended[SOLVED].to_numpy(dtype=float), mean=True)
    yield Drawn(
        name="survival",
        figure=survival_curves(material.runs, material.sweep.swept),
        title="When runs solve their task",
        caption=(
            "The share of runs that have solved their task until an update, by Kaplan and Meier's estimate"
            f"{'; bands are its 95 % intervals' if bands else ''}. A run has solved it when it first recorded "
            f"{material.sweep.solved}; ticks stand where runs ended without. "
            f"{pools(material.factors, *material.told_by())}{material.note}"
        ),
        alt=(
            f"Step chart that rises, solved runs in percent against update, {lines_of(told)}. "
            f"At the end{over}: {by_level(material.hue, shares, ' %')}."
        ),
    )


def losses(material: Material) -> Iterator[Drawn]:
    """The loss that runs ended with: over two keys, and against each."""
    loss = final(material.ended, LOSS).to_numpy()
    if np.isnan(loss).all():
        return
    for across, up in _grid(material):
        medians = cells(material.ended, across, up, LOSS)
        beyond = f" Where a cross stands most runs {_BEYOND}."
        yield Drawn(
            name="loss_map",
            figure=heat_map(material.runs, across.key, up.key, LOSS, material.ceiling),
            title=f"Final loss over {across.label} and {up.label}",
            caption=(
                "The median over runs of the last evaluation loss, for each combination of "
                f"{across.label} and {up.label}.{beyond if (medians > material.ceiling).any() else ''} "
                f"{pools(material.factors, across, up)}{material.note}"
            ),
            alt=(
                f"Heat map of the median final loss, {across.label} across and {up.label} up: "
                f"{_cells(medians, across, up)}."
            ),
        )
    for factor, hue in _keys(material):
        above = int(np.sum(loss > material.ceiling))
        crosses = f" A cross at the upper edge is a run that {_BEYOND} ({above:,})."
        medians = _over(factor, loss, np.median)
        marked = len(factor.levels) <= MOST_MEDIANS
        yield Drawn(
            name=_file_name("final_loss", factor),
            figure=final_loss(material.runs, factor.key, hue.key if hue else None, LOSS, material.ceiling),
            title=f"Final loss against {factor.label}",
            caption=(
                f"The last evaluation loss of each run (dots){' and their medians (marks)' if marked else ''} against "
                f"{factor.label}{f', for each {hue.label}' if hue else ''}.{crosses if above else ''} "
                f"{pools(material.factors, factor, hue)}{material.note}"
            ),
            alt=(
                f"Dots for runs{' and marks for medians' if marked else ''}: final evaluation loss, logarithmic, "
                f"against {factor.label}. Medians{' over all runs' if hue else ''}: {by_level(factor, medians)}."
            ),
        )


def variance(material: Material) -> Iterator[Drawn]:
    """What explains the differences between runs."""
    shares = variance_shares(material.runs, material.sweep.swept, LOSS, material.ceiling)
    if shares.empty:
        return
    if len(material.factors) == 1:
        shares = shares[shares["source"] != INTERACTIONS]
    told = [f"{source} {100 * share:.0f} %" for source, share in zip(shares["source"], shares["share"], strict=True)]
    several = INTERACTIONS in set(shares["source"])
    between = "; interactions are what the settings' means explain beyond that" if several else ""
    yield Drawn(
        name="variance",
        figure=variance_bars(shares),
        title="What the final loss depends on",
        caption=(
            "The share of the variance in the logarithm of the final evaluation loss (η²) that each swept key explains "
            f"on its own{between}; what is left is between runs of one setting, which differ in the seed. "
            f"{material.note}"
        ),
        alt=f"Horizontal bars, shares of variance: {listed(told)}.",
    )


def _grid(material: Material) -> list[tuple[Factor, Factor]]:
    """The first two keys, where all their combinations were run."""
    first = material.factors[:2]
    return [(first[0], first[1])] if len(first) == 2 and is_grid(first[0], first[1]) else []


def _keys(material: Material) -> Iterator[tuple[Factor, Factor | None]]:
    """The keys that have a figure of their own, each with the one that has a line for each level."""
    found = material.factors
    for factor in found[: 1 if _grid(material) and len(found) == 2 else _MOST_KEYS]:
        others = [other for other in found if other is not factor and len(other.levels) <= _MOST_LEVELS]
        yield factor, others[0] if len(found) == 2 and others else None


def _file_name(what: str, factor: Factor) -> str:
    """Of letters alone: LaTeX takes what follows a dot for a file's kind, and a record's keys may hold anything."""
    return re.sub(r"\W", "_", f"{what}_{factor.label}")


def _over(factor: Factor, values: "NDArray[np.float64]", reduce: "Callable[..., Any]") -> "NDArray[np.float64]":
    """A statistic of the values at each level."""
    return np.array([reduce(values[factor.codes == level]) for level in range(len(factor.levels))])


def _cells(table: "NDArray[np.float64]", across: Factor, up: Factor, unit: str = "") -> str:
    """The least and the largest of a map."""

    def told(place: int) -> str:
        row, column = np.unravel_index(place, table.shape)
        return f"{number(table[row, column])}{unit} ({across.label} {across.texts[column]}, {up.label} {up.texts[row]})"

    return f"from {told(int(np.nanargmin(table)))} to {told(int(np.nanargmax(table)))}"
