"""Many updates of one shape of network in one compiled call, as long as nothing odd happens; and whether a kernel is
made for a shape: where there is one for it, and where it pays.
"""

from functools import cache
from typing import Any

from numba import types
from numba.extending import intrinsic

from bptt.core.clips.none import no_clip
from bptt.core.kernel import ARRAYS, VECTOR_ARRAY, Kernel
from bptt.core.lanes import decays, is_noisy
from bptt.core.layout import Net
from bptt.core.places import collect_gradient, spread_columns
from bptt.core.recurrent_constraint import is_constrained
from bptt.core.run import Run
from bptt.core.shapes.passes import Learner, Passes
from bptt.core.shapes.shape import Shape
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
from bptt.core.updates import carry_back, start_from_end, tuple_types
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
_sizes_of = _constants(types.UniTuple(types.int64, 2), lambda shape: (shape.vectors, shape.optimizer.slots))


@intrinsic
def _run_through(typingctx, shape, weights, memory):
    """Forward, loss and backward; 0 for those whose numbers are all finite, or the update is left to other code."""

    def codegen(context, builder, sig, args):
        passes = Passes(
            Tape(context, builder), shape, *(Memory(a, k) for a, k in zip(args[1:], sig.args[1:], strict=True))
        )
        return passes.run_through()

    return vector(shape, weights, memory), codegen


@intrinsic
def _descend(typingctx, shape, weights, slots, memory, hyper, moves, update):
    """The gradient of what was run through, and the optimizer's step."""

    def codegen(context, builder, sig, args):
        tape = Tape(context, builder)
        theta, slot, room, rates = (Memory(a, k) for a, k in zip(args[1:5], sig.args[1:5], strict=True))
        learner = Learner(
            tape, shape, theta, slot, Learner.rates(tape, shape.optimizer, rates, tape.index(args[6])), args[5]
        )
        Passes(tape, shape, theta, room).descend(learner)
        return context.get_dummy_value()

    return types.void(shape, weights, slots, memory, hyper, moves, update), codegen


@intrinsic
def _named(typingctx, shape, hyper):
    """The optimizer's hyperparameters by name."""
    kind = NamedVectors(shape.optimizer.kernel.hyper)

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


def _train_in_shape(shape, learning, packed_array, optimizer_hyper, data, stretch, memory_array, live_array):
    net, memory, packed = _net_of(shape), pointer_to(memory_array), pointer_to(packed_array)
    theta, slots = pointer_to(learning.parameters), pointer_to(learning.slots)
    if has_units(memory):
        theta, slots = packed, vectors_at(packed, _sizes_of(shape)[0])
    hyper, lives = _named(shape, pointer_to(optimizer_hyper)), load(pointer_to(live_array), 0)
    x, y, lengths, scored, rows, shares, _, places = data
    _pack_weights(shape, learning, packed)
    made = 0
    while made < stretch.length:
        pack(net, memory, x, y, lengths, scored, rows, stretch.place + made, net.batch, shares, True, made > 0, places)
        if stretch.carry:
            start_from_end(net, memory, 0)
        odd = _run_through(shape, theta, memory)
        if any_of(select(odd == splat(0.0), splat(0.0), lives) > splat(0.0)):
            if stretch.carry:
                carry_back(net, memory)
            break
        _descend(shape, theta, slots, memory, hyper, lives > splat(0.0), stretch.update + made)
        made += 1
    _unpack_weights(shape, learning, packed)
    return made


class ShapeKernel(Kernel):
    """The kernel that is made for a shape.

    made(None, Learning, packed, hyperparameters of the optimizer, Data, Stretch, working memory, live) → how many
    updates of the stretch it did: all, or those before one of which a number that matters is not finite. Of that one
    parameters, slots and states are as before it; it is for `train_updates`, as is one that is to be recorded.
    packed: `shape.packed` vectors for what the kernel needs.
    """

    def __init__(self, shape: Shape) -> None:
        memory, kinds = ARRAYS[shape.mode], tuple_types(ARRAYS[shape.mode])
        given = shape, kinds["Learning"], memory, VECTOR_ARRAY, kinds["Data"], kinds["Stretch"], memory, VECTOR_ARRAY
        super().__init__(_train_in_shape, {shape.mode: types.int64(*given)})
        self.shape = shape


@cache
def kernel_for(shape: Shape) -> ShapeKernel:
    """One and the same for each shape."""
    return ShapeKernel(shape)


#: Updates times lanes from which on compiling a kernel, once per machine, costs less than what it saves.
_WORTH = 1_000_000
#: Of larger layers, and of several sequences, products take nearly all of the time, which `core.products` has at least
#: as fast.
_MOST_UNITS, _MOST_ROWS = 32, 1


def find_kernel(run: Run, net: Net, updates: int) -> ShapeKernel | None:
    """The kernel for the shape of such runs in this layout, if `updates`, those of all lanes, are worth it.

    One that is kept on disk costs nothing, and is taken in any case. None: there is none, or it does not pay.
    """
    if not _can_be_made(run, net):
        return None
    settings = run.train
    onward, carry = settings.truncation is None, settings.carry_state
    parts = {"model": type(run.model), "loss": type(run.loss), "optimizer": type(run.optimizer)}
    shape = Shape(net, **parts, onward=onward, carry=carry)
    kernel = kernel_for(shape)
    return kernel if updates >= _WORTH or kernel.is_ready(shape.mode) else None


def may_have_kernel(run: Run) -> bool:
    """Whether there are shapes of such runs for which there is a kernel; what hangs on the layout is not asked."""
    parts: tuple[Any, ...] = (run.model, run.loss, run.optimizer)
    return (
        run.model.cell.unit is not None
        and run.model.readout in ("identity", "sigmoid")
        and hasattr(run.loss, "slope")
        and hasattr(run.optimizer, "step")
        and all(type(part).__module__.startswith("bptt.") for part in parts)  # others' edits would go unnoticed
        and run.clip.kernel is no_clip
        and run.schedule.kernel is None
        and run.regularizer.kernel is None
        and not (decays(run) or is_noisy(run) or is_constrained(run))
        and run.train.truncation in (None, 1)
        and run.train.only is None
    )


def _can_be_made(run: Run, net: Net) -> bool:
    return (
        may_have_kernel(run)
        and net.feedback == 0
        and net.layers == 1
        and net.hidden <= _MOST_UNITS
        and net.rows <= _MOST_ROWS
        and (net.per == 1 or net.outputs == 1)
    )
