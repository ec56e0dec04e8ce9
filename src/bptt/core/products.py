"""The one matrix product of the core, over elements and vectors (`bptt.core.simd.memory`)."""

from bptt.core.kernel import PRODUCT, call_product
from bptt.core.simd import MOST_COLUMNS, ahead, elements_at, inline, multiply_block, multiply_row, vectors_at

_TERMS = 128  # summed up at a time, so that what neighbouring blocks read stays in the nearest cache
_COLUMNS_OF_ONE, _COLUMNS = MOST_COLUMNS[1], MOST_COLUMNS[4]


@PRODUCT
def product(
    result,
    result_row,
    result_step,
    left,
    left_row,
    left_step,
    right,
    right_row,
    right_step,
    rows,
    terms,
    columns,
    onto,
):
    most = _COLUMNS_OF_ONE if rows == 1 else _COLUMNS
    k = 0
    while k < terms:
        count = min(_TERMS, terms - k)
        c = 0
        while c < columns:
            r, width = 0, min(most, columns - c)
            while r < rows:
                height = 4 if rows - r >= 4 else (2 if rows - r >= 2 else 1)
                multiply_block(
                    ahead(result, r * result_row + c * result_step),
                    result_row,
                    result_step,
                    ahead(left, r * left_row + k * left_step),
                    left_row,
                    left_step,
                    ahead(right, k * right_row + c * right_step),
                    right_row,
                    right_step,
                    count,
                    onto or k > 0,
                    height,
                    width,
                )
                r += height
            c += width
        k += count


@inline
def multiply(net, result, left, right, rows, terms, columns, onto):
    """result[r, c] = Σ_k left[r, k] · right[k, c] for 0 ≤ k < terms, onto what stands there or from 0; terms ≥ 1.

    Each of the three is (memory, place of the first, row, step), in vectors, but for `left` in elements: *row* of them
    lie between neighbours along the first index, *step* along the second. Each sum runs in the order of k, one fused
    multiply-add after the other, whatever the sizes.
    """
    into, to, to_row, to_step = result
    factors, a, a_row, a_step = left
    vectors, b, b_row, b_step = right
    if rows == 1 and terms <= _TERMS:  # so little work that the call would be felt
        c = 0
        while c < columns:
            width = min(_COLUMNS_OF_ONE, columns - c)
            multiply_row(
                vectors_at(into, to + c * to_step),
                to_row,
                to_step,
                elements_at(factors, a),
                a_row,
                a_step,
                vectors_at(vectors, b + c * b_step),
                b_row,
                b_step,
                terms,
                onto,
                1,
                width,
            )
            c += width
    else:
        call_product(
            net.product,
            (
                vectors_at(into, to),
                to_row,
                to_step,
                elements_at(factors, a),
                a_row,
                a_step,
                vectors_at(vectors, b),
                b_row,
                b_step,
                rows,
                terms,
                columns,
                onto,
            ),
        )
