"""Short runs in which every two choices meet: of each group of `conf`, and of settings that take another way.

Choices are found in `conf`, so one that is added has its runs. A run is made of the files' own values, without Hydra,
so that it is made alike on a machine that has little more than NumPy and Numba.
"""

import hashlib
import importlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from bptt.core.evaluation import predict
from bptt.core.inits.initialisation import Initialisation
from bptt.core.parameters import list_parameters, to_named
from bptt.core.random import Generator
from bptt.core.run import Run, Settings, seed_of
from bptt.core.training import WORK, train

TABLE = Path(__file__).with_name("bits.json")
CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("task", "model", "init", "optimizer", "schedule", "regularizer", "clip")
#: Values of keys that no group chooses; a choice without the key has none of them.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "model.activation": ("tanh", "sigmoid", "relu", "identity"),
    "model.bias": ("single", "none", "double"),
    "model.layers": (1, 2),
    "model.hidden_size": (5, 17),
    "train.batch_size": (1, 3, 20),
    "train.truncation": (None, 2),
    "train.carry_state": (False, True),
    "train.log_spacing": ("linear", "log"),
    "optimizer.weight_decay": (0.0, 0.05),
    "optimizer.noise": (0.0, 0.01),
    "model.noise": (0.0, 0.3),
    "model.dale": (None, 0.6),
}
#: Values that a run's name leaves out, of keys that there were not when the first rows were written.
UNWRITTEN = {"optimizer.weight_decay": 0.0, "optimizer.noise": 0.0, "model.noise": 0.0, "model.dale": None}
#: Metrics that there were not when the first rows were written, of runs whose regularizer does not name them.
UNHASHED = {"grad/omega", *WORK}
#: The same of what there is one number of, of a task that says what its targets are.
FITS = {
    f"{name}/{part}" for name in ("rmse", "mae", "r2", "balanced_accuracy", "log_loss") for part in ("eval", "test")
}
#: Read by pandas or from scikit-learn's files, which such a machine need not have; what is computed of them is as of
#: `arrays`.
LEFT_OUT = {"digits", "table"}
#: Tasks and starts of which one run is enough: how networks are trained does not hang on what they draw.
ONCE = {
    "legacy",
    *("anbn", "delayed_xor", "dyck", "flip_flop", "latch", "lorenz", "mackey_glass", "match_to_sample", "memorization"),
    *("multiplication", "narma", "parity", "perceptual_decision", "permutation", "random_labels"),
}
#: What makes a task small, where it has the key.
SMALL = {"length": 10, "eval_size": 7, "test_size": 5, "window": 6, "windows": 30, "count": 20}
UPDATES = 12

Choice = tuple[tuple[str, Any], ...]


def list_choices() -> list[Choice]:
    """Choices of a value for each axis, such that any two values that can meet do so in one of them.

    The table's come first, as far as they still can be: a choice that is added adds rows, and changes none.
    """
    axes: dict[str, tuple[Any, ...]] = {
        group: tuple(sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem not in LEFT_OUT))
        for group in GROUPS
    } | SETTINGS
    missing = {
        pair
        for first, second in itertools.combinations(axes, 2)
        for pair in itertools.product(((first, value) for value in axes[first]), ((second, v) for v in axes[second]))
        if can_meet(pair) and (ONCE.isdisjoint(value for _, value in pair) or ("model", "gru") in pair)
    }
    found = [choice for name in json.loads(TABLE.read_text(encoding="utf-8")) if (choice := _read_name(name, axes))]
    missing -= {pair for choice in found for pair in itertools.combinations(choice, 2)}
    while missing:
        chosen = dict(min(missing, key=repr))
        for axis, values in axes.items():
            if axis not in chosen:
                fitting = [value for value in values if can_meet((*chosen.items(), (axis, value)))]
                chosen[axis] = max(fitting, key=lambda value: _count_new(chosen, (axis, value), missing))
        found.append(tuple((axis, chosen[axis]) for axis in axes))
        missing -= set(itertools.combinations(found[-1], 2))
    return found


def choose(only: str | None, every: int) -> list[Choice]:
    """One in `every` of the choices that have the value `only`, as `model=linear`; None: of all."""
    return [choice for choice in list_choices() if only is None or only in name_of(choice).split()][::every]


def _read_name(name: str, axes: Mapping[str, tuple[Any, ...]]) -> Choice | None:
    """The choice that `name_of` calls so; None where there are no such values any more."""
    written = dict(part.partition("=")[::2] for part in name.split(" "))
    found = []
    for axis, values in axes.items():
        known = {_write_value(value): value for value in values}
        said = written.pop(axis, _write_value(UNWRITTEN.get(axis, "")))
        if said not in known:
            return None
        found.append((axis, known[said]))
    return None if written or not can_meet(tuple(found)) else tuple(found)


def _count_new(chosen: Mapping[str, Any], added: tuple[str, Any], missing: set[Any]) -> int:
    return sum((other, added) in missing or (added, other) in missing for other in chosen.items())


def can_meet(choice: tuple[tuple[str, Any], ...]) -> bool:
    """Whether values make sense together: a schedule needs an α that it can scale, and regularizers and solvers what
    they say.
    """
    chosen = dict(choice)
    schedule, optimizer = chosen.get("schedule", "constant"), chosen.get("optimizer")
    scales = schedule == "constant" or optimizer is None or "alpha" in read("optimizer", optimizer)
    of_leaky = any(chosen.get(key, UNWRITTEN[key]) != UNWRITTEN[key] for key in ("model.noise", "model.dale"))
    model, one_window = chosen.get("model", "leaky" if of_leaky else None), chosen.get("train.truncation") is None
    fits = {
        "omega": model in (None, "elman", "linear") and one_window,
        "orthogonality": model != "jordan",
    }
    solvable = optimizer != "hessian_free" or (
        model not in ("jordan", "leaky")
        and {chosen.get("clip", "none"), chosen.get("regularizer", "none")} == {"none"}
        and one_window
        and not chosen.get("train.carry_state")
    )
    has_units = model == "leaky" or not of_leaky
    return scales and has_units and solvable and fits.get(chosen.get("regularizer", ""), True)


def read(group: str, name: str) -> dict[str, Any]:
    """The values of a choice, as its file has them."""
    return deepcopy(_parse(CONF / group / f"{name}.yaml"))


@cache
def _parse(file: Path) -> dict[str, Any]:
    return dict(OmegaConf.to_container(OmegaConf.load(file)))  # type: ignore[arg-type]


def name_of(choice: Choice) -> str:
    """A choice as overrides."""
    return " ".join(f"{key}={_write_value(value)}" for key, value in choice if value != UNWRITTEN.get(key, ...))


def _write_value(value: Any) -> str:
    return "null" if value is None else str(value)


def make_run(choice: Choice, folder: Path) -> Run:
    """The run of a choice; files that it reads are written into a folder."""
    chosen = dict(choice)
    parts = {group: read(group, chosen[group]) for group in GROUPS} | {"train": read("train", "default")}
    return _build(chosen, parts, folder)


def _build(chosen: Mapping[str, Any], parts: dict[str, dict[str, Any]], folder: Path) -> Run:
    task = parts["task"]
    loss = next(
        (part["override /loss@_global_.loss"] for part in task.pop("defaults", []) if isinstance(part, dict)), None
    )
    task |= {key: value for key, value in SMALL.items() if key in task}
    if chosen["task"] == "arrays":
        task |= {"path": str(_write_arrays(folder)), "eval_size": 0, "test_size": 0, "readout": "identity"}
        loss = "squared_error"
    for key in SETTINGS:
        group, _, field = key.partition(".")
        if field in parts.get(group, {}):
            parts[group][field] = chosen[key]
    parts["model"]["readout"] = task["readout"]
    settings = Settings(
        updates=UPDATES,
        log_points=4,
        **{key: parts["train"][key] for key in ("batch_size", "truncation", "carry_state", "log_spacing")},
    )
    made = {group: instantiate(parts[group]) for group in GROUPS if group != "init"}
    made["loss"] = instantiate(read("loss", loss or "squared_error"))
    blocks = list_parameters(made["model"], made["task"].inputs, made["task"].outputs)
    if chosen["init"] == "file":
        parts["init"]["path"] = str(_write_parameters(folder, blocks))
    return Run(init=Initialisation(instantiate(parts["init"])), train=settings, seed=3, **made)


def instantiate(values: Mapping[str, Any]) -> Any:
    """The component that a file describes."""
    module, _, name = values["_target_"].rpartition(".")
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return getattr(importlib.import_module(module), name)(**{key: v for key, v in given.items() if key != "_target_"})


def _write_arrays(folder: Path) -> Path:
    rng = Generator(np.random.SeedSequence(1))
    path = folder / "arrays.npz"
    np.savez(path, x=rng.standard_normal((30, 6, 2)), y=rng.random((30, 6, 3)), lengths=rng.integers(2, 7, size=30))
    return path


def _write_parameters(folder: Path, blocks: Any) -> Path:
    flat = 0.3 * Generator(np.random.SeedSequence(2)).standard_normal(sum(block.size for block in blocks))
    path = folder / "weights.npz"
    np.savez(path, allow_pickle=False, **to_named(blocks, flat))
    return path


def hash_run(run: Run) -> str:
    """Sixteen hexadecimal characters over the bits of all that a run leaves, and of what its network then predicts."""
    (record,) = train([run])
    evaluation = run.task.evaluation(Generator(seed_of(run, 2)))
    said = {getattr(run.regularizer, "metric", None)}
    arrays = {
        **{f"weights/{name}": array for name, array in record.parameters.items()},
        **{name: values for name, values in record.history.items() if name in said or name not in UNHASHED},
        **{name: value for name, value in record.once.items() if name not in FITS},
        "state": record.state,
        "flow": record.flow,
        "prediction": predict(run, record.parameters, evaluation),
    }
    found = hashlib.sha256(f"{record.outcome} {record.updates}".encode())
    for name, array in sorted(arrays.items()):
        values: NDArray[Any] = np.asarray(array)
        found.update(f"{name} {values.shape}".encode())
        found.update(_bits_of(values))
    return found.hexdigest()[:16]


def _bits_of(array: Any) -> bytes:
    """The bytes of an array, lowest first; which NaN it is says nothing."""
    numbers = np.where(np.isnan(array), np.nan, array) if array.dtype == np.float64 else array
    return bytes(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).tobytes())


def hash_all(choices: Iterable[Choice], folder: Path) -> Iterator[tuple[str, str]]:
    """Each choice by name, with its hash."""
    for choice in choices:
        yield name_of(choice), hash_run(make_run(choice, folder))
