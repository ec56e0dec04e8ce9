"""New data for a network that was trained on a table: its inputs as sequences, cut and scaled as in training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.core.sequences import Floats, Sequences
from bptt.tasks.own_data.cutting import Cutting, Rows, list_groups
from bptt.tasks.own_data.preparation import Preparation
from bptt.tasks.own_data.table_layout import order_groups
from bptt.tasks.own_data.tables import check_columns, count_timesteps, find_column, refuse_missing, to_numbers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class NewSequences:
    """What a network is shown, and which row each of its answers is about.

    sequences  x as the network takes it; y zeros, (N, T, outputs) or (N, outputs) as the network answers
    rows       (N, T) or (N,): the row of the table, from 0, in which the target stands; −1 is the first one behind a
               sequence's last row, which is yet to come, −2 the second. Behind a sequence's end it means nothing
    names      (N,) what each sequence is called in the column `sequence`; None: there is no such column
    """

    sequences: Sequences
    rows: Rows
    names: list[Any] | None


def cut_new_table(frame: Any, preparation: Preparation) -> NewSequences:
    """The sequences of a table that has the columns of the inputs; others, those of targets too, may be lacking.

    Windows and sequences reach to the last row, though their target be yet to come.
    Raises ValueError, with one line, where a column or a value is missing, or no sequence is long enough.
    """
    cutting = preparation.cutting
    if cutting is None:
        raise ValueError("the network was trained on arrays, and takes arrays x (N, T, inputs)")
    table = check_columns(frame)
    for name in (*cutting.inputs, cutting.sequence, cutting.time):
        if name is not None:
            _check_column(name, table)
    whole = cutting.row == "sequence"
    values = np.stack([to_numbers(table[name], missing=whole) for name in cutting.inputs], axis=1)
    if whole:
        lengths = count_timesteps(values, cutting.inputs)
        return NewSequences(_make(values[:, :, None], lengths, cutting, preparation), np.arange(len(table)), None)
    names, groups = [None], [np.arange(len(table))]
    if cutting.sequence is not None:
        refuse_missing(table[cutting.sequence])
        names, groups = list_groups(table[cutting.sequence])
    if cutting.time is not None:
        groups = order_groups(table[cutting.time], groups)
    places = [_list_places(len(group), cutting) for group in groups]
    if not any(map(len, places)):
        raise ValueError(f"a window needs {cutting.window} rows, there are {max(map(len, groups)):,}")
    longest = max(part.shape[1] for part in places)
    steps = np.concatenate([_widen(group[part], longest) for group, part in zip(groups, places, strict=True)])
    rows = np.concatenate(
        [_widen(_find_rows(group, part, cutting), longest) for group, part in zip(groups, places, strict=True)]
    )
    lengths = np.concatenate([np.full(len(part), part.shape[1], np.int64) for part in places])
    called = [name for name, part in zip(names, places, strict=True) for _ in part]
    return NewSequences(
        _make(values[steps], lengths, cutting, preparation),
        rows if cutting.each == "timestep" else rows[np.arange(len(rows)), lengths - 1],
        None if cutting.sequence is None else called,
    )


def _check_column(name: str, table: "pd.DataFrame") -> None:
    try:
        find_column(name, table)
    except ValueError as error:
        raise ValueError(f"column {name!r}: {error}") from None


def _list_places(count: int, cutting: Cutting) -> Rows:
    """(sequences, timesteps): the places among a group's rows of each sequence that is cut out of it."""
    if cutting.window is None:
        return np.arange(count)[None]
    starts = np.arange(0, count - cutting.window + 1, cutting.stride)
    return np.asarray(starts[:, None] + np.arange(cutting.window), np.int64)


def _find_rows(group: Rows, places: Rows, cutting: Cutting) -> Rows:
    later, count = places + cutting.horizon, len(group)
    return np.where(later < count, group[np.clip(later, 0, count - 1)], count - 1 - later)


def _widen(steps: Rows, width: int) -> Rows:
    """The last column repeated up to a width."""
    return np.concatenate([steps, np.repeat(steps[:, -1:], width - steps.shape[1], axis=1)], axis=1)


def _make(x: Floats, lengths: Rows, cutting: Cutting, preparation: Preparation) -> Sequences:
    inside = np.arange(x.shape[1]) < lengths[:, None]
    answers = (len(x), x.shape[1]) if cutting.each == "timestep" else (len(x),)
    return Sequences(
        np.where(inside[..., None], preparation.prepare(x), 0.0),
        np.zeros((*answers, len(preparation.target_mean))),
        None if inside.all() else lengths,
    )
