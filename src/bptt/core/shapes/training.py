"""Many updates of one shape of network in one compiled call, as long as nothing odd happens; and whether a kernel is
made for a shape: where there is one for it, and where it pays.
"""

from collections.abc import Sequence
from functools import cache

from numba import types
from numba.extending import intrinsic

from bptt.core.clips.none import no_clip
from bptt.core.kernel import ARRAYS, SOLVER, Kernel
from bptt.core.lanes import decays, is_noisy, loss_row
from bptt.core.layout import Net
from bptt.core.optimizers.recurrent_constraint import is_constrained
from bptt.core.places import collect_gradient, spread_columns
from bptt.core.run import Run
from bptt.core.shapes.passes import Learner, Passes, begin_of
from bptt.core.shapes.shape import Shape, is_shipped
from bptt.core.shapes.tape import Memory, Tape
from bptt.core.simd import (
    NamedVectors,
    any_of,
    elements,
    elements_at,
    has_units,
    inline,
    load,
    numbers_of,
    pointer_to,
    select,
    splat,
    vector,
    vectors_at,
)
from bptt.core.updates import carry_back, leave_untrained, made_signature, start_from_end, take_step
from bptt.core.workspace import pack

_NET = types.NamedUniTuple(types.int64, len(Net._fields), Net)


def _constants(kind, constants):
    """An intrinsic: whole numbers of a shape, as constants."""

    @intrinsic
    def give(typingctx, shape):
        def codegen(context, builder, sig, args):
            return context.make_tuple(builder, kind, [context.get_constant(types.int64, n) for n in constants(shape)])

        return kind(shape), codegen

    return give


_net_of = _constants(_NET, lambda shape: shape.net)
_packing_of = _constants(_NET, lambda shape: shape.packing)
_sizes_of = _constants(
    types.UniTuple(types.int64, 2), lambda shape: (shape.vectors, 0 if shape.optimizer is None else shape.kept)
)


def _whether(holds):
    """An intrinsic: whether something holds of a shape; known when it is compiled."""

    @intrinsic
    def give(typingctx, shape):
        def codegen(context, builder, sig, args):
            return context.get_constant(types.boolean, holds(shape))

        return types.boolean(shape), codegen

    return give


_steps = _whether(lambda shape: shape.optimizer is not None)
_is_masked = _whether(lambda shape: shape.masked)


@intrinsic
def _run_through(typingctx, shape, weights, memory, begin):
    """Forward, loss and backward; 0 for those whose numbers are all finite, or the update is left to other code."""

    def codegen(context, builder, sig, args):
        tape = Tape(context, builder)
        theta, room = (Memory(a, k) for a, k in zip(args[1:3], sig.args[1:3], strict=True))
        return Passes(tape, shape, theta, room, begin_of(tape, shape, args[3])).run_through()

    return vector(shape, weights, memory, types.int64), codegen


@intrinsic
def _descend(typingctx, shape, weights, kept, memory, begin, hyper, moves, update):
    """The gradient of what was run through, and what becomes of it."""

    def codegen(context, builder, sig, args):
        tape = Tape(context, builder)
        theta, beside, room = (Memory(a, k) for a, k in zip(args[1:4], sig.args[1:4], strict=True))
        learner = Learner(tape, shape, theta, beside, Memory(args[5], hyper), args[6], tape.index(args[7]))
        Passes(tape, shape, theta, room, begin_of(tape, shape, args[4])).descend(learner)
        return context.get_dummy_value()

    return types.void(shape, weights, kept, memory, types.int64, hyper, moves, update), codegen


@intrinsic
def _named(typingctx, shape, hyper):
    """The optimizer's hyperparameters by name."""
    kind = NamedVectors(() if shape.optimizer is None else shape.optimizer.kernel.hyper)

    def codegen(context, builder, sig, args):
        return args[1]

    return kind(shape, hyper), codegen


@inline
def _pack_weights(shape, learning, packed):
    """With UNITS: parameters and slots to rows of whole vectors."""
    if has_units(packed):
        net, (vectors, slots) = _packing_of(shape), _sizes_of(shape)
        flat, room = numbers_of(learning.slots), elements(packed, vectors)
        for slot in range(slots):
            came = elements_at(flat, slot * learning.parameters.size)
            spread_columns(net, came, elements_at(packed, (slot + 1) * room))
        spread_columns(net, pointer_to(learning.parameters), packed)


@inline
def _unpack_weights(shape, learning, packed):
    """With UNITS: back again."""
    if has_units(packed):
        net, (vectors, slots) = _packing_of(shape), _sizes_of(shape)
        flat, room = numbers_of(learning.slots), elements(packed, vectors)
        for slot in range(slots):
            goes = elements_at(flat, slot * learning.parameters.size)
            collect_gradient(net, elements_at(packed, (slot + 1) * room), goes)
        collect_gradient(net, packed, pointer_to(learning.parameters))


@inline
def _step_elsewhere(shape, addresses, learning, packed, hyper, stretch, update, lives, live, report):
    """The step that any optimizer takes, with what is around it, where the gradient was kept."""
    if not _steps(shape):
        if has_units(packed):
            vectors, _ = _sizes_of(shape)
            kept = elements_at(packed, elements(packed, vectors))
            collect_gradient(_packing_of(shape), kept, pointer_to(learning.gradient))
        leave_untrained(learning, hyper, stretch)
        take_step(addresses, learning, hyper, stretch, update, splat(0.0), lives, False, live, report)
        _pack_weights(shape, learning, packed)


def _train_in_shape(
    shape, addresses, learning, packed_array, hyper, data, stretch, memory_array, live_array, report_array
):
    net, memory, packed = _net_of(shape), pointer_to(memory_array), pointer_to(packed_array)
    theta, kept = pointer_to(learning.parameters), pointer_to(learning.slots)
    if not _steps(shape):
        kept = vectors_at(pointer_to(learning.gradient), 0)
    if has_units(memory):
        theta, kept = packed, vectors_at(packed, _sizes_of(shape)[0])
    rates, lives = _named(shape, pointer_to(hyper.optimizer)), load(pointer_to(live_array), 0)
    x, y, lengths, scored, rows, shares, _, places = data
    alike = not _is_masked(shape)
    _pack_weights(shape, learning, packed)
    made = 0
    while made < stretch.length:
        masked, place = alike and made > 0, stretch.place + made
        begin = pack(net, memory, x, y, lengths, scored, rows, place, net.batch, shares, alike, masked, places)
        if stretch.carry:
            start_from_end(net, memory, begin)
        odd = _run_through(shape, theta, memory, begin)
        if any_of(select(odd == splat(0.0), splat(0.0), lives) > splat(0.0)):
            if stretch.carry:
                carry_back(net, memory, begin)
            break
        update = stretch.update + made
        _descend(shape, theta, kept, memory, begin, rates, lives > splat(0.0), update)
        live, report = pointer_to(live_array), pointer_to(report_array)
        _step_elsewhere(shape, addresses, learning, packed, hyper, stretch, update, lives, live, report)
        made += 1
    if _steps(shape):
        _unpack_weights(shape, learning, packed)
    return made


class ShapeKernel(Kernel):
    """The kernel that is made for a shape.

    made(None, Addresses, Learning, packed, Hyper, Data, Stretch, working memory, live, report) → how many updates of
    the stretch it did: all, or those before one of which a number that matters is not finite. Of that one parameters,
    slots and states are as before it; it is for `train_updates`, as is one that is to be recorded.
    packed: `shape.packed` vectors for what the kernel needs.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(_train_in_shape, {shape.mode: made_signature(shape, ARRAYS[shape.mode])})
        self.shape = shape


@cache
def kernel_for(shape: Shape) -> ShapeKernel:
    """One and the same for each shape."""
    return ShapeKernel(shape)


#: Updates times lanes from which on compiling a kernel, once per machine, costs less than what it saves.
_WORTH = 1_000_000
#: Of larger layers, and of more units times sequences, products take nearly all of the time, which `core.products` has
#: as fast.
_MOST_UNITS, _MOST_WORK = 32, 256


def find_kernel(run: Run, net: Net, alike: bool, updates: int) -> ShapeKernel | None:
    """The kernel for the shape of such runs in this layout, if `updates`, those of all lanes, are worth it.

    alike: whether all sequences have all timesteps, as of `sequence_arrays`.

    One that is kept on disk costs nothing, and is taken in any case. None: there is none, or it does not pay. Of runs
    that fuse, ask the one that decides (`deciding_run`).
    """
    if not _can_be_made(run, net):
        return None
    settings = run.train
    onward, carry = settings.truncation is None, settings.carry_state
    optimizer = None if _steps_elsewhere(run) else type(run.optimizer)
    parts = {"model": type(run.model), "loss": type(run.loss), "optimizer": optimizer}
    shape = Shape(net, **parts, onward=onward, carry=carry, masked=not alike)
    kernel = kernel_for(shape)
    return kernel if updates >= _WORTH or kernel.is_ready(shape.mode) else None


def deciding_run(runs: Sequence[Run]) -> Run:
    """Of runs that fuse, the one that says which kernel serves all: one with weight decay or noise, if there is any."""
    return next((run for run in runs if decays(run) or is_noisy(run)), runs[0])


def _steps_elsewhere(run: Run) -> bool:
    """Whether something stands between the gradient and the step, or the step is not that of one parameter."""
    return (
        not hasattr(run.optimizer, "step")
        or not is_shipped(run.optimizer)
        or run.clip.kernel is not no_clip
        or run.schedule.kernel is not None
        or run.train.only is not None
        or decays(run)
        or is_noisy(run)
    )


def may_have_kernel(run: Run) -> bool:
    """Whether there are shapes of such runs for which there is a kernel; what hangs on the layout is not asked."""
    return (
        run.model.cell.unit is not None
        and run.model.readout in ("identity", "sigmoid")
        and hasattr(run.loss, "slope")
        and is_shipped(run.model)
        and is_shipped(run.loss)
        and run.regularizer.kernel is None
        and not is_constrained(run)
        and run.optimizer.kernel.kind is not SOLVER
        and loss_row(run) < 0
        and run.train.truncation in (None, 1)
    )


def _can_be_made(run: Run, net: Net) -> bool:
    return (
        may_have_kernel(run)
        and net.feedback == 0
        and net.hidden <= _MOST_UNITS
        and net.hidden * net.rows <= _MOST_WORK
        and (net.per == 1 or (net.outputs == 1 and net.layers == 1))
    )
