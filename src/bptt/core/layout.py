"""Where things lie: parameters in a lane's flat row, and a batch's states and outputs in the working memory.

Parameter blocks, in this order (G: gates, 1 but for LSTM 4 and GRU 3; C: hidden_size, for Jordan outputs)::

    cell.0.input (inputs, G·H)  cell.0.recurrent (C, G·H)  cell.0.bias (G·H)  cell.0.recurrent_bias (G·H)
    cell.1.input (H, G·H) …     readout.weight (H, outputs)  readout.bias (outputs)

Everything multiplies from the left: x @ W. Memory is counted in vectors. Sequences are right-aligned in it: the last
timestep is T − 1 for all, and a shorter one starts later (`live` says when).
"""

from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from bptt.core.simd import inline

BIASES = {"none": 0, "single": 1, "double": 2}
ACTIVATIONS = {"identity": 0, "tanh": 1, "sigmoid": 2, "relu": 3}
READOUTS = {"none": 0, "identity": 1, "sigmoid": 2, "softmax": 3}


class Net(NamedTuple):
    """A network's sizes, its code path, and the first vector of each region of the working memory."""

    layers: int
    inputs: int
    hidden: int
    outputs: int
    gates: int  # columns of a weight matrix per hidden unit
    deltas: int  # gradients kept per hidden unit: one per gate, and one more where a gate's two inputs differ
    kept: int  # values of a step kept per hidden unit for the backward pass
    slots: int  # numbers that make up a unit's state: h, and c for LSTM
    context: int  # width of what the recurrent weights multiply
    feedback: int  # 1: that is the previous output, 0: the layer's own previous state
    biases: int
    activation: int
    readout: int
    timesteps: int
    rows: int  # vectors that make up a batch
    first_output: int  # the first timestep whose output is wanted
    fused: int  # 1: the loss writes its derivative by the logits, 0: by the outputs
    x: int  # (T, rows, inputs)
    target: int  # (T, rows, outputs)
    live: int  # (T, rows): 1 from a sequence's first timestep on
    scored: int  # (T, rows): the weight of a timestep's loss, 0 where it doesn't count
    state: int  # (layers, T + 1, rows, slots · hidden): state[t] is what timestep t starts from
    gate: int  # (layers, T, rows, kept · hidden): what the backward pass needs of a step
    logit: int  # (T, rows, outputs)
    output: int  # (T + 1, rows, outputs): output[t + 1] is what timestep t gave
    output_delta: int  # (T, rows, outputs): what the loss wrote
    logit_delta: int  # (T, rows, outputs): ∂loss/∂logit of all windows together
    delta: int  # (layers, T, rows, deltas · hidden): ∂loss/∂pre-activation of all windows together
    window_logit_delta: int  # (T, rows, outputs): ∂loss/∂logit of one window, where windows overlap
    window_delta: int  # (layers, T, rows, deltas · hidden): ∂loss/∂pre-activation of one window
    state_delta: int  # (layers, T, rows, slots · hidden): ∂loss/∂state after each timestep, of one window
    context_delta: int  # (T, rows, outputs): the part of ∂loss/∂output that came back through a context
    flow_state: int  # (layers, rows, hidden): ∂loss/∂h of one timestep
    flow: int  # (T,): its norm
    size: int  # vectors in all


#: How kernels are given a net: `np.array(net)`, since forty numbers by value cost more than a small kernel's work.
SIZES = types.Array(types.int64, 1, "C")
_NET = types.NamedUniTuple(types.int64, len(Net._fields), Net)


@intrinsic
def read_net(typingctx, sizes):
    """The net that `sizes` holds."""

    def codegen(context, builder, sig, args):
        first = context.make_array(sig.args[0])(context, builder, args[0]).data
        places = [builder.gep(first, [context.get_constant(types.intp, place)]) for place in range(len(_NET))]
        return context.make_tuple(builder, _NET, [builder.load(place) for place in places])

    return _NET(sizes), codegen


def build_net(
    *,
    model: Any,
    inputs: int,
    outputs: int,
    timesteps: int,
    rows: int,
    last_only: bool,
    fused: bool,
) -> Net:
    """Lay out a model (see `bptt.core.models`) for batches of `rows` vectors of sequences of `timesteps`."""
    layers, hidden, cell = model.layers, model.hidden_size, model.cell
    sizes = {
        "x": timesteps * rows * inputs,
        "target": timesteps * rows * outputs,
        "live": timesteps * rows,
        "scored": timesteps * rows,
        "state": layers * (timesteps + 1) * rows * cell.slots * hidden,
        "gate": layers * timesteps * rows * cell.kept * hidden,
        "logit": timesteps * rows * outputs,
        "output": (timesteps + 1) * rows * outputs,
        "output_delta": timesteps * rows * outputs,
        "logit_delta": timesteps * rows * outputs,
        "delta": layers * timesteps * rows * cell.deltas * hidden,
        "window_logit_delta": timesteps * rows * outputs,
        "window_delta": layers * timesteps * rows * cell.deltas * hidden,
        "state_delta": layers * timesteps * rows * cell.slots * hidden,
        "context_delta": timesteps * rows * outputs,
        "flow_state": layers * rows * hidden,
        "flow": timesteps,
    }
    places, place = {}, 0
    for name, size in sizes.items():
        places[name] = place
        place += size
    return Net(
        layers=layers,
        inputs=inputs,
        hidden=hidden,
        outputs=outputs,
        gates=cell.gates,
        deltas=cell.deltas,
        kept=cell.kept,
        slots=cell.slots,
        context=outputs if cell.feedback else hidden,
        feedback=int(cell.feedback),
        biases=BIASES[model.bias],
        activation=ACTIVATIONS[model.activation],
        readout=READOUTS[model.readout],
        timesteps=timesteps,
        rows=rows,
        first_output=timesteps - 1 if last_only and not cell.feedback else 0,
        fused=int(fused),
        size=place,
        **places,
    )


# ------------------------------------------------------------------------------- parameters, inside and outside kernels
@inline
def input_weights(net, layer):
    """The first parameter of layer's input block."""
    if layer == 0:
        return 0
    columns = net.gates * net.hidden
    first = (net.inputs + net.context + net.biases) * columns
    return first + (layer - 1) * (net.hidden + net.context + net.biases) * columns


@inline
def recurrent_weights(net, layer):
    """The first parameter of layer's recurrent block."""
    width = net.inputs if layer == 0 else net.hidden
    return input_weights(net, layer) + width * net.gates * net.hidden


@inline
def cell_bias(net, layer):
    """The first parameter of layer's bias, −1 without."""
    if net.biases == 0:
        return -1
    return recurrent_weights(net, layer) + net.context * net.gates * net.hidden


@inline
def recurrent_bias(net, layer):
    """The first parameter of layer's recurrent bias, −1 without."""
    if net.biases < 2:
        return -1
    return cell_bias(net, layer) + net.gates * net.hidden


@inline
def readout_weights(net):
    """The first parameter of the read-out; its bias follows its weights."""
    return input_weights(net, net.layers)


# ----------------------------------------------------------------------------------------------------- working memory
@inline
def state_at(net, layer, t):
    """State that timestep t of a layer starts from."""
    return net.state + (layer * (net.timesteps + 1) + t) * net.rows * net.slots * net.hidden


@inline
def gate_at(net, layer, t):
    """What a layer keeps of timestep t for the backward pass."""
    return net.gate + (layer * net.timesteps + t) * net.rows * net.kept * net.hidden


@inline
def delta_at(net, base, layer, t):
    """∂loss/∂pre-activation of a layer's timestep t; base: net.delta or net.window_delta."""
    return base + (layer * net.timesteps + t) * net.rows * net.deltas * net.hidden


@inline
def state_delta_at(net, layer, t):
    """∂loss/∂state of a layer after timestep t."""
    return net.state_delta + (layer * net.timesteps + t) * net.rows * net.slots * net.hidden
