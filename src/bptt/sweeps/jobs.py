"""The overrides of jobs, told apart by what they do to a configuration."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override, OverrideType

from bptt.configuration.composing import Composer
from bptt.configuration.problems import ConfigurationError
from bptt.sweeps.values import key_of


@dataclass(frozen=True)
class Job:
    """A job by its overrides.

    given      all, as they were given
    structure  those that choose what is composed
    plain      the others, which set values in what is composed
    shape      of each of `plain` its key where it sets a scalar, else its text: jobs of equal shapes differ in scalars
    """

    given: tuple[str, ...]
    structure: tuple[str, ...]
    plain: tuple[Override, ...]
    shape: tuple[str, ...]


def read_jobs(jobs: Sequence[Sequence[str]], composer: Composer) -> list[Job]:
    """Jobs from the texts of their overrides. Raises ConfigurationError with a line for each that can't be read."""
    parsed, lines = composer.parse(dict.fromkeys(itertools.chain(*jobs)))
    if lines:
        raise ConfigurationError(lines)
    known = {str(override.input_line): _part(override, composer) for override in parsed}
    return [_job(given, known) for given in jobs]


@dataclass(frozen=True)
class _Part:
    override: Override
    is_structure: bool
    shape: str


def _part(override: Override, composer: Composer) -> _Part:
    is_structure = (
        (composer.is_group(override.key_or_group) and not isinstance(override.value(), dict))
        or override.package is not None
        or override.is_hydra_override()
        or override.is_sweep_override()
    )
    return _Part(override, is_structure, override.key_or_group if _is_scalar(override) else str(override.input_line))


def _is_scalar(override: Override) -> bool:
    """Whether the override sets an existing key to a value that replaces whatever stood there."""
    value = override.value()
    plain = value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and "${" not in value)
    return plain and override.type is OverrideType.CHANGE and "[" not in override.key_or_group


def _job(given: Sequence[str], known: Mapping[str, _Part]) -> Job:
    if len({key_of(text) for text in given}) < len(given):  # which Hydra's composer refuses
        return Job(given=tuple(given), structure=tuple(given), plain=(), shape=())
    plain = [known[text] for text in given if not known[text].is_structure]
    keys = tuple(part.override.key_or_group for part in plain)
    # Where one override sets what lies under another, their order matters.
    shape = [str(part.override.input_line) for part in plain] if _overlap(keys) else [part.shape for part in plain]
    return Job(
        given=tuple(given),
        structure=tuple(text for text in given if known[text].is_structure),
        plain=tuple(part.override for part in plain),
        shape=tuple(shape),
    )


@functools.cache
def _overlap(keys: tuple[str, ...]) -> bool:
    return any(other.startswith(f"{key}.") for key, other in itertools.permutations(keys, 2))
