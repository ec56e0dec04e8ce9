"""What a search varies: for each key numbers between two ends, or a list of values, in Hydra's grammar.

interval(0.01, 1)            any number between both ends
interval(1, 16)              whole numbers, unless the key holds a number with a point; int(interval(…)) in any case
tag(log, interval(0.01, 1))  evenly on a logarithmic scale
range(2, 20, 2)              the numbers of the range
8,16 or choice(8, 16)        one of these, in no order; so is a list in YAML
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.compose import parse_overrides
from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.jobs.grammar import expand_override, expand_values, strip_key


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Numbers from `low` to `high`, both included; whole ones where both are int. step: from low on; None: all."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """Values as they are typed."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """fixed: the overrides that all trials have; varied: by key."""

    fixed: tuple[str, ...]
    varied: Mapping[str, Numbers | Choices]

    def overrides(self, values: Mapping[str, float | str]) -> list[str]:
        """The overrides by which a trial differs from the others."""
        return [f"{key}={self._text(key, value)}" for key, value in values.items()]

    def samples(self) -> list[list[str]]:
        """The overrides of a few trials, among which each choice stands once or more."""
        first = {key: of.texts[0] if isinstance(of, Choices) else of.low for key, of in self.varied.items()}
        others = [
            first | {key: text} for key, of in self.varied.items() if isinstance(of, Choices) for text in of.texts[1:]
        ]
        return [[*self.fixed, *self.overrides(values)] for values in (first, *others)]

    def _text(self, key: str, value: float | str) -> str:
        numbers = self.varied[key]
        if isinstance(value, float) and isinstance(numbers, Numbers):
            short = f"{value:.6g}"  # which can be read, and typed again
            if numbers.low <= float(short) <= numbers.high:
                return short
        return str(value)


def search_space(config: DictConfig, params: Any, overrides: Sequence[str], loader: ConfigLoader | None) -> Space:
    """The space of hydra.sweeper.params and the command line; what that says of a key replaces what params say.

    config  without what is varied

    Raises ConfigurationError with a line for everything that is wrong.
    """
    problems: list[str] = []
    keys = {strip_key(text) for text in overrides}
    fixed: list[str] = []
    varied: dict[str, Numbers | Choices] = {}

    def take(texts: Sequence[str]) -> None:
        parsed, unread = parse_overrides(texts, loader)
        problems.extend(unread)
        for override in parsed:
            numbers = _numbers(override, config, problems)
            if numbers is not None:
                varied[override.get_key_element()] = numbers
            elif not override.is_sweep_override() or override.is_discrete_sweep():
                _add(expand_override(override, problems), fixed, varied)

    for key, values in (params or {}).items():
        if strip_key(str(key)) in keys:
            continue
        if isinstance(values, str):
            take([f"{key}={values}"])
        else:
            _add(expand_values(str(key), values, loader, problems), fixed, varied)
    take(overrides)
    if not varied and not problems:
        problems.append(
            "hydra.sweeper: nothing is varied; give some key an interval, a range or several values:"
            " optimizer.alpha=interval(0.01,1)"
        )
    if problems:
        raise ConfigurationError(problems)
    return Space(tuple(fixed), varied)


def _add(texts: Sequence[str], fixed: list[str], varied: dict[str, Numbers | Choices]) -> None:
    if len(texts) == 1:
        fixed.append(texts[0])
    elif texts:
        key = texts[0].partition("=")[0]
        varied[key] = Choices(tuple(dict.fromkeys(text.partition("=")[2] for text in texts)))


def _numbers(override: Override, config: DictConfig, problems: list[str]) -> Numbers | None:
    """What an interval or a range gives; None where the override is neither, or is wrong."""
    swept, line = override.value(), override.input_line
    if isinstance(swept, IntervalSweep | RangeSweep) and (unknown := swept.tags - {"log"}):
        problems.append(f"{line}: unknown tag {', '.join(sorted(unknown))} (allowed: log)")
        return None
    if isinstance(swept, IntervalSweep):
        return _interval(override, swept, config, problems)
    if isinstance(swept, RangeSweep) and not swept.shuffle and swept.step:
        values = sorted(swept.range())
        if len(values) > 1:
            whole = all(isinstance(value, int) for value in values)
            # 0.8 + 3 · 0.05 is meant to be 0.95.
            ends = values if whole else [float(f"{value:.12g}") for value in values]
            return Numbers(low=ends[0], high=ends[-1], step=abs(swept.step))
    return None


def _interval(override: Override, swept: IntervalSweep, config: DictConfig, problems: list[str]) -> Numbers | None:
    low, high, line = swept.start, swept.end, str(override.input_line)
    assert low is not None
    assert high is not None
    # Hydra makes both ends numbers with a point, however they are written, unless int(…) is around them.
    if _written_whole(line) and not isinstance(OmegaConf.select(config, override.key_or_group), float):
        low, high = int(low), int(high)
    if low >= high:
        problems.append(f"{line}: must begin below where it ends")
    elif "log" in swept.tags and low <= 0:
        problems.append(f"{line}: a logarithmic scale begins above 0")
    else:
        return Numbers(low=low, high=high, log="log" in swept.tags)
    return None


def _written_whole(line: str) -> bool:
    found = re.search(r"interval\s*\(([^()]*)\)", line)
    ends = found[1].split(",") if found else []
    return all(re.fullmatch(r"\s*(\w+\s*=)?\s*[+-]?\d+\s*", end) for end in ends)
