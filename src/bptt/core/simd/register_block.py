"""The innermost loop of every matrix product: a block of the result is kept in registers over the whole sum."""

from itertools import product

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bptt.core.compiler import declare
from bptt.core.simd.memory import LANES_MEMORY, VECTORS, load_vector, store_vector
from bptt.core.simd.vectors import F64, I64, VECTOR, VECTOR_BYTES, WIDTH, splat_value

#: Columns of a block by its rows: as many as the registers hold, 32 with AVX-512 and 16 without.
MOST_COLUMNS = {4: 4 if WIDTH == 8 else 3, 2: 4, 1: 8}


def _multiplier(heights):
    """An intrinsic for blocks of these numbers of rows."""

    @intrinsic
    def multiply(
        typingctx,
        result,
        result_row,
        result_step,
        left,
        left_row,
        left_step,
        right,
        right_row,
        right_step,
        terms,
        onto,
        rows,
        columns,
    ):
        """result[r, c] = Σ_k left[r, k] · right[k, c] for 0 ≤ k < terms, onto what stands there or from 0.

        rows × columns is a block of `MOST_COLUMNS`, terms ≥ 1. result and right are vectors, left elements; *_row and
        *_step say how many of them lie between neighbours along the first and the second index. Each sum runs in the
        order of k, one fused multiply-add after the other, so that the size of a block never changes a bit.
        """
        left_bytes = VECTOR_BYTES if left == LANES_MEMORY else 8

        def codegen(context, builder, sig, args):
            builder.call(_choice(builder.module, heights, left_bytes, args), args)
            return context.get_dummy_value()

        whole = types.int64
        strides = (whole, whole)
        signature = types.void(
            *(VECTORS, *strides), *(left, *strides), *(VECTORS, *strides), whole, types.boolean, whole, whole
        )
        return signature, codegen

    return multiply


multiply_block, multiply_row = _multiplier(tuple(MOST_COLUMNS)), _multiplier((1,))


def _own(module, name, arguments):
    """(a function of this module that is called, never inlined; whether it is new and has no body yet)."""
    if name in module.globals:
        return module.globals[name], False
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("optsize")  # unrolled loops need more addresses than there are registers
    return function, True


def _choice(module, heights, left_bytes, arguments):
    """The function that calls the one for the size of the block; one for all would work out every size's addresses."""
    function, new = _own(module, f"blocks_{len(heights)}_{left_bytes}", arguments)
    if new:
        builder = ir.IRBuilder(function.append_basic_block())
        *operands, of_rows, of_columns = function.args
        end = function.append_basic_block("none")
        size = builder.add(builder.mul(of_rows, ir.Constant(I64, 16)), of_columns)
        chosen = builder.switch(size, end)
        for height in heights:
            for width in range(1, MOST_COLUMNS[height] + 1):
                block = function.append_basic_block(f"size_{height}_{width}")
                chosen.add_case(ir.Constant(I64, 16 * height + width), block)
                builder.position_at_end(block)
                builder.call(_block(module, height, width, left_bytes, operands), operands, tail=True)
                builder.ret_void()
        builder.position_at_end(end)
        builder.ret_void()
    return function


def _block(module, rows, columns, left_bytes, operands):
    function, new = _own(module, f"block_{rows}_{columns}_{left_bytes}", operands)
    if new:
        builder = ir.IRBuilder(function.append_basic_block())
        _sum(builder, rows, columns, left_bytes, function.args)
        builder.ret_void()
    return function


def _apart(builder, value):
    """The value, of which LLVM no longer knows how it came about.

    Else it adds up each of a row's addresses from the one before, and the multiply-adds wait for that chain.
    """
    return builder.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [value], side_effect=False)


def _sum(builder, rows, columns, left_bytes, operands):
    result, result_row, result_step, left, left_row, left_step, right, right_row, right_step, terms, onto = operands
    places = list(product(range(rows), range(columns)))

    def times(value, count):
        return builder.mul(value, ir.Constant(I64, count))

    def at(address, kind=VECTOR):
        return builder.inttoptr(address, kind.as_pointer())

    def phis():
        return [builder.phi(VECTOR) for _ in places]

    origin = builder.ptrtoint(result, I64)
    addresses = [
        builder.add(origin, builder.add(times(result_row, r * VECTOR_BYTES), times(result_step, c * VECTOR_BYTES)))
        for r, c in places
    ]
    left_rows = [times(left_row, r * left_bytes) for r in range(rows)]
    # Four columns stand at 0, 1, 2 and 3 steps from an address of their own.
    step, three = (_apart(builder, times(right_step, n * VECTOR_BYTES)) for n in (1, 3))
    steps = [ir.Constant(I64, 0), step, builder.shl(step, ir.Constant(I64, 1)), three]
    left_next, right_next = times(left_step, left_bytes), times(right_row, VECTOR_BYTES)
    left_first, right_begins = builder.ptrtoint(left, I64), builder.ptrtoint(right, I64)
    right_first = [
        _apart(builder, builder.add(right_begins, times(right_step, c * VECTOR_BYTES))) for c in range(0, columns, 4)
    ]
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    fma = declare(builder, kind, f"llvm.fma.v{WIDTH}f64")

    before = builder.block
    taking, begin, loop, end = (builder.append_basic_block(name) for name in ("taking", "begin", "loop", "end"))
    builder.cbranch(onto, taking, begin)

    builder.position_at_end(taking)
    taken = [load_vector(builder, at(address)) for address in addresses]
    builder.branch(begin)

    builder.position_at_end(begin)
    start = phis()
    for phi, value in zip(start, taken, strict=True):
        phi.add_incoming(ir.Constant(VECTOR, [0.0] * WIDTH), before)
        phi.add_incoming(value, taking)
    builder.branch(loop)

    builder.position_at_end(loop)
    k, left_now = builder.phi(I64), builder.phi(I64)
    right_now = [builder.phi(I64) for _ in right_first]
    sums, new = phis(), []
    vectors = [load_vector(builder, at(builder.add(right_now[c // 4], steps[c % 4]))) for c in range(columns)]
    for r in range(rows):
        address = builder.add(left_now, left_rows[r])
        if left_bytes == VECTOR_BYTES:
            factor = load_vector(builder, at(address))
        else:
            factor = splat_value(builder, builder.load(at(address, F64)))
        new += [builder.call(fma, [factor, vectors[c], sums[r * columns + c]]) for c in range(columns)]
    following = builder.add(k, ir.Constant(I64, 1))
    for phi, first, later in (
        (k, ir.Constant(I64, 0), following),
        (left_now, left_first, builder.add(left_now, left_next)),
        *((now, first, builder.add(now, right_next)) for now, first in zip(right_now, right_first, strict=True)),
        *zip(sums, start, new, strict=True),
    ):
        phi.add_incoming(first, begin)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_signed("<", following, terms), loop, end)

    builder.position_at_end(end)
    for address, value in zip(addresses, new, strict=True):
        store_vector(builder, at(address), value)


@intrinsic
def ahead(typingctx, pointer, count):
    """The pointer to what lies `count` vectors or elements further."""

    def codegen(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen
