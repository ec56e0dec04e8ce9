"""A run that is made of keys and values in Python is the one that the command line makes of them."""

from typing import Any

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.direct import assemble_run, make_checker
from bptt.configuration.errors import ConfigurationError

SEVERAL: list[dict[str, Any]] = [
    {},
    {"model": "lstm", "optimizer": "momentum", "optimizer.epsilon": 0.5, "init.gate_bias.forget": 1, "seed": 7},
    {"schedule": "cosine", "clip": "norm", "clip.threshold": 3, "train.updates": 10, "train.only": ["readout"]},
    {"regularizer": "l2", "init": "orthogonal", "init.recurrent": "identity", "train.early_stop.metric": "loss/train"},
]


def write(value: Any) -> str:
    return "[" + ",".join(value) + "]" if isinstance(value, list) else str(value)


@pytest.mark.parametrize("given", SEVERAL)
def test_keys_mean_what_they_mean_on_the_command_line(given: dict[str, Any]) -> None:
    run = check_configuration(compose([f"{key}={write(value)}" for key, value in given.items()])).run
    beside = {"loss": "squared_error", "loss.weight": run.loss.weight, "model.readout": run.model.readout}
    beside |= {"model.bias": run.model.bias, "model.activation": "tanh"} if not given.get("model") else {}
    checker = make_checker()
    for _ in range(2):  # what a checker keeps is what it built
        assert assemble_run(run.task, beside | given, checker) == run


def test_numpy_s_numbers_are_numbers() -> None:
    task = check_configuration(compose()).run.task
    loss = {"loss": "squared_error", "model.readout": "identity"}
    numbers = {"model.hidden_size": np.int64(3), "optimizer.alpha": np.float64(0.5), "train.carry_state": np.True_}
    run = assemble_run(task, loss | numbers | {"train.only": np.array(["readout"])})
    assert (run.model.hidden_size, run.optimizer.alpha) == (3, 0.5)  # type: ignore[attr-defined]
    assert (run.train.carry_state, run.train.only) == (True, ("readout",))


def test_hydra_is_left_alone_and_all_that_is_wrong_is_said() -> None:
    task = check_configuration(compose()).run.task
    GlobalHydra.instance().clear()
    loss = {"loss": "squared_error", "model.readout": "identity"}
    with pytest.raises(ConfigurationError) as caught:
        assemble_run(task, loss | {"optimizer.alpha": "fast", "model.hiden_size": 3, "train": "x"})
    assert [line.partition(":")[0] for line in caught.value.lines] == ["train=x"]
    with pytest.raises(ConfigurationError) as caught:
        assemble_run(task, loss | {"optimizer.alpha": "fast", "model.hiden_size": 3, "learning_rate": 1})
    assert sorted(line.partition(":")[0] for line in caught.value.lines) == [
        "learning_rate=1",
        "model.hiden_size=3",
        "optimizer.alpha=fast",
    ]
    assert not GlobalHydra.instance().is_initialized()
