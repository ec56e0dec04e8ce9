"""Decoupled weight decay: parameters that shrink beside an optimizer's step, not through the gradient."""

from dataclasses import dataclass
from typing import Annotated

from bptt.core.annotations import PerLane, Range
from bptt.core.simd import inline, load, select, splat, store


@inline
def shrink_weights(parameters, count, alpha, decay, live):
    """So many vectors of parameters times 1 − α·λ, where live is not 0; with λ = 0 to the bit as they were."""
    share = select(live > splat(0.0), 1.0 - alpha * decay, splat(1.0))
    for p in range(count):
        store(parameters, p, load(parameters, p) * share)


@dataclass(frozen=True, kw_only=True)
class ShrinksWeights:
    """θ ← θ − α_u·λ·θ beside the step of update u, of all parameters, biases too; λ is `weight_decay`.

    Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithms 1 and 2, with α_u in place of the
    schedule's share alone, as torch.optim.AdamW has it. For plain gradient descent it is L2 regularization with the
    factor λ/2: θ − α·(g + λ·θ). Elsewhere it is not: what an optimizer does to gradients it does not do to this part.
    """

    weight_decay: Annotated[PerLane, Range(at_least=0)] = 0.0
