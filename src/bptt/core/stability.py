"""What is recorded about gradients and states: one formula for each metric, here and nowhere else.

loss/train               the loss of the update's batch, at the weights before the update
loss/eval                the loss of the evaluation set, at the weights after the update
accuracy/eval            the share of the evaluation set that the task calls right
grad/norm                ‖∂loss/∂θ‖₂ over all parameters, before clipping
grad/clipped             share of the updates since the last recorded one whose gradient was clipped
grad/decay               see `decay_rate`
update/ratio             see `update_ratio`
weights/spectral_radius  see `spectral_radius`
activations/saturation   see `saturation`
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.blocks import Block
from bptt.core.sequences import Floats


def decay_rate(flow: Floats) -> Floats:
    """grad/decay: the least-squares slope of ln ‖∂loss/∂h_{T−1−k}‖ against the lag k; 1/timestep.

    flow (lanes, lags): norms, lag 0 first, of the last scored timestep's loss (see `network.run_backward`). Below 0 the
    gradient vanishes going back, above 0 it explodes. Lags whose norm is 0 or not finite are left
    out; NaN where fewer than two are left.
    """
    usable = np.isfinite(flow) & (flow > 0)
    logs = np.log(np.where(usable, flow, 1.0))
    lags = np.arange(flow.shape[-1], dtype=np.float64)
    slopes = np.full(flow.shape[0], np.nan)
    whole = usable.all(axis=-1)
    if lags.size >= 2:
        slopes[whole] = _slopes(lags, logs[whole])
    for lane in np.flatnonzero(~whole & (usable.sum(axis=-1) >= 2)):
        mask = usable[lane]
        slopes[lane] = _slopes(lags[mask], logs[lane, mask])
    return slopes


def _slopes(lags: Floats, logs: Floats) -> Any:
    k = lags - lags.mean()
    return (k * logs).sum(axis=-1) / (k * k).sum()


def update_ratio(step: float, weights: float) -> float:
    """update/ratio: ‖θ_t − θ_{t−1}‖₂ / ‖θ_{t−1}‖₂ over all parameters, how far one update moves; NaN from θ = 0."""
    return step / weights if weights else np.nan


def spectral_radius(model: Any, blocks: tuple[Block, ...], flat: Floats) -> Floats:
    """weights/spectral_radius: the largest |eigenvalue| of the state-to-state matrix; of a stack's layers the largest.

    flat (lanes, P) gives (lanes,). The matrix is R (H, H); for LSTM and GRU the block of the candidate (gate g or n),
    for Jordan's network V R: from state to output and back. NaN where that is not finite.
    """
    named = {b.name: flat[:, b.first : b.first + b.size].reshape(-1, *b.shape) for b in blocks}
    hidden = model.hidden_size
    largest = np.zeros(len(flat))
    for layer in range(model.layers):
        matrices = named[f"cell.{layer}.recurrent"]
        if model.cell.gates > 1:
            matrices = matrices[:, :, 2 * hidden : 3 * hidden]
        if model.cell.feedback and "readout.weight" in named:
            with np.errstate(over="ignore", invalid="ignore"):  # a diverging run's weights may be that large
                matrices = named["readout.weight"] @ matrices
        finite = np.isfinite(matrices).all(axis=(1, 2))
        radii = np.full(len(flat), np.nan)
        radii[finite] = np.abs(np.linalg.eigvals(matrices[finite])).max(axis=-1)
        largest = np.maximum(largest, radii)
    return largest


def saturated(function: str, values: Floats) -> NDArray[np.bool_]:
    """Where a unit's derivative has less than 1 % of its largest value.

    tanh: 1 − h² < 0.01; logistic: 4h(1 − h) < 0.01; relu: h = 0; identity: never.
    """
    if function == "tanh":
        return 1.0 - values * values < 0.01
    if function == "sigmoid":
        return 4.0 * values * (1.0 - values) < 0.01
    if function == "relu":
        return values == 0.0
    return np.zeros(values.shape, bool)


def saturation(groups: list[tuple[str, Floats]], live: NDArray[np.bool_]) -> Floats:
    """activations/saturation: the share of activations that are `saturated`, over layers, timesteps, rows and units.

    groups: (function, values (layers, T, rows, H, numbers)); live (T, rows, numbers). For LSTM and GRU the gates and
    the candidate count, for the others the hidden states. Returns (numbers,), shares of each vector's number.
    """
    count = np.zeros(live.shape[-1], np.int64)
    for function, values in groups:
        count += (saturated(function, values) & live[None, :, :, None, :]).sum(axis=(0, 1, 2, 3))
    layers, hidden = groups[0][1].shape[0], groups[0][1].shape[3]
    return count / np.maximum(live.sum(axis=(0, 1)) * layers * hidden * len(groups), 1)
