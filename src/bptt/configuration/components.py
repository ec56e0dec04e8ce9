"""Components: from a configuration's node and back, what a class must have to be one, and the biases of gates.

A class of the user's own that lacks something is refused before anything is trained. What it must have is read off the
protocols of `bptt.core.run`: their members by name, and what those that are annotated must be.
"""

import dataclasses
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.fields import construct, is_number, make_plain
from bptt.configuration.vocabulary import find_conf_folder, list_choices, write_unknown_key
from bptt.core.inits.file import File
from bptt.core.inits.initialisation import Chrono, GateBias, Init, Initialisation
from bptt.core.kernel import BATCH_LOSS, OPTIMIZER, SOLVER, Kernel, Kind
from bptt.core.lanes import BESIDE, per_lane_fields
from bptt.core.models.cell import Cell
from bptt.core.optimizers.recurrent_constraint import MARGIN
from bptt.core.parameters import ParameterKind
from bptt.core.run import Model, Solver
from bptt.tasks.data_files import check_members
from bptt.tasks.moved import update_target

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
    module, _, name = update_target(target).rpartition(".") if isinstance(target, str) else ("", "", "")
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


def find_lacking(kind: Any, protocol: type) -> str | None:
    """What keeps a class from being a component as the protocol says, in words; None: nothing does."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return "is no dataclass"
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "must be a frozen dataclass: equal ones stand for equal runs"
    return next(_list_lacking(kind, protocol), None)


@cache
def _members(protocol: type) -> dict[str, Any]:
    """Name → the type that a property must have, with its annotations; None of a method."""
    members = {name: member for name, member in vars(protocol).items() if not name.startswith("_")}
    return {
        name: get_type_hints(member.fget, include_extras=True)["return"] if isinstance(member, property) else None
        for name, member in members.items()
    }


def _list_lacking(kind: Any, protocol: type) -> Iterator[str]:
    fields, members = {field.name for field in dataclasses.fields(kind)}, _members(protocol)
    missing = [name for name in members if name not in fields and not hasattr(kind, name)]
    if missing:
        yield f"lacks {', '.join(missing)}"
        return
    for name, hint in members.items():
        if name not in fields and hint is not None:
            yield from _find_unfit(name, getattr(kind, name), hint)
    cell = getattr(kind, "cell", None)
    if isinstance(cell, Cell):
        yield from _unread(tuple(name for name in per_lane_fields(kind) if name != MARGIN), cell.numbers)
    kernel = getattr(kind, "kernel", None)
    if isinstance(kernel, Kernel) and kernel.kind is SOLVER:
        missing = [name for name in _members(Solver) if name not in fields and not hasattr(kind, name)]
        if missing:
            yield f"lacks {', '.join(missing)}"
    if isinstance(kernel, Kernel) and kernel.reads_hyper:
        driven = {name for part in BESIDE if issubclass(kind, part) for name in per_lane_fields(part)}
        given = (BATCH_LOSS,) if kernel.kind is OPTIMIZER else ()
        own = tuple(name for name in per_lane_fields(kind) if name not in driven)
        yield from _unread(own, tuple(name for name in kernel.hyper if name not in given))


def _find_unfit(name: str, value: Any, hint: Any) -> Iterator[str]:
    if type(None) in get_args(hint):
        if value is None:
            return
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Annotated:
        kinds = [kind for kind in get_args(hint)[1:] if isinstance(kind, Kind)]
        # A driver calls it by its address: a kernel of another kind would read what is not there.
        if kinds and not (isinstance(value, Kernel) and value.kind in kinds):
            yield f"{name} must be a function made with {' or '.join(f'@{kind.name.upper()}' for kind in kinds)}"
    elif dataclasses.is_dataclass(hint):
        if not isinstance(value, hint):  # type: ignore[arg-type]
            yield f"{name} must be a {hint.__module__}.{hint.__qualname__}"  # type: ignore[union-attr]
            return
        for part, inner in get_type_hints(hint, include_extras=True).items():
            yield from _find_unfit(f"{name}.{part}", getattr(value, part), inner)


def _unread(fields: tuple[str, ...], names: tuple[str, ...]) -> Iterator[str]:
    if without := [name for name in names if name not in fields]:
        yield f"its kernel reads {', '.join(without)}, and no field of it that is PerLane has that name"
    if unread := [name for name in fields if name not in names]:
        yield f"{', '.join(unread)}: PerLane, and its kernel does not read it"


GATE_BIAS: Final = "gate_bias"
_KEY: Final = f"init.{GATE_BIAS}"
_CHRONO: Final = "chrono"


def build_gate_biases(node: Any, problems: list[str]) -> dict[str, GateBias]:
    """Name of a gate → its bias, of those that are not null: a number, or `{name: chrono, t_max: T}`."""
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        problems.append(write_problem(_KEY, node, "must be null, or a group of values: {NAME OF A GATE: a number}"))
        return {}
    made = {name: _build_gate_bias(f"{_KEY}.{name}", value, problems) for name, value in node.items()}
    return {name: bias for name, bias in made.items() if bias is not None}


def describe_gate_bias(bias: GateBias) -> float | dict[str, Any]:
    """The value from which `build_gate_biases` makes an equal bias."""
    return {"name": _CHRONO} | make_plain(bias) if isinstance(bias, Chrono) else bias


def _build_gate_bias(key: str, value: Any, problems: list[str]) -> GateBias | None:
    if value is None:
        return None
    if is_number(value):
        return float(value)
    fields = dict(value) if isinstance(value, Mapping) else {}
    name = fields.pop("name", None)
    if name == _CHRONO:
        return construct(key, fields, Chrono, problems)
    meant = suggest(name, [_CHRONO]) if isinstance(name, str) else ""
    problems.append(write_problem(key, value, f"must be null, a number, or {{name: {_CHRONO}, t_max: …}}{meant}"))
    return None


def find_unknown_gates(node: Any, model: Model | None) -> list[str]:
    """A line for each name in the node `init` that is no gate's: neither the model's nor one of a shipped cell's.

    model  None: it can't be had; with one that has no gates `check_gate_biases` says so
    """
    given = node.get(GATE_BIAS) if isinstance(node, Mapping) else None
    own = [] if model is None else [gate.name for gate in model.cell.named_gates]
    if not isinstance(given, Mapping) or (model is not None and not own):
        return []
    unknown = [name for name in given if name not in own and name not in _list_shipped()]
    return [write_unknown_key(f"{_KEY}.{name}", given[name], own or _list_shipped()) for name in unknown]


@cache
def _list_shipped() -> tuple[str, ...]:
    config = OmegaConf.load(find_conf_folder() / "config.yaml")
    return tuple(map(str, config.init[GATE_BIAS]))


def check_gate_biases(biases: Mapping[str, GateBias], model: Model, called: str) -> Iterator[str]:
    """A line for each bias that the model has no place for; called: the model, as a user chooses it."""
    gates = {gate.name: gate for gate in model.cell.named_gates}
    for name, bias in biases.items():
        key, value = f"{_KEY}.{name}", describe_gate_bias(bias)
        if not gates:
            yield write_problem(key, value, f"model={called} has no gates")
        elif name not in gates:
            yield write_problem(key, value, f"model={called} has no such gate (gates: {', '.join(gates)})")
        elif model.bias == "none":
            yield write_problem(key, value, "model.bias=none leaves no bias to set; use model.bias=single")
        elif isinstance(bias, Chrono) and gates[name].role is None:
            fit = ", ".join(gate.name for gate in gates.values() if gate.role is not None)
            says = f"chrono is for a gate that keeps the state, or writes to it (model={called}: {fit or 'none'})"
            yield write_problem(key, value, says)
