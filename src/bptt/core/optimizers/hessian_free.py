"""Hessian-free optimization: steps of a quadratic model of the loss, found by conjugate gradients."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.clips.none import no_clip
from bptt.core.kernel import SOLVER, Kernel
from bptt.core.layout import read_net
from bptt.core.network import start_from_zero
from bptt.core.optimizers.gauss_newton import call_attempt, call_curved
from bptt.core.simd import (
    any_of,
    element,
    elements,
    elements_at,
    inline,
    load,
    select,
    set_element,
    splat,
    store,
)
from bptt.core.simd.sums import sum_vectors

#: What the loss at other parameters costs, in gradients: a pass forward, where a gradient has two products more for
#: each of its products.
_OF_ATTEMPT = 1.0 / 3.0

_LEAST_PROGRESS = 0.0005  # of the model, relative and per iteration, below which conjugate gradients end
_LOOKED_BACK = 10  # iterations over which it is measured, and a tenth of those made where that is more
_GROWS, _SHRINKS = 1.5, 2.0 / 3.0  # λ, where the model promises too much, and where it keeps its promise
_TOO_LITTLE, _ENOUGH = 0.25, 0.75  # of what the model promises
_SLOPE, _SHORTER, _LENGTHS = 0.01, 0.8, 60  # Armijo's condition, and how a step is shortened to meet it

#: What the room holds, each like a row of parameters: the gradient, the iterate x, the residual, the direction and its
#: product, the iterate that is chosen, parameters that are tried, products of numbers; behind them φ of each iteration,
#: and numbers and rows of the iterates that are kept.
_G, _X, _R, _P, _AP, _CHOSEN, _TRIED, _TERMS = range(8)
_ROWS = 8


@inline
def _next_kept(iteration):
    """The iteration after this one whose iterate is kept: 1, 2, 3, 4, 6, 8, 11, …, 1.3 times as far each time."""
    return max(iteration + 1, (13 * iteration + 9) // 10)


@inline
def _dot(room, count, a, b):
    """Σ a b of two rows."""
    for p in range(count):
        store(room, _TERMS * count + p, load(room, a * count + p) * load(room, b * count + p))
    return sum_vectors(room, _TERMS * count, 0, count)


@inline
def _at(room, place):
    """A pointer to the numbers from a vector of the room on."""
    return elements_at(room, elements(room, place))


@SOLVER("damping", "structural_damping", "cg_decay")
def hessian_free(
    curved,
    attempt,
    tangent,
    curvature,
    forward,
    backward,
    loss,
    sizes,
    trial_sizes,
    theta,
    weights,
    gradient,
    memory,
    begin,
    value,
    slots,
    kept,
    room,
    count,
    hyper,
    live,
    update,
    trained,
    partly,
    iterations,
):
    net, zero, one = read_net(sizes), splat(0.0), splat(1.0)
    lives = load(live, 0) > zero
    moving = select(lives, one, zero)
    damping = element(kept, 0)  # of which a run that goes on has the first number alone
    if update == 1:
        damping = hyper.damping
    start_from_zero(read_net(trial_sizes), memory, begin)

    # Conjugate gradients for (G + λI + λμS) x = −g. Iteration 0 is the residual of where they start.
    for p in range(count):
        start = zero
        if update > 1:
            start = hyper.cg_decay * load(slots, p)
            start = select((start - start) == zero, start, zero)  # where a model was beyond all numbers, none is kept
        store(room, _G * count + p, load(gradient, p))
        store(room, _X * count + p, start)
        store(room, _P * count + p, start)
        store(room, _AP * count + p, zero)
    structural = damping * hyper.structural_damping / splat(float(net.batch))
    active, made, square, pieces, products, attempts = moving, zero, zero, 0, zero, zero
    next_kept, models = 1, _ROWS * count
    ends = models + iterations + 1
    first_kept = ends + iterations + 1
    i = 0 if update > 1 else 1
    if update == 1:
        for p in range(count):
            store(room, _R * count + p, -load(gradient, p))
            store(room, _P * count + p, -load(gradient, p))
        square = _dot(room, count, _R, _R)
        store(room, models, zero)
        active = select(square > zero, active, zero)
    while i <= iterations and any_of(active > zero):
        given, product = _at(room, _P * count), _at(room, _AP * count)
        call_curved(
            curved,
            (tangent, curvature, backward, sizes, trial_sizes, weights, given, product, memory, begin, structural),
        )
        products = products + active
        for p in range(count):
            ap = load(room, _AP * count + p) + damping * load(room, _P * count + p)
            if partly:
                ap = select(load(trained, p) > zero, ap, zero)
            store(room, _AP * count + p, ap)
        if i == 0:
            for p in range(count):
                residual = -load(room, _G * count + p) - load(room, _AP * count + p)
                store(room, _R * count + p, residual)
                store(room, _P * count + p, residual)
            square = _dot(room, count, _R, _R)
            active = select(square > zero, active, zero)
        else:
            curve = _dot(room, count, _P, _AP)
            length = square / curve
            goes = (active > zero) & (curve > zero) & (length < splat(np.inf))
            for p in range(count):
                x, r = load(room, _X * count + p), load(room, _R * count + p)
                moved, rest = x + length * load(room, _P * count + p), r - length * load(room, _AP * count + p)
                store(room, _X * count + p, select(goes, moved, x))
                store(room, _R * count + p, select(goes, rest, r))
            behind = _dot(room, count, _R, _R)
            beta = behind / square
            for p in range(count):
                direction = load(room, _P * count + p)
                turned = load(room, _R * count + p) + beta * direction
                store(room, _P * count + p, select(goes, turned, direction))
            square = select(goes, behind, square)
            made = select(goes, splat(float(i)), made)
            active = select(goes, select(behind > zero, one, zero), zero)
        # φ(x) = ½ xᵀAx + gᵀx = −½ xᵀ(r − g), with A x = −g − r
        model = -0.5 * (_dot(room, count, _X, _R) - _dot(room, count, _X, _G))
        store(room, models + i, model)
        back = max(_LOOKED_BACK, i // 10)
        if i > back:
            progress = (model - load(room, models + i - back)) / model
            stops = (model < zero) & (progress < splat(back * _LEAST_PROGRESS))
            active = select(stops, zero, active)
        if i == next_kept:
            for p in range(count):
                store(room, first_kept + pieces * count + p, load(room, _X * count + p))
            store(room, ends + pieces, splat(float(i)))
            pieces += 1
            next_kept = _next_kept(i)
        i += 1

    # Back over the iterates that were kept, as long as the loss falls.
    best = _lose_at(attempt, forward, loss, trial_sizes, theta, memory, begin, room, count, _X * count, one)
    attempts = attempts + moving
    for p in range(count):
        x = load(room, _X * count + p)
        store(room, _CHOSEN * count + p, x)
        store(slots, p, select(lives, x, load(slots, p)))
    falls = moving
    for back in range(pieces):
        piece = pieces - 1 - back
        asked = (falls > zero) & (load(room, ends + piece) < made)
        if any_of(asked):
            place = first_kept + piece * count
            tried = _lose_at(attempt, forward, loss, trial_sizes, theta, memory, begin, room, count, place, one)
            attempts = attempts + select(asked, one, zero)
            rises = asked & (tried > best)
            falls = select(rises, zero, falls)
            taken = asked & (falls > zero)
            best = select(taken, tried, best)
            for p in range(count):
                earlier = load(room, place + p)
                store(room, _CHOSEN * count + p, select(taken, earlier, load(room, _CHOSEN * count + p)))

    # λ by what the undamped model q promised: ρ = (L(θ + d) − L(θ)) / q(d).
    given, product = _at(room, _CHOSEN * count), _at(room, _AP * count)
    call_curved(
        curved, (tangent, curvature, backward, sizes, trial_sizes, weights, given, product, memory, begin, zero)
    )
    products = products + moving
    if partly:
        for p in range(count):
            store(room, _AP * count + p, select(load(trained, p) > zero, load(room, _AP * count + p), zero))
    downhill = _dot(room, count, _CHOSEN, _G)
    promised = 0.5 * _dot(room, count, _CHOSEN, _AP) + downhill
    kept_promise = (best - value) / promised
    factor = select(kept_promise >= splat(_TOO_LITTLE), one, splat(_GROWS))
    factor = select(kept_promise > splat(_ENOUGH), splat(_SHRINKS), factor)
    factor = select(promised < zero, factor, select(promised == zero, one, splat(_GROWS)))
    set_element(kept, 0, select(lives, damping * factor, damping))

    # The step is shortened until the loss falls as much as its slope says, by Armijo's condition; else there is none.
    least = select(downhill < zero, _SLOPE * downhill, zero)
    share, pending = one, select(best <= value + least, zero, moving)
    for _ in range(_LENGTHS):
        if any_of(pending > zero):
            share = select(pending > zero, _SHORTER * share, share)
            tried = _lose_at(
                attempt, forward, loss, trial_sizes, theta, memory, begin, room, count, _CHOSEN * count, share
            )
            attempts = attempts + pending
            pending = select(tried <= value + share * least, zero, pending)
    moves = lives & (pending == zero)
    for p in range(count):
        here = load(theta, p)
        store(theta, p, select(moves, here + share * load(room, _CHOSEN * count + p), here))
    return products + _OF_ATTEMPT * attempts


@inline
def _lose_at(attempt, forward, loss, trial_sizes, theta, memory, begin, room, count, place, share):
    """L(θ + share · the row at a place), ∞ where it is not finite."""
    for p in range(count):
        store(room, _TRIED * count + p, load(theta, p) + share * load(room, place + p))
    value = call_attempt(attempt, (forward, loss, trial_sizes, _at(room, _TRIED * count), memory, begin))
    return select((value - value) == splat(0.0), value, splat(np.inf))


@dataclass(frozen=True, kw_only=True)
class HessianFree:
    """θ ← θ + κ·d, with d from conjugate gradients for (G + λI + λμS) d = −g, and λ by how well the model predicts L.

    G is the Gauss–Newton matrix of the loss (`bptt.core.optimizers.gauss_newton`), g the gradient, both of the update's
    batch. S = mean over the batch of Σ_t (∂h_t/∂θ)ᵀ (∂h_t/∂θ), of all layers, is structural damping: of
    ½ ‖h_t(θ + d) − h_t(θ)‖².

    - Conjugate gradients begin at ζ times where they ended at the update before, and end at iteration i > k, k =
      max(10, i/10), with φ_i < 0 and (φ_i − φ_{i−k})/φ_i < 0.0005·k, φ_i = ½ xᵀ(G + λI + λμS)x + gᵀx; or after
      `cg_iterations`.
    - d is the last iterate x, or an earlier one of those that are kept, iterations 1, 2, 3, 4, 6, 8, 11, … by a factor
      of 1.3: back from the last, as long as L(θ + x) does not grow.
    - ρ = (L(θ + d) − L(θ)) / (½ dᵀGd + gᵀd). λ ← 3/2·λ where ρ < 1/4, or where the model promises no fall of L; λ ←
      2/3·λ where ρ > 3/4.
    - κ = 0.8ⁿ is the largest one with L(θ + κd) ≤ L(θ) + 0.01·κ·gᵀd and n ≤ 60; where there is none, θ stays.

    λ begins at `damping`, μ is `structural_damping`, ζ `cg_decay`. There is no learning rate: a schedule or a clip has
    nothing to change. Batches must be large: a step solves the model of its batch, whose chance it takes for the law.

    Martens 2010, "Deep learning via Hessian-free optimization"; Martens & Sutskever 2011, "Learning Recurrent Neural
    Networks with Hessian-Free Optimization", for structural damping and recurrent networks. Without their
    preconditioner; with squared distances of states in structural damping, as in drasmuss/hessianfree, whose way back
    over iterates and whose condition on κ these are; the model in ρ is the undamped one, as in boulanni/theano-hf.
    An update costs a gradient, one with G for each iteration and for two products more, and passes forward: what is
    recorded of its work counts a product as a gradient, and the loss at other parameters as a third of one.
    """

    damping: Annotated[PerLane, Range(above=0)]
    structural_damping: Annotated[PerLane, Range(at_least=0)]
    cg_decay: Annotated[PerLane, Range(at_least=0, at_most=1)]
    cg_iterations: Annotated[int, Range(at_least=1, at_most=10_000)] = 250

    kernel: ClassVar[Kernel] = hessian_free
    slots: ClassVar[int] = 1

    def find_unfit(self, run: Any) -> str:
        """Why it can't train such a run, in words; empty where it can."""
        if run.model.cell.tangent is None:
            return "knows no curvature of this cell: use model=linear, elman, gru or lstm"
        if getattr(run.loss, "curvature", None) is None:
            return "knows no curvature of this loss: use loss=squared_error, binary_cross_entropy or cross_entropy"
        if run.regularizer.kernel is not None:
            return "knows no curvature of a regularizer: use regularizer=none"
        if run.clip.kernel is not no_clip:
            return "finds the length of a step itself: use clip=none"
        if run.train.truncation is not None:
            return "asks for gradients that flow through all timesteps: use train.truncation=null"
        if run.train.carry_state:
            return "compares losses of one batch, from one state: use train.carry_state=false"
        return ""

    @property
    def iterations(self) -> int:
        """Of conjugate gradients, at most."""
        return self.cg_iterations

    @property
    def rows(self) -> int:
        """How many numbers it needs room for, of each parameter."""
        kept, iteration = 0, 1
        while iteration <= self.cg_iterations:
            kept, iteration = kept + 1, _next_kept.py_func(iteration)
        return _ROWS + kept

    def room(self, count: int) -> int:
        """How many vectors it needs room for, of `count` vectors of parameters."""
        return self.rows * count + 2 * (self.cg_iterations + 1)
