"""Targets that are labels: which classes there are, and each label as the place of its class."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Label = int | str

#: Whole numbers are taken for classes where there are at most so many, and each stands twice or more on average.
MOST_WHOLE_CLASSES: Final = 20
_MOST_CLASSES: Final = 10_000
_MOST_SHOWN: Final = 10


def list_classes(labels: Sequence[NDArray[Any]]) -> tuple[Label, ...]:
    """All distinct labels of some arrays, in order: whole numbers by size, texts by their characters.

    Raises ValueError where labels are neither text nor whole numbers nor true and false, or there is but one class.
    """
    found = sorted({label for part in labels for label in _make_labels(np.unique(part))}, key=_sort_key)
    if len(found) < 2:
        raise ValueError(f"has but one class, {found[0]!r}; there must be two or more")
    if len(found) > _MOST_CLASSES:
        raise ValueError(f"has {len(found):,} classes, more than {_MOST_CLASSES:,}")
    if len({type(label) for label in found}) > 1:
        raise ValueError("mixes text with numbers; labels must be of one kind")
    return tuple(found)


def encode_labels(labels: NDArray[Any], classes: Sequence[Label]) -> NDArray[np.int64]:
    """The place of each label's class, of the labels' shape; every label must be one of the classes."""
    place = {label: number for number, label in enumerate(classes)}
    distinct, where = np.unique(labels, return_inverse=True)
    codes = np.array([place[label] for label in _make_labels(distinct)], np.int64)
    return codes[where].reshape(labels.shape)


def looks_like_classes(values: NDArray[Any]) -> bool:
    """Whether whole numbers are so few different ones, and each so often, that they are rather classes than counts."""
    distinct = np.unique(values)
    return len(distinct) <= min(MOST_WHOLE_CLASSES, values.size // 2)


def is_whole(values: NDArray[Any]) -> bool:
    """Whether all are whole numbers, be their type one of fractions."""
    return values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool((np.rint(values) == values).all()))


def write_classes(classes: Sequence[Label]) -> str:
    """'3 classes (setosa, versicolor, virginica)'."""
    shown = ", ".join(str(label)[:30] for label in classes[:_MOST_SHOWN])
    return f"{len(classes)} classes ({shown}{', …' if len(classes) > _MOST_SHOWN else ''})"


def _make_labels(distinct: NDArray[Any]) -> list[Label]:
    """NumPy's values as labels: true and false are the texts True and False."""
    kind = distinct.dtype.kind
    if kind in "iu":
        return [int(value) for value in distinct]
    if kind == "f" and is_whole(distinct):
        return [int(value) for value in distinct]
    if kind == "S":
        return [value.decode("utf-8", "replace") for value in distinct.tolist()]
    if kind in "bUO":
        return [str(value) for value in distinct.tolist()]
    raise ValueError(f"holds {distinct.dtype}; labels are text, whole numbers, or true and false")


def _sort_key(label: Label) -> tuple[bool, Any]:
    return isinstance(label, str), label
