"""Predictions as a tidy table: a row for each scored timestep, in the data's own units, or as labels with scores."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats, Sequences
from bptt.tracking.folder.files import pack_table, parse_table

if TYPE_CHECKING:
    from bptt.tasks.own_data.preparation import Preparation

TARGET: Final = "target"
PREDICTION: Final = "prediction"
_META: Final = b"bptt.predictions"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a network's outputs mean.

    targets      names of what is predicted, as many as there are outputs; one where these are classes
    classes      labels in the order of the outputs; the second of two is that of a single output; None: numbers
    score        what outputs for classes are called, see `name_scores`
    preparation  what was done to the data, and is undone; None: nothing
    """

    targets: tuple[str, ...]
    classes: tuple[int | str, ...] | None
    score: str
    preparation: "Preparation | None"

    @classmethod
    def of(cls, task: Any, readout: str, outputs: int) -> "Meaning":
        """Of a task. Without a preparation, a soft-max's outputs are classes, named by the task's vocabulary."""
        known = getattr(task, "preparation", None)
        if known is not None:
            return cls.prepared(known, readout)
        symbols = tuple(getattr(task, "vocabulary", None) or ())
        labels = symbols if len(symbols) == outputs else tuple(range(outputs))
        classes = labels if readout == "softmax" and outputs > 1 else None
        targets = ("",) if classes or outputs == 1 else tuple(map(str, range(outputs)))
        return cls(targets=targets, classes=classes, score="probability", preparation=None)

    @classmethod
    def prepared(cls, preparation: "Preparation", readout: str) -> "Meaning":
        """Of a task with a preparation."""
        classes = preparation.classes if preparation.kind == "classes" else None
        targets = tuple(preparation.targets)
        return cls(
            targets=targets[:1] or ("",) if classes else targets,
            classes=classes,
            score=name_scores(readout),
            preparation=preparation,
        )

    def name(self, kind: str) -> list[str]:
        """The columns of targets, or of predictions: one for each that is predicted."""
        return [kind] if len(self.targets) == 1 else [f"{kind}_{target}" for target in self.targets]

    def restore(self, values: Floats) -> NDArray[Any]:
        """(rows, outputs) of outputs or targets → (rows, targets) in the data's own units, or (rows, 1) labels.

        A number that is not known, nan, stays so; the label then is None.
        """
        if self.classes is None:
            return values if self.preparation is None else self.preparation.restore(values)
        if self.preparation is not None:
            labels = self.preparation.restore(values)
        else:
            labels = np.array(self.classes)[values.argmax(axis=-1)]
        unknown = np.isnan(values).any(axis=-1)
        if unknown.any():
            labels = labels.astype(object)
            labels[unknown] = None
        return labels[:, None]


def name_scores(readout: str) -> str:
    """What outputs for classes are called: probability, or score where the read-out gives none."""
    return "probability" if readout in ("softmax", "sigmoid") else "score"


def split_classes(output: Floats) -> Floats:
    """(…, outputs) → (…, classes): a single output is the share of the second of two classes."""
    return np.concatenate([1.0 - output, output], axis=-1) if output.shape[-1] == 1 else output


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a network said of sequences.

    columns  set (eval, test), where it is of such; sequence; timestep, where each has a target; row, where it is known
             which of a table's it is; target and prediction, or target_NAME and prediction_NAME of several;
             probability_LABEL, or score_LABEL, of classes. All (rows,)
    targets  names of what is predicted; one that has none is ""
    classes  labels; None: numbers
    score    what the columns of classes begin with
    """

    columns: Mapping[str, NDArray[Any]]
    targets: tuple[str, ...]
    classes: tuple[int | str, ...] | None
    score: str = "probability"

    @property
    def count(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def has_targets(self) -> bool:
        """Whether it is known what is true."""
        return any(name == TARGET or name.startswith(f"{TARGET}_") for name in self.columns)

    def pair(self, target: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """What is true, and what was predicted, of one that is predicted."""
        end = "" if len(self.targets) == 1 else f"_{target}"
        return self.columns[TARGET + end], self.columns[PREDICTION + end]

    @property
    def scores(self) -> Floats:
        """(rows, classes)."""
        return np.stack([self.columns[f"{self.score}_{label}"] for label in self.classes or ()], axis=1)

    def select(self, which: NDArray[np.bool_]) -> "Predictions":
        """Some of the rows."""
        columns = {name: values[which] for name, values in self.columns.items()}
        return Predictions(columns=columns, targets=self.targets, classes=self.classes, score=self.score)

    @property
    def sets(self) -> list[str]:
        """The sets that it is of, in their order; none where it is of other data."""
        return list(dict.fromkeys(self.columns["set"].tolist())) if "set" in self.columns else []

    def of_set(self, name: str) -> "Predictions":
        """The rows of a set."""
        return self.select(self.columns["set"] == name)

    def pack(self) -> bytes:
        """As a parquet file holds it."""
        known = {"targets": self.targets, "classes": self.classes, "score": self.score}
        return pack_table(self.to_arrow().replace_schema_metadata({_META: json.dumps(known)}))

    @classmethod
    def parse(cls, content: bytes) -> "Predictions":
        """What was packed. Raises ValueError where it is damaged, or of another kind."""
        table = parse_table(content)
        try:
            known = json.loads((table.schema.metadata or {})[_META])
            classes = None if known["classes"] is None else tuple(known["classes"])
            columns = {name: table[name].to_numpy() for name in table.column_names}
            return cls(columns=columns, targets=tuple(known["targets"]), classes=classes, score=known["score"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"holds no predictions ({error})") from None

    def to_arrow(self) -> Any:
        """An Arrow table with the columns."""
        import pyarrow as pa

        arrays = {
            name: pa.array(values.tolist() if values.dtype.kind in "UO" else np.ascontiguousarray(values))
            for name, values in self.columns.items()
        }
        return pa.table(arrays)


def tabulate_predictions(
    output: Floats,
    sequences: Sequences,
    meaning: Meaning,
    *,
    with_targets: bool,
    names: Sequence[Any] | NDArray[Any] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> Predictions:
    """The table of what a network gave for sequences: (N, T, outputs), or (N, outputs) where targets are at the end.

    with_targets  whether `sequences.y` has what is true, prepared as the output is
    names         (N,) of the sequences; None: their numbers
    rows          (N, T), or (N,): of each scored timestep the row of the table that it is of; None: unknown
    """
    if sequences.last_only:
        which, steps = np.arange(sequences.count), None
        values, true = output, sequences.y
        own = None if rows is None else rows
    else:
        which, steps = np.nonzero(sequences.full_scored)
        values, true = output[which, steps], sequences.y[which, steps]
        own = None if rows is None else rows[which, steps]
    columns: dict[str, NDArray[Any]] = {"sequence": which if names is None else np.asarray(names)[which]}
    if steps is not None:
        columns["timestep"] = steps
    if own is not None:
        columns["row"] = own
    if with_targets:
        columns |= _name_columns(meaning.name(TARGET), meaning.restore(true))
    columns |= _name_columns(meaning.name(PREDICTION), meaning.restore(values))
    if meaning.classes is not None:
        columns |= _name_columns([f"{meaning.score}_{label}" for label in meaning.classes], split_classes(values))
    return Predictions(columns=columns, targets=meaning.targets, classes=meaning.classes, score=meaning.score)


def _name_columns(names: Sequence[str], values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name: values[:, place] for place, name in enumerate(names)}


def join_sets(parts: Iterable[tuple[str, Predictions]]) -> Predictions:
    """Tables of several sets, by their names, below each other."""
    found = list(parts)
    first = found[0][1]
    labelled = [{"set": np.full(part.count, name)} | dict(part.columns) for name, part in found]
    columns = {name: np.concatenate([one[name] for one in labelled]) for name in labelled[0]}
    return Predictions(columns=columns, targets=first.targets, classes=first.classes, score=first.score)
