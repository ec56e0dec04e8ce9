"""The forward pass of one shape of network, in the place of its cell's: for evaluation, which makes nothing else."""

from functools import cache

from numba import types
from numba.extending import intrinsic, models, register_model

from bptt.core.kernel import LANES, MODES, Kernel
from bptt.core.layout import Net, read_net
from bptt.core.readout import read_out
from bptt.core.run import Model
from bptt.core.shapes.passes import Passes, begin_of
from bptt.core.shapes.shape import Shape, is_shipped
from bptt.core.shapes.tape import Memory, Tape


class ShapedSizes(types.Type):
    """A net's numbers, of which the type says what they are; to the machine a pointer like `kernel.SIZES`."""

    dtype = types.int64  # what it points to

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        super().__init__(f"ShapedSizes({shape.name})")


register_model(ShapedSizes)(models.PointerModel)


@intrinsic
def _find_states(typingctx, sizes, theta, memory, begin):
    """States of all timesteps from `begin` on."""

    def codegen(context, builder, sig, args):
        tape, shape = Tape(context, builder), sizes.shape
        weights, room = (Memory(a, k) for a, k in zip(args[1:3], sig.args[1:3], strict=True))
        Passes(tape, shape, weights, room, begin_of(tape, shape, args[3])).run_forward()
        return context.get_dummy_value()

    return types.void(sizes, theta, memory, types.int64), codegen


def _forward_in_shape(sizes, theta, memory, begin):
    _find_states(sizes, theta, memory, begin)
    net = read_net(sizes)
    read_out(net, theta, memory, max(begin, net.first_output), net.timesteps)


class ForwardKernel(Kernel):
    """A kernel of the kind `kernel.FORWARD` that is made for a shape; runs stand side by side."""

    def __init__(self, shape: Shape) -> None:
        memory = MODES[LANES]
        super().__init__(_forward_in_shape, {LANES: types.void(ShapedSizes(shape), memory, memory, types.int64)})
        self.shape = shape


@cache
def _kernel_for(shape: Shape) -> ForwardKernel:
    """One and the same for each shape."""
    return ForwardKernel(shape)


#: Sequences of all networks from which on compiling a kernel, once per machine, costs less than what it saves.
_WORTH = 4_000_000
_MOST_UNITS = 32  # of larger layers, products take nearly all of the time


def may_have_forward(model: Model) -> bool:
    """Whether there are shapes of such a model for which there is a kernel; what hangs on the layout is not asked."""
    return model.cell.unit is not None and is_shipped(model) and model.hidden_size <= _MOST_UNITS


def find_pass(model: Model, net: Net, alike: bool, sequences: int) -> ForwardKernel | None:
    """The kernel for networks that are evaluated side by side in this layout, if so many sequences are worth it.

    alike: as of `sequence_arrays`. One that is kept on disk costs nothing, and is taken in any case. None: there is
    none, or it does not pay.
    """
    if net.per > 1 or not may_have_forward(model):
        return None
    kernel = _kernel_for(Shape(net, model=type(model), carry=True, masked=not alike))
    return kernel if sequences >= _WORTH or kernel.is_ready(LANES) else None
