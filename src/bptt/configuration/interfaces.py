"""What a class must have to stand in a group, so that one of the user's own is refused before anything is trained.

It is read off the protocols of `bptt.core.run`: their members by name, and what those that are annotated must be.
"""

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from bptt.core.annotations import per_lane_fields
from bptt.core.kernel import Kernel, Kind


def find_lacking(kind: Any, protocol: type) -> str | None:
    """What keeps a class from being a component as the protocol says, in words; None: nothing does."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return "is no dataclass"
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "must be a frozen dataclass: equal ones stand for equal runs"
    return next(_list_lacking(kind, protocol), None)


@cache
def _members(protocol: type) -> dict[str, Any]:
    """Name → the type that a property must have, with its annotations; None of a method."""
    members = {name: member for name, member in vars(protocol).items() if not name.startswith("_")}
    return {
        name: get_type_hints(member.fget, include_extras=True)["return"] if isinstance(member, property) else None
        for name, member in members.items()
    }


def _list_lacking(kind: Any, protocol: type) -> Iterator[str]:
    fields, members = {field.name for field in dataclasses.fields(kind)}, _members(protocol)
    missing = [name for name in members if name not in fields and not hasattr(kind, name)]
    if missing:
        yield f"lacks {', '.join(missing)}"
        return
    for name, hint in members.items():
        if name not in fields and hint is not None:
            yield from _find_unfit(name, getattr(kind, name), hint)
    kernel = getattr(kind, "kernel", None)
    if isinstance(kernel, Kernel) and kernel.reads_hyper:
        yield from _unread(per_lane_fields(kind), kernel.hyper)


def _find_unfit(name: str, value: Any, hint: Any) -> Iterator[str]:
    if type(None) in get_args(hint):
        if value is None:
            return
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Annotated:
        for kind in get_args(hint)[1:]:
            # A driver calls it by its address: a kernel of another kind would read what is not there.
            if isinstance(kind, Kind) and not (isinstance(value, Kernel) and value.kind is kind):
                yield f"{name} must be a function made with @{kind.name.upper()}"
    elif dataclasses.is_dataclass(hint):
        if not isinstance(value, hint):  # type: ignore[arg-type]
            yield f"{name} must be a {hint.__module__}.{hint.__qualname__}"  # type: ignore[union-attr]
            return
        for part, inner in get_type_hints(hint, include_extras=True).items():
            yield from _find_unfit(f"{name}.{part}", getattr(value, part), inner)


def _unread(fields: tuple[str, ...], names: tuple[str, ...]) -> Iterator[str]:
    if without := [name for name in names if name not in fields]:
        yield f"its kernel reads {', '.join(without)}, and no field of it that is PerLane has that name"
    if unread := [name for name in fields if name not in names]:
        yield f"{', '.join(unread)}: PerLane, and its kernel does not read it"
