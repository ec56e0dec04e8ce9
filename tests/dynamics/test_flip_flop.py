"""A trained memory of three bits has a stable state for each of the eight things that it can remember."""

from pathlib import Path

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.training import train
from bptt.dynamics.measures import trace_networks

COUNT, STEPS, BITS = 512, 40, 3


def make_flip_flops(path: Path) -> None:
    """Sussillo & Barak 2013, figure 2: each input is now and then 1 or −1, each output is the last that its input was.

    In the first timestep every input says something, so that there is something to remember.
    """
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (COUNT, STEPS, BITS))
    pulses = np.where(rng.random(signs.shape) < 0.1, signs, 0.0)
    pulses[:, 0] = signs[:, 0]
    held = np.empty_like(pulses)
    state = pulses[:, 0]
    for t in range(STEPS):
        state = np.where(pulses[:, t] != 0.0, pulses[:, t], state)
        held[:, t] = state
    np.savez(path, x=pulses, y=held)


@pytest.mark.slow(seconds=10)
def test_an_lstm_that_holds_three_bits_has_eight_stable_fixed_points(tmp_path: Path) -> None:
    make_flip_flops(tmp_path / "flops.npz")
    words = ["task=arrays", f"task.path={tmp_path / 'flops.npz'}", "task.order=shuffled", "model=lstm"]
    words += ["model.hidden_size=16", "model.readout=identity", "loss=squared_error", "optimizer=adam"]
    words += ["optimizer.alpha=0.01", "train.batch_size=32", "train.updates=1500", "train.log_points=5", "seed=0"]
    run = check_configuration(compose(words)).run
    (record,) = train([run])
    weights = {name: array[None] for name, array in record.parameters.items()}
    ((_, points),) = trace_networks([run], weights)
    hidden = points.states[points.stable][:, :16]
    outputs = hidden @ record.parameters["readout.weight"] + record.parameters["readout.bias"]
    assert record.history["loss/eval"][-1] / (STEPS * BITS) < 0.01
    assert len(hidden) == 8
    assert len({tuple(row) for row in np.sign(outputs)}) == 8  # each bit pattern once
    assert (np.abs(np.abs(outputs) - 1.0) < 0.2).all()
