"""Dale's law: all that a unit sends to others has one sign."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from bptt.core.annotations import Range
from bptt.core.parameters import Parameter
from bptt.core.sequences import Floats
from bptt.core.simd import absolute, inline, load, select, splat, store


@dataclass(frozen=True, kw_only=True)
class Dale:
    """R = D |R′|: row i of R, what unit i sends, has the sign D_ii. What is trained is R′; `dale` null: R = R′.

    D is +1 for the first round(dale · H) units of each layer, which are excitatory, and −1 for the rest. The gradient
    by R′ is D ∂L/∂R ⊙ sign(R′), with sign(0) = 0: a weight of exactly 0 is a connection that is not there and stays so
    (noise of the gradient alone moves it). Which sign R′ has makes no difference but for that noise, so R stands for it
    in weights.npz, and in all that is measured and exported.

    Song, Yang & Wang 2016, "Training excitatory-inhibitory recurrent neural networks for cognitive tasks", where
    columns send: R = |R′| D (frsong/pycog, trainer.py, has |·| or max(·, 0); murraylab/PsychRNN, basic.py, |·|). Both
    also keep the input's weights positive, and the read-out's to the units' signs; here these are free.
    """

    dale: Annotated[float, Range(at_least=0, at_most=1)] | None = None


def sign_units(model: Any) -> Floats | None:
    """(H,): D, +1 of excitatory units and −1 of inhibitory ones; None where the model keeps to no such law."""
    share = model.dale if isinstance(model, Dale) else None
    if share is None:
        return None
    return np.where(np.arange(model.hidden_size) < round(share * model.hidden_size), 1.0, -1.0)


def sign_parameters(model: Any, blocks: Sequence[Parameter]) -> Floats | None:
    """(P,): the sign that each parameter keeps to, 0 of those that are free; None where all are.

    Raises ValueError where there are no weights from unit to unit.
    """
    units = sign_units(model)
    if units is None:
        return None
    if model.cell.feedback:
        raise ValueError(f"Dale's law is of weights from unit to unit, which {type(model).__name__} does not have")
    return np.concatenate(
        [np.repeat(units, block.shape[1]) if block.kind == "recurrent" else np.zeros(block.size) for block in blocks]
    )


def keep_signs(flat: Floats, signs: Floats | None) -> Floats:
    """Parameters (…, P) that keep to their signs; what does already stays as it is."""
    return flat if signs is None else np.where(signs == 0.0, flat, signs * np.abs(flat))


def without_signs(model: Any) -> Any:
    """The model whose weights from unit to unit are free, which computes the same with R in the place of R′."""
    return replace(model, dale=None) if sign_units(model) is not None else model


@inline
def take_signs(theta, signs, goes, vectors):
    """D |R′| of so many vectors of parameters, and those that are free."""
    for p in range(vectors):
        value, sign = load(theta, p), load(signs, p)
        store(goes, p, select(sign == splat(0.0), value, sign * absolute(value)))


@inline
def turn_gradient(theta, signs, gradient, vectors):
    """D ∂L/∂R ⊙ sign(R′), in place."""
    for p in range(vectors):
        value, sign, g = load(theta, p), load(signs, p), load(gradient, p)
        inward = select(value < splat(0.0), splat(-1.0), select(value > splat(0.0), splat(1.0), splat(0.0)))
        store(gradient, p, select(sign == splat(0.0), g, g * sign * inward))
