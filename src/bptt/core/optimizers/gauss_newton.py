"""The Gauss–Newton matrix of a loss times a vector, and the loss at other parameters, of the batch in memory.

G = Σ Jᵀ H J with J = ∂output/∂θ of a sequence's timestep and H = ∂²L/∂output²: the Hessian without the part that has
the outputs' second derivatives. It is positive semi-definite wherever a loss is convex in the outputs, as all shipped
ones are (Schraudolph 2002, "Fast Curvature Matrix-Vector Products for Second-Order Gradient Descent"). G v takes one
pass forward (`bptt.core.models.tangents`), H, and the network's ordinary pass backward; no matrix is made.
"""

from numba import types

from bptt.core.kernel import (
    ARRAYS,
    SIZES,
    SIZES_ARRAY,
    Kernel,
    Kind,
    call_backward,
    call_curvature,
    call_forward,
    call_loss,
    call_tangent,
)
from bptt.core.layout import read_net, state_at, state_delta_at
from bptt.core.places import collect_gradient, spread_weights, sum_of_places
from bptt.core.simd import has_units, inline, load, pointer_to, splat, store, vector

_INTEGER = types.int64
#: curved(tangent, curvature, backward, sizes, trial, weights, direction, product, memory, begin, share)
CURVED = Kind(
    "curved",
    lambda memory: types.void(*[_INTEGER] * 3, SIZES, SIZES, memory, memory, memory, memory, _INTEGER, vector),
)
#: attempt(forward, loss, trial, theta, memory, begin) → loss
ATTEMPT = Kind("attempt", lambda memory: vector(_INTEGER, _INTEGER, SIZES, memory, memory, _INTEGER))
call_curved, call_attempt = CURVED.call, ATTEMPT.call


@inline
def _damp_states(net, trial, memory, begin, share):
    """∂loss/∂h_t = share · R{h_t} of every layer and timestep, and 0 of what else makes up a state."""
    for layer in range(net.layers):
        goes, came = state_delta_at(net, layer, begin), state_at(trial, layer, begin + 1)
        for row in range((net.timesteps - begin) * net.rows):
            first = row * net.slots * net.units
            for j in range(first, first + net.units):
                store(memory, goes + j, share * load(memory, came + j))
            for j in range(first + net.units, first + net.slots * net.units):
                store(memory, goes + j, splat(0.0))


@CURVED
def multiply_curvature(
    tangent, curvature, backward, sizes, trial_sizes, weights, direction, product, memory, begin, share
):
    """product = (G + share · Σ_t (∂h_t/∂θ)ᵀ (∂h_t/∂θ)) direction, both like a flat row of parameters.

    States and outputs at the parameters stand in memory; `weights` are the parameters as passes read them.
    """
    net, trial = read_net(sizes), read_net(trial_sizes)
    spread_weights(trial, direction, memory)
    along = memory if has_units(memory) else direction
    call_tangent(tangent, (sizes, trial_sizes, weights, along, memory, begin))
    _damp_states(net, trial, memory, begin, share)
    call_curvature(curvature, (sizes, trial_sizes, memory, begin))
    goes = memory if has_units(memory) else product
    call_backward(backward, (sizes, weights, goes, memory, begin, -1, False))
    collect_gradient(net, memory, product)


@ATTEMPT
def try_parameters(forward, loss, trial_sizes, theta, memory, begin):
    """The loss of the batch at other parameters, a flat row."""
    trial = read_net(trial_sizes)
    spread_weights(trial, theta, memory)
    weights = memory if has_units(memory) else theta
    call_forward(forward, (trial_sizes, weights, memory, begin))
    call_loss(loss, (trial_sizes, memory, begin))
    return sum_of_places(trial, memory, trial.loss, max(begin, trial.first_output))


def _curve_along(addresses, sizes, trial_sizes, parameters, direction, product, memory_array, begin, share):
    memory, theta = pointer_to(memory_array), pointer_to(parameters)
    tangent, curvature, backward, curved = addresses
    weights = memory if has_units(memory) else theta
    ways = pointer_to(direction), pointer_to(product), memory, begin, splat(share)
    call_curved(curved, (tangent, curvature, backward, pointer_to(sizes), pointer_to(trial_sizes), weights, *ways))


#: `multiply_curvature` for Python: curve_along((tangent, curvature, backward, curved), sizes, trial sizes, parameters,
#: direction, product, working memory, begin, share).
curve_along = Kernel(
    _curve_along,
    {
        mode: types.void(types.UniTuple(_INTEGER, 4), SIZES_ARRAY, SIZES_ARRAY, *[memory] * 4, _INTEGER, types.float64)
        for mode, memory in ARRAYS.items()
    },
)
