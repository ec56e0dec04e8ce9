"""The user's own data: a table, in memory or from a .csv or .parquet file."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.sequences import Sequences
from bptt.tasks.common import OwnReadout
from bptt.tasks.data_files import find_file
from bptt.tasks.own_data.cutting import Cut, Rows, cut_whole, cut_windows
from bptt.tasks.own_data.parts import OwnData, Ready, prepare_parts, save_content
from bptt.tasks.own_data.splitting import FEWEST_TO_SPLIT, USUAL_SHARE, split_places, split_rows
from bptt.tasks.own_data.table_layout import Layout, lay_out_table
from bptt.tasks.own_data.tables import check_columns, count_timesteps, load_table

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Range(at_least=0, below=1)]
Columns = tuple[str | int, ...] | str | int
Auto = Literal["auto", "timestep", "sequence"]


@dataclass(frozen=True, init=False)
class Table(OwnData):
    """Sequences from a table with a name for each column: `Table(frame, target="y")` of one in memory, or from a file.

    A row is a timestep. Timesteps of one sequence have the same value in the column `sequence`; without such a column
    all rows are one series, out of which windows are cut. Or a row is a whole sequence, whose inputs are the timesteps
    of the one input there is; behind the end of a shorter one nothing stands. Every other value must be there and
    finite: InvalidValue says which is not, by row, counted from 1, and column.

    path          a .csv file in UTF-8 with a header, parted by the comma, semicolon, tab or bar, whichever the header
                  has most of; or a .parquet file; None: the table is in memory
    target        the column or columns that are to be foretold; None: the last one
    inputs        the columns of the inputs; None: all others, and with a horizon the targets too, of earlier rows
    sequence      the column that says which sequence a row belongs to
    time          the column, numbers or times, by which the rows of a sequence are ordered; None: as they stand
    row           what a row is, timestep or sequence; auto: a sequence where the target is labels and neither sequence,
                  time, window nor horizon are given
    window        timesteps of each window of a series, or of sequences; None: sequences are whole, and a series without
                  `sequence` has windows of 20, of a tenth of a short one
    stride        rows from the begin of a window to the next
    horizon       how many rows behind a timestep its target stands; None: 1 of numbers and windows, else 0
    each          what has a target, timestep or sequence (at its last timestep); auto: a sequence where windows are
                  cut, or no target changes within a sequence
    target_kind   numbers, classes: what the target is; auto: texts, true and false are classes, so are whole numbers of
                  few values that come up often, all else is numbers
    split         random: whole sequences are held out at random; ordered: the last ones are, and of series the last
                  rows; auto: ordered of a single series, whose windows no random choice would keep apart
    eval_size     the share of the sequences, or of a series' rows, that evaluates; None: a fifth of ten or more; 0:
                  none, the evaluation is on the training data
    test_size     the same of the test, which is looked at when a run has ended; of a series it comes last
    split_seed    draws what is held out, whatever the run's seed; of classes each part has its share
    scale_inputs  whether the inputs are standardised by the mean and the deviation in the training part
    scale_targets whether targets that are numbers are, too; predictions are in the table's own units again
    order         sequential: sequence r of update u is number (u·batch + r) mod N; shuffled: every sequence once per
                  epoch, in an order drawn anew
    readout       what the loss expects; auto: what fits the targets
    """

    path: str | None = None
    target_columns: Columns | None = field(default=None, metadata={"key": "target"})
    input_columns: Columns | None = field(default=None, metadata={"key": "inputs"})
    sequence: str | int | None = None
    time: str | int | None = None
    row: Auto = "auto"
    window: Annotated[int, Range(at_least=1)] | None = None
    stride: Annotated[int, Range(at_least=1)] = 1
    horizon: Annotated[int, Range(at_least=0)] | None = None
    each: Auto = "auto"
    target_kind: Literal["auto", "numbers", "classes"] = "auto"
    split: Literal["auto", "random", "ordered"] = "auto"
    eval_size: Share | None = None
    test_size: Share | None = None
    split_seed: Annotated[int, Range(at_least=0)] = 0
    scale_inputs: bool = True
    scale_targets: bool = True
    order: Literal["sequential", "shuffled"] = "shuffled"
    readout: OwnReadout = "auto"
    content: str = field(init=False, repr=False)

    # Written out, since a task's `inputs` and `target` say something else than the columns of these names.
    def __init__(
        self,
        frame: Any = None,
        *,
        path: str | None = None,
        target: Sequence[str | int] | str | int | None = None,
        inputs: Sequence[str | int] | str | int | None = None,
        sequence: str | int | None = None,
        time: str | int | None = None,
        row: Auto = "auto",
        window: int | None = None,
        stride: int = 1,
        horizon: int | None = None,
        each: Auto = "auto",
        target_kind: Literal["auto", "numbers", "classes"] = "auto",
        split: Literal["auto", "random", "ordered"] = "auto",
        eval_size: float | None = None,
        test_size: float | None = None,
        split_seed: int = 0,
        scale_inputs: bool = True,
        scale_targets: bool = True,
        order: Literal["sequential", "shuffled"] = "shuffled",
        readout: OwnReadout = "auto",
    ) -> None:
        values = {name: value for name, value in locals().items() if name not in ("self", "frame", "target", "inputs")}
        values |= {"target_columns": _list_names(target), "input_columns": _list_names(inputs)}
        values |= {name: None if values[name] is None else str(values[name]) for name in ("sequence", "time")}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if frame is not None and path is not None:
            raise InvalidValue("path", path, "a table was given as well; give either")
        if frame is None:
            object.__setattr__(self, "content", _load(*_identify(path))[1])
        else:
            try:
                held = check_columns(frame).copy()
            except ValueError as error:
                raise InvalidValue("frame", type(frame).__name__, str(error)) from None
            object.__setattr__(self, "_given", held)
            object.__setattr__(self, "content", sha256(_pack(held)).hexdigest())
        self.ready  # noqa: B018 (what is wrong is said at once)

    @cached_property
    def ready(self) -> Ready:
        """See `OwnData.ready`."""
        held = self.__dict__.get("_given")
        frame = _load(*_identify(self.path))[0] if held is None else held
        try:
            layout = lay_out_table(frame, self)  # type: ignore[arg-type]
            return self._prepare(layout)
        except ValueError as error:
            if isinstance(error, InvalidValue):
                raise
            where = ("frame", type(frame).__name__) if self.path is None else ("path", self.path)
            raise InvalidValue(*where, str(error)) from None

    def save(self, folder: Path) -> Path:
        """See `OwnData.save`."""
        held = self.__dict__.get("_given")
        if held is None:
            raise ValueError(f"the data are in a file already: {self.path}")
        return save_content(folder, _pack(held), ".parquet")

    @property
    def _has_labels(self) -> bool:
        return self.ready.preparation.kind == "classes"

    def _prepare(self, layout: Layout) -> Ready:
        if layout.cutting.row == "sequence":
            parts, said = self._split_rows_of_sequences(layout)
        elif layout.cutting.window is not None:
            parts, said = self._split_windows(layout)
        else:
            parts, said = self._split_sequences(layout)
        return prepare_parts(
            parts,
            inputs=layout.cutting.inputs if layout.cutting.row == "timestep" else ("value",),
            targets=layout.cutting.targets,
            classes=layout.classes,
            shares_output=self.readout != "softmax",
            scale_inputs=self.scale_inputs,
            scale_targets=self.scale_targets,
            cutting=layout.cutting,
            remarks=[*layout.said, *said],
        )

    def _split_rows_of_sequences(self, layout: Layout) -> tuple[list[Sequences | None], list[str]]:
        lengths = count_timesteps(layout.values, layout.cutting.inputs)
        whole = Sequences(layout.values[:, :, None], layout.targets, lengths)
        chosen, said = self._split_places(len(lengths), layout.targets[:, 0] if layout.classes else None)
        return [None if places is None else _pick(whole, places) for places in chosen], said

    def _split_sequences(self, layout: Layout) -> tuple[list[Sequences | None], list[str]]:
        groups = [group for group in layout.groups if len(group) > layout.cutting.horizon]
        if not groups:
            raise InvalidValue("horizon", layout.cutting.horizon, "no sequence is longer")
        labels = None
        if layout.classes and layout.cutting.each == "sequence":
            labels = np.array([layout.targets[group[-1], 0] for group in groups])
        chosen, said = self._split_places(len(groups), labels)
        parts = [
            None if places is None else cut_whole([groups[i] for i in places], layout.cutting) for places in chosen
        ]
        return [None if cut is None else _gather(layout, cut) for cut in parts], said

    def _split_places(self, count: int, labels: Any) -> tuple[list[Rows | None], list[str]]:
        shares = self._find_shares(count)
        drawn = self.split != "ordered"
        try:
            split = split_places(count, *shares, seed=self.split_seed if drawn else None, labels=labels)
        except ValueError as error:
            raise InvalidValue("eval_size" if shares[0] else "test_size", max(shares), str(error)) from None
        how = "drawn by task.split_seed" if drawn else "the last ones"
        alike = ", classes in equal shares" if labels is not None and drawn else ""
        parts = [split.training, split.evaluation if shares[0] else None, split.test if shares[1] else None]
        return parts, [_count("sequences", parts, how + alike)]

    def _split_windows(self, layout: Layout) -> tuple[list[Sequences | None], list[str]]:
        """Windows lie within one part: of a series the rows are parted first, then cut."""
        cutting, groups = layout.cutting, layout.groups
        if self.split == "random" and len(groups) == 1:
            raise InvalidValue("split", "random", "windows of one series share rows; use ordered, or null")
        if self.split == "ordered" or (self.split == "auto" and len(groups) == 1):
            shares = self._find_shares(min(map(len, groups)))
            try:
                split = split_rows(groups, *shares)
            except ValueError as error:
                raise InvalidValue("eval_size" if shares[0] else "test_size", max(shares), str(error)) from None
            parts, how = [part or None for part in split], "rows in the order of time, no row in two parts"
        else:
            chosen, _ = self._split_places(len(groups), None)
            parts = [None if places is None else [groups[i] for i in places] for places in chosen]
            how = "whole sequences, drawn by task.split_seed"
        found: list[Sequences | None] = []
        for name, part in zip(("training", "evaluation", "test"), parts, strict=True):
            if part is not None and max(map(len, part)) < cutting.span:
                has = max(map(len, part))
                needs = f"{cutting.span} rows" + (
                    f" with its target {cutting.horizon} later" if cutting.horizon else ""
                )
                says = f"a window needs {needs}, the {name} part has {has:,}; take a shorter one, or other shares"
                raise InvalidValue("window", cutting.window, says)
            found.append(None if part is None else _gather(layout, cut_windows(part, cutting)))
        return found, [_count("windows", [None if part is None else range(part.count) for part in found], how)]

    def _find_shares(self, count: int) -> tuple[float, float]:
        usual = USUAL_SHARE if count >= FEWEST_TO_SPLIT else 0.0
        eval_size, test_size = (usual if size is None else size for size in (self.eval_size, self.test_size))
        return eval_size, test_size


@dataclass(frozen=True, eq=False)
class TableSequences(Sequences):
    """Sequences out of a table.

    rows  (N, T), or (N,) where each has one target: the row, from 0, in which the target stands
    """

    rows: Rows | None = None


def _gather(layout: Layout, cut: Cut) -> Sequences:
    same = bool((cut.lengths == cut.steps.shape[1]).all())
    x, y = layout.values[cut.steps], layout.targets[cut.targets]
    return TableSequences(x, y, None if same else cut.lengths, rows=cut.targets)


def _pick(whole: Sequences, places: Rows) -> Sequences:
    """Some sequences, as long as the longest of them, with zeros behind their ends."""
    assert whole.lengths is not None
    lengths = whole.lengths[places]
    longest = int(lengths.max())
    x = whole.x[places][:, :longest]
    inside = np.arange(longest) < lengths[:, None]
    kept = None if inside.all() else lengths
    return TableSequences(np.where(inside[..., None], x, 0.0), whole.y[places], kept, rows=places)


def _count(what: str, parts: Sequence[Any], how: str) -> str:
    training, evaluation, test = parts
    evaluating, testing = (0 if part is None else len(part) for part in (evaluation, test))
    if not evaluating and not testing:
        return f"{len(training):,} {what} train"
    return f"{len(training):,} {what} train, {evaluating:,} evaluate, {testing:,} test: {how}"


def _list_names(columns: Sequence[str | int] | str | int | None) -> tuple[str, ...] | None:
    if columns is None:
        return None
    return (str(columns),) if isinstance(columns, str | int) else tuple(map(str, columns))


def _identify(path: str | None) -> tuple[str, Path, int, int]:
    if path is None:
        says = "the path of a .csv or .parquet file, as in task.path=data.csv"
        raise InvalidValue("path", None, says)
    file = find_file(path)
    stat = file.stat()
    return path, file, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=2)  # a sweep builds a task for every setting; the time and size tell when the file has changed
def _load(path: str, file: Path, mtime_ns: int, size: int) -> "tuple[pd.DataFrame, str]":  # noqa: ARG001
    """The table in a file, and the hash of the file."""
    try:
        return load_table(file), sha256(file.read_bytes()).hexdigest()
    except ValueError as error:
        raise InvalidValue("path", path, str(error)) from None


def _pack(frame: "pd.DataFrame") -> bytes:
    """The .parquet file of a table: the same bytes for equal ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(table, buffer, compression="zstd")
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(
            "frame", "DataFrame", f"holds what no file can ({' '.join(str(error).split())[:200]})"
        ) from None
    return buffer.getvalue()
