"""Where things lie: parameters in a lane's flat row, and a batch's states and outputs in the working memory.

Parameter blocks, in this order (G: gates, 1 but for LSTM 4 and GRU 3; C: hidden_size, for Jordan outputs)::

    cell.0.input (inputs, G·H)  cell.0.recurrent (C, G·H)  cell.0.bias (G·H)  cell.0.recurrent_bias (G·H)
    cell.1.input (H, G·H) …     readout.weight (H, outputs)  readout.bias (outputs)

Everything multiplies from the left: x @ W. Sequences are right-aligned in the memory: the last timestep is T − 1 for
all, and a shorter one starts later (`is_live` says when).

What stands side by side in a vector (`bptt.core.simd.memory`) is with LANES one number of each lane. With UNITS it is
neighbouring numbers of one run: where it is about hidden states units of a layer, with room for whole vectors; where it
is about outputs *places*, the rows of all timesteps one after the other, t · rows + r being row r of timestep t.
"""

from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from bptt.core.kernel import LANES
from bptt.core.simd import WIDTH, element, elements, inline, load, splat

BIASES = {"none": 0, "single": 1, "double": 2}
ACTIVATIONS = {"identity": 0, "tanh": 1, "sigmoid": 2, "relu": 3}
READOUTS = {"none": 0, "identity": 1, "sigmoid": 2, "softmax": 3}


class Net(NamedTuple):
    """A network's sizes, its code path, and the first vector of each region of the working memory.

    (…) after a region are its axes, of vectors; those of *elements* are marked.
    """

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
    batch: int  # sequences
    rows: int  # as many; with UNITS and feedback some are added to fill vectors
    first_output: int  # the first timestep whose output is wanted
    fused: int  # 1: the loss writes its derivative by the logits, 0: by the outputs
    per: int  # places in a vector: 1 with LANES, WIDTH with UNITS
    units: int  # vectors that hold a layer's units
    span: int  # elements in as many vectors
    places: int  # vectors that hold the places of one output, the rows ahead of the first timestep included
    lead: int  # vectors of rows ahead of the first timestep: the output before it, with feedback
    product: int  # address of the kernel `products.product`
    x: int  # elements (T, rows, inputs)
    live: int  # (places): 1 from a sequence's first timestep on
    scored: int  # (places): the weight of a timestep's loss, 0 where it doesn't count
    target: int  # (outputs, places)
    one: int  # 1
    state: int  # (layers, T + 1, rows, slots, units): state[t] is what timestep t starts from
    gate: int  # (layers, T, rows, kept, units): what the backward pass needs of a step
    logit: int  # (outputs, places)
    output: int  # (outputs, places)
    output_delta: int  # (outputs, places): what the loss wrote
    loss: int  # (places): the loss of each place
    logit_delta: int  # (outputs, places): ∂loss/∂logit of all windows together
    state_delta: int  # (layers, T, rows, slots, units): ∂loss/∂state after each timestep, of one window
    delta: int  # (layers, T, rows, deltas, units): ∂loss/∂pre-activation of all windows together; may be state_delta
    window_logit_delta: int  # (outputs, places): ∂loss/∂logit of one window, where windows overlap
    window_delta: int  # (layers, T, rows, deltas, units): ∂loss/∂pre-activation where state_delta is to stay
    context_delta: int  # (outputs, places): the part of ∂loss/∂output that came back through a context
    flow_state: int  # elements (layers, batch, hidden): ∂loss/∂h of one timestep
    flow: int  # elements (T): its norm
    by_place: int  # with UNITS (places / WIDTH, units · WIDTH): states as `places.by_place` turns them
    weights: int  # with UNITS the parameters, each row in whole vectors; with LANES 0, they are theta's
    columns: int  # with UNITS the same, columns as rows
    gradient: int  # with UNITS the gradient of `weights`; with LANES 0
    penalty: int  # what a regularizer that names a metric says of itself
    room: int  # (hidden): a regularizer's own
    numbers: int  # (cell.numbers): the model's, of each run
    noise: int  # (layers, T, rows, units): what is drawn for the units' sums, of cells that have noise
    pushes: int  # 1: a regularizer says what ∂loss/∂h begins with, 0: it begins with 0
    push: int  # (layers, T, rows, units): what that is
    size: int  # vectors in all


#: Kernels are given a pointer to a net's numbers: fifty of them by value cost more than a small kernel's work.
_NET = types.NamedUniTuple(types.int64, len(Net._fields), Net)


@intrinsic
def read_net(typingctx, sizes):
    """The net that `sizes` holds."""

    def codegen(context, builder, sig, args):
        places = [builder.gep(args[0], [context.get_constant(types.intp, place)]) for place in range(len(_NET))]
        return context.make_tuple(builder, _NET, [builder.load(place) for place in places])

    return _NET(sizes), codegen


@intrinsic
def with_weights_of(typingctx, net, other):
    """A net whose weights are another's: what lies where, of the two."""

    def codegen(context, builder, sig, args):
        made = args[0]
        for name in ("weights", "columns", "gradient"):
            place = Net._fields.index(name)
            made = builder.insert_value(made, builder.extract_value(args[1], place), place)
        return made

    return _NET(net, other), codegen


#: What of a net's working memory is the data, which a trial of other parameters sees too.
_DATA = ("x", "live", "scored", "target", "one")


def lay_out_trial(net: Net) -> Net:
    """The same network once more in the memory behind it, for the same data: for trials of other parameters, and for
    how states and outputs change along a direction.
    """
    fields = Net._fields
    regions = fields[fields.index("x") : fields.index("size")]
    of_theta = ("weights", "columns", "gradient") if net.per == 1 else ()
    own = [name for name in regions if name not in (*_DATA, *of_theta)]
    return net._replace(**{name: getattr(net, name) + net.size for name in own})


def _vectors(numbers: int) -> int:
    """Vectors that hold so many numbers of one run."""
    return -(-numbers // WIDTH)


def build_net(
    *,
    model: Any,
    inputs: int,
    outputs: int,
    timesteps: int,
    batch: int,
    last_only: bool,
    fused: bool,
    truncation: int | None,
    keeps_deltas: bool,
    on_states: bool,
    mode: str,
) -> Net:
    """Lay out a model (see `bptt.core.models`) for batches of so many sequences of so many timesteps.

    keeps_deltas: whether ∂loss/∂state is asked for after the backward pass, of each timestep
    on_states: whether a regularizer says what ∂loss/∂h begins with

    The address of the product is left to who has it.
    """
    # A layer without gates puts ∂loss/∂pre-activation in the place of ∂loss/∂state, unless windows are to be added up.
    alone = model.cell.deltas == model.cell.slots == 1 and (truncation is None or truncation == 1)
    in_place = alone and not keeps_deltas
    layers, hidden, cell, lanes = model.layers, model.hidden_size, model.cell, mode == LANES
    rows = batch if lanes or not cell.feedback else WIDTH * _vectors(batch)
    per, units = (1, hidden) if lanes else (WIDTH, _vectors(hidden))
    span, context = units * per, outputs if cell.feedback else hidden
    lead = rows // per if cell.feedback else 0
    places = lead + -(-timesteps * rows // per)
    if outputs > 1:
        places |= 1  # an even distance between outputs could put all of them into the same set of the cache
    steps = layers * timesteps * rows

    def of_one_run(numbers: int) -> int:
        return numbers if lanes else _vectors(numbers)

    biases, gates = BIASES[model.bias], cell.gates
    rows_of_weights = inputs + (layers - 1) * hidden + layers * (context + biases)
    readout = of_one_run(0 if model.readout == "none" else (hidden + (biases > 0)) * outputs)
    packed = 0 if lanes else rows_of_weights * gates * units + readout
    turned = 0 if lanes else (2 * layers * gates * span + WIDTH + outputs) * units
    sizes = {
        "x": of_one_run(timesteps * rows * inputs),
        "live": places,
        "scored": places,
        "target": outputs * places,
        "one": 1,
        "state": layers * (timesteps + 1) * rows * cell.slots * units,
        "gate": steps * cell.kept * units,
        "logit": outputs * places,
        "output": outputs * places,
        "output_delta": outputs * places,
        "loss": places,
        "logit_delta": outputs * places,
        "state_delta": steps * cell.slots * units,
        "delta": 0 if in_place else steps * cell.deltas * units,
        "window_logit_delta": outputs * places,
        "window_delta": steps * cell.deltas * units,
        "context_delta": outputs * places,
        "flow_state": of_one_run(layers * batch * hidden),
        "flow": of_one_run(timesteps),
        "by_place": 0 if lanes else (_vectors(timesteps * rows) + 1) * span,
        "weights": packed,
        "columns": turned,
        "gradient": packed + outputs * units,
        "numbers": len(cell.numbers),
        "noise": steps * units if cell.noise is not None else 0,
        "push": steps * units if on_states else 0,
    }
    first, places_of = 0, {}
    for name, size in sizes.items():
        places_of[name] = first
        first += size
    if in_place:
        places_of["delta"] = places_of["state_delta"]
    if lanes:
        places_of |= {"weights": 0, "columns": 0, "gradient": 0}
    return Net(
        layers=layers,
        inputs=inputs,
        hidden=hidden,
        outputs=outputs,
        gates=gates,
        deltas=cell.deltas,
        kept=cell.kept,
        slots=cell.slots,
        context=context,
        feedback=int(cell.feedback),
        biases=biases,
        activation=ACTIVATIONS[model.activation],
        readout=READOUTS[model.readout],
        timesteps=timesteps,
        batch=batch,
        rows=rows,
        first_output=timesteps - 1 if last_only and not cell.feedback else 0,
        fused=int(fused),
        pushes=int(on_states),
        per=per,
        units=units,
        span=span,
        places=places,
        lead=lead,
        product=0,
        penalty=first + WIDTH * cell.slots * units,  # `places.by_place` may read as many behind the last state
        room=first + WIDTH * cell.slots * units + 1,
        size=first + WIDTH * cell.slots * units + 1 + hidden,
        **places_of,
    )


# ------------------------------------------------------------------------------- parameters, inside and outside kernels
@inline
def input_weights(net, layer):
    """Where layer's input block begins."""
    if layer == 0:
        return net.weights
    first = (net.inputs + net.context + net.biases) * net.gates * net.units
    return net.weights + first + (layer - 1) * (net.hidden + net.context + net.biases) * net.gates * net.units


@inline
def recurrent_weights(net, layer):
    """Where layer's recurrent block begins."""
    width = net.inputs if layer == 0 else net.hidden
    return input_weights(net, layer) + width * net.gates * net.units


@inline
def cell_bias(net, layer):
    """Where layer's bias begins; −1 without."""
    if net.biases == 0:
        return -1
    return recurrent_weights(net, layer) + net.context * net.gates * net.units


@inline
def recurrent_bias(net, layer):
    """Where layer's recurrent bias begins; −1 without."""
    if net.biases < 2:
        return -1
    return cell_bias(net, layer) + net.gates * net.units


@inline
def readout_weights(net):
    """Where the read-out begins: elements (hidden, outputs), and the biases behind them."""
    return input_weights(net, net.layers)


@inline
def input_columns(net, layer):
    """(place, from column to column, from row to row) of layer's input block, column by column."""
    if net.per == 1:
        return input_weights(net, layer), 1, net.gates * net.units
    return net.columns + 2 * layer * net.gates * net.span * net.units, net.units, 1


@inline
def recurrent_columns(net, layer):
    """(place, from column to column, from row to row) of layer's recurrent block, column by column."""
    if net.per == 1:
        return recurrent_weights(net, layer), 1, net.gates * net.units
    return net.columns + (2 * layer + 1) * net.gates * net.span * net.units, net.units, 1


@inline
def readout_columns(net):
    """(place, from column to column, from row to row) of the read-out's weights, column by column."""
    if net.per == 1:
        return readout_weights(net), 1, net.outputs
    return net.columns + 2 * net.layers * net.gates * net.span * net.units, net.units, 1


@inline
def gradient_at(net, weights):
    """Where the gradient of the weights at `weights` begins; the read-out's is by column (`readout_columns`)."""
    return weights - net.weights + net.gradient


# ----------------------------------------------------------------------------------------------------- working memory
@inline
def state_at(net, layer, t):
    """State that timestep t of a layer starts from."""
    return net.state + (layer * (net.timesteps + 1) + t) * net.rows * net.slots * net.units


@inline
def gate_at(net, layer, t):
    """What a layer keeps of timestep t for the backward pass."""
    return net.gate + (layer * net.timesteps + t) * net.rows * net.kept * net.units


@inline
def noise_at(net, layer, t):
    """What is drawn for the units' sums of a layer's timestep t."""
    return net.noise + (layer * net.timesteps + t) * net.rows * net.units


@inline
def push_at(net, layer, t):
    """What ∂loss/∂h of a layer's timestep t begins with."""
    return net.push + (layer * net.timesteps + t) * net.rows * net.units


@inline
def number_at(net, memory, place):
    """The number at this place of `cell.numbers`, of each run."""
    return load(memory, net.numbers + place)


@inline
def delta_at(net, base, layer, t):
    """∂loss/∂pre-activation of a layer's timestep t; base: net.delta or net.window_delta."""
    return base + (layer * net.timesteps + t) * net.rows * net.deltas * net.units


@inline
def state_delta_at(net, layer, t):
    """∂loss/∂state of a layer after timestep t."""
    return net.state_delta + (layer * net.timesteps + t) * net.rows * net.slots * net.units


@inline
def place_before(net, t):
    """The vector, counted from a region's first, that holds the first place of timestep t."""
    if net.per == 1:
        return net.lead + t * net.rows
    return net.lead + t * net.rows // WIDTH


@inline
def place_behind(net, t):
    """The vector, counted from a region's first, behind all places of the timesteps before t."""
    if net.per == 1:
        return net.lead + t * net.rows
    return net.lead + (t * net.rows + WIDTH - 1) // WIDTH


@inline
def output_element(net, memory, region, t, o):
    """The element of a region (outputs, places) at which output o of timestep t's first row stands."""
    return elements(memory, region + o * net.places + net.lead) + t * net.rows


@inline
def is_live(net, memory, t, row):
    """Whether a row's sequence has begun at timestep t."""
    return element(memory, elements(memory, net.live + net.lead) + t * net.rows + row) > splat(0.0)
