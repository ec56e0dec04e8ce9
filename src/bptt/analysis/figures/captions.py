"""What stands below a sweep's figures, and what is said to those who don't see them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.factors import Factor, Split, settings
from bptt.analysis.figures.metrics import shown

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_MOST_VALUES = 12  # that an alternative text lists


def counted(runs: "pd.DataFrame", found: Sequence[Factor]) -> str:
    """How many runs there are, how many for each setting, and how many of them did not go well."""
    status = runs["status"].fillna("")
    ended = runs["outcome"].notna()
    diverged = int(runs["outcome"].eq("diverged").sum())
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (int(status.eq("FAILED").sum()), "failed"),
            (int((~ended & status.ne("FAILED")).sum()), "did not end"),
        )
        if count
    ]
    sizes = np.unique(np.bincount(settings(found, int(ended.sum())).codes))
    each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    many = len(settings(found, int(ended.sum())).levels)
    text = f"{int(ended.sum()):,} run{'s' if ended.sum() != 1 else ''}"
    text += f", {each} for each of {many:,} settings" if many > 1 else ""
    text += f"; {diverged:,} diverged" if diverged else ""
    return text + (f"; not counted: {' and '.join(left_out)}." if left_out else ".")


def pools(found: Sequence[Factor], *used: Factor | None) -> str:
    """What a figure does not tell apart; empty where that is nothing."""
    keys = {factor.key for factor in used if factor}
    left = [factor.label for factor in found if factor.key not in keys]
    return f"Runs that differ in {listed(left)} are taken together. " if left else ""


def lines_of(told: Split) -> str:
    """What the lines of a figure are, and its panels: `one line for each hidden_size (2, 3, 4)`."""
    assert told.hue is not None
    if len(told.hue.levels) < 2:
        return "one line"
    text = f"one line for each {told.hue.label or 'setting'} ({_levels(told.hue)})"
    return text + (f", a panel for each {told.facet.label} ({_levels(told.facet)})" if told.facet else "")


def by_level(factor: Factor, values: "NDArray[np.float64]", unit: str = "") -> str:
    """A value at each level, or where they are many the least and the largest: `39 % at hidden_size 2, …`."""
    known = [(text, value) for text, value in zip(factor.texts, values, strict=True) if not np.isnan(value)]
    if not known:
        return "nowhere a value"
    told = [f"{number(value)}{unit} at {_level(factor, text)}" for text, value in known]
    if len(known) <= _MOST_VALUES:
        return listed(told)
    order = np.argsort([value for _, value in known])
    return f"from {told[order[0]]} to {told[order[-1]]}"


def extremes(factor: Factor, values: "NDArray[np.float64]", metric: str) -> str:
    """Which levels have the least and the largest value."""
    unit = " %" if shown(metric).scale == "percent" else ""
    if np.isnan(values).all():
        return "none"
    if np.nanmin(values) == np.nanmax(values):
        return f"{number(float(np.nanmin(values)))}{unit}"
    least, most = int(np.nanargmin(values)), int(np.nanargmax(values))
    texts = [f"{number(values[at])}{unit} ({_level(factor, factor.texts[at])})" for at in (least, most)]
    return f"from {texts[0]} to {texts[1]}"


def number(value: float) -> str:
    """Three digits; `infinity` where a run diverged."""
    return "infinity" if np.isinf(value) else f"{value:.3g}"


def listed(texts: Sequence[str]) -> str:
    """As in a sentence: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def _level(factor: Factor, text: str) -> str:
    return f"{factor.label} {text}".strip()


def _levels(factor: Factor) -> str:
    shown = factor.texts if len(factor.texts) <= _MOST_VALUES else [factor.texts[0], "…", factor.texts[-1]]
    return ", ".join(shown)
