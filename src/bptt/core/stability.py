"""What is recorded about gradients and states: one formula for each metric, here and nowhere else.

loss/train               the loss of the update's batch, at the weights before the update
loss/eval                the loss of the evaluation set, at the weights after the update
accuracy/eval            the share of the evaluation set that the task calls right
grad/norm                ‖∂loss/∂θ‖₂ over all parameters, with what the regularizer adds, before clipping
grad/clipped             share of the updates since the last recorded one whose gradient was clipped
grad/decay               see `decay_rate`
update/ratio             see `update_ratio`
weights/spectral_radius  see `spectral_radius`
activations/saturation   see `bptt.core.saturation.saturation`
"""

from typing import Any

import numpy as np

from bptt.core.blocks import Block
from bptt.core.sequences import Floats
from bptt.core.spectral import spectral_radii


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


def update_ratio(step: Floats, weights: Floats) -> Floats:
    """update/ratio: ‖θ_t − θ_{t−1}‖₂ / ‖θ_{t−1}‖₂ over all parameters, how far one update moves; NaN from θ = 0."""
    with np.errstate(over="ignore", invalid="ignore"):  # where weights are that large
        return np.divide(step, weights, out=np.full(step.shape, np.nan), where=weights != 0)


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
        largest = np.maximum(largest, spectral_radii(matrices))
    return largest
