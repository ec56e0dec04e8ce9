"""What a component's field may hold, said where the field stands; configuration checks and fusing both read it."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints


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


def per_lane_fields(component: Any) -> tuple[str, ...]:
    """The names of a dataclass's (or its type's) PerLane fields, in the order they are declared."""
    return _per_lane_fields(component if isinstance(component, type) else type(component))


@cache
def _per_lane_fields(kind: Any) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        field.name for field in dataclasses.fields(kind) if PER_LANE in getattr(hints[field.name], "__metadata__", ())
    )
