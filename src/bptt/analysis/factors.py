"""What a sweep varied, as the axes of figures: levels in order, where each stands, and what keys are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.analysis.tables import drop_seed, shorten_keys, show_value, show_values, write_settings

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


_MOST_LINES: Final = 8  # settings in one panel
_MOST_LEVELS: Final = 12  # of a key that has a line, or a panel, for each
_MOST_LETTERS: Final = 22  # of a panel's title
_UNSET: Final = "default"  # of a key that some runs don't have
_CROWDED: Final = 0.06  # of an axis, between two numbers


@dataclass(frozen=True)
class Factor:
    """A swept key.

    key     as it is in a configuration; empty for a combination of several
    label   its short name, as on the command line
    levels  its values, each once: numbers in ascending order, text as the sweep has it
    codes   of each run the place of its value among the levels
    scale   linear or log for numbers, as they are spaced; ordinal for text, and for numbers that would crowd
    beside  what else the runs of some levels were given, by level: `activation=relu`, where that goes with one start
    """

    key: str
    label: str
    levels: tuple[float | str, ...]
    codes: "NDArray[np.int64]"
    scale: Literal["linear", "log", "ordinal"]
    beside: Mapping[float | str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """What it is called on an axis and in a sentence; its label where nobody has named the key."""
        return name_key(self.key, self.label)

    @property
    def texts(self) -> list[str]:
        """The levels as they are shown."""
        return show_values(self.levels)

    @property
    def places(self) -> "NDArray[np.float64]":
        """Where each level stands on an axis that is linear: the value, its decimal logarithm, or its number."""
        if self.scale == "ordinal":
            return np.arange(len(self.levels), dtype=float)
        values = np.array(self.levels, dtype=float)
        return np.log10(values) if self.scale == "log" else values


@dataclass(frozen=True)
class Split:
    """How a figure tells runs apart: by a line for each level of hue, by a panel for each level of facet; None: not."""

    hue: Factor | None
    facet: Factor | None

    @property
    def titles(self) -> list[str]:
        """Of the panels: by the key's name, or its label where two names would not fit side by side."""
        if self.facet is None:
            return [""]
        found = [f"{self.facet.name} {text}".strip() for text in self.facet.texts]
        fits = max(map(len, found)) <= _MOST_LETTERS
        return found if fits else [f"{self.facet.label} {text}".strip() for text in self.facet.texts]

    def of(self, run: int) -> tuple[int, int]:
        """The numbers of a run's panel and line."""
        panel, line = (0 if factor is None else int(factor.codes[run]) for factor in (self.facet, self.hue))
        return panel, line


def find_factors(runs: "pd.DataFrame", swept: Sequence[str]) -> list[Factor]:
    """The swept keys but the seed, each as a factor, as far as their values differ between the runs.

    Where only some runs have a key, as `clip.threshold` where clip is norm and not where it is none, the others' level
    is the choice that they have instead, and the choice itself is no factor of its own; not where a choice has runs
    with the key and without. A key that only some runs have
    and that another key decides, such as a bias that one cell alone was given, is none either: it stands beside that
    one's levels.
    """
    keys = [key for key in drop_seed(swept) if key in runs and len(runs[key].unique()) > 1]
    columns: dict[str, list[Any]] = {
        key: runs[key].astype(object).where(runs[key].notna(), None).tolist() for key in keys
    }
    partial = {key for key in keys if None in columns[key]}
    dropped, decided = set[str](), dict[str, str]()
    for key in keys:
        group = key.rpartition(".")[0]
        others = [other for other in keys if other not in (key, group)] if key in partial else []
        if decider := next((other for other in others if _decides(columns[other], columns[key])), None):
            dropped.add(key)
            decided[key] = decider
        elif key in partial and group in columns and group not in partial and _goes_with(columns[key], columns[group]):
            columns[key] = [
                choice if value is None else value for value, choice in zip(columns[key], columns[group], strict=True)
            ]
            if _decides(columns[key], columns[group]):
                dropped.add(group)
        elif key in partial and group in columns and _decides(columns[group], columns[key]):
            dropped.add(key)
    kept = [key for key in keys if key not in dropped]
    short = shorten_keys(kept)
    found = [
        _make_factor(key, short[key], [_UNSET if value is None else value for value in columns[key]]) for key in kept
    ]
    last = shorten_keys(keys)
    return [
        replace(
            factor,
            beside=_write_beside(factor, {last[key]: columns[key] for key in decided if decided[key] == factor.key}),
        )
        for factor in found
    ]


def _goes_with(values: Sequence[Any], choices: Sequence[Any]) -> bool:
    """Whether it is the choice that has a value or not: of no choice some runs have one, and some not."""
    has = {choice for value, choice in zip(values, choices, strict=True) if value is not None}
    return not any(value is None and choice in has for value, choice in zip(values, choices, strict=True))


def _write_beside(factor: Factor, decided: Mapping[str, Sequence[Any]]) -> dict[float | str, str]:
    """What the runs of each level were given too; decided: short key → each run's value, None where it has none."""
    found: dict[float | str, str] = {}
    for place, level in enumerate(factor.levels):
        run = int(np.flatnonzero(factor.codes == place)[0])
        told = [f"{key}={show_value(values[run])}" for key, values in decided.items() if values[run] is not None]
        if told:
            found[level] = " ".join(told)
    return found


def build_factor(runs: "pd.DataFrame", key: str) -> Factor:
    """One key as a factor, also where all runs have one value of it; see `find_factors` for what runs without it have.

    Its label is told apart from those of the other keys among the columns, as `init.scale` from `init.recurrent.scale`.
    """
    group = key.rpartition(".")[0]
    label = shorten_keys(sorted({key, *(name for name in runs if "." in name and "/" not in name)}))[key]
    found = [replace(factor, label=label) for factor in find_factors(runs, [group, key]) if factor.key == key]
    return found[0] if found else _make_factor(key, label, runs[key].tolist())


def combine_factors(found: Sequence[Factor], runs: int) -> Factor:
    """All combinations of some factors that occur in so many runs, as one factor."""
    if len(found) == 1:
        return found[0]
    rows = zip(*(factor.codes for factor in found), strict=True) if found else [()] * runs
    shown = [[_name_level(factor, place) for place in range(len(factor.levels))] for factor in found]
    values = [" ".join(filter(None, (names[code] for names, code in zip(shown, row, strict=True)))) for row in rows]
    return _make_factor("", "", values)


def _name_level(factor: Factor, place: int) -> str:
    """`init=identity`; empty where a key has no value."""
    return "" if factor.levels[place] == _UNSET else f"{factor.label}={factor.texts[place]}"


def drop_decided_factors(found: Sequence[Factor]) -> list[Factor]:
    """Without those, from the last on, whose levels the others decide: the rest tells as many runs apart."""
    kept = list(found)
    for factor in reversed(found):
        rest = [other for other in kept if other is not factor]
        if rest and len({*zip(*(one.codes for one in rest), strict=True)}) == len(
            {*zip(*(one.codes for one in kept), strict=True)}
        ):
            kept = rest
    return kept


def combine_keys(runs: "pd.DataFrame", keys: Sequence[str]) -> Factor:
    """All combinations of keys as one factor, whose levels are called as in tables of settings."""
    return _make_factor("", "", write_settings(runs, keys))


def combine_texts(texts: Sequence[str]) -> Factor:
    """Each run's text, as of `bptt.analysis.tables.write_settings`, as a factor whose levels come in their order.

    Where all have the same keys these are its label, and its levels the values: `sgd 0.1`, of optimizer, alpha.
    """
    levels = list(dict.fromkeys(texts))
    codes = np.array([levels.index(text) for text in texts], np.int64)
    parts = [[part.partition("=") for part in level.split(" ")] for level in levels]
    keys = {tuple(key for key, _, _ in level) for level in parts}
    if len(keys) > 1 or not all(mark for level in parts for _, mark, _ in level):
        return Factor("", "", tuple(levels), codes, "ordinal")
    values = [" ".join(value for _, _, value in level) for level in parts]
    return Factor("", ", ".join(keys.pop()), tuple(values), codes, "ordinal")


def split_runs(found: Sequence[Factor], runs: int) -> Split:
    """A line for every setting where they are few, else lines for the first factor and panels for the second.

    What these don't tell apart is pooled. Where they have too many levels nothing is told apart.
    """
    every = combine_factors(found, runs)
    if len(every.levels) <= _MOST_LINES:
        return Split(every, None)
    if any(len(factor.levels) > _MOST_LEVELS for factor in found[:2]):
        return Split(None, None)
    return Split(found[0], found[1] if len(found) > 1 else None)


def _decides(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether equal values of one always come with equal values of the other."""
    return len(set(zip(one, other, strict=True))) == len(set(one))


def _make_factor(key: str, label: str, values: Sequence[float | str]) -> Factor:
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    numbers = sorted({value for value in values if not isinstance(value, str)})
    levels: tuple[float | str, ...] = (*texts, *numbers)
    place = {level: number for number, level in enumerate(levels)}
    scale: Literal["linear", "log", "ordinal"] = "ordinal" if texts else _choose_spacing(np.array(numbers, dtype=float))
    return Factor(key, label, levels, np.array([place[value] for value in values]), scale)


def _choose_spacing(values: "NDArray[np.float64]") -> Literal["linear", "log", "ordinal"]:
    """How ascending numbers are spaced; ordinal where they would crowd, or a zero stands before logarithmic steps."""
    if len(values) < 2:
        return "linear"
    positive = values[values > 0]
    if len(positive) >= max(3, len(values) - 1) and positive[-1] >= 8 * positive[0]:
        linear, logarithmic = np.diff(positive), np.diff(np.log(positive))
        if np.std(logarithmic) / np.mean(logarithmic) < np.std(linear) / np.mean(linear):
            return "log" if len(positive) == len(values) else "ordinal"
    crowded = len(values) <= _MOST_LEVELS and np.diff(values).min() < _CROWDED * (values[-1] - values[0])
    return "ordinal" if crowded else "linear"


#: Key → its name, as on an axis, and its meaning, where the name does not say it all.
_KEYS: Final = {
    "seed": ("seed", "initial weights, training data and evaluation data"),
    "task": ("task", "where sequences come from"),
    "task.length": ("timesteps of a sequence", ""),
    "model": ("cell", "cell of the network"),
    "model.hidden_size": ("hidden units", ""),
    "model.layers": ("layers", ""),
    "model.activation": ("activation", "function of a unit"),
    "init": ("start of the weights", "how weights start"),
    "init.scale": ("scale of the start", "how large weights start"),
    "init.recurrent": ("start of the recurrent weights", ""),
    "init.recurrent.scale": ("scale of the recurrent start", "how large the recurrent weights start"),
    "init.gate_bias.input": ("bias of the input gate", "bias from which input gates start"),
    "init.gate_bias.forget": ("bias of the forget gate", "bias from which forget gates start"),
    "init.gate_bias.update": ("bias of the update gate", "bias from which update gates start"),
    "optimizer": ("optimizer", "rule by which weights are changed"),
    "optimizer.alpha": ("learning rate α", ""),
    "optimizer.epsilon": ("momentum rate ε", ""),
    "optimizer.eta_plus": ("factor η⁺", "factor of growing steps"),
    "optimizer.eta_minus": ("factor η⁻", "factor of shrinking steps"),
    "optimizer.delta_zero": ("first step Δ₀", ""),
    "optimizer.weight_decay": ("weight decay λ", "share of α by which weights shrink"),
    "optimizer.noise": ("variance η of the noise", "variance of what is added to the gradient at the beginning"),
    "optimizer.noise_decay": ("exponent γ of the noise", "how fast the noise gets less"),
    "schedule": ("schedule", "how the learning rate changes"),
    "schedule.warmup": ("updates of warm-up", "updates over which the learning rate grows"),
    "schedule.floor": ("last share of the learning rate", "what the learning rate ends with, as a share"),
    "schedule.every": ("updates of a step", "updates after which the learning rate falls"),
    "schedule.factor": ("factor of a step", "what the learning rate falls by"),
    "regularizer": ("regularizer", "what is added to the gradient"),
    "regularizer.factor": ("factor of the regularizer", "how much of it"),
    "clip": ("clipping", "what is done to large gradients"),
    "clip.threshold": ("clipping threshold", "size from which a gradient is clipped"),
    "train.updates": ("updates", "optimizer steps of a run"),
    "train.batch_size": ("sequences of a batch", "sequences of one step"),
    "train.truncation": ("timesteps of truncation", "timesteps that a gradient flows back"),
}


def name_key(key: str, otherwise: str) -> str:
    """The name of a key: `hidden units`; what is given where the table has none, as of a user's own."""
    return _KEYS[key][0] if key in _KEYS else otherwise


def explain_key(key: str) -> str:
    """What a key means, in a few words; empty where nobody knows."""
    name, meaning = _KEYS.get(key, ("", ""))
    return meaning or name
