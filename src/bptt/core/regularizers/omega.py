"""A penalty on gradients that vanish or explode, as they flow back through the recurrent weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OMEGA, REGULARIZER, Kernel
from bptt.core.layout import (
    delta_at,
    gradient_at,
    is_live,
    read_net,
    recurrent_columns,
    recurrent_weights,
    state_delta_at,
)
from bptt.core.plain import compute_omega, elman
from bptt.core.simd import element, elements, fma, inline, load, select, splat, store
from bptt.core.simd.sums import norm

#: What Ω is recorded as.
OMEGA_METRIC = "grad/omega"
#: ‖d‖² below which a timestep of a sequence does not count.
_LEAST = 1e-20


@inline
def _flow_back(net, theta, memory, layer, delta, goes):
    """v = u Rᵀ of one row, into so many vectors."""
    columns, to_column, to_row = recurrent_columns(net, layer)
    given = elements(memory, delta)
    for i in range(net.units):
        total = splat(0.0)
        for j in range(net.hidden):
            total = fma(element(memory, given + j), load(theta, columns + j * to_column + i * to_row), total)
        store(memory, goes + i, total)


@inline
def _compare(net, theta, memory, layer, d, u, v, live):
    """(1 where a row counts, else 0; ‖d‖; q − 1 where it counts, else 0) of one row, and v = u Rᵀ."""
    _flow_back(net, theta, memory, layer, u, v)
    size, back = norm(memory, d, net.hidden), norm(memory, v, net.hidden)
    counts = select(live, select(size * size >= splat(_LEAST), splat(1.0), splat(0.0)), splat(0.0))
    ratio = back / size
    return counts, size, select(counts > splat(0.0), ratio * ratio - 1.0, splat(0.0))


@OMEGA
def measure_omega(sizes, theta, memory, begin):
    net, penalty = read_net(sizes), splat(0.0)
    for layer in range(net.layers):
        d, u = state_delta_at(net, layer, begin), delta_at(net, net.delta, layer, begin)
        count, sum_of_squares = splat(0.0), splat(0.0)
        for n in range((net.timesteps - begin) * net.rows):
            row, live = n * net.units, is_live(net, memory, begin + n // net.rows, n % net.rows)
            counts, _, off = _compare(net, theta, memory, layer, d + row, u + row, net.room, live)
            count, sum_of_squares = count + counts, fma(off, off, sum_of_squares)
        penalty = penalty + select(count > splat(0.0), sum_of_squares / count, splat(0.0))
    return penalty


@REGULARIZER("factor")
def add_omega_gradient(sizes, theta, gradient, memory, begin, hyper):
    net, penalty = read_net(sizes), splat(0.0)
    for layer in range(net.layers):
        # Rows lie in the same order in all of these; that of windows is free where there is one window.
        d, u = state_delta_at(net, layer, begin), delta_at(net, net.delta, layer, begin)
        v, count, sum_of_squares = delta_at(net, net.window_delta, layer, begin), splat(0.0), splat(0.0)
        rows = (net.timesteps - begin) * net.rows
        for n in range(rows):
            row = n * net.units
            live = is_live(net, memory, begin + n // net.rows, n % net.rows)
            counts, size, off = _compare(net, theta, memory, layer, d + row, u + row, v + row, live)
            scale = select(counts > splat(0.0), 4.0 * off / (size * size), splat(0.0))
            count, sum_of_squares = count + counts, fma(off, off, sum_of_squares)
            for i in range(v + row, v + row + net.units):
                store(memory, i, scale * load(memory, i))
        share = select(count > splat(0.0), hyper.factor / count, splat(0.0))
        penalty = penalty + select(count > splat(0.0), sum_of_squares / count, splat(0.0))
        first = recurrent_weights(net, layer)
        for i in range(net.hidden):
            for j in range(net.units):
                total, place = splat(0.0), gradient_at(net, first + i * net.units + j)
                for n in range(rows):
                    row = n * net.units
                    total = fma(element(memory, elements(memory, v + row) + i), load(memory, u + row + j), total)
                store(gradient, place, load(gradient, place) + share * total)
    store(memory, net.penalty, penalty)


def has_one_matrix(run: Any) -> bool:
    """Whether R alone, and f′, take a state's gradient to the state before."""
    return run.model.cell.plain is elman and not run.model.cell.feedback


def find_measured_omega(run: Any) -> Kernel | None:
    """What measures Ω at recorded updates; None: there is none, or the regularizer says it."""
    said = getattr(run.regularizer, "metric", None) == OMEGA_METRIC
    return measure_omega if has_one_matrix(run) and not said else None


@dataclass(frozen=True, kw_only=True)
class Omega:
    """factor·Ω: Ω = Σ (q − 1)² / Σ 1 over rows and timesteps t, q = ‖v_t‖²/‖d_t‖², with v_t = (d_t ⊙ f′(h_t)) Rᵀ.

    d_t = ∂L/∂h_t and f′ are held constant, so that with u_t = d_t ⊙ f′(h_t) there is a gradient by R alone,
    ∂Ω/∂R = Σ 4 (q − 1)/‖d_t‖² · v_tᵀ u_t / Σ 1, and no second derivative. v_t is what of d_t reaches h_{t−1}: Ω is 0
    where R takes every gradient back as long as it came. Timesteps with ‖d_t‖² < 10⁻²⁰ do not count. Of several layers
    it is the sum of each one's.

    Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks", section 3.3. The paper
    writes the ratio of norms, the authors' program (pascanur/trainingRNNs, RNN.py) its square, and divides by how many
    count: this is the program's. Ω of each recorded update's batch is `grad/omega`, with this regularizer and without.
    """

    factor: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = add_omega_gradient
    keeps_deltas: ClassVar[bool] = True
    metric: ClassVar[str] = OMEGA_METRIC

    def find_unfit(self, run: Any) -> str:
        """Why it can't be of such a run, in words; empty where it can."""
        if not has_one_matrix(run):
            return "asks for one matrix from state to state: use model=elman or model=linear"
        if run.train.truncation is not None:
            return "asks for gradients that flow through all timesteps: use train.truncation=null"
        return ""

    def penalty(self, run: Any, parameters: Mapping[str, Any], held: Any, sequences: Any) -> Any:
        return self.factor * compute_omega(run, parameters, held, sequences, _LEAST)
