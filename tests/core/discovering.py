"""Every component of a kind, found in its package, so that one that is added is tested without being listed."""

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from bptt.core.annotations import Range
from bptt.core.kernel import OPTIMIZER
from bptt.core.lanes import per_lane_fields


def components(kind: str) -> dict[str, type[Any]]:
    """Class by module name, of a package of `bptt.core`: the dataclasses there with a kernel, a cell or values."""
    package = importlib.import_module(f"bptt.core.{kind}")
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{module.name}"
        for _, member in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            works = any(hasattr(member, attribute) for attribute in ("kernel", "cell", "values"))
            if member.__module__ == name and works and dataclasses.is_dataclass(member):
                found[module.name] = member
    assert found, f"no components in bptt.core.{kind}"
    return found


def stepping_optimizers() -> dict[str, type[Any]]:
    """Optimizers that make a step of a gradient alone; others solve for it."""
    return {name: kind for name, kind in components("optimizers").items() if kind.kernel.kind is OPTIMIZER}


#: Values that make a component learn gently, by the name of the field.
_USUAL = {
    "alpha": 0.03,
    "epsilon": 0.8,
    "eta_plus": 1.2,
    "eta_minus": 0.5,
    "delta_zero": 0.01,
    "delta_min": 1e-6,
    "delta_max": 50.0,
    "decay": 0.9,
    "beta1": 0.9,
    "beta2": 0.99,
    "small_constant": 1e-8,
    "threshold": 0.2,
    "weight": 1.0,
    "warmup": 4.0,
    "factor": 0.05,
    "floor": 0.1,
    "weight_decay": 0.0,
    "noise": 0.0,
    "noise_decay": 0.5,
    "every": 2.0,
    "damping": 0.5,
    "structural_damping": 0.1,
    "cg_decay": 0.9,
}


def example(component: type[Any], stretch: float = 0.0) -> Any:
    """One with fitting hyperparameters; `stretch` moves each PerLane field by that share within its range."""
    hints = get_type_hints(component, include_extras=True)
    values = {}
    for name in per_lane_fields(component):
        assert get_origin(hints[name]) is Annotated
        limits = next(part for part in get_args(hints[name]) if isinstance(part, Range))
        value = _USUAL[name] * (1.0 + stretch)
        if limits.below is not None:
            value = min(value, (1.0 + _USUAL[name]) / 2.0)
        if limits.at_most is not None:
            value = min(value, limits.at_most)
        values[name] = value
    return component(**values)
