"""`init.gate_bias`: gates with biases of their own, from a configuration and back, and what is wrong with them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from omegaconf import OmegaConf

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.fields import construct, is_number, make_plain
from bptt.configuration.paths import find_conf_folder
from bptt.configuration.vocabulary import write_unknown_key
from bptt.core.inits.gate_biases import Chrono, GateBias
from bptt.core.run import Model

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
