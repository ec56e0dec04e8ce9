"""A trained recurrent network: what it gives for sequences, in NumPy alone. `bptt export` writes this file beside the
weights; it needs Python and numpy, neither bptt nor MLflow.

    python predict.py data.csv -o out.csv   where it was trained on a table: the columns of the inputs, by their names
    python predict.py x.npy -o out.npz      x.npy: (N, T, inputs); x.npz: x, and lengths where sequences differ
    network = RecurrentNetwork.load("model"); network.predict(x)

    input   (N, T, inputs): numbers in the data's own units, scaled here where the network was trained on scaled ones;
            otherwise as the run's task encodes them: a symbol, where it has any, is one-hot in the order of the
            `vocabulary` in MLmodel's metadata
    output  (N, T, outputs), or (N, outputs) where the network was trained on the last timestep alone, in the data's own
            units; of classes a dict: `label` (N, T) or (N,), and `probability` (N, T, classes) or (N, classes), in the
            order of the `classes` in artifacts/network.json (`score` where the read-out gives no probabilities)
    lengths (N,): valid timesteps of each sequence, 1..T; none: all T. What stands behind them is ignored, and the
            output there is what it was before the first timestep.
    from_zero, of a network whose state was carried from update to update while it was trained: true to start
            from zero, as such a network's training did; else sequence n starts from row n mod batch of the state with
            which training ended, as the evaluation did.

Where MLflow loads this file, as of an MLflow model, `predict` takes lengths and from_zero as params.
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outputs = NDArray[np.float64] | dict[str, NDArray[Any]]


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + e^(−z))."""
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-z))


def softmax(z: Floats) -> Floats:
    """e^(z_o − max z) / Σ e^(z − max z)."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def relu(z: Floats) -> Floats:
    """max(z, 0)."""
    return np.maximum(z, 0.0)


def identity(z: Floats) -> Floats:
    """The same z."""
    return z


FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "identity": identity,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "softmax": softmax,
}


#: Texts that stand for a value that is missing, as pandas reads them.
_NOT_KNOWN = ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A")
MISSING = frozenset(("", *_NOT_KNOWN, "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
WHOLE = re.compile(r"[+-]?[0-9]+")
DATE = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})(?:[-/]([0-9]{1,2}))?([T ].*)?")


class RecurrentNetwork:
    """A stack of recurrent layers with a read-out; everything multiplies from the left, x @ W.

    weights      name → array, and `state`, (batch, numbers), from which sequences start
    config       cell, activation, readout, bias, layers, inputs, hidden_size, outputs, last_only, carried
    preparation  what was done to the data: input_mean and input_scale (inputs,), target_mean and target_scale
                 (outputs,), classes in the order of the outputs; None: nothing
    """

    def __init__(
        self, weights: Mapping[str, Floats], config: Mapping[str, Any], preparation: Mapping[str, Any] | None = None
    ) -> None:
        self._weights = dict(weights)
        self._start: Floats = self._weights.pop("state")
        self.config, self.preparation = config, preparation

    @classmethod
    def load(cls, folder: "str | Path") -> "RecurrentNetwork":
        """The network in a folder that `bptt export` wrote."""
        within = Path(folder) / "artifacts"
        with np.load(within / "weights.npz", allow_pickle=False) as arrays:
            weights = {name: arrays[name] for name in arrays.files}
        known = json.loads((within / "network.json").read_text(encoding="utf-8"))
        return cls(weights, known["config"], known["preparation"])

    def predict(self, x: Any, lengths: Any = None, from_zero: bool = False) -> Outputs:
        """What it gives for sequences, in the data's own units. Raises ValueError where shapes don't fit."""
        return self.restore(self.compute(self.prepare(x), lengths, from_zero))

    def prepare(self, x: Any) -> Floats:
        """Inputs in their own units → as the network takes them."""
        x = np.asarray(x, np.float64)
        if x.ndim != 3 or x.shape[2] != self.config["inputs"]:
            raise ValueError(f"x has shape {x.shape}; (N, T, {self.config['inputs']}) is needed")
        if self.preparation is None:
            return x
        scaled: Floats = (x - self.preparation["input_mean"]) / self.preparation["input_scale"]
        return scaled

    def restore(self, output: Floats) -> Outputs:
        """What the network gave → in the data's own units, or labels."""
        known = self.preparation
        if known is None:
            return output
        if known["classes"] is None:
            restored: Floats = output * known["target_scale"] + np.asarray(known["target_mean"])
            return restored
        # A single output is the share of the second of two classes.
        scores = np.concatenate([1.0 - output, output], axis=-1) if output.shape[-1] == 1 else output
        name = "probability" if self.config["readout"] in ("softmax", "sigmoid") else "score"
        return {"label": np.array(known["classes"])[scores.argmax(axis=-1)], name: scores}

    def compute(self, x: Floats, lengths: Any = None, from_zero: bool = False) -> Floats:
        """The network's own output of what `prepare` gave. Raises ValueError where the lengths don't fit the input."""
        batch, timesteps, _ = x.shape
        given = np.asarray(() if lengths is None else lengths, np.int64)
        if not given.size:
            given = np.full(batch, timesteps)
        if given.shape != (batch,) or not np.isin(given, np.arange(1, timesteps + 1)).all():
            raise ValueError(f"lengths={given.tolist()}: {batch} whole numbers of 1 to {timesteps} are needed")
        start = np.zeros_like(self._start) if from_zero else self._start
        return self._outputs(x, given, start[np.arange(batch) % len(start)])

    def _outputs(self, x: Floats, lengths: NDArray[np.int64], start: Floats) -> Floats:
        """From start, (N, numbers): each layer's state, one after the other, then the output."""
        layers = self.config["layers"]
        columns = start.shape[1] - self.config["outputs"]
        states, output = np.split(start[:, :columns], layers, axis=1), start[:, columns:]
        outputs = np.repeat(output[:, None], x.shape[1], axis=1)
        for t in range(x.shape[1]):
            live = (t < lengths)[:, None]
            below, before = x[:, t], output
            for layer in range(layers):
                new = self._step(layer, below, states[layer], before)
                states[layer] = np.where(live, new, states[layer])
                below = states[layer][:, : self.config["hidden_size"]]
            output = np.where(live, self._read_out(below), before)
            outputs[:, t] = np.where(live, output, outputs[:, t])
        return output if self.config["last_only"] else outputs

    def _step(self, layer: int, x: Floats, state: Floats, output: Floats) -> Floats:
        """The new state of a layer: h, or h and c side by side for LSTM; `output` is the network's previous one."""
        p = {key: self._weights.get(f"cell.{layer}.{key}", 0.0) for key in ("bias", "recurrent_bias")}
        W, R = self._weights[f"cell.{layer}.input"], self._weights[f"cell.{layer}.recurrent"]
        cell = self.config["cell"]
        if cell == "gru":
            x_r, x_z, x_n = np.split(x @ W + p["bias"], 3, axis=1)
            h_r, h_z, h_n = np.split(state @ R + p["recurrent_bias"], 3, axis=1)
            r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
            n = np.tanh(x_n + r * h_n)
            return n + z * (state - n)
        if cell == "lstm":
            h, c = np.split(state, 2, axis=1)
            i, f, g, o = np.split(x @ W + h @ R + p["bias"] + p["recurrent_bias"], 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return np.concatenate([sigmoid(o) * np.tanh(c), c], axis=1)
        context = output if cell == "jordan" else state
        r = FUNCTIONS[self.config["activation"]](x @ W + context @ R + p["bias"] + p["recurrent_bias"])
        return (1.0 - self.config["leak"]) * state + self.config["leak"] * r if cell == "leaky" else r

    def _read_out(self, h: Floats) -> Floats:
        if self.config["readout"] == "none":
            return h
        z = h @ self._weights["readout.weight"] + self._weights.get("readout.bias", 0.0)
        return FUNCTIONS[self.config["readout"]](z)


def read_table_rows(path: str, cutting: Mapping[str, Any]) -> dict[str, Any]:
    """The sequences of a .csv file, cut as the table was that the network was trained on: x, lengths, names, rows.

    Each sequence, or window, is there whose inputs are, also where its target is yet to come; rows (N, T), or (N,)
    where the network answers at the end, are those, from 1, that answers are of (0 of several series: yet to come).
    Raises ValueError with one line.
    """
    known, rows = _read_csv(path)
    needed = [*cutting["inputs"], *filter(None, (cutting["sequence"], cutting["time"]))]
    for name in needed:
        if name not in known:
            raise ValueError(f"{path}: column {name!r}: no such column (columns: {', '.join(known)})")
    if not rows:
        raise ValueError(f"{path}: holds no row")
    if cutting["row"] == "sequence":  # the inputs are the timesteps; behind a sequence's end nothing stands
        ends = [max([0, *(i for i, n in enumerate(cutting["inputs"], 1) if row[n] not in MISSING)]) for row in rows]
        own = [[*cutting["inputs"]][: max(1, end)] for end in ends]
        numbers = [[_read_number(row[n], n, i, path) for n in own[i - 1]] for i, row in enumerate(rows, 1)]
        x = np.array([[*given, *[0.0] * (max(ends) - len(given))] for given in numbers])
        return {"x": x[:, :, None], "lengths": np.array(ends), "rows": np.arange(len(rows)) + 1}
    values = np.array([[_read_number(row[n], n, i, path) for n in cutting["inputs"]] for i, row in enumerate(rows, 1)])
    groups: dict[Any, list[int]] = {}
    for place, name in enumerate(_read_names(rows, cutting["sequence"], path)):
        groups.setdefault(name, []).append(place)
    if cutting["time"] is not None:
        times = _read_times(rows, cutting["time"], path)
        for places in groups.values():
            places.sort(key=times.__getitem__)
            for first, second in pairwise(places):
                if times[first] == times[second]:
                    told = f"rows {first + 1} and {second + 1} have the same time; which is first?"
                    raise ValueError(f"{path}: column {cutting['time']!r}: {told}")
    horizon = cutting["horizon"]
    whole = cutting["sequence"] is None and [*groups.values()] == [[*range(len(rows))]]
    later = np.arange(len(rows)) + horizon + 1 if whole else np.zeros(len(rows), np.int64)
    cut: list[list[int]] = []
    names: list[Any] = []
    for name, places in groups.items():
        if not whole:
            later[places[: len(places) - horizon]] = np.array(places[horizon:], np.int64) + 1
        window, stride = cutting["window"] or len(places), cutting["stride"] if cutting["each"] == "timestep" else 1
        own = [places[start : start + window] for start in range(0, len(places) - window + 1, stride)]
        cut += own
        names += [name] * len(own)
    if not cut:
        raise ValueError(f"{path}: has too few rows; a window of the network has {cutting['window']:,}")
    lengths = np.array([len(places) for places in cut])
    steps = np.array([places + places[-1:] * (lengths.max() - len(places)) for places in cut])
    found = later[steps] if cutting["each"] == "timestep" else later[steps[np.arange(len(steps)), lengths - 1]]
    return {"x": values[steps], "lengths": lengths, "rows": found} | ({"names": names} if cutting["sequence"] else {})


def _read_csv(path: str) -> tuple[list[str], list[dict[str, str]]]:
    """The names of the columns, and the rows, of texts without blanks around them."""
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        header = re.sub(r'"[^"]*"', "", next((line for line in file if line.strip()), ""))
        file.seek(0)
        delimiter = max(",;\t|", key=header.count)
        lines = [
            line for line in csv.reader(file, delimiter=delimiter, skipinitialspace=True) if line not in ([], [""])
        ]
    names = [name.strip() for name in lines[0]] if lines else []
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: has column {name!r} twice")
    for row, line in enumerate(lines[1:], 1):
        if len(line) > len(names):
            raise ValueError(f"{path}: row {row} has {len(line)} values, the header {len(names)}")
    whole = [[*line, *[""] * (len(names) - len(line))] for line in lines[1:]]
    return names, [{name: text.strip() for name, text in zip(names, line, strict=True)} for line in whole]


def _read_number(text: str, name: str, row: int, path: str) -> float:
    if text in MISSING:
        raise ValueError(f"{path}: column {name!r}, row {row}: a value is missing")
    if (truth := text.lower()) in ("true", "false"):
        return float(truth == "true")
    value = _to_number(text)
    if value is None:
        raise ValueError(f"{path}: column {name!r}, row {row}: {text!r} is no number")
    if not np.isfinite(value):
        raise ValueError(f"{path}: column {name!r}, row {row}: is {value}; every number must be finite")
    return value


def _to_number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _read_names(rows: list[dict[str, str]], column: str | None, path: str) -> list[Any]:
    """What each row's sequence is called: 1 and 01 are one number where all are numbers."""
    if column is None:
        return [""] * len(rows)
    texts = _read_there(rows, column, path)
    numbers = [value for text in texts if (value := _to_number(text)) is not None]
    if len(numbers) < len(texts):
        return texts
    return [int(text) for text in texts] if all(map(WHOLE.fullmatch, texts)) else numbers


def _read_times(rows: list[dict[str, str]], column: str, path: str) -> list[Any]:
    """By what rows are ordered: numbers where all are, else times as 2026-12-31T23:59:59, or a part of that."""
    texts = _read_there(rows, column, path)
    numbers = [value for text in texts if (value := _to_number(text)) is not None]
    if len(numbers) == len(texts):
        return numbers
    found = []
    for row, text in enumerate(texts, 1):
        parts = DATE.fullmatch(text)
        try:
            year, month, day, rest = parts.groups() if parts else ("", "", "", "")
            iso = f"{year}-{int(month):02d}-{int(day or 1):02d}{(rest or '').replace(' +', '+')}" if parts else text
            time = datetime.fromisoformat(iso)
        except ValueError:
            told = f"{text!r} is no time that can be ordered"
            raise ValueError(f"{path}: column {column!r}, row {row}: {told}") from None
        found.append(time if time.tzinfo else time.replace(tzinfo=UTC))
    return found


def _read_there(rows: list[dict[str, str]], column: str, path: str) -> list[str]:
    for row, values in enumerate(rows, 1):
        if values[column] in MISSING:
            raise ValueError(f"{path}: column {column!r}, row {row}: a value is missing")
    return [values[column] for values in rows]


def list_rows(network: RecurrentNetwork, given: Mapping[str, Any], made: Outputs) -> dict[str, list[Any]]:
    """Column → a value for each answer: sequence, timestep where each has one, row, prediction, scores of labels."""
    label = made["label"] if isinstance(made, dict) else None
    answers: NDArray[Any] = made if not isinstance(made, dict) else made["label"][..., None]
    lengths = given.get("lengths")
    count, steps = given["x"].shape[:2]
    if network.config["last_only"]:
        places: Any = (np.arange(count),)
    else:
        places = np.nonzero(
            np.arange(steps) < np.asarray(np.full(count, steps) if lengths is None else lengths)[:, None]
        )
    names = given.get("names")
    columns = {"sequence": places[0].tolist() if names is None else [names[place] for place in places[0]]}
    columns |= {"timestep": places[1].tolist()} if len(places) > 1 else {}
    columns |= {"row": np.asarray(given["rows"])[places].tolist()} if given.get("rows") is not None else {}
    known = network.preparation or {}
    targets = known.get("targets") or ()
    several = answers.shape[-1] > 1
    for place in range(answers.shape[-1]):
        name = f"prediction_{targets[place] if len(targets) > place else place}" if several else "prediction"
        columns[name] = answers[(*places, place)].tolist()
    if isinstance(made, dict) and label is not None:
        score = next(name for name in made if name != "label")
        for place, one in enumerate(known["classes"]):
            columns[f"{score}_{one}"] = made[score][(*places, place)].tolist()
    return columns


def run_file(argv: list[str]) -> int:
    """Predict for what is in a file. 0: it is written, 2: what is wrong is said in a line."""
    parser = argparse.ArgumentParser(description="Predicts with the network beside this file; numpy is all it needs.")
    parser.add_argument(
        "data", help="x.npy: (N, T, inputs); x.npz: x, and lengths where sequences differ; of a table also a .csv file"
    )
    parser.add_argument("-o", "--output", required=True, help="out.csv; out.npz; out.npy of numbers")
    args = parser.parse_args(argv)
    try:
        network = RecurrentNetwork.load(Path(__file__).parent)
        given = _read_file(args.data, network)
        made = network.predict(given["x"], given.get("lengths"))
        _write_file(args.output, network, given, made)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _read_file(path: str, network: RecurrentNetwork) -> dict[str, Any]:
    if not path.endswith((".npz", ".npy")):
        cutting = (network.preparation or {}).get("cutting")
        if cutting is None or not path.endswith((".csv", ".tsv", ".txt")):
            raise ValueError(f"{path}: must end in .npz or .npy" + (", or .csv" if cutting else ""))
        return read_table_rows(path, cutting)
    held = np.load(path, allow_pickle=False)
    given = {"x": held} if isinstance(held, np.ndarray) else {name: held[name] for name in held.files}
    if "x" not in given:
        raise ValueError(f"{path}: holds no array x; there are: {', '.join(given) or 'none'}")
    return {name: given[name] for name in ("x", "lengths") if name in given}


def _write_file(path: str, network: RecurrentNetwork, given: Mapping[str, Any], made: Outputs) -> None:
    if path.endswith(".csv"):
        columns = list_rows(network, given, made)
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    elif path.endswith(".npz"):
        np.savez(path, allow_pickle=False, **(made if isinstance(made, dict) else {"prediction": made}))
    elif path.endswith(".npy") and not isinstance(made, dict):
        np.save(path, made)
    else:
        raise ValueError(f"{path}: must end in .csv or .npz" + ("" if isinstance(made, dict) else ", or in .npy"))


if __name__ == "__main__":
    sys.exit(run_file(sys.argv[1:]))

if "mlflow" in sys.modules:  # where MLflow loads this file, it wants a model of its own kind
    from mlflow.exceptions import MlflowException
    from mlflow.models import set_model
    from mlflow.pyfunc.model import PythonModel

    class ServedNetwork(PythonModel):
        """The network as MLflow calls it."""

        def load_context(self, context: Any) -> None:
            """Read what was trained."""
            self._network = RecurrentNetwork.load(Path(context.artifacts["weights"]).parents[1])

        def predict(
            self,
            context: Any,  # noqa: ARG002 (a part of what MLflow calls)
            model_input: np.ndarray,
            params: Mapping[str, Any] | None = None,
        ) -> Any:
            """What `RecurrentNetwork.predict` gives. Raises MlflowException where the input doesn't fit."""
            given = params or {}
            try:
                return self._network.predict(model_input, given.get("lengths"), bool(given.get("from_zero")))
            except ValueError as error:
                raise MlflowException.invalid_parameter_value(str(error)) from None

    set_model(ServedNetwork())
