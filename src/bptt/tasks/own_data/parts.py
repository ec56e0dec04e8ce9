"""What tasks over one's own data share: sequences made ready for a network, and the task that they are."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.core.elementwise import add_up
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import (
    Predict,
    Shares,
    find_baseline_of,
    one_hot,
    score_bits,
    score_class_sequences,
    score_classes,
    score_sequences,
)
from bptt.tasks.own_data.cutting import Cutting
from bptt.tasks.own_data.labels import Label
from bptt.tasks.own_data.preparation import EVALUATED_ON_TRAINING, DataNote, Preparation

#: What a target is, by which a loss and a read-out are chosen: numbers; one of several classes; one of two, or bits.
TargetKind = Literal["numbers", "classes", "two_classes"]

_FAR: Final = 10.0  # times larger or smaller than 1: what is said to be unscaled
_SHOWN: Final = 4


@dataclass(frozen=True, eq=False)
class Ready:
    """Sequences as a network takes them, and what was said of them on the way.

    evaluation  is training where nothing is held out
    remarks     lines for the user: what was taken for what, and what may be wrong
    """

    training: Sequences
    evaluation: Sequences
    test: Sequences | None
    target: TargetKind
    preparation: Preparation
    remarks: tuple[str, ...]


def prepare_parts(
    parts: Sequence[Sequences | None],
    *,
    inputs: tuple[str, ...],
    targets: tuple[str, ...],
    classes: tuple[Label, ...] | None,
    shares_output: bool,
    scale_inputs: bool,
    scale_targets: bool,
    cutting: Cutting | None = None,
    remarks: Sequence[str] = (),
) -> Ready:
    """The parts, training, evaluation and test, encoded and scaled by what the training part holds.

    parts          of labels y is (N, 1) or (N, T, 1): the places of classes; None: there is no such part
    shares_output  whether two classes have one output, 1 at the second
    """
    given = [part for part in parts if part is not None]
    training = given[0]
    said = [*remarks]
    if parts[1] is None:
        said.append(f"{EVALUATED_ON_TRAINING}: nothing is held out; task.eval_size=0.2 holds out a fifth")
    if classes is not None:
        said += _find_untrained(training, classes)
        encode = _encode_bits if shares_output and len(classes) == 2 else _encode_classes
        parts = [None if part is None else encode(part, len(classes)) for part in parts]
    else:
        classes, said = _find_encoded(given, said)
    outputs = (parts[0] or training).y.shape[-1]
    x_scale = _find_scale(training.x[training_steps(training)]) if scale_inputs else _leave(training.x.shape[-1])
    numbers = scale_targets and classes is None
    y_scale = _find_scale(select_scored(training)) if numbers else _leave(outputs)
    if not scale_inputs:
        said += _find_unscaled("inputs", inputs, training.x[training_steps(training)])
    if classes is None and not scale_targets:
        said += _find_unscaled("targets", targets, select_scored(training))
    if scale_inputs or numbers:
        what = " and ".join(name for name, scaled in (("inputs", scale_inputs), ("targets", numbers)) if scaled)
        said.append(f"{what} are standardised by the training part: mean 0, standard deviation 1 there")
    preparation = Preparation(
        inputs=inputs,
        input_mean=x_scale[0],
        input_scale=x_scale[1],
        targets=targets,
        target_mean=y_scale[0],
        target_scale=y_scale[1],
        classes=classes,
        kind="numbers" if classes is None else "classes",
        cutting=cutting,
        each="sequence" if training.last_only else "timestep",
        remarks=tuple(said),
    )
    made = [None if part is None else _scale(part, x_scale, y_scale) for part in parts]
    assert made[0] is not None
    return Ready(
        made[0],
        made[1] or made[0],
        made[2],
        find_target_kind([part for part in made if part]),
        preparation,
        tuple(said),
    )


def select_scored(sequences: Sequences) -> Floats:
    """(scored timesteps, outputs)."""
    return sequences.y if sequences.last_only else sequences.y[sequences.full_scored]


def training_steps(sequences: Sequences) -> NDArray[np.bool_]:
    """(N, T): which timesteps there are."""
    return np.arange(sequences.timesteps) < sequences.full_lengths[:, None]


def find_target_kind(parts: Sequence[Sequences]) -> TargetKind:
    """What targets are, by their numbers: one-hot vectors are classes, other zeros and ones two classes."""
    targets = [select_scored(part) for part in parts]
    if not all(bool(np.isin(y, (0, 1)).all()) for y in targets):
        return "numbers"
    one_each = all(bool((np.sort(y, axis=-1)[..., -2:-1] == 0).all() and y.any(axis=-1).all()) for y in targets)
    return "classes" if one_each and targets[0].shape[-1] > 1 else "two_classes"


def _find_encoded(parts: Sequence[Sequences], said: list[str]) -> tuple[tuple[Label, ...] | None, list[str]]:
    """The classes of targets that are encoded already: their places; None: they are numbers, or several bits."""
    kind, outputs = find_target_kind(parts), parts[0].y.shape[-1]
    if kind == "classes":
        return tuple(range(outputs)), said
    return ((0, 1) if kind == "two_classes" and outputs == 1 else None), said


def _encode_bits(part: Sequences, count: int) -> Sequences:  # noqa: ARG001 (two)
    return replace(part, y=np.asarray(part.y, np.float64))


def _encode_classes(part: Sequences, count: int) -> Sequences:
    return replace(part, y=one_hot(np.asarray(part.y[..., 0], np.int64), count))


_Scale = tuple[tuple[float, ...], tuple[float, ...]]


def _leave(count: int) -> _Scale:
    return (0.0,) * count, (1.0,) * count


def _find_scale(values: Floats) -> _Scale:
    """Mean and standard deviation of values (n, columns); 1 of a column that does not vary, or can't be squared."""
    columns = np.ascontiguousarray(values.T)
    mean = add_up(columns) / len(values)
    with np.errstate(over="ignore"):
        deviation = np.sqrt(add_up((columns - mean[:, None]) ** 2) / len(values))
    varies = (columns != columns[:, :1]).any(axis=1) & np.isfinite(deviation) & (deviation > 0)
    return tuple(mean.tolist()), tuple(np.where(varies, deviation, 1.0).tolist())


def _scale(part: Sequences, x_scale: _Scale, y_scale: _Scale) -> Sequences:
    """The same scaled, with zeros behind the sequences' ends."""
    inside = training_steps(part)[..., None]
    x = np.where(inside, (part.x - np.asarray(x_scale[0])) / np.asarray(x_scale[1]), 0.0)
    y = (part.y - np.asarray(y_scale[0])) / np.asarray(y_scale[1])
    return replace(part, x=x, y=y if part.last_only else np.where(inside, y, 0.0))


def _find_unscaled(what: str, names: Sequence[str], values: Floats) -> list[str]:
    """A line where numbers are far from 1."""
    largest = np.abs(values).max(axis=0)
    far = [i for i, size in enumerate(largest.tolist()) if size > _FAR or 0 < size < 1 / _FAR]
    if not far:
        return []
    name = names[far[0]] if far[0] < len(names) else what
    more = f" (and {len(far) - 1} more)" if len(far) > 1 else ""
    return [
        f"{what} are not scaled: the largest of {name} is {largest[far[0]]:.3g}{more}, far from 1;"
        f" task.scale_{what}=true standardises them"
    ]


def _find_untrained(training: Sequences, classes: Sequence[Label]) -> list[str]:
    there = set(np.unique(select_scored(training)).tolist())
    missing = [str(label) for place, label in enumerate(classes) if place not in there]
    return [f"no training sequence has the class {', '.join(missing[:5])}; it can't be learned"] if missing else []


class OwnData:
    """A task over data that were made ready. Who derives from it is a frozen dataclass with the fields below.

    path     the file; None: the data are in memory
    order    of the training sequences, as in `bptt.core.sequences.Pool`
    readout  what the loss expects
    content  SHA-256 of the data
    """

    path: str | None
    order: Literal["sequential", "shuffled"]
    readout: Any
    content: str

    @property
    @abstractmethod
    def ready(self) -> Ready:
        """The sequences."""

    @abstractmethod
    def save(self, folder: Path) -> Path:
        """Write data that are in memory to a file in a folder, called by what it holds; one that is there stays."""

    @property
    def inputs(self) -> int:
        return self.ready.training.x.shape[-1]

    @property
    def outputs(self) -> int:
        return self.ready.training.y.shape[-1]

    @property
    def timesteps(self) -> int:
        ready = self.ready
        return max(part.timesteps for part in (ready.training, ready.evaluation, ready.test) if part is not None)

    @property
    def target(self) -> TargetKind:
        """What the targets are."""
        return self.ready.target

    @property
    def preparation(self) -> Preparation:
        """What was done to the numbers, and what undoes it."""
        return replace(self.ready.preparation, data=self._note_data())

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines for the user: what was taken for what, how it was split, what may be wrong."""
        return self.ready.remarks

    def training(self) -> Pool:
        return Pool(self.ready.training, self.order)

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self.ready.evaluation

    def test(self, rng: Generator) -> Sequences | None:  # noqa: ARG002 (always the same set)
        return self.ready.test

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares | None:
        score = self._choose_score(score_classes, score_bits)
        return None if score is None else score(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares | None:
        """The share of the sequences with every scored target right; none where each has but one."""
        score = None if sequences.last_only else self._choose_score(score_class_sequences, score_sequences)
        return None if score is None else score(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the mean of the evaluation's targets."""
        return find_baseline_of(loss, self.ready.evaluation)

    def naive(self, sequences: Sequences) -> Floats | None:
        """The last value that was seen of each target, as a series' forecast; None where some target is no input."""
        ready, known = self.ready, self.ready.preparation
        if ready.target != "numbers" or not {*known.targets} <= {*known.inputs}:
            return None
        places = [known.inputs.index(name) for name in known.targets]
        scale, mean = (np.asarray(values)[places] for values in (known.input_scale, known.input_mean))
        x = sequences.x[np.arange(sequences.count), sequences.full_lengths - 1] if sequences.last_only else sequences.x
        own = x[..., places] * scale + mean
        return (own - np.asarray(known.target_mean)) / np.asarray(known.target_scale)

    def show(self, predict: Predict) -> list[str]:
        """Some predictions of the test set, or else the evaluation, in the data's own units."""
        ready = self.ready
        part = "evaluation" if ready.test is None else "test"
        sequences = ready.evaluation if ready.test is None else ready.test
        told, true = (ready.preparation.restore(values) for values in (predict(sequences), sequences.y))
        if not sequences.last_only:
            ends = np.arange(sequences.count), sequences.full_lengths - 1
            told, true = told[ends], true[ends]
        some = np.linspace(0, sequences.count - 1, min(_SHOWN, sequences.count)).astype(np.int64)
        return [f"{part}: predicted {_write_answer(told[i])} for {_write_answer(true[i])}" for i in some]

    def overrides(self, folder: Path) -> list[str]:
        """The configuration of this task, as for `bptt train`; data in memory are saved in the folder first."""
        path = str(self.save(folder)) if self.path is None else self.path
        own = [field for field in fields(self) if field.init and field.name != "path"]  # type: ignore[arg-type]
        values = [(field, getattr(self, field.name)) for field in own]
        changed = {field.metadata.get("key", field.name): value for field, value in values if value != field.default}
        texts = [f"task.{name}={_write_value(value)}" for name, value in ({"path": path} | changed).items()]
        return [f"task={type(self).__name__.lower()}", *texts]

    def _note_data(self) -> DataNote:
        ready = self.ready
        counts = {
            "training": ready.training.count,
            "evaluation": 0 if ready.evaluation is ready.training else ready.evaluation.count,
            "test": 0 if ready.test is None else ready.test.count,
        }
        shape = f"{self.timesteps} timesteps, {self.inputs} inputs, {self.outputs} outputs"
        return DataNote(
            name=type(self).__name__.lower() if self.path is None else Path(self.path).name,
            digest=self.content[:16],
            source=self.path or "memory",
            profile=", ".join(f"{count} {part}" for part, count in counts.items()) + f" sequences; {shape}",
        )

    def _choose_score(self, of_classes: Any, of_bits: Any) -> Any:
        """How answers are scored, by the read-out and the targets; None: there is no right and wrong."""
        ready, readout = self.ready, self.readout
        labelled = ready.preparation.classes is not None and self._has_labels
        if ready.target == "classes" and (readout in ("softmax", "auto") or labelled):
            return of_classes if readout != "sigmoid" else of_bits
        if ready.target != "numbers" and (readout in ("sigmoid", "auto") or labelled):
            return of_bits
        return None

    @property
    def _has_labels(self) -> bool:
        """Whether the targets were given as labels, and not as the numbers that stand for them."""
        return False


def save_content(folder: Path, content: bytes, ending: str) -> Path:
    """Write a file that is called by what it holds, where it is not there yet."""
    path = folder / f"{sha256(content).hexdigest()[:16]}{ending}"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content)
        part.replace(path)
    return path


def _write_answer(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ", ".join(f"{number:.4g}" for number in value.tolist())
    return str(value)


def _write_value(value: Any) -> str:
    """A value as Hydra's grammar has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{','.join(map(_write_value, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("\\'", "\\\\'").replace("'", "\\'") + "'"
    return repr(value)
