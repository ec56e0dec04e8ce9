"""Recurrent weights that stay orthogonal, or as near to it as a margin says: R = U · diag(s) · Vᵀ.

U and V (H, H) are orthogonal, and s = 2m(σ(p) − ½) + 1 lies within 1 ± m. Where an optimizer would make R into R − D, D
moves U, V and p instead, by Cayley's transform and by the chain rule:

    A = D Rᵀ − R Dᵀ    U ← (I + A/2)⁻¹ (I − A/2) U
    B = Dᵀ R − Rᵀ D    V ← (I + B/2)⁻¹ (I − B/2) V
    p ← p − 2m σ(p)(1 − σ(p)) · diag(Uᵀ D V)

A and B are skew, so that what is orthogonal stays so. With D = α·∂L/∂R, A is α·(G Uᵀ − U Gᵀ) of G = ∂L/∂U, and B
likewise: steps along which the loss falls (Tagare 2011, "Notes on optimization on Stiefel manifolds"; Wisdom, Powers,
Hershey, Le Roux & Atlas 2016). That R is held so, and with these margins, is from Vorontsov, Trabelsi, Kadoury & Pal
2017, "On orthogonality and learning recurrent networks with long term dependencies". Their program
(veugene/spectre_release) starts U and V from a singular value decomposition, has GᵀU − UᵀG in the place of A, along
which the loss need not fall, and gives U and V, p, and all else a learning rate each; here all have one. With m = 0 R
moves by −2α(∂L/∂R − R (∂L/∂R)ᵀ R) to first order, four times α times the part of the gradient that is tangent to the
orthogonal matrices: U and V each take the whole step.
"""

import math
from collections.abc import Sequence

import numpy as np

from bptt.core.inits.orthogonal import find_orthonormal
from bptt.core.kernel import CONSTRAINT, Kernel, call_product
from bptt.core.layout import read_net
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.nesterov import Nesterov
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter, belongs_to
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats
from bptt.core.simd import (
    WIDTH,
    aligned_zeros,
    elements_at,
    fma,
    inline,
    load,
    number_of,
    set_number,
    sigmoid,
    splat,
    store,
    vectors_at,
)

_RENEWED = 16  # updates, after which what rounding took from U and V is given back
_ROOM = 5  # matrices
_ALONG_GRADIENTS = (Sgd, Momentum, Nesterov)


def is_constrained(run: Run) -> bool:
    """Whether R stays orthogonal, or within a margin of it."""
    return getattr(run.model, "recurrent_constraint", "none") != "none"


def find_constraint(run: Run) -> Kernel | None:
    """What is called after an optimizer's step; None: nothing, or R is not trained."""
    only = run.train.only
    trained = only is None or any(name in ("cell", "recurrent") for name in only)
    return hold_orthogonal if is_constrained(run) and trained else None


def find_unfit_constraint(run: Run) -> str:
    """Why a run can't be constrained so, in words; empty where it can, or need not."""
    if not is_constrained(run) or isinstance(run.optimizer, _ALONG_GRADIENTS):
        return ""
    return "asks for steps along the gradient: use optimizer=sgd, optimizer=momentum or optimizer=nesterov"


def draw_start(run: Run, blocks: tuple[Parameter, ...]) -> Floats:
    """The parameters (P,) that a run starts from.

    Where R is constrained it starts from the orthogonal factor of what the init gives, Q of its QR decomposition with a
    positive diagonal: an orthogonal matrix as it is, with all singular values 1.
    """
    flat = run.init.parameters(seed_of(run, 0), blocks)
    if is_constrained(run):
        for block in blocks:
            if belongs_to(block, "recurrent"):
                place = slice(block.first, block.first + block.size)
                flat[place] = find_orthonormal(flat[place].reshape(block.shape)).ravel()
    return flat


#: The field of a model, PerLane, that the constraint reads.
MARGIN = "spectral_margin"


class Factors:
    """U, V and p of lanes that a block trains, in memory that `hold_orthogonal` takes."""

    def __init__(self, runs: Sequence[Run], parameters: Sequence[Floats], blocks: Sequence[Parameter]) -> None:
        """parameters: (P,) of each run, in which R is U; V = I, p = 0."""
        size = runs[0].model.hidden_size
        span, own = -(-size // WIDTH) * WIDTH, [block for block in blocks if belongs_to(block, "recurrent")]
        shape = len(runs), len(own), 2 * size + 1, span
        numbers = math.prod(shape)
        self.memory = aligned_zeros(WIDTH + numbers + _ROOM * size * span + span)
        self.memory[: len(runs)] = [getattr(run.model, MARGIN) for run in runs]
        self._lanes = self.memory[WIDTH : WIDTH + numbers].reshape(shape)[..., :size]
        for lane, flat in enumerate(parameters):
            for layer, block in enumerate(own):
                self._lanes[lane, layer, :size] = flat[block.first : block.first + block.size].reshape(size, size)
        self._lanes[:, :, size : 2 * size] = np.eye(size)

    def of_lane(self, place: int) -> Floats:
        """(layers, 2H + 1, H): U, V and p of a lane, one below the other, as a view."""
        return self._lanes[place]


@inline
def _multiply(product, into, left, left_row, left_step, right, size, units):
    """into = left · right, all of `size` rows."""
    rows = vectors_at(into, 0), units, 1
    call_product(product, (*rows, left, left_row, left_step, vectors_at(right, 0), units, 1, size, size, units, False))


@inline
def _transpose(into, matrix, size, span):
    for i in range(size):
        for j in range(span):
            set_number(into, i * span + j, 0, number_of(matrix, j * span + i, 0) if j < size else 0.0)


@inline
def _copy(into, matrix, vectors):
    for i in range(vectors):
        store(into, i, load(matrix, i))


@inline
def _turn(product, matrix, skew, half, solved, size, units):
    """(I + A/2)⁻¹ (I − A/2) · matrix where A = skew − skewᵀ, as 2 (I + A/2)⁻¹ matrix − matrix.

    I + A/2 is eliminated without pivots: the symmetric part of what is left of it never is less than I.
    """
    span = units * WIDTH
    for i in range(size):
        for j in range(span):
            a = 0.5 * (number_of(skew, i * span + j, 0) - number_of(skew, j * span + i, 0)) if j < size else 0.0
            set_number(half, i * span + j, 0, 1.0 + a if i == j else a)
    _copy(solved, matrix, size * units)
    for k in range(size):
        for i in range(k + 1, size):
            factor = splat(-number_of(half, i * span + k, 0) / number_of(half, k * span + k, 0))
            for c in range(k // WIDTH, units):
                store(half, i * units + c, fma(factor, load(half, k * units + c), load(half, i * units + c)))
            for c in range(units):
                store(solved, i * units + c, fma(factor, load(solved, k * units + c), load(solved, i * units + c)))
    for k in range(size - 1, -1, -1):
        pivot = splat(number_of(half, k * span + k, 0))
        for c in range(units):
            store(solved, k * units + c, load(solved, k * units + c) / pivot)
        for i in range(k):
            factor = splat(-number_of(half, i * span + k, 0))
            for c in range(units):
                store(solved, i * units + c, fma(factor, load(solved, k * units + c), load(solved, i * units + c)))
    for i in range(size * units):
        store(matrix, i, 2.0 * load(solved, i) - load(matrix, i))


@inline
def _renew(product, matrix, square, made, size, units):
    """matrix ← matrix · (3I − matrixᵀ matrix)/2, which squares its distance from an orthogonal one."""
    span = units * WIDTH
    _multiply(product, square, matrix, 1, span, matrix, size, units)
    for i in range(size):
        for c in range(units):
            store(square, i * units + c, -0.5 * load(square, i * units + c))
        set_number(square, i * span + i, 0, 1.5 + number_of(square, i * span + i, 0))
    _multiply(product, made, matrix, span, 1, square, size, units)
    _copy(matrix, made, size * units)


@inline
def _move(product, u, v, p, r, d, margin, renewed, size, units):
    """U, V and p after a step that would take d from r; r is then what they make. Three matrices stand behind d."""
    span = units * WIDTH
    count = size * span
    first, second, third = elements_at(d, count), elements_at(d, 2 * count), elements_at(d, 3 * count)
    slope = elements_at(d, 4 * count)
    _multiply(product, first, d, span, 1, v, size, units)
    for c in range(units):
        total = splat(0.0)
        for i in range(size):
            total = fma(load(u, i * units + c), load(first, i * units + c), total)
        store(slope, c, total)
    _transpose(second, r, size, span)
    _multiply(product, first, d, span, 1, second, size, units)
    _turn(product, u, first, second, third, size, units)
    _multiply(product, first, d, 1, span, r, size, units)
    _turn(product, v, first, second, third, size, units)
    if renewed:
        _renew(product, u, first, second, size, units)
        _renew(product, v, first, second, size, units)
    twice = splat(2.0 * margin)
    for c in range(units):
        share = sigmoid(load(p, c))
        moved = load(p, c) - twice * share * (1.0 - share) * load(slope, c)
        store(p, c, moved)
        store(slope, c, twice * (sigmoid(moved) - 0.5) + 1.0)
    for i in range(size):
        for c in range(units):
            store(first, i * units + c, load(u, i * units + c) * load(slope, c))
    _transpose(second, v, size, span)
    _multiply(product, r, first, span, 1, second, size, units)


@CONSTRAINT
def hold_orthogonal(sizes, theta, before, factors, live, lanes, update, product):
    net = read_net(sizes)
    size = net.hidden
    units = (size + WIDTH - 1) // WIDTH
    span = units * WIDTH
    layer_numbers = (2 * size + 1) * span
    r = elements_at(factors, WIDTH + lanes * net.layers * layer_numbers)
    d = elements_at(r, size * span)
    for lane in range(lanes):
        if number_of(live, 0, lane) > 0.0:
            margin, place = number_of(factors, lane, 0), 0
            for layer in range(net.layers):
                place += (net.inputs if layer == 0 else size) * size
                for i in range(size):
                    for j in range(span):
                        was = number_of(before, place + i * size + j, lane) if j < size else 0.0
                        now = number_of(theta, place + i * size + j, lane) if j < size else 0.0
                        set_number(r, i * span + j, 0, was)
                        set_number(d, i * span + j, 0, was - now)
                u = elements_at(factors, WIDTH + (lane * net.layers + layer) * layer_numbers)
                v, p = elements_at(u, size * span), elements_at(u, 2 * size * span)
                _move(product, u, v, p, r, d, margin, update % _RENEWED == 0, size, units)
                for i in range(size):
                    for j in range(size):
                        set_number(theta, place + i * size + j, lane, number_of(r, i * span + j, 0))
                place += (size + net.biases) * size
