"""Many updates in one compiled call: data, forward, loss, backward, clip and optimizer, without the interpreter."""

from typing import Any, NamedTuple

from numba import types

from bptt.core.kernel import (
    ARRAYS,
    NUMBER_ARRAY,
    SIZES_ARRAY,
    VECTOR_ARRAY,
    Kernel,
    call_backward,
    call_clip,
    call_constraint,
    call_forward,
    call_loss,
    call_omega,
    call_optimizer,
    call_regularizer,
    call_schedule,
    call_solver,
)
from bptt.core.layout import Net, place_before, read_net, state_at
from bptt.core.models.dale import take_signs, turn_gradient
from bptt.core.models.state_noise import draw_noise
from bptt.core.network import start_from_zero
from bptt.core.optimizers.noise import WORDS, add_noise
from bptt.core.optimizers.weight_decay import shrink_weights
from bptt.core.places import collect_gradient, spread_weights, sum_of_places
from bptt.core.simd import (
    WIDTH,
    any_of,
    elements,
    elements_at,
    has_units,
    inline,
    load,
    pointer_to,
    select,
    splat,
    store,
    vectors_at,
)
from bptt.core.simd.sums import norm
from bptt.core.workspace import LENGTHS, PLACES, ROWS, SCORED, SHARES, X, Y, pack

_NUMBERS = len(Net._fields)

#: Rows of the `report` array, each (WIDTH,). EVALUATIONS: of gradients, beyond the one that each update makes.
LOSS_VALUE, GRADIENT_NORM, CLIPPED, DIVERGED_AT, DIVERGED_LOSS, WEIGHTS_NORM, STEP_NORM, PENALTY = range(8)
EVALUATIONS, OMEGA_VALUE = 8, 9
REPORT_ROWS = 10


@inline
def start_from_end(net, memory, begin):
    """Let timestep `begin` start from where the last update ended."""
    for layer in range(net.layers):
        _copy(
            memory, state_at(net, layer, begin), state_at(net, layer, net.timesteps), net.rows * net.slots * net.units
        )
    if net.feedback == 1:
        for o in range(net.outputs):
            output = net.output + o * net.places
            start, end = output + place_before(net, begin - 1), output + place_before(net, net.timesteps - 1)
            _copy(memory, start, end, net.lead)


@inline
def carry_back(net, memory, begin):
    """Let what timestep `begin` started from be where the last update ended, so that the next starts from it again."""
    for layer in range(net.layers):
        end = state_at(net, layer, net.timesteps)
        _copy(memory, end, state_at(net, layer, begin), net.rows * net.slots * net.units)


@inline
def _copy(memory, target, source, count):
    for i in range(count):
        store(memory, target + i, load(memory, source + i))


class Addresses(NamedTuple):
    """Of the kernels that an update calls; 0: none, and nothing is called.

    product  of `bptt.core.products`, over the numbers of one run, for the constraint
    """

    forward: int
    backward: int
    loss: int
    regularizer: int
    clip: int
    schedule: int
    optimizer: int
    omega: int
    constraint: int
    solver: int
    tangent: int
    curvature: int
    curved: int
    attempt: int
    product: int


class Learning(NamedTuple):
    """What an update changes: parameters, their gradient, room for a copy of the parameters, the optimizer's slots.

    factors  of recurrent weights that are constrained, as of `bptt.core.optimizers.recurrent_constraint.Factors`
    signed   the weights that the passes read, where parameters keep to signs; elsewhere the parameters themselves
    kept     a number of each run, which a solver keeps from update to update; room: its own
    """

    parameters: Any
    gradient: Any
    previous: Any
    slots: Any
    factors: Any
    signed: Any
    kept: Any
    room: Any


#: The vectors of what is beside an optimizer's step: the state of each lane's generator, room for one vector, λ, η, γ,
#: and the state of each lane's generator of noise of states.
ROOM, DECAY, ETA, GAMMA, STATES = range(WORDS, WORDS + 5)
TRAINED = STATES + WORDS
BESIDE_ROWS = TRAINED


class Hyper(NamedTuple):
    """Hyperparameters (K, WIDTH) of each kernel, its names' in their order, and α (1, WIDTH) before it is scheduled.

    signs   of each parameter, as `bptt.core.models.dale` has them, where any keeps to one
    beside  BESIDE_ROWS vectors, of weight decay and noise; where a part is trained, for each of the parameters another
            that is 0 where it stays
    """

    regularizer: Any
    clip: Any
    schedule: Any
    optimizer: Any
    alpha: Any
    signs: Any
    beside: Any


class Data(NamedTuple):
    """What an update learns from; see `bptt.core.workspace`."""

    x: Any
    y: Any
    lengths: Any
    scored: Any
    rows: Any
    shares: Any
    alike: Any
    places: Any


class Stretch(NamedTuple):
    """Which updates, and how they are made.

    place      the first update's in `Data.rows`
    update     its number, from 1
    length     how many
    updates    those of the whole run
    alpha      the row of the optimizer's hyperparameters in which a scheduled α stands
    loss       the one in which the batch's loss stands; −1: there is none
    size       numbers of a run's parameters
    iterations  of a solver, at most
    measure    whether the last one's loss, gradient norm, flow and step are taken
    decays     whether weights shrink beside the optimizer's step
    noisy      whether noise is added to the gradient
    partly     whether some parameters stay as they are
    stirred    whether noise is added to states
    signed     whether some parameters keep to signs
    on_states  whether the regularizer's penalty is on states
    """

    place: int
    update: int
    length: int
    updates: int
    truncation: int
    alpha: int
    loss: int
    size: int
    iterations: int
    carry: bool
    measure: bool
    decays: bool
    noisy: bool
    partly: bool
    stirred: bool
    signed: bool
    on_states: bool


@inline
def leave_untrained(learning, hyper, stretch):
    """Where a part is trained: no gradient of the rest."""
    if stretch.partly:
        gradient, beside = pointer_to(learning.gradient), pointer_to(hyper.beside)
        for p in range(learning.parameters.size // WIDTH):
            store(gradient, p, select(load(beside, TRAINED + p) > splat(0.0), load(gradient, p), splat(0.0)))


@inline
def take_step(addresses, learning, hyper, stretch, update, value, lives, keeps, live, report):
    """What an update makes of its gradient: clip, noise, the schedule's α, decay and the optimizer's step.

    value  the loss of the batch, for an optimizer that reads it; keeps: whether the parameters before are kept
    """
    theta, gradient = pointer_to(learning.parameters), pointer_to(learning.gradient)
    previous, slots = pointer_to(learning.previous), pointer_to(learning.slots)
    optimizer_hyper, beside = pointer_to(hyper.optimizer), pointer_to(hyper.beside)
    vectors = learning.parameters.size // WIDTH
    clipped = call_clip(addresses.clip, (gradient, vectors, pointer_to(hyper.clip)))
    store(report, CLIPPED, load(report, CLIPPED) + select(lives > splat(0.0), clipped, splat(0.0)))
    if stretch.noisy:
        room, eta, gamma = vectors_at(beside, ROOM), load(beside, ETA), load(beside, GAMMA)
        add_noise(gradient, vectors, stretch.size, eta, gamma, beside, room, update)
    if keeps or stretch.partly:
        for p in range(vectors):
            store(previous, p, load(theta, p))
    if addresses.schedule != 0:
        share = call_schedule(addresses.schedule, (pointer_to(hyper.schedule), update, stretch.updates))
        store(optimizer_hyper, stretch.alpha, load(pointer_to(hyper.alpha), 0) * share)
    if stretch.loss >= 0:
        store(optimizer_hyper, stretch.loss, value)
    if stretch.decays:
        shrink_weights(theta, vectors, load(optimizer_hyper, stretch.alpha), load(beside, DECAY), lives)
    if addresses.optimizer != 0:
        changing = vectors_at(theta, 0), vectors_at(gradient, 0), slots
        call_optimizer(addresses.optimizer, (*changing, vectors, optimizer_hyper, live, update))
    if stretch.partly:
        for p in range(vectors):
            trained = load(beside, TRAINED + p) > splat(0.0)
            store(theta, p, select(trained, load(theta, p), load(previous, p)))


def _train_updates(
    addresses, sizes_array, trial_array, learning, hyper, data, stretch, memory_array, live_array, report_array
):
    sizes, memory = pointer_to(sizes_array), pointer_to(memory_array)
    kept_sizes = pointer_to(sizes_array[_NUMBERS:])
    theta, gradient = pointer_to(learning.parameters), pointer_to(learning.gradient)
    previous, beside = pointer_to(learning.previous), pointer_to(hyper.beside)
    live, report = pointer_to(live_array), pointer_to(report_array)
    signs, signed = pointer_to(hyper.signs), pointer_to(learning.signed)
    x, y, lengths, scored, rows, shares, alike, places = data
    net, vectors = read_net(sizes), learning.parameters.size // WIDTH
    numbers = elements(theta, vectors)
    weights = memory if has_units(memory) else signed
    weights_gradient = memory if has_units(memory) else gradient
    for k in range(stretch.length):
        masked, place, update = alike and k > 0, stretch.place + k, stretch.update + k
        begin = pack(net, memory, x, y, lengths, scored, rows, place, rows.shape[2], shares, alike, masked, places)
        if stretch.carry:
            start_from_end(net, memory, begin)
        else:
            start_from_zero(net, memory, begin)
        if stretch.signed:
            take_signs(theta, signs, signed, vectors)
        if stretch.stirred:
            draw_noise(net, memory, elements_at(beside, STATES * WIDTH))
        spread_weights(net, signed, memory)
        call_forward(addresses.forward, (sizes, weights, memory, begin))
        call_loss(addresses.loss, (sizes, memory, begin))
        value = sum_of_places(net, memory, net.loss, max(begin, net.first_output))
        lives = load(live, 0)
        finite = (value - value) == splat(0.0)
        ends = select(finite, splat(0.0), lives)
        if any_of(ends > splat(0.0)):
            store(report, DIVERGED_AT, select(ends > splat(0.0), splat(update), load(report, DIVERGED_AT)))
            store(report, DIVERGED_LOSS, select(ends > splat(0.0), value, load(report, DIVERGED_LOSS)))
            lives = select(finite, lives, splat(0.0))
            store(live, 0, lives)
            if not any_of(lives > splat(0.0)):
                return
        backward = sizes, weights, weights_gradient, memory, begin, stretch.truncation
        measured, constrained = stretch.measure and k == stretch.length - 1, addresses.constraint != 0
        adding, lies = pointer_to(hyper.regularizer), sizes  # lies: how what the regularizer reads does
        if stretch.on_states:
            call_regularizer(addresses.regularizer, (sizes, weights, weights_gradient, memory, begin, adding))
        if measured and addresses.omega != 0:
            # The same gradient where nothing is cut off, and another time where it is.
            call_backward(addresses.backward, (kept_sizes, weights, weights_gradient, memory, begin, 0, False))
            store(report, OMEGA_VALUE, call_omega(addresses.omega, (kept_sizes, weights, memory, begin)))
            lies = kept_sizes
        if stretch.truncation != 0 or stretch.on_states or not measured or addresses.omega == 0:
            call_backward(addresses.backward, (*backward, False))
            lies = sizes
        if addresses.regularizer != 0 and not stretch.on_states:
            call_regularizer(addresses.regularizer, (lies, weights, weights_gradient, memory, begin, adding))
        collect_gradient(net, memory, gradient)
        if stretch.signed:
            turn_gradient(theta, signs, gradient, vectors)
        leave_untrained(learning, hyper, stretch)
        if measured:
            store(report, PENALTY, load(memory, net.penalty))
            store(report, LOSS_VALUE, value)
            store(report, GRADIENT_NORM, norm(gradient, 0, numbers))
            call_backward(addresses.backward, (*backward, True))
        take_step(addresses, learning, hyper, stretch, update, value, lives, measured or constrained, live, report)
        if addresses.solver != 0:
            passes = addresses.tangent, addresses.curvature, addresses.forward, addresses.backward, addresses.loss
            layouts = sizes, pointer_to(trial_array)
            batch = theta, weights, gradient, memory, begin, value
            own = pointer_to(learning.slots), pointer_to(learning.kept), pointer_to(learning.room)
            asked = vectors, pointer_to(hyper.optimizer), live, update
            part = vectors_at(beside, TRAINED), stretch.partly, stretch.iterations
            given = addresses.curved, addresses.attempt, *passes, *layouts, *batch, *own, *asked, *part
            store(report, EVALUATIONS, load(report, EVALUATIONS) + call_solver(addresses.solver, given))
        if constrained:
            moved = sizes, theta, previous, pointer_to(learning.factors), live
            call_constraint(addresses.constraint, (*moved, shares.shape[0], update, addresses.product))
        if measured:
            store(report, WEIGHTS_NORM, norm(previous, 0, numbers))
            for p in range(vectors):
                store(previous, p, load(theta, p) - load(previous, p))
            store(report, STEP_NORM, norm(previous, 0, numbers))


def tuple_types(memory):
    """Numba's types of the tuples above, by name, where parameters and working memory are such arrays."""
    vectors, number = VECTOR_ARRAY, types.int64
    kinds = {
        Addresses: [number] * len(Addresses._fields),
        Learning: [memory, memory, memory, vectors, NUMBER_ARRAY, memory, memory, memory],
        Hyper: [vectors] * (len(Hyper._fields) - 1) + [NUMBER_ARRAY],
        Data: [X, Y, LENGTHS, SCORED, ROWS, SHARES, types.boolean, PLACES],
        Stretch: [number] * 9 + [types.boolean] * 8,
    }
    return {kind.__name__: types.BaseTuple.from_types(fields, kind) for kind, fields in kinds.items()}


def made_signature(shape, memory):
    """Of the kernel that is made for a shape, `bptt.core.shapes.training.ShapeKernel`."""
    kinds = tuple_types(memory)
    parts = kinds["Addresses"], kinds["Learning"], memory, kinds["Hyper"], kinds["Data"], kinds["Stretch"]
    return types.int64(shape, *parts, memory, VECTOR_ARRAY, VECTOR_ARRAY)


def _signature(memory):
    given = tuple_types(memory)
    parts = [given[kind.__name__] for kind in (Learning, Hyper, Data, Stretch)]
    return types.void(given["Addresses"], SIZES_ARRAY, SIZES_ARRAY, *parts, memory, VECTOR_ARRAY, VECTOR_ARRAY)


#: train_updates(Addresses, `Workspace.sizes`, `Workspace.trial_sizes`, Learning, Hyper, Data, Stretch, working memory,
#: live, report): `live` (1, WIDTH) says who is trained, and `report` (REPORT_ROWS, WIDTH) what happened.
train_updates = Kernel(_train_updates, {mode: _signature(memory) for mode, memory in ARRAYS.items()})
