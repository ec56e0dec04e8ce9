"""What was done to the numbers of one's own data before training, kept with the network, and undone in what it says."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.tasks.own_data.cutting import Cutting

#: How a remark begins where no data are held out.
EVALUATED_ON_TRAINING: Final = "EVALUATED ON THE TRAINING DATA"


@dataclass(frozen=True, kw_only=True)
class DataNote:
    """Which data a network was trained on.

    name     of the file, or `arrays` or `table` of what was in memory
    digest   16 hexadecimal digits of the hash of what they hold
    source   the file's path as it was given, or memory
    profile  what they are, in words
    """

    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What stands between the data's own numbers and a network's.

    inputs        names of the inputs, in the order of the network's
    input_mean, input_scale  (inputs,): what the network sees of x is (x − mean) / scale
    targets       names of the targets; of classes the one column
    target_mean, target_scale  (outputs,): what it says of an output is output · scale + mean; 0 and 1 of classes
    classes       labels in the order of the outputs; where two share one output, the second is 1; None: numbers
    kind          what the targets are
    cutting       how a table is cut into sequences; None: the data were arrays
    each          what has a target, and gets an answer: every timestep, or every sequence at its last one
    remarks       what was said of the data: what was taken for what, how they were split, what may be wrong
    data          which data they were; None: that was not noted
    """

    inputs: tuple[str, ...]
    input_mean: tuple[float, ...]
    input_scale: tuple[float, ...]
    targets: tuple[str, ...]
    target_mean: tuple[float, ...]
    target_scale: tuple[float, ...]
    classes: tuple[int | str, ...] | None
    kind: Literal["numbers", "classes"]
    cutting: Cutting | None = None
    each: Literal["timestep", "sequence"] = "sequence"
    remarks: tuple[str, ...] = ()
    data: DataNote | None = None

    @property
    def scales(self) -> bool:
        """Whether any number is another one for the network than in the data."""
        means, scales = (*self.input_mean, *self.target_mean), (*self.input_scale, *self.target_scale)
        return any(mean != 0 for mean in means) or any(scale != 1 for scale in scales)

    def prepare(self, x: Any) -> NDArray[np.float64]:
        """Inputs (…, inputs) in the data's own units → as the network takes them."""
        return (np.asarray(x, np.float64) - np.asarray(self.input_mean)) / np.asarray(self.input_scale)

    def restore(self, output: Any) -> NDArray[Any]:
        """Outputs (…, outputs) → predictions: numbers (…, outputs) in the data's own units, or labels (…).

        Of equal outputs, the first is the largest; where two classes share an output, above one half it is the second.
        Labels are int64, or Python's texts in an array of objects. A diverged network's NaN stays NaN among numbers,
        and is the first label.
        """
        output = np.asarray(output, np.float64)
        if self.classes is None:
            return output * np.asarray(self.target_scale) + np.asarray(self.target_mean)
        labels = make_label_array(self.classes)
        return labels[self.choose(output)]

    def choose(self, output: NDArray[np.float64]) -> NDArray[np.int64]:
        """Outputs (…, outputs) → the places (…) of their classes among `classes`."""
        if output.shape[-1] == 1:
            return np.asarray(output[..., 0] > 0.5, np.int64)
        return np.asarray(np.where(np.isnan(output), -np.inf, output).argmax(axis=-1), np.int64)

    def to_json(self) -> str:
        """All of it as JSON: the same text for equal ones; every number is read back to the bit."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Preparation":
        """What `to_json` wrote. Raises ValueError for any other text."""
        try:
            found = json.loads(text)
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
            }
            cutting, data = values.pop("cutting"), values.pop("data")
            made = cls(
                **values,
                cutting=None if cutting is None else Cutting.from_plain(cutting),
                data=None if data is None else DataNote(**data),
            )
            made._check()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"says nothing of how data were prepared ({' '.join(str(error).split())[:200]})") from None
        return made

    def _check(self) -> None:
        for name in (field.name for field in fields(self) if field.name.endswith(("_mean", "_scale"))):
            if not all(type(number) in (int, float) for number in getattr(self, name)):
                raise ValueError(f"{name} holds what is no number")
        for part, names in (("input", self.inputs), ("target", self.target_mean)):
            if not len(getattr(self, f"{part}_mean")) == len(getattr(self, f"{part}_scale")) == len(names):
                raise ValueError(f"{part}_mean and {part}_scale differ in length")
        if self.kind not in ("numbers", "classes") or (self.kind == "classes") != (self.classes is not None):
            raise ValueError(f"kind={self.kind!r}")


def make_label_array(classes: tuple[int | str, ...]) -> NDArray[Any]:
    """Labels (classes,): int64 where all are whole numbers, else objects."""
    whole = all(isinstance(label, int) for label in classes)
    return np.array(classes, np.int64 if whole else object)
