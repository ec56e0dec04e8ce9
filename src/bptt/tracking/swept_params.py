"""What was swept, where nothing is known but the params of the runs."""

from collections.abc import Mapping, Sequence
from typing import Final

_SEED: Final = "seed"
_WHERE: Final = "tracking."


def swept_values(params: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Each run's params that tell it from the others.

    Where choices of a group differ (`model`: elman, lstm), what only follows from the choices is left out.
    """
    keys = dict.fromkeys(key for one in params for key in one if not key.startswith(_WHERE))
    differing = [key for key in keys if len({one.get(key) for one in params}) > 1]
    choices = [key for key in differing if any(other.startswith(f"{key}.") for other in keys) or _chooses(key, params)]
    kept = [key for key in differing if key in choices or key == _SEED or not _follows(key, choices, params)]
    # As on the command line, where the seed stands last.
    kept.sort(key=lambda key: (key == _SEED, key not in choices))
    return [{key: one[key] for key in kept if key in one} for one in params]


def _chooses(key: str, params: Sequence[Mapping[str, str]]) -> bool:
    """Whether a key is that of a choice of many values at once, as `experiment` is."""
    return key in ("experiment", "sweep") and all("." not in one.get(key, "") for one in params)


def _follows(key: str, choices: Sequence[str], params: Sequence[Mapping[str, str]]) -> bool:
    """Whether the choices decide the value of a key."""
    values: dict[tuple[str | None, ...], set[str | None]] = {}
    for one in params:
        values.setdefault(tuple(one.get(choice) for choice in choices), set()).add(one.get(key))
    return bool(choices) and all(len(found) == 1 for found in values.values())
