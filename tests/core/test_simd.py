"""The vector vocabulary: accuracy against extended precision over the whole range, special values, order of sums."""

import itertools
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

import bptt.core
from bptt.core import kernel, simd
from bptt.core.kernel import LANES, MODES, check_memory, kernel_hash, source_hash
from bptt.core.products import multiply, product
from bptt.core.sequences import Floats
from bptt.core.simd import VECTOR_BYTES, WIDTH, aligned_zeros
from bptt.core.simd.sums import norm, sum_vectors
from bptt.core.workspace import as_mode
from tests.core.test_bits import environment

extended = pytest.mark.skipif(
    bool(np.finfo(np.longdouble).eps >= 2.0**-60), reason="needs numbers of extended precision"
)


def over_vectors(function: Any) -> Callable[[Any], Floats]:
    """A function of vectors as one of arrays (n,)."""

    @numba.njit(error_model="numpy")
    def loop(given: Any, result: Any) -> None:
        source, target = simd.pointer_to(given), simd.pointer_to(result)
        for i in range(given.shape[0]):
            simd.store(target, i, function(simd.load(source, i)))

    def of_array(x: Any) -> Floats:
        given = np.asarray(x, np.float64)
        source = aligned_zeros(-(-given.size // WIDTH), WIDTH)
        source.reshape(-1)[: given.size] = given
        target = aligned_zeros(*source.shape)
        loop(source, target)
        return target.reshape(-1)[: given.size].copy()

    return of_array


exp, sigmoid, tanh, log, log1p = map(over_vectors, (simd.exp, simd.sigmoid, simd.tanh, simd.log, simd.log1p))
cosine_arch = over_vectors(simd.cosine_arch)


def assert_within(found: Floats, expected: Any, ulps: float) -> None:
    """Within so many units in the last place of the exact result, subnormal results included."""
    rounded = expected.astype(np.float64)
    error = np.abs((found.astype(np.longdouble) - expected) / np.spacing(np.abs(rounded)))
    worst = int(np.argmax(error))
    assert error[worst] <= ulps, f"{float(error[worst]):.2f} ulp, {found[worst]!r} for {rounded[worst]!r}"


def spread(low: float, high: float, count: int = 200_000) -> Floats:
    """Evenly and, around 0, logarithmically spaced arguments."""
    rng = np.random.default_rng(1)
    tiny = 10.0 ** rng.uniform(-320, math.log10(max(abs(low), abs(high))), count // 4)
    tiny = tiny * np.where(rng.random(tiny.size) < 0.5, 1.0, -1.0)
    values = np.concatenate([rng.uniform(low, high, count), np.linspace(low, high, 1001), tiny])
    return values[(values >= low) & (values <= high)]


@extended
def test_exp_over_the_normal_range() -> None:
    x = spread(-708.0, 709.7)
    assert_within(exp(x), np.exp(x.astype(np.longdouble)), 1.1)


@extended
def test_exp_of_subnormal_results() -> None:
    x = spread(-745.1, -708.3)
    x = x[x < -708.4]
    found = exp(x)
    assert (found > 0.0).all()
    assert (found < np.finfo(np.float64).smallest_normal).all()
    assert_within(found, np.exp(x.astype(np.longdouble)), 1.1)


def test_exp_beyond_the_range_and_of_special_values() -> None:
    assert exp([709.79, 1e3, 1e308, np.inf]).tolist() == [np.inf] * 4
    assert exp([-745.2, -746.0, -1e3, -1e308, -np.inf]).tolist() == [0.0] * 5
    assert exp([0.0, -0.0, 5e-324, -5e-324]).tolist() == [1.0] * 4
    assert np.isnan(exp([np.nan, -np.nan])).all()


@extended
def test_sigmoid() -> None:
    x = spread(-708.0, 745.0)
    assert_within(sigmoid(x), 1.0 / (1.0 + np.exp(-x.astype(np.longdouble))), 3.0)


def test_sigmoid_of_special_values() -> None:
    assert sigmoid([-np.inf, -1e308, -746.0, 0.0, -0.0, 40.0, 1e308, np.inf]).tolist() == [0, 0, 0, 0.5, 0.5, 1, 1, 1]
    assert np.isnan(sigmoid([np.nan]))[0]
    x = np.linspace(-800.0, 800.0, 4001)
    assert (np.diff(sigmoid(x)) >= 0.0).all()
    assert ((sigmoid(x) >= 0.0) & (sigmoid(x) <= 1.0)).all()


@extended
def test_tanh_keeps_the_digits_of_small_arguments() -> None:
    x = spread(-25.0, 25.0)
    x = x[np.abs(x) > 1e-307]
    assert_within(tanh(x), np.tanh(x.astype(np.longdouble)), 3.0)


def test_tanh_of_special_values() -> None:
    small = np.array([1e-9, 1e-16, 1e-100, 1e-300, 2.3e-308, 5e-324])
    small = np.concatenate([small, -small])
    np.testing.assert_allclose(tanh(small), small, rtol=5e-16)
    assert tanh([-np.inf, -1e308, -20.0, 20.0, 1e308, np.inf]).tolist() == [-1, -1, -1, 1, 1, 1]
    zeros = tanh([0.0, -0.0])
    assert zeros.tolist() == [0.0, 0.0]
    assert np.signbit(zeros).tolist() == [False, True]
    assert np.isnan(tanh([np.nan]))[0]
    x = spread(-25.0, 25.0, 1000)
    assert np.array_equal(tanh(-x), -tanh(x))
    assert (np.abs(tanh(x)) <= 1.0).all()


@extended
def test_log_of_normal_numbers() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([10.0 ** rng.uniform(-307.6, 307.6, 100_000), rng.uniform(0.5, 2.0, 100_000)])
    near_one = 1.0 + np.concatenate([np.arange(-200, 200) * 2.0**-53 * 2, rng.uniform(-1e-6, 1e-6, 10_000)])
    ends = np.array([np.finfo(np.float64).smallest_normal, np.nextafter(2.0**1022, 0.0)])
    x = np.concatenate([x, near_one, ends, [math.sqrt(2.0), math.sqrt(0.5), 2.0, 0.5]])
    x = x[x != 1.0]
    assert_within(log(x), np.log(x.astype(np.longdouble)), 1.5)
    assert log([1.0])[0] == 0.0


@extended
def test_log1p_from_0_to_1() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(0.0, 1.0, 100_000), 10.0 ** rng.uniform(-307.0, 0.0, 100_000), [1.0]])
    assert_within(log1p(x), np.log1p(x.astype(np.longdouble)), 2.0)
    assert log1p([0.0, 5e-324]).tolist() == [0.0, 5e-324]
    np.testing.assert_allclose(log1p([1.0]), math.log(2.0), rtol=3e-16)


@numba.njit(error_model="numpy")
def powers(given: Any, result: Any, exponents: Any) -> None:
    source, target = simd.pointer_to(given), simd.pointer_to(result)
    for i in range(exponents.shape[0]):
        simd.store(target, i, simd.integer_power(simd.load(source, 0), exponents[i]))


def test_integer_power() -> None:
    x, exponents = aligned_zeros(1, WIDTH), np.array([0, 1, 2, 3, 7, 10, 64, 1000, 60_000])
    x[0] = np.linspace(-1.5, 1.5, WIDTH)
    x[0, 0], x[0, 1] = 0.999, -0.5
    found = aligned_zeros(len(exponents), WIDTH)
    powers(x, found, exponents)
    for values, n in zip(found, exponents, strict=True):
        with np.errstate(over="ignore", under="ignore"):
            np.testing.assert_allclose(values, x[0] ** float(n), rtol=1e-12, atol=1e-323)
    assert (found[0] == 1.0).all()
    assert np.array_equal(found[1], x[0])
    assert np.array_equal(found[2], x[0] * x[0])


@numba.njit(error_model="numpy")
def whole_powers(memory: Any) -> None:
    given = simd.pointer_to(memory)
    simd.store(given, 2, simd.whole_power(simd.load(given, 0), simd.load(given, 1)))
    simd.store(given, 3, simd.floor(simd.load(given, 0)))


def test_whole_powers_of_each_lane() -> None:
    """The same multiplications as one whole number's for all, whatever stands beside."""
    exponents = np.array([0, 1, 2, 3, 7, 10, 64, 1000])[:WIDTH]
    memory, x = aligned_zeros(4, WIDTH), aligned_zeros(1, WIDTH)
    for base in (0.999, -0.5, 1.5, 0.0):
        memory[0], memory[1], x[0] = base, exponents, base
        whole_powers(memory)
        expected = aligned_zeros(len(exponents), WIDTH)
        powers(x, expected, exponents)
        assert np.array_equal(memory[2], expected[:, 0])
        assert np.array_equal(memory[3], np.floor(memory[0]))
    memory[0], memory[1], memory[1, 0] = 0.5, np.inf, 2.0
    whole_powers(memory)
    assert memory[2].tolist() == [0.25] + [0.0] * (WIDTH - 1)


def test_half_a_cosine() -> None:
    x = spread(0.0, 1.0, 1000)
    exact = [(1 + np.cos(np.longdouble(math.pi) * np.longdouble(value))) / 2 for value in x]
    assert np.abs(cosine_arch(x) - np.array(exact)).max() <= 3e-16
    assert cosine_arch([0.0, 1.0, 0.25]).tolist()[:2] == [1.0, 0.0]
    np.testing.assert_allclose(cosine_arch([1.0 / 3.0, 0.5, 2.0 / 3.0]), [0.75, 0.5, 0.25], rtol=5e-16)


@numba.njit(error_model="numpy")
def folded(memory: Any) -> Any:
    x = simd.load(simd.pointer_to(memory), 0)
    return simd.total(x), simd.largest(x), simd.any_of(x > simd.splat(2.0))


def test_sums_fold_the_upper_half_onto_the_lower() -> None:
    rng = np.random.default_rng(4)
    memory = aligned_zeros(1, WIDTH)
    for _ in range(200):
        memory[0] = rng.standard_normal(WIDTH) * 10.0 ** rng.integers(-8, 8, WIDTH)
        halves = memory[0]
        while len(halves) > 1:
            halves = halves[: len(halves) // 2] + halves[len(halves) // 2 :]
        total, largest, any_above = folded(memory)
        assert total == halves[0]
        assert largest == memory[0].max()
        assert any_above == (memory[0] > 2.0).any()
    for place in range(WIDTH):
        memory[0] = -np.inf
        memory[0, place] = 3.0
        assert folded(memory)[1:] == (3.0, True)


@numba.njit(error_model="numpy")
def element_by_element(array: Any) -> None:
    memory = simd.pointer_to(array)
    x, y, z = simd.load(memory, 0), simd.load(memory, 1), simd.load(memory, 2)
    simd.store(memory, 3, simd.fma(x, y, z))
    simd.store(memory, 4, simd.sqrt(simd.absolute(x)))
    simd.store(memory, 5, simd.copysign(x, y))
    simd.store(memory, 7, simd.select((x < y) & (y <= z), x, z))
    simd.store(memory, 8, -x / y + 2.0 * z - 1.0)
    simd.store(memory, 9, x * y + z)


def test_arithmetic_is_numpys_to_the_bit() -> None:
    rng = np.random.default_rng(5)
    memory = aligned_zeros(10, WIDTH)
    first = [[1.0 + 2.0**-30, 2.5, -0.5, -3.5], [1.0 - 2.0**-30, 1.0, -2.0, 4.0], [-1.0, 2.0, 0.25, 5.0]]
    for row, numbers in zip(memory[:3], first, strict=True):
        row[:] = [*numbers, *rng.standard_normal(WIDTH)][:WIDTH]
    x, y, z = memory[:3].copy()
    element_by_element(memory)
    assert memory[3, 0] == -(2.0**-60)  # rounded once: twice would give 0
    np.testing.assert_allclose(memory[3], x * y + z, rtol=1e-14, atol=1e-15)
    assert np.array_equal(memory[4], np.sqrt(np.abs(x)))
    assert np.array_equal(memory[5], np.copysign(x, y))
    assert np.array_equal(memory[7], np.where((x < y) & (y <= z), x, z))
    assert np.array_equal(memory[8], -x / y + 2.0 * z - 1.0)
    assert np.array_equal(memory[9], x * y + z)  # never contracted to an fma
    assert memory[9, 0] == 0.0


def test_an_elements_bits_do_not_depend_on_its_place_or_neighbours() -> None:
    x = spread(-30.0, 30.0, 2000)[: 100 * WIDTH]
    for function in (exp, sigmoid, tanh, log, log1p):
        alone = function(np.abs(x) if function in (log, log1p) else x)
        for shift in range(1, WIDTH):
            rolled = np.roll(np.abs(x) if function in (log, log1p) else x, shift)
            rolled[shift - 1] = np.nan
            found = np.roll(function(rolled), -shift)
            same = np.arange(x.size) != x.size - 1
            assert found[same].tobytes() == alone[same].tobytes()


def stored(*shape: int) -> Floats:
    """Aligned memory of different numbers."""
    memory = aligned_zeros(*shape)
    memory[...] = np.random.default_rng(6).standard_normal(shape)
    return memory


@numba.njit(error_model="numpy")
def read_and_written(array: Any) -> Any:
    memory = simd.pointer_to(array)
    simd.store(memory, 5, simd.element(memory, 3))
    simd.set_element(memory, simd.elements(memory, 6) + 1, simd.load(memory, 1))
    simd.set_number(memory, 0, 0, simd.number_of(memory, 2, 0) + 1.0)
    simd.store(memory, 9, simd.one_run(memory, simd.load(memory, 8)))
    return simd.elements(memory, 2), simd.has_units(memory)


def test_an_element_is_a_vector_of_lanes() -> None:
    memory = stored(10, WIDTH)
    before = memory.copy()
    assert read_and_written(memory) == (2, False)
    assert np.array_equal(memory[5], before[3])
    assert np.array_equal(memory[7], before[1])
    assert memory[0, 0] == before[2, 0] + 1.0
    assert np.array_equal(memory[0, 1:], before[0, 1:])
    assert np.array_equal(memory[9], before[8])


def test_an_element_is_a_number_of_one_run() -> None:
    memory = stored(10 * WIDTH)
    before = memory.copy()
    assert read_and_written(memory) == (2 * WIDTH, True)
    vectors = memory.reshape(10, WIDTH)
    assert (vectors[5] == before[3]).all()
    assert vectors[6, 1] == before[WIDTH]
    assert np.array_equal(np.delete(vectors[6], 1), np.delete(before.reshape(10, WIDTH)[6], 1))
    assert memory[0] == before[2] + 1.0
    assert len(set(vectors[9])) == 1
    np.testing.assert_allclose(vectors[9, 0], before[8 * WIDTH : 9 * WIDTH].sum(), rtol=1e-13)


@numba.njit(error_model="numpy")
def marked(array: Any, first: Any, stop: Any) -> None:
    memory = simd.pointer_to(array)
    for i in range(array.size // WIDTH):
        inside = simd.within(memory, i, first, stop)
        simd.store(memory, i, simd.select(inside, simd.splat(1.0), simd.splat(0.0)))


def test_elements_within_a_range() -> None:
    for first, stop in ((0, 4 * WIDTH), (3, 2 * WIDTH + 1), (WIDTH, WIDTH), (WIDTH + 1, WIDTH + 2)):
        numbers, vectors = aligned_zeros(4 * WIDTH), aligned_zeros(4 * WIDTH, WIDTH)
        marked(numbers, first, stop)
        marked(vectors, first, stop)
        expected = (np.arange(4 * WIDTH) >= first) & (np.arange(4 * WIDTH) < stop)
        assert np.array_equal(numbers, expected)
        assert np.array_equal(vectors, np.repeat(expected[:, None], WIDTH, axis=1))


@numba.njit(error_model="numpy")
def moved(target: Any, source: Any, rows: Any, columns: Any) -> None:
    simd.transpose(simd.pointer_to(target), 3, 2 * WIDTH, simd.pointer_to(source), 1, 2 * WIDTH + 3, rows, columns)


def test_transposing_writes_what_is_asked_and_nothing_else() -> None:
    most = 2 * WIDTH
    source = stored(most * (most + 3) + 1)
    square = np.lib.stride_tricks.as_strided(source[1:], (most, most), (8 * (most + 3), 8))
    for rows in range(1, most + 1):
        for columns in range(1, most + 1):
            target, expected = np.full(most * most + 3, 7.0), np.full(most * most + 3, 7.0)
            for c in range(columns):
                expected[3 + most * c :][:rows] = square[:rows, c]
            moved(target, source, rows, columns)
            assert np.array_equal(target, expected)


@numba.njit(error_model="numpy")
def moved_lanes(target: Any, source: Any, first: Any, count: Any, inside: Any, run: Any, step: Any) -> None:
    given, places = simd.pointer_to(source), simd.pointer_to(first)
    simd.transpose_lanes(simd.pointer_to(target), 2, given, places, 3, count, inside, run, step)


def test_lanes_are_moved_to_vectors_in_runs_and_nothing_else_is_written() -> None:
    source, first = stored(20 * WIDTH), np.arange(WIDTH) * 17
    for run, step in ((1, 1), (1, 4), (2, 5), (3, 3), (WIDTH + 1, 40)):
        for inside in range(run):
            for count in range(1, WIDTH + 1):
                target, expected = aligned_zeros(5 * WIDTH + 45, WIDTH), np.zeros((5 * WIDTH + 45, WIDTH))
                for i in range(count):
                    whole, rest = divmod(inside + i, run)
                    expected[2 - inside + whole * step + rest] = source[first + 3 + i]
                moved_lanes(target, source, first, count, inside, run, step)
                assert np.array_equal(target, expected)


@numba.njit(error_model="numpy")
def copied_few(target: Any, source: Any, count: Any) -> None:
    simd.copy_few(simd.pointer_to(target), 2, simd.pointer_to(source), 1, count)


def test_copying_a_few_writes_nothing_else() -> None:
    source = stored(WIDTH + 1)
    for count in range(WIDTH + 1):
        target = np.full(WIDTH + 4, 7.0)
        copied_few(target, source, count)
        assert np.array_equal(target[2 : 2 + count], source[1 : 1 + count])
        assert (np.delete(target, np.arange(2, 2 + count)) == 7.0).all()


class Multiplying(NamedTuple):
    """As much of a net as a product asks for."""

    product: int


@numba.njit(error_model="numpy")
def multiplied(address: Any, result: Any, left: Any, right: Any, sizes: Any, onto: Any) -> None:
    rows, terms, columns, per = sizes
    a, b, c = simd.pointer_to(left), simd.pointer_to(right), simd.pointer_to(result)
    multiply(
        Multiplying(address),
        (c, 1, columns + 1, 1),
        (a, 2 * per, terms, 1),
        (b, 3, 1, terms),
        rows,
        terms,
        columns,
        onto,
    )


def in_order(left: Floats, right: Floats, start: Floats) -> Floats:
    """Σ_k in the order of k, rounded once a term: exact fractions, to whose nearest float64 each sum is rounded."""
    result = start.copy()
    for place in np.ndindex(result.shape):
        total = float(result[place])
        for a, b in zip(left[place[0]], right[:, place[1]], strict=True):
            total = float(Fraction(total) + Fraction(float(a)) * Fraction(float(b)))
        result[place] = total
    return result


@pytest.mark.parametrize("onto", [False, True])
def test_products_run_in_order_whatever_their_sizes(onto: bool) -> None:
    """Against fractions, in both modes; 130 terms are more than are summed up at a time."""
    rng = np.random.default_rng(7)
    for rows, terms, columns in itertools.product((1, 2, 3, 7), (1, 5, 130), (1, 2, 3, 4, 5, 11)):
        if rows * terms * columns > 2000:
            continue
        left = rng.standard_normal((rows, terms))
        right = rng.standard_normal((terms, columns, WIDTH))
        start = rng.standard_normal((rows, columns, WIDTH))
        expected = in_order(left, right[:, :, 0], start[:, :, 0] if onto else np.zeros((rows, columns)))
        for mode in MODES:
            per = 1 if mode == LANES else WIDTH
            a = aligned_zeros(rows * terms + 2, WIDTH) if mode == LANES else aligned_zeros(rows * terms + 2 * WIDTH)
            a[2 * per :][: rows * terms] = left.reshape(-1, 1) if mode == LANES else left.ravel()
            b, c = aligned_zeros(terms * columns + 3, WIDTH), aligned_zeros(rows * (columns + 1) + 1, WIDTH)
            b[3:] = right.transpose(1, 0, 2).reshape(-1, WIDTH)
            into = c[1:].reshape(rows, columns + 1, WIDTH)[:, :columns]
            into[:] = start
            multiplied(product.address(mode), as_mode(c, mode), a, as_mode(b, mode), (rows, terms, columns, per), onto)
            assert np.array_equal(into[:, :, 0], expected), (mode, rows, terms, columns)
            assert (c[0] == 0.0).all()
            assert (c[1:].reshape(rows, columns + 1, WIDTH)[:, columns] == 0.0).all()


@numba.njit(error_model="numpy")
def summed_up(array: Any, start: Any, stop: Any, result: Any) -> None:
    memory, found = simd.pointer_to(array), simd.pointer_to(result)
    simd.store(found, 0, sum_vectors(memory, 1, start, stop))
    simd.store(found, 1, norm(memory, 0, simd.elements(memory, array.size // WIDTH)))


def test_sums_of_lanes_and_of_one_run_have_the_same_bits() -> None:
    """Places decide the order: with units, numbers before and behind the sum must be 0."""
    rng = np.random.default_rng(8)
    for count, start, stop in ((1, 0, 1), (5, 2, 4), (40, 0, 40), (100, 17, 83), (64, 16, 48)):
        numbers = rng.standard_normal(count) * 10.0 ** rng.integers(-8, 8, count)
        numbers[:start], numbers[stop:] = 0.0, 0.0
        of_run = aligned_zeros((1 + -(-count // WIDTH)) * WIDTH)
        of_run[WIDTH:][:count] = numbers
        lanes, found = aligned_zeros(1 + count, WIDTH), [aligned_zeros(2, WIDTH) for _ in MODES]
        lanes[1:] = numbers[:, None]
        summed_up(of_run, start // WIDTH, -(-stop // WIDTH), found[0])
        summed_up(lanes, start, stop, found[1])
        assert np.array_equal(found[0][0], found[1][0])
        np.testing.assert_allclose(found[0][0], math.fsum(numbers), rtol=1e-12, atol=1e-15 * np.abs(numbers).sum())
        # Of a norm the first place is the memory's first: here a run's numbers begin one vector later than a lane's.
        np.testing.assert_allclose(found[0][1], np.linalg.norm(numbers), rtol=1e-14)
        np.testing.assert_allclose(found[1][1], np.linalg.norm(numbers), rtol=1e-14)


def test_aligned_zeros() -> None:
    for shape in ((1, WIDTH), (3, WIDTH), (2, 5, WIDTH), (7,)):
        memory = aligned_zeros(*shape)
        assert memory.shape == shape
        assert memory.dtype == np.float64
        assert memory.ctypes.data % 64 == 0
        assert memory.flags.c_contiguous
        assert (memory == 0.0).all()
        check_memory(memory=memory)


def test_memory_that_kernels_cannot_take_is_refused() -> None:
    good = aligned_zeros(4, WIDTH)
    misaligned = aligned_zeros(5 * WIDTH)[1 : 1 + 4 * WIDTH].reshape(4, WIDTH)
    wrong: dict[str, Any] = {
        "misaligned": misaligned,
        "strided": aligned_zeros(8, WIDTH)[::2],
        "transposed": aligned_zeros(WIDTH, 2 * WIDTH).T,
        "single": np.zeros_like(good, dtype=np.float32),
        "integers": good.view(np.int64),
    }
    check_memory(good=good, more=aligned_zeros(1, WIDTH))
    for name, array in wrong.items():
        with pytest.raises(
            ValueError, match=f"{name}: kernels need C-contiguous float64 memory aligned to {VECTOR_BYTES}"
        ):
            check_memory(good=good, **{name: array})


def hash_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The source hash of another copy of the core."""
    monkeypatch.setattr(kernel, "__file__", str(folder / "kernel.py"))
    return source_hash.__wrapped__()


def copied(folder: Path) -> Path:
    core = Path(next(iter(bptt.core.__path__)))
    return Path(shutil.copytree(core, folder / "core", ignore=shutil.ignore_patterns("__pycache__")))


def test_what_a_source_file_computes_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path / "cache"))
    core = copied(tmp_path)
    original = hash_of(core, monkeypatch)
    assert original == source_hash()
    sources = sorted(core.rglob("*.py"))
    assert len(sources) > 40
    for path in sources:
        path.write_text(path.read_text() + "\n# said, not computed\n")
    (core / "simd" / "sums.py").rename(core / "other.py")
    for path in sources:
        if path.exists():
            path.write_text(path.read_text().replace("bptt.core.simd.sums", "bptt.core.other"))
    assert hash_of(core, monkeypatch) == original
    (core / "other.py").write_text((core / "other.py").read_text() + "\n_MORE = 1\n")
    assert hash_of(core, monkeypatch) != original


def test_versions_and_width_are_part_of_a_kernels_key_and_not_of_the_numerical_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, sources = {kernel_hash()}, source_hash()
    for module, name, value in ((numba, "__version__", "0.1"), (np, "__version__", "1.0"), (kernel, "WIDTH", 2)):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, value)
            seen.add(kernel_hash.__wrapped__())
            assert source_hash.__wrapped__() == sources
    assert len(seen) == 4


USES_A_HELPER = """
from bptt.core.optimizers.irprop_minus import IrpropMinus
from tests.core.calling import Steps
print(Steps(IrpropMinus, [1.0, 0.5, 0.5, 0.0, 9.0], [0.0]).step([1.0])[0, 0])
"""


@pytest.mark.slow
def test_a_kernel_is_compiled_anew_when_a_helper_in_another_file_changed(tmp_path: Path) -> None:
    (tmp_path / "bptt").mkdir()
    package = Path(next(iter(bptt.core.__path__))).parent
    shutil.copy(package / "__init__.py", tmp_path / "bptt")
    core = copied(tmp_path / "bptt")
    paths = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])

    def step() -> float:
        command = [sys.executable, "-c", USES_A_HELPER]
        changed = environment(PYTHONPATH=paths, BPTT_CACHE_DIR=str(tmp_path / "kernels"))
        return float(
            subprocess.run(command, capture_output=True, text=True, check=True, env=changed, timeout=300).stdout
        )

    assert step() == -0.5
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kernels").rglob("*.nbc")}
    assert kept
    assert step() == -0.5
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kernels").rglob("*.nbc")} == kept  # found again
    helper = core / "optimizers" / "rprop.py"
    text = helper.read_text()
    assert text.count("splat(1.0)") == 1
    helper.write_text(text.replace("splat(1.0)", "splat(2.0)"))
    assert step() == -1.0


def test_a_width_that_is_not_there_is_refused() -> None:
    command = [sys.executable, "-c", "import bptt.core.simd"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(BPTT_SIMD_WIDTH="6"), timeout=60)
    assert result.returncode == 1
    assert "BPTT_SIMD_WIDTH=6: this processor allows 2 and 4" in result.stderr
