"""What a component's field may hold, said where the field stands; configuration checks and fusing both read it."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """The finite numbers that a field takes; an end that is None is open without limit."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class _PerLane:
    pass


PER_LANE = _PerLane()

#: A hyperparameter that may differ between runs trained together: it changes neither a shape nor the code path.
PerLane = Annotated[float, PER_LANE]


class InvalidValue(ValueError):
    """A component was given a value that it can't take.

    `field` is the component's field (dotted where nested), `value` what it held, `allowed` what it may hold, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}={value}: {allowed}")
        self.field, self.value, self.allowed = field, value, allowed
