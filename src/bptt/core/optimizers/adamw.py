"""Adam with decoupled weight decay."""

from dataclasses import dataclass

from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.weight_decay import ShrinksWeights


@dataclass(frozen=True, kw_only=True)
class AdamW(ShrinksWeights, Adam):
    """θ ← θ − α·m̂ / (√v̂ + c) − α·λ·θ, with m̂ and v̂ as Adam has them; λ is `weight_decay`.

    Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2; with a schedule both parts have
    its α. It equals torch.optim.AdamW.
    """
