"""What is drawn of each family: its choices, on one task, from ten seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SEEDS: Final = 10
LAG: Final = 40  # timesteps before the end: about where the first of the two symbols of 50 timesteps stands
COMMON: Final = (
    *("task=temporal_order", "task.length=50", "task.eval_size=100", "task.test_size=0", "model.hidden_size=20"),
    *("train.updates=1001", "train.log_points=2", "train.batch_size=16"),
)
#: What optimizers, schedules and regularizers are told apart on.
_LONG: Final = ("model=elman", "init=orthogonal", "init.scale=0.95")


@dataclass(frozen=True)
class Family:
    """Choices of one kind.

    common   overrides of all of its runs
    choices  its name in the picture → its own overrides
    """

    common: Sequence[str]
    choices: Mapping[str, Sequence[str]]


FAMILIES: Final[Mapping[str, Family]] = {
    "starts": Family(
        ("model=elman", "optimizer=sgd", "optimizer.alpha=0.1", "clip=norm"),
        {
            "normal, scale 0.1": ("init=normal", "init.scale=0.1"),
            "normal, scale 1": ("init=normal",),
            "uniform, scale 0.1": ("init=uniform", "init.scale=0.1"),
            "torch": ("init=torch",),
            "glorot": ("init=glorot",),
            "orthogonal": ("init=orthogonal",),
            "identity, ReLU": ("init=identity", "model.activation=relu"),
            "sparse": ("init=sparse",),
        },
    ),
    "cells": Family(
        ("init=glorot", "optimizer=adam", "optimizer.alpha=0.003", "clip=norm"),
        {
            "linear": ("model=linear",),
            "elman": ("model=elman",),
            "jordan": ("model=jordan",),
            "leaky, 0.2": ("model=leaky",),
            "gru": ("model=gru",),
            "gru, chrono": ("model=gru", "init.gate_bias.update={name: chrono, t_max: 50}"),
            "lstm": ("model=lstm",),
            "lstm, forget 4": ("model=lstm", "init.gate_bias.forget=4"),
            "lstm, chrono": (
                *("model=lstm", "init.gate_bias.forget={name: chrono, t_max: 50}"),
                "init.gate_bias.input=${init.gate_bias.forget}",
            ),
        },
    ),
    "optimizers": Family(
        (*_LONG, "clip=norm"),
        {
            "sgd": ("optimizer=sgd",),
            "momentum": ("optimizer=momentum", "optimizer.alpha=0.01"),
            "nesterov": ("optimizer=nesterov", "optimizer.alpha=0.01"),
            "rmsprop": ("optimizer=rmsprop",),
            "adam": ("optimizer=adam", "optimizer.alpha=0.003"),
            "adamw": ("optimizer=adamw", "optimizer.alpha=0.003"),
            "rprop": ("optimizer=rprop", "clip=none"),
            "rprop_plus": ("optimizer=rprop_plus", "optimizer.delta_zero=0.001", "clip=none"),
            "irprop_minus": ("optimizer=irprop_minus", "optimizer.delta_zero=0.001", "clip=none"),
            "irprop_plus": ("optimizer=irprop_plus", "optimizer.delta_zero=0.001", "clip=none"),
            "hessian_free, 40 updates": (
                *("optimizer=hessian_free", "optimizer.structural_damping=0.1", "optimizer.cg_iterations=50"),
                *("clip=none", "train.batch_size=200", "train.updates=41", "train.log_points=2"),
            ),
        },
    ),
    "schedules": Family(
        (*_LONG, "optimizer=adam", "optimizer.alpha=0.01", "clip=norm"),
        {
            "constant": (),
            "warmup": ("schedule=warmup", "schedule.warmup=200"),
            "cosine": ("schedule=cosine",),
            "linear": ("schedule=linear",),
            "step": ("schedule=step", "schedule.every=250"),
            "inverse_sqrt": ("schedule=inverse_sqrt",),
        },
    ),
    "regularizers": Family(
        ("model=elman", "init=normal", "init.scale=0.1", "optimizer=sgd", "optimizer.alpha=0.1", "clip=norm"),
        {
            "none": (),
            "l2": ("regularizer=l2",),
            "orthogonality, 0.01": ("regularizer=orthogonality",),
            "orthogonality, 0.1": ("regularizer=orthogonality", "regularizer.factor=0.1"),
            "held orthogonal": ("model.recurrent_constraint=orthogonal",),
            "l2_activity": ("regularizer=l2_activity",),
            "omega, 1": ("regularizer=omega",),
            "omega, 4": ("regularizer=omega", "regularizer.factor=4"),
        },
    ),
}
