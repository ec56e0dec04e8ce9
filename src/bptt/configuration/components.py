"""Objects from the nodes of a configuration: the class is the node's `_target_`, its fields are the node's values."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from omegaconf import OmegaConf

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.fields import construct, is_number, make_plain
from bptt.configuration.gates import GATE_BIAS, build_gate_biases, describe_gate_bias
from bptt.configuration.interfaces import find_lacking
from bptt.configuration.paths import list_choices
from bptt.core.inits.file import File
from bptt.core.inits.initialisation import Init, Initialisation
from bptt.core.parameters import ParameterKind
from bptt.tasks.data_files import check_members

BLOCKS: tuple[str, ...] = get_args(ParameterKind)


def build_component(
    key: str,
    node: Any,
    folder: str,
    protocol: type,
    allow: Iterable[str],
    problems: list[str],
    hidden: Iterable[str] = (),
    folders: Sequence[Path] = (),
) -> Any:
    """The object that a node describes, or None and what is wrong in `problems`.

    folder    the package of bptt whose classes can stand here: `bptt.core.models`
    protocol  what it must have, of `bptt.core.run`
    allow     packages of the user's whose classes can stand here too
    hidden    names that stand in the node too, and are read elsewhere
    folders   where choices lie, for the line about a key that another choice has
    """
    if isinstance(node, Mapping) and "_target_" not in node and node.keys() - {*hidden}:
        problems.append(f"{key}._target_: missing; the file of a choice names its class")
        return None
    if not isinstance(node, Mapping) or "_target_" not in node:
        problems.append(f"{key}: missing; choose one: {key}=…")
        return None
    kind = _find_class(f"{key}._target_", node["_target_"], folder, protocol, allow, problems)
    if kind is None:
        return None
    values = {name: value for name, value in node.items() if name != "_target_"}
    if kind is File and (trouble := _find_unreadable(values.get("path"))):
        problems.append(write_problem(f"{key}.path", values["path"], trouble))
        return None
    return construct(key, values, kind, problems, hidden, folders)


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
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}"} | make_plain(component)


def build_initialisation(
    node: Any, folders: Sequence[Path], allow: Iterable[str], problems: list[str]
) -> Initialisation | None:
    """The scheme of the run, those of the blocks that have one of their own, and the gates with biases of their own.

    A block's scheme is null (the run's), a number (constant), the name of a choice of `init`, a mapping with the
    choice's `name` and values that differ from its file, or a node with a `_target_`. A gate's bias is null (as the
    block has it), a number, or `{name: chrono, t_max: T}`; which gates there are depends on the model.
    """
    if not isinstance(node, Mapping):
        problems.append("init: missing; choose one: init=…")
        return None
    before = len(problems)
    schemes = list_choices("init", folders)
    beside = (*BLOCKS, GATE_BIAS)
    rest = {name: value for name, value in node.items() if name not in beside}
    default = build_component("init", rest, "bptt.core.inits", Init, allow, problems, beside, folders)
    blocks = {}
    for name in BLOCKS:
        if node.get(name) is not None and (scheme := _read_block_node(f"init.{name}", node[name], schemes, problems)):
            blocks[name] = build_component(f"init.{name}", scheme, "bptt.core.inits", Init, allow, problems)
    gates = build_gate_biases(node.get(GATE_BIAS), problems)
    return Initialisation(default, blocks, gates) if len(problems) == before else None  # type: ignore[arg-type]


def describe_initialisation(init: Initialisation) -> dict[str, Any]:
    """The node from which `build_initialisation` makes an equal initialisation.

    Gates stand in it as far as they have a bias of their own: without one it is what it was before there were any.
    """
    blocks = {name: describe(init.blocks[name]) if name in init.blocks else None for name in BLOCKS}  # type: ignore[index]
    gates = {name: describe_gate_bias(bias) for name, bias in sorted(init.gate_bias.items())}
    return blocks | ({GATE_BIAS: gates} if gates else {}) | describe(init.default)


def _read_block_node(key: str, scheme: Any, schemes: Mapping[str, Path], problems: list[str]) -> dict[str, Any] | None:
    if isinstance(scheme, Mapping) and "_target_" in scheme:
        return dict(scheme)
    if is_number(scheme):
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


def _find_class(
    key: str, target: Any, folder: str, protocol: type, allow: Iterable[str], problems: list[str]
) -> type | None:
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
    if (lacks := find_lacking(found, protocol)) is not None:
        problems.append(write_problem(key, target, lacks))
        return None
    return found
