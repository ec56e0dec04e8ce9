"""Numbers of one run that do not begin at a vector's place: copied and transposed, as many as are asked for."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bptt.core.compiler import declare, inline
from bptt.core.simd.memory import numbers_at, store_vector
from bptt.core.simd.vectors import BITS, F64, I64, INTEGERS, VECTOR, WIDTH, splat_value


def _first(builder, count):
    """A mask of the first `count` numbers of a vector."""
    numbers = ir.Constant(INTEGERS, list(range(WIDTH)))
    return builder.icmp_signed("<", numbers, splat_value(builder, count, INTEGERS))


def _whole(builder, pointer):
    """Where a whole vector stands that begins at any number."""
    return builder.bitcast(pointer, VECTOR.as_pointer())


def _load_whole(builder, pointer):
    value = builder.load(_whole(builder, pointer))
    value.align = 8
    return value


def _load(builder, pointer, mask):
    """The numbers of the mask, and zeros."""
    place = _whole(builder, pointer)
    kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), ir.IntType(32), BITS, VECTOR])
    name = f"llvm.masked.load.v{WIDTH}f64.p0v{WIDTH}f64"
    load = declare(builder, kind, name)
    return builder.call(load, [place, ir.Constant(ir.IntType(32), 8), mask, ir.Constant(VECTOR, [0.0] * WIDTH)])


def _store(builder, pointer, value, mask):
    place = _whole(builder, pointer)
    kind = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), ir.IntType(32), BITS])
    name = f"llvm.masked.store.v{WIDTH}f64.p0v{WIDTH}f64"
    store = declare(builder, kind, name)
    builder.call(store, [value, place, ir.Constant(ir.IntType(32), 8), mask])


@intrinsic
def _copy_vector(typingctx, target, place, source, first):
    """target[place : place + WIDTH] = source[first : first + WIDTH]."""

    def codegen(context, builder, sig, args):
        value = _load_whole(builder, numbers_at(context, builder, args[2], first, args[3], 1))
        goes = _whole(builder, numbers_at(context, builder, args[0], place, args[1], 1))
        builder.store(value, goes).align = 8
        return context.get_dummy_value()

    return types.void(target, place, source, first), codegen


@intrinsic
def copy_few(typingctx, target, place, source, first, count):
    """target[place : place + count] = source[first : first + count] for count ≤ WIDTH; nothing else is written."""

    def codegen(context, builder, sig, args):
        came = numbers_at(context, builder, args[2], first, args[3], 1)
        goes = numbers_at(context, builder, args[0], place, args[1], 1)
        mask = _first(builder, args[4])
        _store(builder, goes, _load(builder, came, mask), mask)
        return context.get_dummy_value()

    return types.void(target, place, source, first, types.int64), codegen


@inline
def copy_numbers(target, place, source, first, count):
    """target[place : place + count] = source[first : first + count]."""
    i = 0
    while i + WIDTH <= count:
        _copy_vector(target, place + i, source, first + i)
        i += WIDTH
    if i < count:
        copy_few(target, place + i, source, first + i, count - i)


def _transposed(builder, vectors):
    """The columns of a square of vectors: log₂ WIDTH rounds that exchange halves of ever fewer numbers."""
    half = WIDTH // 2
    while half:
        exchanged = list(vectors)
        for i in range(WIDTH):
            if i & half:
                continue
            low = [e if not e & half else WIDTH + (e ^ half) for e in range(WIDTH)]
            high = [e ^ half if not e & half else WIDTH + e for e in range(WIDTH)]
            for target, order in ((i, low), (i | half, high)):
                mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), order)
                exchanged[target] = builder.shuffle_vector(vectors[i], vectors[i | half], mask)
        vectors = exchanged
        half //= 2
    return vectors


@intrinsic
def transpose_few(typingctx, target, place, target_row, source, first, source_row, rows, columns):
    """target[place + c·target_row + r] = source[first + r·source_row + c] for r < rows and c < columns, both ≤ WIDTH.

    Nothing else is written.
    """

    def codegen(context, builder, sig, args):
        came = numbers_at(context, builder, args[3], first, args[4], 1)
        goes = numbers_at(context, builder, args[0], place, args[1], 1)
        nothing = ir.Constant(I64, 0)

        def mask(number, present, count):
            inside = builder.icmp_signed("<", ir.Constant(I64, number), present)
            return _first(builder, builder.select(inside, count, nothing))

        vectors = [
            _load(builder, builder.gep(came, [builder.mul(args[5], ir.Constant(I64, r))]), mask(r, args[6], args[7]))
            for r in range(WIDTH)
        ]
        for c, value in enumerate(_transposed(builder, vectors)):
            row = builder.gep(goes, [builder.mul(args[2], ir.Constant(I64, c))])
            _store(builder, row, value, mask(c, args[7], args[6]))
        return context.get_dummy_value()

    whole = types.int64
    return types.void(target, place, whole, source, first, whole, whole, whole), codegen


@intrinsic
def transpose_all(typingctx, target, place, target_row, source, first, source_row):
    """`transpose_few` of WIDTH rows and columns."""

    def codegen(context, builder, sig, args):
        came = numbers_at(context, builder, args[3], first, args[4], 1)
        goes = numbers_at(context, builder, args[0], place, args[1], 1)
        rows = [builder.gep(came, [builder.mul(args[5], ir.Constant(I64, r))]) for r in range(WIDTH)]
        vectors = [_load_whole(builder, row) for row in rows]
        for c, value in enumerate(_transposed(builder, vectors)):
            row = builder.gep(goes, [builder.mul(args[2], ir.Constant(I64, c))])
            builder.store(value, _whole(builder, row)).align = 8
        return context.get_dummy_value()

    whole = types.int64
    return types.void(target, place, whole, source, first, whole), codegen


@inline
def transpose(target, place, target_row, source, first, source_row, rows, columns):
    """`transpose_few` of any number of rows and columns."""
    for r in range(0, rows, WIDTH):
        for c in range(0, columns, WIDTH):
            goes, came = place + c * target_row + r, first + r * source_row + c
            few_rows, few_columns = min(WIDTH, rows - r), min(WIDTH, columns - c)
            if few_rows + few_columns == 2 * WIDTH:
                transpose_all(target, goes, target_row, source, came, source_row)
            else:
                transpose_few(target, goes, target_row, source, came, source_row, few_rows, few_columns)


def _from_lanes(builder, args, few):
    """Code of `transpose_lanes`, for fewer than WIDTH numbers or for as many."""
    target, index, source, first, shift, count, inside, run, step = args
    target, source = (builder.bitcast(pointer, F64.as_pointer()) for pointer in (target, source))
    vectors = []
    for e in range(WIDTH):
        place = builder.load(builder.gep(first, [ir.Constant(I64, e)]))
        came = builder.gep(source, [builder.add(place, shift)])
        vectors.append(_load(builder, came, _first(builder, count)) if few else _load_whole(builder, came))
    one, zero = ir.Constant(I64, 1), ir.Constant(I64, 0)
    back = builder.sub(step, builder.sub(run, one))
    for i, value in enumerate(_transposed(builder, vectors)):
        goes = builder.gep(target, [builder.mul(index, ir.Constant(I64, WIDTH))])
        if few:
            wanted = builder.icmp_signed("<", ir.Constant(I64, i), count)
            _store(builder, goes, value, _first(builder, builder.select(wanted, ir.Constant(I64, WIDTH), zero)))
        else:
            store_vector(builder, goes, value)
        inside = builder.add(inside, one)
        ends = builder.icmp_signed("==", inside, run)
        index = builder.add(index, builder.select(ends, back, one))
        inside = builder.select(ends, zero, inside)


@intrinsic
def transpose_lanes(typingctx, target, index, source, first, shift, count, inside, run, step):
    """Vectors of lanes = the numbers source[first[e] + shift + i] of lanes e, for i < count ≤ WIDTH.

    Nothing else is written. `first` is a pointer to WIDTH places. The first vector is `index`, the others follow each
    other, but that after `run` of them the next is at `step` from where the run began; `inside` < run says how many of
    a run were before.
    """

    def codegen(context, builder, sig, args):
        whole = builder.icmp_signed("==", args[5], ir.Constant(I64, WIDTH))
        with builder.if_else(whole, likely=True) as (of_all, of_few):
            with of_all:
                _from_lanes(builder, args, few=False)
            with of_few:
                _from_lanes(builder, args, few=True)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(target, whole, source, types.CPointer(whole), *[whole] * 5), codegen
