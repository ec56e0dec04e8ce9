"""Gradient noise: normal numbers that are added to a clipped gradient, smaller as training goes on."""

from dataclasses import dataclass
from typing import Annotated

from bptt.core.annotations import PerLane, Range
from bptt.core.elementwise import normal_quantile
from bptt.core.random import next_uniform
from bptt.core.simd import (
    WIDTH,
    elements_at,
    exp,
    has_units,
    inline,
    load,
    log,
    select,
    set_number,
    splat,
    sqrt,
    store,
    within,
)

#: 64-bit words of a generator's state, in place of as many numbers.
WORDS = 4


@inline
def add_noise(gradient, vectors, count, eta, gamma, words, room, update):
    """g + N(0, η/(1 + u)^γ) of so many vectors that hold `count` numbers of each run.

    words  the state of each lane's generator, WORDS numbers each; a generator is asked once for each number
    room   of one vector
    """
    spread = sqrt(eta * exp(-gamma * log(splat(update) + 1.0)))
    for p in range(vectors):
        for i in range(WIDTH):
            number = 0.5  # whose quantile is 0
            if has_units(gradient):
                if p * WIDTH + i < count:
                    number = next_uniform(words)
            else:
                number = next_uniform(elements_at(words, i * WORDS))
            set_number(room, 0, i, number)
        g = load(gradient, p)
        wanted = select(within(gradient, p, 0, count), eta, splat(0.0)) > splat(0.0)
        store(gradient, p, select(wanted, g + spread * normal_quantile(load(room, 0)), g))


@dataclass(frozen=True, kw_only=True)
class AddsNoise:
    """g ← g + N(0, η/(1 + u)^γ) at update u, for each parameter, behind the clip; η is `noise`, γ `noise_decay`.

    Neelakantan et al. 2015, "Adding Gradient Noise Improves Learning for Very Deep Networks". The numbers are a
    stream of the run's own, one for each parameter and update: what else a run draws does not change with them.
    `grad/norm` and `grad/clipped` are of the gradient before.
    """

    noise: Annotated[PerLane, Range(at_least=0)] = 0.0
    noise_decay: Annotated[PerLane, Range(at_least=0)] = 0.55
