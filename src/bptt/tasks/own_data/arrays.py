"""The user's own data: arrays, in memory or from a file of NumPy's."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import KW_ONLY, InitVar, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue, Range
from bptt.core.sequences import Sequences
from bptt.tasks.common import OwnReadout
from bptt.tasks.own_data.array_parts import (
    PARTS,
    ArrayParts,
    LabelledSequences,
    check_arrays,
    load_arrays,
    pad_sequences,
    to_sequences,
)
from bptt.tasks.own_data.labels import Label, encode_labels, is_whole, list_classes, looks_like_classes, write_classes
from bptt.tasks.own_data.parts import OwnData, Ready, prepare_parts, save_content
from bptt.tasks.own_data.splitting import FEWEST_TO_SPLIT, USUAL_SHARE, split_places

_TIME: Final = (1980, 1, 1, 0, 0, 0)  # of every member of a file, so that equal data are equal files


@dataclass(frozen=True)
class Arrays(OwnData):
    """Sequences from arrays: `Arrays(x, y)` of those in memory, or from a NumPy .npz file.

    x             (N, T, inputs); in memory also a list of N arrays (length, inputs)
    y             numbers: (N, T, outputs), a target at every timestep; or (N, outputs), one at each sequence's last
                  timestep; or (N,), where there is one output. Labels, texts or whole numbers: (N,), one for each
                  sequence; or (N, T), one for every timestep, which whole numbers are with target_kind=classes alone
    lengths       (N,) optional: the valid timesteps of each sequence, 1..T. What stands behind them is ignored.
    eval_x, eval_y, eval_lengths   optional: the evaluation's, like the three above; their N and T are their own
    test_x, test_y, test_lengths   optional: the test's
    Numbers of any real type, finite. InvalidValue says what is wrong with them, and what to do.

    Labels become one-hot vectors, one output per class in the order of the labels; two classes have one output, 1 at
    the second, unless readout=softmax. Accuracy, where it means something: with labels the share of the scored
    timesteps that get their own; with readout=softmax and one-hot targets likewise; with readout=sigmoid and targets of
    0 and 1 the share of the scored output numbers that round right; otherwise none.

    path          the file: .npz with the arrays by their names, or .npy with x alone; None: they are in memory
    y_path        an .npy file with y, beside one with x
    order         sequential: sequence r of update u is number (u·batch + r) mod N; shuffled: every sequence once per
                  epoch, in an order drawn anew
    target_kind   numbers, classes: what y is; auto: texts are classes, so are whole numbers (N,) of few values that
                  come up often, all else is numbers
    split         random: sequences are held out at random; ordered: the last ones are
    eval_size     the share of the sequences that evaluates; None: a fifth of ten sequences or more in shuffled order,
                  and none where there is an eval_x. 0: none, the evaluation is on the training data
    test_size     the same of the test, which is looked at when a run has ended
    split_seed    draws what is held out, whatever the run's seed; of classes each part has its share
    scale_inputs  whether the inputs are standardised by the mean and the deviation in the training sequences
    scale_targets whether targets that are numbers are, too; predictions are in the data's own units again
    readout       what the loss expects; auto: what fits the targets
    """

    x: InitVar[Any] = None
    y: InitVar[Any] = None
    lengths: InitVar[Any] = None
    _: KW_ONLY
    eval_x: InitVar[Any] = None
    eval_y: InitVar[Any] = None
    eval_lengths: InitVar[Any] = None
    test_x: InitVar[Any] = None
    test_y: InitVar[Any] = None
    test_lengths: InitVar[Any] = None
    path: str | None = None
    y_path: str | None = None
    order: Literal["sequential", "shuffled"] = "shuffled"
    target_kind: Literal["auto", "numbers", "classes"] = "auto"
    split: Literal["random", "ordered"] = "random"
    eval_size: Annotated[float, Range(at_least=0, below=1)] | None = None
    test_size: Annotated[float, Range(at_least=0, below=1)] | None = None
    split_seed: Annotated[int, Range(at_least=0)] = 0
    scale_inputs: bool = False
    scale_targets: bool = False
    readout: OwnReadout = "auto"
    content: str = field(init=False, repr=False)

    def __post_init__(self, x: Any, y: Any, lengths: Any, *others: Any) -> None:
        given = dict(zip(("x", "y", "lengths", *_HELD_OUT), (x, y, lengths, *others), strict=True))
        arrays = {name: value for name, value in given.items() if value is not None}
        if arrays and self.path is not None:
            raise InvalidValue("path", self.path, "arrays were given as well; give either")
        if arrays:
            held, parts = _take(arrays)
            object.__setattr__(self, "_given", held)
        else:
            parts = load_arrays(self.path, self.y_path)
        object.__setattr__(self, "content", parts.content)
        object.__setattr__(self, "_parts", parts)
        self.ready  # noqa: B018 (what is wrong is said at once)

    @cached_property
    def ready(self) -> Ready:
        """See `OwnData.ready`."""
        parts = self.__dict__.pop("_parts", None) or load_arrays(self.path, self.y_path)
        try:
            return self._prepare(parts)
        except ValueError as error:
            if isinstance(error, InvalidValue):
                raise
            where = ("arrays", "in memory") if self.path is None else ("path", self.path)
            raise InvalidValue(*where, str(error)) from None

    def save(self, folder: Path) -> Path:
        """See `OwnData.save`."""
        arrays: dict[str, NDArray[Any]] | None = self.__dict__.get("_given")
        if arrays is None:
            raise ValueError(f"the data are in a file already: {self.path}")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, array in sorted(arrays.items()):
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", _TIME), content.getvalue())
        return save_content(folder, buffer.getvalue(), ".npz")

    @property
    def _has_labels(self) -> bool:
        return bool(self.__dict__["_labels"])

    def _prepare(self, parts: ArrayParts) -> Ready:
        given = [part for part in (parts.training, parts.evaluation, parts.test) if part is not None]
        labelled, told = self._find_kind(parts.training)
        said = [told] if told else []
        classes: tuple[Label, ...] | None = None
        if labelled:
            targets = [_shape_labels(part) for part in given]
            classes = list_classes([_select_labels(part, y) for part, y in zip(given, targets, strict=True)])
            codes = [_encode(part, y, classes) for part, y in zip(given, targets, strict=True)]
            said = [f"y: {write_classes(classes)}{told}"]
        else:
            codes = [part.y[:, None] if part.y.ndim == 1 else part.y for part in given]
        object.__setattr__(self, "_labels", labelled)
        made = iter([to_sequences(part, y, prefix) for part, y, prefix in zip(given, codes, _name(parts), strict=True)])
        whole = [None if part is None else next(made) for part in (parts.training, parts.evaluation, parts.test)]
        split, counted = self._split(whole, labelled)
        said += counted
        training = split[0]
        assert training is not None
        count = 1 if training.y.ndim < 2 else training.y.shape[-1]
        return prepare_parts(
            split,
            inputs=tuple(f"x{i}" for i in range(training.x.shape[-1])),
            targets=("y",) if labelled or count == 1 else tuple(f"y{i}" for i in range(count)),
            classes=classes,
            shares_output=self.readout != "softmax",
            scale_inputs=self.scale_inputs,
            scale_targets=self.scale_targets,
            remarks=said,
        )

    def _find_kind(self, part: LabelledSequences) -> tuple[bool, str]:
        """Whether y holds labels, and what is said of it."""
        y, kind = part.y, self.target_kind
        if y.dtype.kind in "US":
            if kind == "numbers":
                raise InvalidValue("target_kind", kind, f"y holds texts, as {str(y.ravel()[0])!r}; use classes")
            return True, ""
        if kind == "classes":
            if y.dtype.kind != "b" and not is_whole(y):
                raise InvalidValue("target_kind", kind, f"y holds {y.dtype} that are not whole; use numbers")
            return True, ""
        if kind == "auto" and y.ndim == 1 and (y.dtype.kind == "b" or (y.dtype.kind in "iu" and looks_like_classes(y))):
            return True, "; task.target_kind=numbers takes them for numbers" if y.dtype.kind in "iu" else ""
        if y.ndim == 2 and y.shape == part.x.shape[:2] and y.shape[1] > 1:
            return False, (
                f"y of shape {y.shape}: {y.shape[1]} outputs at the last timestep; a target at every timestep is"
                " y[:, :, None], a label task.target_kind=classes"
            )
        return False, ""

    def _split(self, parts: list[Sequences | None], labelled: bool) -> tuple[list[Sequences | None], list[str]]:
        """The parts, with what is held out of the training's sequences, and what is said of it."""
        whole = parts[0]
        assert whole is not None
        usual = USUAL_SHARE if whole.count >= FEWEST_TO_SPLIT and self.order == "shuffled" else 0.0
        shares = []
        for key, size, part in (("eval_size", self.eval_size, parts[1]), ("test_size", self.test_size, parts[2])):
            if size and part is not None:
                raise InvalidValue(key, size, f"the arrays have {key.removesuffix('_size')}_x already; use null")
            shares.append(0.0 if part is not None else usual if size is None else size)
        if self.test_size is None and parts[1] is not None:
            shares[1] = 0.0  # who brought an evaluation would have brought a test
        if not any(shares):
            return parts, []
        classes = np.asarray(whole.y[:, 0], np.int64) if labelled and whole.last_only else None
        try:
            split = split_places(
                whole.count, *shares, seed=self.split_seed if self.split == "random" else None, labels=classes
            )
        except ValueError as error:
            raise InvalidValue("eval_size" if shares[0] else "test_size", max(shares), str(error)) from None
        found = [_pick(whole, split.training), parts[1], parts[2]]
        for place, chosen in ((1, split.evaluation), (2, split.test)):
            if len(chosen):
                found[place] = _pick(whole, chosen)
        how = "drawn by task.split_seed" if self.split == "random" else "the last ones"
        alike = ", classes in equal shares" if classes is not None and self.split == "random" else ""
        counts = f"{len(split.evaluation):,} evaluate, {len(split.test):,} test"
        return found, [f"{len(split.training):,} sequences train, {counts}: {how}{alike}"]


_HELD_OUT: Final = tuple(f"{part}{name}" for part in PARTS[1:] for name in ("x", "y", "lengths"))


def _take(arrays: Mapping[str, Any]) -> tuple[dict[str, NDArray[Any]], ArrayParts]:
    """Arrays in memory, as they are saved, and what they hold."""
    try:
        held = _pad(arrays)
        return held, check_arrays(held)
    except ValueError as error:
        raise InvalidValue("arrays", "in memory", str(error)) from None


def _pad(arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Arrays of what was given in memory: lists of sequences side by side, with their lengths."""
    found: dict[str, NDArray[Any]] = {}
    for name, value in arrays.items():
        prefix = name.rpartition("_")[0]
        lengths = f"{prefix}_lengths".lstrip("_")
        ragged = (
            isinstance(value, list | tuple)
            and len({len(one) if hasattr(one, "__len__") and not isinstance(one, str) else 0 for one in value}) > 1
        )
        if ragged:
            found[name], known = pad_sequences(value, name)
            found.setdefault(lengths, known)
        else:
            array = np.asarray(value)
            found[name] = _make_texts(array, name) if array.dtype.kind == "O" and name.endswith("y") else array
    return found


def _make_texts(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Texts of objects, which pandas and lists have for texts. Raises ValueError where one is missing."""
    missing = [label is None or label != label for label in labels.ravel().tolist()]
    if any(missing):
        raise ValueError(f"{name} holds a missing label, number {missing.index(True)}")
    return np.asarray(labels, str)


def _name(parts: ArrayParts) -> list[str]:
    there = (parts.training, parts.evaluation, parts.test)
    return [prefix for prefix, part in zip(PARTS, there, strict=True) if part is not None]


def _shape_labels(part: LabelledSequences) -> NDArray[Any]:
    """(N,) or (N, T) labels."""
    y = part.y[..., 0] if part.y.ndim > 1 and part.y.shape[-1] == 1 else part.y
    if y.shape not in {part.x.shape[:1], part.x.shape[:2]}:
        raise ValueError(
            f"y has shape {part.y.shape}; labels are (N,), one for each sequence, or (N, T), one for every timestep"
        )
    return y


def _select_labels(part: LabelledSequences, y: NDArray[Any]) -> NDArray[Any]:
    if y.ndim == 1 or part.lengths is None:
        return y
    return y[np.arange(y.shape[1]) < part.lengths[:, None]]


def _encode(part: LabelledSequences, y: NDArray[Any], classes: tuple[Label, ...]) -> NDArray[Any]:
    """The places of classes, (N, 1) or (N, T, 1); behind a sequence's end the first."""
    if y.ndim == 1 or part.lengths is None:
        return encode_labels(y, classes)[..., None]
    inside = np.arange(y.shape[1]) < part.lengths[:, None]
    found = np.zeros(y.shape, np.int64)
    found[inside] = encode_labels(y[inside], classes)
    return found[..., None]


def _pick(sequences: Sequences, places: NDArray[np.int64]) -> Sequences:
    lengths = None if sequences.lengths is None else sequences.lengths[places]
    return Sequences(sequences.x[places], sequences.y[places], lengths)
