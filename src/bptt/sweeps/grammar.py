"""What a sweep varies: from the settings of the sweeper `grid` and the command line to the overrides of every run.

The settings stand under `hydra.sweeper`:

params   key: values; each combination is a run. Values are a list, or text in Hydra's grammar: 0.1,0.2 or range(5)
zip      a list of groups of key: values; the keys of a group advance together, so their lists are equally long
seeds    N: each of that is run with the seeds 0 to N - 1
exclude  a list of key: value, or of key: list of values; a run that has all of an entry is left out
blocks   a list of sweeps, each with params, zip, seeds and exclude of its own beside the common ones: the runs of all

What a block says of a key replaces what is said in common, and what the command line says of it, one value or several,
replaces both.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hydra.core.config_loader import ConfigLoader

from bptt.configuration.problems import ConfigurationError
from bptt.sweeps.exclusion import without_excluded
from bptt.sweeps.settings import Axis, Part, Reader
from bptt.sweeps.values import MOST, key_of

_BLOCK: Final = ("params", "zip", "seeds", "exclude")
_SETTINGS: Final = (*_BLOCK, "blocks")


def expand(
    sweeper: Mapping[str, Any], overrides: Sequence[str], loader: ConfigLoader | None = None
) -> list[tuple[str, ...]]:
    """The overrides of each run. What comes last changes first, as in Hydra's own sweeper, and `seeds` before all else.

    sweeper    the settings, as the node hydra.sweeper holds them
    overrides  of the command line, without Hydra's own
    loader     knows what glob(*) finds

    Raises ConfigurationError with a line for everything that is wrong.
    """
    reader = Reader(loader)
    command = reader.command(overrides)
    common = reader.part("hydra.sweeper", sweeper, _SETTINGS)
    blocks = [
        reader.part(f"hydra.sweeper.blocks[{number}]", block, _BLOCK)
        for number, block in enumerate(reader.items("hydra.sweeper.blocks", sweeper.get("blocks")))
    ]
    sweeps = [(_combined([common, block, command]), [*common.exclude, *block.exclude]) for block in blocks or [Part()]]
    count = sum(math.prod(map(len, axes)) for axes, _ in sweeps)
    if count > MOST:
        reader.problems.append(f"the sweep has {count:,} runs; it may have {MOST:,}")
    if reader.problems:
        raise ConfigurationError(reader.problems)
    products = [
        ([tuple(itertools.chain(*rows)) for rows in itertools.product(*axes)], exclude) for axes, exclude in sweeps
    ]
    jobs = without_excluded(products, command.keys, reader.problems)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return jobs


def differing(jobs: Sequence[Sequence[str]], keys: Sequence[str] | None = None) -> list[dict[str, str]]:
    """What tells each job from the others: key → value of those of its overrides that not all jobs have.

    keys  what to tell of instead
    """
    values = [{key_of(text): text.partition("=")[2] for text in job if "=" in text} for job in jobs]
    if keys is None:
        everywhere = dict.fromkeys(key for job in values for key in job)
        keys = [key for key in everywhere if len({job.get(key) for job in values}) > 1]
    return [{key: job[key] for key in keys if key in job} for job in values]


def _combined(parts: Sequence[Part]) -> list[Axis]:
    """The axes of parts, without the keys of which a later part speaks; the seeds last."""
    combined: list[Axis] = []
    for axes in ([part.axes for part in parts], [part.seeds for part in parts]):
        for place, own in enumerate(axes):
            later = set[str]().union(*(part.keys for part in parts[place + 1 :]))
            left = [[tuple(text for text in row if key_of(text) not in later) for row in axis] for axis in own]
            combined += [axis for axis in left if axis[0]]
    return combined
