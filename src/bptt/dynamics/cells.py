"""A timestep of every cell for many networks at once, with its Jacobians in closed form.

What `bptt.core.plain` states for one sequence stands here for lanes of networks, each with several sequences, together
with its derivatives. A cell's part is a function

    (p, x, context, f, by_input) → (state, ∂state/∂context, ∂state/∂x)

p         the layer's arrays by name, lanes first: input (lanes, inputs, G·H), recurrent (lanes, C, G·H), and the biases
          (lanes, 1, G·H), or 0 where there are none; and the model's numbers by name, as `bptt.core.plain` has them
x         (lanes, N, inputs): what the layer sees
context   (lanes, N, C): its own state before, or with feedback the output before; of a cell with more slots than one,
          all of its state, h first
f         the activation's name
by_input  whether ∂state/∂x is asked for; None stands for it elsewhere

and its Jacobians are (lanes, N, S, C) and (lanes, N, S, inputs): row i is the derivative of the state's number i. A
cell that is not here is differentiated by `differentiate_plain`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from scipy.special import expit

from bptt.core import plain
from bptt.core.sequences import Floats

Named = Mapping[str, Any]
Advanced = tuple[Floats, Floats, Floats | None]
Advance = Callable[[Named, Floats, Floats, str, bool], Advanced]

_STEP: Final = 1e-100  # of the complex step, whose error is its square


def activate_all(kind: str, a: Floats) -> tuple[Floats, Floats]:
    """(f(a), f′(a)) of tanh, sigmoid, relu or identity; relu′(0) = 0."""
    if kind == "tanh":
        h = np.tanh(a)
        return h, 1.0 - h * h
    if kind == "sigmoid":
        h = expit(a)
        return h, h * (1.0 - h)
    if kind == "relu":
        return np.maximum(a, 0.0), np.where(a > 0.0, 1.0, 0.0)
    return a, np.ones_like(a)


def _turn(weights: Floats, gate: int, hidden: int) -> Floats:
    """(lanes, 1, H, rows): a gate's columns as rows."""
    return weights[:, :, gate * hidden : (gate + 1) * hidden].swapaxes(1, 2)[:, None]


def _weigh(factors: Mapping[int, Floats], weights: Floats) -> Floats:
    """Σ_g diag(factor_g) W_gᵀ, (lanes, N, H, rows), of gate → factor (lanes, N, H)."""
    parts = [factor[..., None] * _turn(weights, gate, factor.shape[-1]) for gate, factor in factors.items()]
    return sum(parts[1:], start=parts[0])


def _diagonal(factor: Floats) -> Floats:
    return factor[..., None] * np.eye(factor.shape[-1])


def advance_elman(p: Named, x: Floats, context: Floats, f: str, by_input: bool) -> Advanced:
    """h_t = f(x_t W + c_{t−1} R + b + b′), the context c being h or, for Jordan, y.

    ∂h_t/∂c_{t−1} = diag(f′) Rᵀ;  ∂h_t/∂x_t = diag(f′) Wᵀ.
    """
    h, slope = activate_all(f, x @ p["input"] + context @ p["recurrent"] + p["bias"] + p["recurrent_bias"])
    return h, _weigh({0: slope}, p["recurrent"]), _weigh({0: slope}, p["input"]) if by_input else None


def advance_leaky(p: Named, x: Floats, context: Floats, f: str, by_input: bool) -> Advanced:
    """h_t = (1 − a) h_{t−1} + a f(x_t W + h_{t−1} R + b + b′), without noise.

    ∂h_t/∂h_{t−1} = (1 − a) I + a diag(f′) Rᵀ;  ∂h_t/∂x_t = a diag(f′) Wᵀ.
    """
    a = p["leak"]
    r, by_context, by_x = advance_elman(p, x, context, f, by_input)
    kept = _diagonal(np.full(context.shape, 1.0 - a))
    return (1.0 - a) * context + a * r, kept + a * by_context, None if by_x is None else a * by_x


def advance_lstm(p: Named, x: Floats, context: Floats, f: str, by_input: bool) -> Advanced:  # noqa: ARG001 (no choice)
    """i, f, g, o = σ, σ, tanh, σ (x_t W + h_{t−1} R + b + b′);  c_t = f c_{t−1} + i g;  h_t = o tanh c_t.

    With k the factors c_{t−1} f′, g i′, i g′ of the gates f, i, g:  ∂c_t/∂h_{t−1} = Σ diag(k) Rᵀ;  ∂c_t/∂c_{t−1} =
    diag(f);  and with s = tanh c_t:  ∂h_t = diag(o (1 − s²)) ∂c_t + diag(s o′) R_oᵀ.
    """
    hidden = context.shape[-1] // 2
    before, c = context[..., :hidden], context[..., hidden:]
    sums = x @ p["input"] + before @ p["recurrent"] + p["bias"] + p["recurrent_bias"]
    kinds = ("sigmoid", "sigmoid", "tanh", "sigmoid")
    (i, d_i), (forget, d_f), (g, d_g), (o, d_o) = (
        activate_all(kind, sums[..., n * hidden : (n + 1) * hidden]) for n, kind in enumerate(kinds)
    )
    new = forget * c + i * g
    squashed = np.tanh(new)
    through = o * (1.0 - squashed * squashed)
    factors = {0: g * d_i, 1: c * d_f, 2: i * d_g}

    def derive(weights: Floats) -> tuple[Floats, Floats]:
        by_weights = _weigh(factors, weights)
        return through[..., None] * by_weights + _weigh({3: squashed * d_o}, weights), by_weights

    h_by_h, c_by_h = derive(p["recurrent"])
    by_context = np.concatenate(
        [
            np.concatenate([h_by_h, _diagonal(through * forget)], axis=-1),
            np.concatenate([c_by_h, _diagonal(forget)], axis=-1),
        ],
        axis=-2,
    )
    state = np.concatenate([o * squashed, new], axis=-1)
    return state, by_context, np.concatenate(derive(p["input"]), axis=-2) if by_input else None


def advance_gru(p: Named, x: Floats, context: Floats, f: str, by_input: bool) -> Advanced:  # noqa: ARG001 (no choice)
    """r, z = σ(x_t W + h_{t−1} R + b + b′);  m = h_{t−1} R_n + b′_n;  n = tanh(x_t W_n + b_n + r m);
    h_t = (1 − z) n + z h_{t−1}.

    ∂h_t/∂h_{t−1} = diag(z) + diag((h_{t−1} − n) z′) R_zᵀ + diag((1 − z) n′) (diag(r) R_nᵀ + diag(m r′) R_rᵀ).
    """
    hidden = context.shape[-1]
    of_x, of_h = x @ p["input"] + p["bias"], context @ p["recurrent"] + p["recurrent_bias"]
    (x_r, x_z, x_n), (h_r, h_z, m) = (
        [sums[..., n * hidden : (n + 1) * hidden] for n in range(3)] for sums in (of_x, of_h)
    )
    (r, d_r), (z, d_z) = activate_all("sigmoid", x_r + h_r), activate_all("sigmoid", x_z + h_z)
    n, d_n = activate_all("tanh", x_n + r * m)
    new = (1.0 - z) * d_n
    gates = {0: new * m * d_r, 1: (context - n) * d_z}
    by_context = _diagonal(z) + _weigh({**gates, 2: new * r}, p["recurrent"])
    return (1.0 - z) * n + z * context, by_context, _weigh({**gates, 2: new}, p["input"]) if by_input else None


#: A cell's plain statement → the same for many networks, with its Jacobians.
_ADVANCES: Final[Mapping[Callable[..., Any], Advance]] = {
    plain.elman: advance_elman,
    plain.leaky: advance_leaky,
    plain.lstm: advance_lstm,
    plain.gru: advance_gru,
}


def differentiate_plain(cell: Any) -> Advance:
    """The same of any cell, by complex steps of its plain statement F: ∂F = Im F(x + 10⁻¹⁰⁰ i) / 10⁻¹⁰⁰.

    Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions". It is exact to rounding
    where the statement is analytic, without |x| and the like, and takes a call for each column of each sequence of each
    lane: slow, but a cell needs nothing more than its plain statement.
    """
    slots = cell.slots

    def advance(p: Named, x: Floats, context: Floats, f: str, by_input: bool) -> Advanced:
        def call(own: Named, seen: Any, past: Any) -> Any:
            new = cell.plain(own, seen, past if slots == 1 else tuple(np.split(past, slots)), f, np)
            return new if slots == 1 else np.concatenate(new)

        def one(lane: int, row: int) -> tuple[Any, Any, Any]:
            own = {name: array if isinstance(array, float) else array[lane] for name, array in p.items()}
            own |= {name: np.ravel(own[name]) for name in ("bias", "recurrent_bias")}
            seen, past = x[lane, row], context[lane, row]
            steps = [1j * _STEP * np.eye(len(values)) for values in (past, seen)]
            by_context = np.stack([call(own, seen, past + step).imag for step in steps[0]], axis=-1) / _STEP
            if not by_input:
                return call(own, seen, past), by_context, None
            by_x = np.stack([call(own, seen + step, past).imag for step in steps[1]], axis=-1) / _STEP
            return call(own, seen, past), by_context, by_x

        lanes, rows = x.shape[:2]
        found = [[one(lane, row) for row in range(rows)] for lane in range(lanes)]
        states, by_context = (np.array([[each[k] for each in some] for some in found]) for k in range(2))
        return states, by_context, np.array([[each[2] for each in some] for some in found]) if by_input else None

    return advance


def find_advance(cell: Any) -> Advance:
    """The function of a cell (`bptt.core.models.cell.Cell`), by its plain statement."""
    return _ADVANCES.get(cell.plain) or differentiate_plain(cell)
