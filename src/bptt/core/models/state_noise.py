"""Noise of states: a standard normal number for each unit, timestep, sequence and update of training.

A run's stream 5 gives them, layer by layer and timestep by timestep, as many for each update; so they are the same from
a run's middle on, in any company, and whatever fills the vectors. They stand where `layout.noise_at` says.
"""

import dataclasses
from typing import Any

from bptt.core.elementwise import normal_quantile
from bptt.core.layout import noise_at
from bptt.core.random import Generator, next_uniform
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, elements, elements_at, has_units, inline, load, set_number, store

#: 64-bit words of a generator's state, in place of as many numbers.
WORDS = 4


@inline
def draw_noise(net, memory, words):
    """An update's numbers, of WORDS words of each lane's generator; units and rows that only fill vectors have 0."""
    first, rows = elements(memory, noise_at(net, 0, 0)), net.layers * net.timesteps * net.rows
    lanes = 1 if has_units(memory) else WIDTH
    for lane in range(lanes):
        state = elements_at(words, lane * WORDS)
        for row in range(rows):
            units = net.hidden if row % net.rows < net.batch else 0
            for j in range(net.span):
                number = 0.5  # whose quantile is 0
                if j < units:
                    number = next_uniform(state)
                set_number(memory, first + row * net.span + j, lane, number)
    for i in range(noise_at(net, 0, 0), noise_at(net, 0, 0) + rows * net.units):
        store(memory, i, normal_quantile(load(memory, i)))


def has_noise(model: Any) -> bool:
    """Whether noise is added to the states of a model's units."""
    return model.cell.noise is not None and getattr(model, model.cell.noise) > 0


def without_noise(model: Any) -> Any:
    """The same model, of which states follow from inputs."""
    return dataclasses.replace(model, **{model.cell.noise: 0.0}) if has_noise(model) else model


def count_noise(model: Any, timesteps: int, batch: int) -> int:
    """Numbers that an update takes."""
    return int(model.layers * timesteps * batch * model.hidden_size)


def noise_of(run: Run, timesteps: int, batch: int, update: int = 1) -> Floats | None:
    """(layers, T, batch, H): the numbers of an update, counted from 1; None where a run has none.

    Sequences end together: of one of n timesteps they are those of the last n.
    """
    if not has_noise(run.model):
        return None
    generator, shape = Generator(seed_of(run, 5)), (run.model.layers, timesteps, batch, run.model.hidden_size)
    generator.skip((update - 1) * count_noise(run.model, timesteps, batch))
    drawn: Floats = generator.standard_normal(shape)
    return drawn
