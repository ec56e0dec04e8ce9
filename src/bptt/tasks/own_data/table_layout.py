"""What the columns of a table are for, and what a row is: as it was asked for, or else found out, and said."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats
from bptt.tasks.own_data.cutting import Cutting, Rows, list_groups
from bptt.tasks.own_data.labels import (
    MOST_WHOLE_CLASSES,
    Label,
    encode_labels,
    is_whole,
    list_classes,
    looks_like_classes,
    write_classes,
)
from bptt.tasks.own_data.tables import find_column, find_missing, is_numeric, is_time, refuse_missing, to_numbers

if TYPE_CHECKING:
    import pandas as pd

_LIKE_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9.,' ]*(e[-+]?[0-9]+)?", re.IGNORECASE)
_USUAL_WINDOW: Final = 20
_MOST_NAMED: Final = 6


class AskedOfTable(Protocol):
    """What a user says of a table, see `bptt.tasks.own_data.table.Table`; None and auto: nothing."""

    @property
    def target_columns(self) -> tuple[str, ...] | None: ...
    @property
    def input_columns(self) -> tuple[str, ...] | None: ...
    @property
    def sequence(self) -> str | None: ...
    @property
    def time(self) -> str | None: ...
    @property
    def row(self) -> Literal["auto", "timestep", "sequence"]: ...
    @property
    def window(self) -> int | None: ...
    @property
    def stride(self) -> int: ...
    @property
    def horizon(self) -> int | None: ...
    @property
    def each(self) -> Literal["auto", "timestep", "sequence"]: ...
    @property
    def target_kind(self) -> Literal["auto", "numbers", "classes"]: ...


@dataclass(frozen=True, eq=False)
class Layout:
    """A table as numbers, and how it is cut.

    values   (rows, inputs); where a row is a sequence, NaN stands behind its end
    targets  (rows, targets) numbers, or (rows, 1) the places of classes
    classes  labels; None: targets are numbers
    groups   the rows (n,) of each sequence or series, in the order of time
    said     lines: what was found out
    """

    cutting: Cutting
    values: Floats
    targets: NDArray[Any]
    classes: tuple[Label, ...] | None
    groups: list[Rows]
    said: list[str]


def lay_out_table(frame: "pd.DataFrame", asked: AskedOfTable) -> Layout:
    """What a table's columns are. Raises InvalidValue for what was asked for, ValueError for what the table holds."""
    _check_names(frame, asked)
    named = [name for name in (asked.sequence, asked.time) if name is not None]
    said: list[str] = []
    targets = asked.target_columns
    if targets is None:
        left = [name for name in frame.columns if name not in named]
        last = ([name for name in left if name not in (asked.input_columns or ())] or left)[-1:]
        if not last:
            raise InvalidValue("target", None, f"no column is left for it (columns: {', '.join(frame.columns)})")
        targets = (str(last[0]),)
        said.append(f"the target is {targets[0]}, the last column; task.target=NAME takes another")
    kind, told = _find_kind(frame, targets, asked)
    row = _find_row(asked, kind, said)
    rows = len(frame)
    window = asked.window
    if row == "timestep" and asked.sequence is None and window is None:
        window = max(1, min(_USUAL_WINDOW, rows // 10))
        said.append(
            f"the rows are one series, cut into windows of {window}; task.window says another, task.sequence a column"
            + (", task.row=sequence that each row is one" if asked.time is None else "")
        )
    horizon = asked.horizon
    if horizon is None:
        horizon = 1 if window is not None and kind == "numbers" else 0
    if row == "sequence" and horizon:
        raise InvalidValue("horizon", horizon, "has no meaning where a row is a sequence (task.row=sequence); use 0")
    inputs = asked.input_columns or _find_inputs(frame, named, targets, horizon)
    again = [name for name in inputs if name in targets]
    if again and horizon == 0:
        says = f"{again[0]} is the target in the same row, and the answer; task.horizon=1 takes it from a later one"
        raise InvalidValue("inputs", list(inputs), says)
    groups = _group(frame, asked) if row == "timestep" else []
    if asked.time is not None:
        said += _tell_gaps(frame[asked.time], groups)
    codes, classes = _encode_targets(frame, targets, kind)
    values = np.stack([_read_input(frame[name], name, asked, row) for name in inputs], axis=1)
    each = asked.each
    if row == "sequence" and each == "timestep":
        raise InvalidValue("each", each, "has no meaning where a row is a sequence (task.row=sequence)")
    if each == "auto":
        each = "timestep" if row == "timestep" and window is None and _varies(codes, groups) else "sequence"
    cutting = Cutting(
        row=row,
        inputs=tuple(inputs),
        targets=targets,
        sequence=asked.sequence,
        time=asked.time,
        window=window,
        stride=asked.stride,
        horizon=horizon,
        each=each,
    )
    what = f"target {_join(targets)}: {'numbers' if classes is None else write_classes(classes)}{told}"
    return Layout(cutting, values, codes, classes, groups, [*said, f"{what}; {_describe(cutting)}"])


def _check_names(frame: "pd.DataFrame", asked: AskedOfTable) -> None:
    for key, names in (
        ("sequence", asked.sequence),
        ("time", asked.time),
        ("inputs", asked.input_columns),
        ("target", asked.target_columns),
    ):
        for name in (names,) if isinstance(names, str) else names or ():
            try:
                find_column(name, frame)
            except ValueError as error:
                raise InvalidValue(key, name, str(error)) from None
        if isinstance(names, tuple):
            if not names:
                raise InvalidValue(key, [], "must name a column or more, or be null")
            if len({*names}) < len(names):
                raise InvalidValue(key, list(names), "must name each column once")
            for other in ("sequence", "time"):
                if getattr(asked, other) in names:
                    raise InvalidValue(key, list(names), f"{getattr(asked, other)} is task.{other}")
    if asked.sequence is not None and asked.sequence == asked.time:
        raise InvalidValue("time", asked.time, "is task.sequence")


def _find_kind(frame: "pd.DataFrame", targets: Sequence[str], asked: AskedOfTable) -> tuple[str, str]:
    """Numbers or classes, and what is said of it."""
    kind = asked.target_kind
    texts = [name for name in targets if not is_numeric(frame[name])]
    if texts:
        if len(targets) > 1:
            raise InvalidValue("target", list(targets), f"{texts[0]} holds no numbers; several targets must be numbers")
        if kind == "numbers":
            raise InvalidValue("target_kind", kind, f"{texts[0]} holds no numbers; use classes")
        if is_time(frame[texts[0]]):
            raise InvalidValue("target", texts[0], "holds times; a target is numbers or labels")
        if kind == "auto":
            _refuse_spoilt_numbers(frame[texts[0]])
        return "classes", ""
    column = frame[targets[0]]
    values = column.dropna().to_numpy()
    if kind == "classes":
        if len(targets) > 1:
            raise InvalidValue("target", list(targets), "of several targets none is a label; name one column")
        if values.dtype.kind == "f" and not is_whole(values):
            raise InvalidValue("target_kind", kind, f"{targets[0]} holds numbers that are not whole; use numbers")
        return "classes", ""
    if kind == "numbers" or len(targets) > 1:
        return "numbers", ""
    if values.dtype.kind == "b":
        return "classes", ""
    if values.dtype.kind in "iu" and looks_like_classes(values):
        return "classes", ", found out; task.target_kind=numbers takes them for numbers"
    return "numbers", ""


def _refuse_spoilt_numbers(column: "pd.Series") -> None:
    """Raise ValueError for numbers that one text among them, or how they are written, makes texts."""
    texts = [str(value).strip() for value in column.dropna().tolist()]
    numbers = {text for text in texts if _LIKE_NUMBER.fullmatch(text)}
    if len(numbers) > MOST_WHOLE_CLASSES and sum(text in numbers for text in texts) > len(texts) / 2:
        try:
            to_numbers(column)
        except ValueError as error:
            says = "mend that, with numbers as 1234.5, or say task.target_kind=classes"
            raise ValueError(f"{error}, where most are: {says}") from None


def _find_row(asked: AskedOfTable, kind: str, said: list[str]) -> Literal["timestep", "sequence"]:
    given = {"sequence": asked.sequence, "time": asked.time, "window": asked.window}
    named = [name for name, value in given.items() if value is not None]
    if asked.row == "sequence" and named:
        raise InvalidValue("row", "sequence", f"then every row is a sequence, and there is no task.{named[0]}")
    if asked.row != "auto":
        return asked.row
    if named or kind == "numbers" or asked.horizon:
        return "timestep"
    said.append(
        "each row is a sequence, its inputs one after the other; task.row=timestep, task.sequence or task.window"
    )
    said[-1] += " say otherwise"
    return "sequence"


def _find_inputs(frame: "pd.DataFrame", named: Sequence[str], targets: Sequence[str], horizon: int) -> tuple[str, ...]:
    """All columns that may be inputs: the target too, where it stands in a later row than they."""
    left = [str(name) for name in frame.columns if name not in named and (name not in targets or horizon)]
    left = [name for name in left if name not in targets or is_numeric(frame[name])]
    if not left:
        says = f"no column is left for them (columns: {', '.join(frame.columns)})"
        raise InvalidValue("inputs", None, f"{says}; task.horizon=1 foretells a series from its own past")
    return tuple(left)


def _read_input(column: "pd.Series", name: str, asked: AskedOfTable, row: str) -> Floats:
    try:
        return to_numbers(column, missing=row == "sequence")
    except ValueError as error:
        if is_numeric(column):
            raise
        says = f"{error}; inputs are numbers"
        if asked.input_columns is None:
            says += f": name them in task.inputs, or say task.time={name} or task.sequence={name} if it is that"
        raise ValueError(says) from None


def _group(frame: "pd.DataFrame", asked: AskedOfTable) -> list[Rows]:
    """The rows of each sequence, or of the one series, in the order of time."""
    groups = [np.arange(len(frame))]
    if asked.sequence is not None:
        refuse_missing(frame[asked.sequence])
        groups = list_groups(frame[asked.sequence])[1]
    return groups if asked.time is None else order_groups(frame[asked.time], groups)


def order_groups(column: "pd.Series", groups: Sequence[Rows]) -> list[Rows]:
    """Each group's rows by their times; ValueError where a time can't be read, or stands twice in a group."""
    times = _read_times(column)
    found = []
    for group in groups:
        order = times[group].argsort(kind="stable")
        ordered = group[order]
        same = np.flatnonzero(times[ordered[1:]] == times[ordered[:-1]])
        if len(same):
            first, second = sorted(ordered[same[0] : same[0] + 2].tolist())
            shown = str(column.iloc[first])[:40]
            says = f"rows {first + 1} and {second + 1} have the same time, {shown}"
            raise ValueError(f"column {column.name!r}: {says}; which is first? (task.sequence parts several series)")
        found.append(ordered)
    return found


def _tell_gaps(column: "pd.Series", groups: Sequence[Rows]) -> list[str]:
    """What is said where times are evenly spaced, but for gaps: rows on both sides are neighbours for a network."""
    times = _read_times(column)
    steps = np.concatenate([np.diff(times[group]).astype(np.float64) for group in groups])
    rows = np.concatenate([group[1:] for group in groups])
    usual = float(np.median(steps)) if len(steps) else 0.0
    if (np.abs(steps - usual) <= 0.1 * usual).sum() <= len(steps) / 2:
        return []
    count, longest = int((steps > 1.5 * usual).sum()), int(steps.argmax())
    if not count:
        return []
    gaps = (
        f"{count:,} gap{'s'[: count != 1]} in {column.name}, the longest of {steps[longest] / usual:,.3g} usual steps"
    )
    return [f"{gaps}, before row {rows[longest] + 1:,}: the rows on both sides are taken for neighbours"]


def _read_times(column: "pd.Series") -> NDArray[Any]:
    """(rows,) times, to be compared."""
    import pandas as pd

    refuse_missing(column)
    if is_numeric(column):
        return to_numbers(column)
    if not is_time(column):
        try:
            parsed = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
        except (ValueError, TypeError, OverflowError):
            parsed = pd.Series(pd.NaT, index=column.index)
        row = find_missing(parsed)
        if row is not None:
            shown = str(column.iloc[row])[:40]
            raise ValueError(
                f"column {column.name!r}, row {row + 1}: {shown!r} is no time that can be ordered; write numbers, or"
                " 2026-12-31 or 2026-12-31T23:59:59"
            )
        column = parsed
    return column.astype("int64").to_numpy()


def _encode_targets(
    frame: "pd.DataFrame", targets: Sequence[str], kind: str
) -> tuple[NDArray[Any], tuple[Label, ...] | None]:
    """(rows, targets) and the classes."""
    if kind == "numbers":
        return np.stack([to_numbers(frame[name]) for name in targets], axis=1), None
    column = frame[targets[0]]
    refuse_missing(column)
    labels = column.to_numpy()
    if labels.dtype.kind not in "biuf":
        labels = np.asarray([str(label) for label in labels.tolist()], str)
    try:
        classes = list_classes([labels])
    except ValueError as error:
        raise ValueError(f"column {targets[0]!r} {error}") from None
    return encode_labels(labels, classes)[:, None], classes


def _varies(codes: NDArray[Any], groups: Sequence[Rows]) -> bool:
    """Whether a target changes within any sequence."""
    return any(bool((codes[group] != codes[group[:1]]).any()) for group in groups)


def _describe(cutting: Cutting) -> str:
    where = "at every timestep" if cutting.each == "timestep" else "one for each sequence, at its last timestep"
    later = f", {cutting.horizon} row{'s'[: cutting.horizon != 1]} later" if cutting.horizon else ""
    inputs = _join(cutting.inputs)
    if cutting.row == "sequence":
        return f"each row is a sequence of up to {len(cutting.inputs)} timesteps with 1 input, {inputs}"
    return f"{where}{later}; {len(cutting.inputs)} input{'s'[: len(cutting.inputs) != 1]}: {inputs}"


def _join(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= 30 else f"{name[:29]}…" for name in names[:_MOST_NAMED])
    return shown + (f", … {names[-1]}" if len(names) > _MOST_NAMED else "")
