"""Between memory and vectors.

Kernels see memory as a pointer. It lies at a multiple of `ALIGNMENT` bytes (`aligned_zeros`), and the pointer's type
says what stands side by side in a vector:

    LANES_MEMORY  one number of each of WIDTH runs
    UNITS_MEMORY  WIDTH neighbouring numbers of one run

Vector i is at the same place in both. An *element* is one number of the mathematics: with lanes a vector of its own,
with units a number, which as a vector is broadcast. Vectors may have names: `hyper.alpha` in a kernel is the vector
that belongs to the name `alpha`.
"""

from collections.abc import Sequence

from llvmlite import ir
from numba import TypingError, types
from numba.extending import intrinsic, models, register_model

from bptt.core.compiler import declare, define_attributes
from bptt.core.simd.vectors import F64, I64, INTEGERS, VECTOR, VECTOR_BYTES, WIDTH, folded, mask, splat_value, vector

LANES_MEMORY = types.CPointer(vector)
UNITS_MEMORY = types.CPointer(types.float64)
VECTORS = LANES_MEMORY  # vectors, whatever they hold
_F64_POINTER, _VECTOR_POINTER = F64.as_pointer(), VECTOR.as_pointer()


def numbers_at(context, builder, memory, kind_of_place, place, count):
    """The address of a place, a place being so many numbers."""
    place = context.cast(builder, place, kind_of_place, types.intp)
    return builder.gep(builder.bitcast(memory, _F64_POINTER), [builder.mul(place, ir.Constant(I64, count))])


def load_vector(builder, pointer):
    value = builder.load(builder.bitcast(pointer, _VECTOR_POINTER))
    value.align = VECTOR_BYTES
    return value


def store_vector(builder, pointer, value):
    builder.store(value, builder.bitcast(pointer, _VECTOR_POINTER)).align = VECTOR_BYTES


def _per_element(memory):
    return WIDTH if memory == LANES_MEMORY else 1


@intrinsic
def pointer_to(typingctx, array):
    """The memory of an array: (n, WIDTH) of lanes or other vectors, (n,) of one run."""
    kind = LANES_MEMORY if array.ndim == 2 else types.CPointer(array.dtype)

    def codegen(context, builder, sig, args):
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.bitcast(data, context.get_value_type(kind))

    return kind(array), codegen


@intrinsic
def has_units(typingctx, memory):
    """Whether a vector of this memory holds numbers of one run; known when it is compiled."""

    def codegen(context, builder, sig, args):
        return context.get_constant(types.boolean, memory == UNITS_MEMORY)

    return types.boolean(memory), codegen


@intrinsic
def load(typingctx, memory, index):
    """Vector `index`."""

    def codegen(context, builder, sig, args):
        return load_vector(builder, numbers_at(context, builder, args[0], index, args[1], WIDTH))

    return vector(memory, index), codegen


@intrinsic
def store(typingctx, memory, index, value):
    """Let vector `index` be this value."""

    def codegen(context, builder, sig, args):
        store_vector(builder, numbers_at(context, builder, args[0], index, args[1], WIDTH), args[2])
        return context.get_dummy_value()

    return types.void(memory, index, vector), codegen


@intrinsic
def elements(typingctx, memory, index):
    """The number of the element with which vector `index` begins."""
    count = WIDTH // _per_element(memory)

    def codegen(context, builder, sig, args):
        return builder.mul(context.cast(builder, args[1], index, types.int64), ir.Constant(I64, count))

    return types.int64(memory, index), codegen


@intrinsic
def element(typingctx, memory, number):
    """An element as a vector."""

    def codegen(context, builder, sig, args):
        place = numbers_at(context, builder, args[0], number, args[1], _per_element(memory))
        return load_vector(builder, place) if memory == LANES_MEMORY else splat_value(builder, builder.load(place))

    return vector(memory, number), codegen


@intrinsic
def set_element(typingctx, memory, number, value):
    """Let an element be this value, of which with units the first number counts."""

    def codegen(context, builder, sig, args):
        place = numbers_at(context, builder, args[0], number, args[1], _per_element(memory))
        if memory == LANES_MEMORY:
            store_vector(builder, place, args[2])
        else:
            builder.store(builder.extract_element(args[2], ir.Constant(ir.IntType(32), 0)), place)
        return context.get_dummy_value()

    return types.void(memory, number, vector), codegen


def _lanes_number(context, builder, memory, args, kinds):
    place = numbers_at(context, builder, args[0], kinds[0], args[1], _per_element(memory))
    if memory == UNITS_MEMORY:
        return place
    return builder.gep(place, [context.cast(builder, args[2], kinds[1], types.intp)])


@intrinsic
def number_of(typingctx, memory, number, lane):
    """One lane's number of an element; with units there is one lane."""

    def codegen(context, builder, sig, args):
        return builder.load(_lanes_number(context, builder, memory, args, (number, lane)))

    return types.float64(memory, number, lane), codegen


@intrinsic
def set_number(typingctx, memory, number, lane, value):
    """Let one lane's number of an element be this value."""

    def codegen(context, builder, sig, args):
        new = context.cast(builder, args[3], value, types.float64)
        builder.store(new, _lanes_number(context, builder, memory, args, (number, lane)))
        return context.get_dummy_value()

    return types.void(memory, number, lane, value), codegen


@intrinsic
def within(typingctx, memory, index, first, stop):
    """Where a vector's numbers belong to the elements first ≤ e < stop; with lanes all or none of them do."""

    def codegen(context, builder, sig, args):
        places = [context.cast(builder, a, k, types.int64) for a, k in zip(args[1:], sig.args[1:], strict=True)]
        numbers = ir.Constant(INTEGERS, [0] * WIDTH if memory == LANES_MEMORY else list(range(WIDTH)))
        if memory == UNITS_MEMORY:
            places[0] = builder.mul(places[0], ir.Constant(I64, WIDTH))
        index, first, stop = (splat_value(builder, place, INTEGERS) for place in places)
        here = builder.add(index, numbers)
        return builder.and_(builder.icmp_signed(">=", here, first), builder.icmp_signed("<", here, stop))

    return mask(memory, index, first, stop), codegen


@intrinsic
def one_run(typingctx, memory, value):
    """What a sum of vectors means for each run: with lanes as it is, with units its numbers' sum, broadcast."""

    def codegen(context, builder, sig, args):
        if memory == LANES_MEMORY:
            return args[1]
        return splat_value(builder, folded(builder, args[1], builder.fadd))

    return vector(memory, vector), codegen


@intrinsic
def vectors_at(typingctx, memory, index):
    """A pointer to vector `index`."""

    def codegen(context, builder, sig, args):
        place = numbers_at(context, builder, args[0], index, args[1], WIDTH)
        return builder.bitcast(place, _VECTOR_POINTER)

    return VECTORS(memory, index), codegen


@intrinsic
def elements_at(typingctx, memory, number):
    """A pointer to an element."""

    def codegen(context, builder, sig, args):
        place = numbers_at(context, builder, args[0], number, args[1], _per_element(memory))
        return builder.bitcast(place, context.get_value_type(memory))

    return memory(memory, number), codegen


@intrinsic
def numbers_of(typingctx, array):
    """The numbers of a C-contiguous array of any shape, one after the other."""

    def codegen(context, builder, sig, args):
        return context.make_array(array)(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def prefetch(typingctx, array, i, j):
    """Let the cache fetch array[i, j], all of it up to two lines, before it is read."""

    def codegen(context, builder, sig, args):
        made = context.make_array(array)(context, builder, args[0])
        steps = [builder.extract_value(made.strides, axis) for axis in (0, 1)]
        place = builder.ptrtoint(made.data, I64)
        for index, kind, step in zip(args[1:], sig.args[1:], steps, strict=True):
            place = builder.add(place, builder.mul(context.cast(builder, index, kind, types.int64), step))
        integer, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer])
        fetch = declare(builder, kind, "llvm.prefetch.p0i8")
        last = builder.add(place, builder.sub(steps[1], ir.Constant(I64, 1)))
        for address in (place, last):
            builder.call(fetch, [builder.inttoptr(address, byte), *(ir.Constant(integer, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, i, j), codegen


class NamedVectors(types.Type):
    """Memory of one vector for each name, in the names' order; to the machine a pointer like `VECTORS`."""

    dtype = vector  # what it points to

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"NamedVectors({', '.join(self.names)})")


register_model(NamedVectors)(models.PointerModel)


def _vector_of_name(named, name):
    if name not in named.names:
        read = ", ".join(named.names) or "nothing"
        raise TypingError(f"a kernel reads {name}, and says that it reads {read}")
    return vector


def _load_vector_of_name(context, builder, named, memory, name):
    place = context.get_constant(types.intp, named.names.index(name))
    return load_vector(builder, numbers_at(context, builder, memory, types.intp, place, WIDTH))


define_attributes(NamedVectors, _vector_of_name, _load_vector_of_name)
