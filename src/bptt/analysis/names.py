"""What keys of a configuration are called in figures and sentences, and what they mean: one table for all."""

from typing import Final

#: Key → its name, as on an axis, and its meaning, where the name does not say it all.
_KEYS: Final = {
    "seed": ("seed", "initial weights, training data and evaluation data"),
    "task": ("task", "where sequences come from"),
    "task.length": ("timesteps of a sequence", ""),
    "model": ("cell", "cell of the network"),
    "model.hidden_size": ("hidden units", ""),
    "model.layers": ("layers", ""),
    "model.activation": ("activation", "function of a unit"),
    "init": ("start of the weights", "how weights start"),
    "init.scale": ("scale of the start", "how large weights start"),
    "init.recurrent": ("start of the recurrent weights", ""),
    "init.recurrent.scale": ("scale of the recurrent start", "how large the recurrent weights start"),
    "init.gate_bias.input": ("bias of the input gate", "bias from which input gates start"),
    "init.gate_bias.forget": ("bias of the forget gate", "bias from which forget gates start"),
    "init.gate_bias.update": ("bias of the update gate", "bias from which update gates start"),
    "optimizer": ("optimizer", "rule by which weights are changed"),
    "optimizer.alpha": ("learning rate α", ""),
    "optimizer.epsilon": ("momentum rate ε", ""),
    "optimizer.eta_plus": ("factor η⁺", "factor of growing steps"),
    "optimizer.eta_minus": ("factor η⁻", "factor of shrinking steps"),
    "optimizer.delta_zero": ("first step Δ₀", ""),
    "schedule": ("schedule", "how the learning rate changes"),
    "schedule.warmup": ("updates of warm-up", "updates over which the learning rate grows"),
    "regularizer": ("regularizer", "what is added to the gradient"),
    "regularizer.factor": ("factor of the regularizer", "how much of it"),
    "clip": ("clipping", "what is done to large gradients"),
    "clip.threshold": ("clipping threshold", "size from which a gradient is clipped"),
    "train.updates": ("updates", "optimizer steps of a run"),
    "train.batch_size": ("sequences of a batch", "sequences of one step"),
    "train.truncation": ("timesteps of truncation", "timesteps that a gradient flows back"),
}


def name_key(key: str, otherwise: str) -> str:
    """The name of a key: `hidden units`; what is given where the table has none, as of a user's own."""
    return _KEYS[key][0] if key in _KEYS else otherwise


def explain_key(key: str) -> str:
    """What a key means, in a few words; empty where nobody knows."""
    name, meaning = _KEYS.get(key, ("", ""))
    return meaning or name
