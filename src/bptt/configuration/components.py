"""Objects from the nodes of a configuration: the class is the node's `_target_`, its fields are the node's values.

What a class must have to stand in a group, so that one of the user's own is refused before anything is trained.
"""

import dataclasses
import importlib
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from omegaconf import OmegaConf

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.fields import construct, flatten
from bptt.configuration.paths import list_choices
from bptt.core.inits.file import File
from bptt.core.inits.initialisation import Initialisation
from bptt.core.kernel import BACKWARD, CLIP, FORWARD, LOSS, OPTIMIZER, Kernel, Kind
from bptt.core.models.cell import Cell
from bptt.core.parameters import BlockKind
from bptt.tasks.data_files import check_members

_NAMES = {
    "bptt.tasks": ("inputs", "outputs", "timesteps", "training", "evaluation", "accuracy"),
    "bptt.core.models": ("hidden_size", "layers", "activation", "bias", "readout", "cell"),
    "bptt.core.losses": ("weight", "fused", "kernel"),
    "bptt.core.optimizers": ("slots", "kernel"),
    "bptt.core.clips": ("kernel",),
    "bptt.core.inits": ("values",),
}


_KERNELS = {"bptt.core.losses": LOSS, "bptt.core.optimizers": OPTIMIZER, "bptt.core.clips": CLIP}


def find_lacking(kind: Any, folder: str) -> str | None:
    """What keeps a class from standing among those of a folder (`bptt.core.models`), in words; None: nothing does."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return "is no dataclass"
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "must be a frozen dataclass: equal ones stand for equal runs"
    return next(_list_lacking(kind, folder), None)


def _list_lacking(kind: Any, folder: str) -> Iterator[str]:
    fields = {field.name for field in dataclasses.fields(kind)}
    missing = [name for name in _NAMES[folder] if name not in fields and not hasattr(kind, name)]
    if missing:
        yield f"lacks {', '.join(missing)}"
    elif folder in _KERNELS:
        yield from _find_unfit("kernel", kind.kernel, _KERNELS[folder])
    elif folder == "bptt.core.models" and not isinstance(kind.cell, Cell):
        yield "cell must be a bptt.core.models.cell.Cell"
    elif folder == "bptt.core.models":
        yield from _find_unfit("cell.forward", kind.cell.forward, FORWARD)
        yield from _find_unfit("cell.backward", kind.cell.backward, BACKWARD)


def _find_unfit(name: str, kernel: Any, wanted: Kind) -> Iterator[str]:
    # A driver calls it by its address: a kernel of another kind would read what is not there.
    if not (isinstance(kernel, Kernel) and kernel.signatures is wanted.signatures):
        yield f"{name} must be a function made with @{wanted.name.upper()}"


BLOCKS: tuple[str, ...] = get_args(BlockKind)


def build_component(
    key: str,
    node: Any,
    folder: str,
    allow: Iterable[str],
    problems: list[str],
    hidden: Iterable[str] = (),
) -> Any:
    """The object that a node describes, or None and what is wrong in `problems`.

    folder  the package of bptt whose classes can stand here: `bptt.core.models`
    allow   packages of the user's whose classes can stand here too
    hidden  names that stand in the node too, and are read elsewhere
    """
    if isinstance(node, Mapping) and "_target_" not in node and node.keys() - {*hidden}:
        problems.append(f"{key}._target_: missing; the file of a choice names its class")
        return None
    if not isinstance(node, Mapping) or "_target_" not in node:
        problems.append(f"{key}: missing; choose one: {key}=…")
        return None
    kind = _find_class(f"{key}._target_", node["_target_"], folder, allow, problems)
    if kind is None:
        return None
    values = {name: value for name, value in node.items() if name != "_target_"}
    if kind is File and (trouble := _find_unreadable(values.get("path"))):
        problems.append(write_problem(f"{key}.path", values["path"], trouble))
        return None
    return construct(key, values, kind, problems, hidden)


def _find_unreadable(path: Any) -> str:
    """Why a file of weights can't be read; empty where it can, and where its class says why."""
    try:
        if isinstance(path, str) and Path(path).is_file():
            check_members(Path(path))
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def describe(component: Any) -> dict[str, Any]:
    """The node from which `build_component` makes an equal component."""
    kind = type(component)
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}"} | flatten(component)


def build_initialisation(
    node: Any, folders: Iterable[Path], allow: Iterable[str], problems: list[str]
) -> Initialisation | None:
    """The scheme of the run, and those of the blocks that have one of their own.

    A block's scheme is null (the run's), a number (constant), the name of a choice of `init`, a mapping with the
    choice's `name` and values that differ from its file, or a node with a `_target_`.
    """
    if not isinstance(node, Mapping):
        problems.append("init: missing; choose one: init=…")
        return None
    before = len(problems)
    schemes = list_choices("init", list(folders))
    rest = {name: value for name, value in node.items() if name not in BLOCKS}
    default = build_component("init", rest, "bptt.core.inits", allow, problems, BLOCKS)
    blocks = {}
    for name in BLOCKS:
        if node.get(name) is not None and (scheme := _read_block_node(f"init.{name}", node[name], schemes, problems)):
            blocks[name] = build_component(f"init.{name}", scheme, "bptt.core.inits", allow, problems)
    return Initialisation(default, blocks) if len(problems) == before else None  # type: ignore[arg-type]


def describe_initialisation(init: Initialisation) -> dict[str, Any]:
    """The node from which `build_initialisation` makes an equal initialisation."""
    blocks = {name: describe(init.blocks[name]) if name in init.blocks else None for name in BLOCKS}  # type: ignore[index]
    return blocks | describe(init.default)


def _read_block_node(key: str, scheme: Any, schemes: Mapping[str, Path], problems: list[str]) -> dict[str, Any] | None:
    if isinstance(scheme, Mapping) and "_target_" in scheme:
        return dict(scheme)
    if isinstance(scheme, int | float) and not isinstance(scheme, bool) and math.isfinite(scheme):
        return {"_target_": "bptt.core.inits.constant.Constant", "scale": scheme}
    values = dict(scheme) if isinstance(scheme, Mapping) else {}
    name = values.pop("name", None) if isinstance(scheme, Mapping) else scheme
    if not isinstance(name, str) or name not in schemes:
        says = "must be null, a number, the name of a choice of init, or {name: that name, scale: …}"
        meant = suggest(name, schemes) if isinstance(name, str) else ""
        problems.append(write_problem(key, scheme, f"{says}{meant} (choices: {', '.join(schemes)})"))
        return None
    chosen = OmegaConf.to_container(OmegaConf.load(schemes[name]))
    assert isinstance(chosen, dict)
    return {str(field): value for field, value in chosen.items() if value != "???"} | values


def _find_class(key: str, target: Any, folder: str, allow: Iterable[str], problems: list[str]) -> type | None:
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    allowed = list(allow)
    if not (module.startswith(f"{folder}.") or module.partition(".")[0] in allowed):
        says = f"must name a class of {folder}" + "".join(f" or of {package}" for package in allowed)
        problems.append(write_problem(key, target, f"{says} (allow=[PACKAGE] adds your own)"))
        return None
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing a user's module can raise anything
        problems.append(write_problem(key, target, f"can't be imported ({type(error).__name__}: {error})"))
        return None
    if (lacks := find_lacking(found, folder)) is not None:
        problems.append(write_problem(key, target, lacks))
        return None
    return found
