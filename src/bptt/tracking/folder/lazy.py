"""Sequences of which each item is made when it is asked for, so that a million of them take no room."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

Source = TypeVar("Source")
Item = TypeVar("Item")


class Lazy(Sequence[Item], Generic[Source, Item]):
    """make(source) of each source, anew each time that it is asked for."""

    def __init__(self, sources: Sequence[Source], make: Callable[[Source], Item]) -> None:
        self._sources, self._make = sources, make

    def __len__(self) -> int:
        return len(self._sources)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> "Lazy[Source, Item]": ...

    def __getitem__(self, place: int | slice) -> "Item | Lazy[Source, Item]":
        if isinstance(place, slice):
            return Lazy(self._sources[place], self._make)
        return self._make(self._sources[place])
