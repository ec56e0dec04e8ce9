"""Networks with random weights, of any kind."""

from dataclasses import replace
from typing import Any

import numpy as np

from bptt.core.parameters import list_parameters, parameter_count, to_named
from bptt.core.run import Record
from bptt.export.network import TrainedNetwork, make_network
from tests.core.making import Noise, make_model, make_run


def record(run: Any, rng: np.random.Generator, size: float = 0.7) -> Record:
    """What a run might have left: random weights, and the state of a batch of four."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    width = run.model.layers * run.model.cell.slots * run.model.hidden_size + run.task.outputs
    return Record(
        outcome="completed",
        updates=1,
        history={"update": np.array([1]), "loss/eval": np.array([0.5])},
        flow=np.ones((1, run.task.timesteps)),
        parameters=to_named(blocks, size * rng.standard_normal(parameter_count(blocks))),
        state=rng.standard_normal((4, width)),
    )


def network(
    name: str, *, ragged: bool = False, last_only: bool = False, carry: bool = False, **model: Any
) -> TrainedNetwork:
    """A network with random weights, for 11 sequences of noise of at most 5 timesteps."""
    # Without a read-out the state itself is the output.
    outputs = 4 if model.get("readout") == "none" else 3
    task = Noise(ragged=ragged, last_only=last_only, outputs=outputs)
    run = make_run(model=make_model(name, **model), task=task, carry_state=carry)
    return make_network(run, record(run, np.random.Generator(np.random.PCG64(1))))


def prepared_network(name: str, preparation: Any, **choices: Any) -> TrainedNetwork:
    """The same for data that were scaled, or have labels, by this preparation."""
    outputs = len(preparation.target_mean)
    task = Noise(outputs=outputs, ragged=choices.pop("ragged", False), last_only=choices.pop("last_only", False))
    run = make_run(model=make_model(name, **choices), task=task)
    made = make_network(run, record(run, np.random.Generator(np.random.PCG64(1))))
    return replace(made, preparation=preparation)
