"""Random numbers with the same bits on every machine and with every NumPy.

NumPy promises the words of PCG64 and what a SeedSequence spawns, but not what its distributions make of them, and takes
the C library's functions for some. So the distributions are here, each a written function of the words.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from bptt.core.elementwise import normal_quantile
from bptt.core.kernel import NUMBER_ARRAY, UNITS, Kernel
from bptt.core.simd import WIDTH, aligned_zeros, inline, load, pointer_to, store, vectors_at

Integers = NDArray[np.int64]
Size = int | Sequence[int]

_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
_WHOLE = 2**128 - 1  # the bits of a state
_WORD, _STATE = ir.IntType(64), ir.IntType(128)
_WORDS = types.Array(types.uint64, 1, "C")
_INTEGERS = types.Array(types.int64, 1, "C")


@intrinsic
def _next_word(typingctx, state):
    """The next 64 bits of the generator whose state and increment, two words each, lower first, lie at a place.

    O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
    Generation", section 6.3: a linear congruential step, then XSL-RR of what it gives.
    """

    def codegen(context, builder, sig, args):
        place = builder.bitcast(args[0], _STATE.as_pointer())
        increment = builder.load(builder.gep(place, [ir.Constant(_WORD, 1)]), align=8)
        before = builder.load(place, align=8)
        after = builder.add(builder.mul(before, ir.Constant(_STATE, _MULTIPLIER)), increment)
        builder.store(after, place, align=8)
        high = builder.trunc(builder.lshr(after, ir.Constant(_STATE, 64)), _WORD)
        mixed = builder.xor(high, builder.trunc(after, _WORD))
        turn = builder.lshr(high, ir.Constant(_WORD, 58))
        back = builder.and_(builder.sub(ir.Constant(_WORD, 64), turn), ir.Constant(_WORD, 63))
        return builder.or_(builder.lshr(mixed, turn), builder.shl(mixed, back))

    return types.uint64(state), codegen


@intrinsic
def _multiply(typingctx, a, b):
    """(upper, lower) 64 bits of a·b."""

    def codegen(context, builder, sig, args):
        product = builder.mul(*(builder.zext(arg, _STATE) for arg in args))
        upper = builder.trunc(builder.lshr(product, ir.Constant(_STATE, 64)), _WORD)
        return context.make_tuple(builder, sig.return_type, [upper, builder.trunc(product, _WORD)])

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), codegen


@inline
def _below(state, count):
    """A number 0 ≤ i < count, all equally likely: Lemire 2019, "Fast Random Integer Generation in an Interval"."""
    found, rest = _multiply(_next_word(state), count)
    if rest < count:
        least = (np.uint64(0) - count) % count
        while rest < least:
            found, rest = _multiply(_next_word(state), count)
    return np.int64(found)


@inline
def next_uniform(state):
    """A number of which `normal_quantile` makes a normal one: an odd multiple of 2⁻⁵³ in (0, 1)."""
    return ((_next_word(state) >> np.uint64(12)) + 0.5) * 2.0**-52


def _draw_uniform(words, found):
    state = pointer_to(words)
    for i in range(found.shape[0]):
        found[i] = (_next_word(state) >> np.uint64(11)) * 2.0**-53


def _draw_normal(words, count, found):
    state, memory = pointer_to(words), vectors_at(pointer_to(found), 0)
    for i in range(found.shape[0]):
        found[i] = 0.5 if i >= count else next_uniform(state)
    for i in range(found.shape[0] // WIDTH):
        store(memory, i, normal_quantile(load(memory, i)))


def _draw_integers(words, first, count, found):
    state = pointer_to(words)
    own = 1 if first.shape[0] > 1 else 0
    for i in range(found.shape[0]):
        found[i] = first[i * own] + _below(state, np.uint64(count[i * own]))


def _draw_permutation(words, found):
    state = pointer_to(words)
    for i in range(found.shape[0]):
        found[i] = i
    for i in range(found.shape[0] - 1, 0, -1):
        j = _below(state, np.uint64(i + 1))
        found[i], found[j] = found[j], found[i]


draw_uniform = Kernel(_draw_uniform, {UNITS: types.void(_WORDS, NUMBER_ARRAY)})
draw_normal = Kernel(_draw_normal, {UNITS: types.void(_WORDS, types.int64, NUMBER_ARRAY)})
draw_integers = Kernel(_draw_integers, {UNITS: types.void(_WORDS, *[_INTEGERS] * 3)})
draw_permutation = Kernel(_draw_permutation, {UNITS: types.void(_WORDS, _INTEGERS)})

#: What a generator calls, each with its mode.
DRAWS = tuple((kernel, UNITS) for kernel in (draw_uniform, draw_normal, draw_integers, draw_permutation))


class Generator:
    """One part of a stream of words of PCG64, as NumPy seeds it; a draw goes on behind what the one before took.

    Methods are called like those of NumPy's Generator, of which these are the ones that there are: size says the shape
    of what they give, None one number.
    """

    def __init__(self, seed: np.random.SeedSequence) -> None:
        self.seed = seed
        start_high, start_low, odd_high, odd_low = map(int, seed.generate_state(4, np.uint64))
        increment = ((odd_high << 64 | odd_low) << 1 | 1) & _WHOLE
        state = ((increment + (start_high << 64 | start_low)) * _MULTIPLIER + increment) & _WHOLE
        halves = [number >> shift & 2**64 - 1 for number in (state, increment) for shift in (0, 64)]
        self._words = np.array(halves, np.uint64)

    @property
    def words(self) -> NDArray[np.uint64]:
        """State and increment, two words each, lower first."""
        return self._words.copy()

    def skip(self, count: int) -> None:
        """Go on behind the next words, so many: Brown 1994, "Random Number Generation with Arbitrary Strides"."""
        state, increment = (int(self._words[place]) | int(self._words[place + 1]) << 64 for place in (0, 2))
        factor, added = 1, 0
        power, rest = _MULTIPLIER, increment
        while count > 0:
            if count % 2:
                factor, added = factor * power & _WHOLE, (added * power + rest) & _WHOLE
            power, rest, count = power * power & _WHOLE, (power + 1) * rest & _WHOLE, count // 2
        state = (factor * state + added) & _WHOLE
        self._words[:2] = state & 2**64 - 1, state >> 64

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name}: there are random, uniform, integers, standard_normal and permutation; "
            "numpy.random.default_rng(rng.integers(2**62)) has more, with the bits of this NumPy"
        )

    def random(self, size: Size | None = None) -> Any:
        """Uniform on [0, 1): a word's upper 53 bits, as multiples of 2⁻⁵³."""
        shape = _shape_of(size)
        found = np.empty(math.prod(shape))
        self._call(draw_uniform, found)
        return found.reshape(shape)[()]

    def uniform(self, low: float, high: float, size: Size | None = None) -> Any:
        """Uniform on [low, high): low + (high − low)·u, with u of `random`."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Size | None = None) -> Any:
        """N(0, 1): Φ⁻¹ of an odd multiple of 2⁻⁵³, by a word's upper 52 bits. No size is above 8.3."""
        shape = _shape_of(size)
        count = math.prod(shape)
        found = aligned_zeros(-(-count // WIDTH) * WIDTH)
        self._call(draw_normal, count, found)
        return found[:count].reshape(shape)[()]

    def integers(self, low: ArrayLike, high: ArrayLike | None = None, size: Size | None = None) -> Any:
        """Uniform over low ≤ i < high, or over 0 ≤ i < low: of n numbers ⌊w·n / 2⁶⁴⌋ with a word w.

        A word with (w·n mod 2⁶⁴) < 2⁶⁴ mod n is left out, so that all are equally likely. Arrays of bounds are
        broadcast to `size`, or give the shape.

        Raises ValueError where there is no number between the bounds.
        """
        first, behind = (0, low) if high is None else (low, high)
        below, above = np.asarray(first, np.int64), np.asarray(behind, np.int64)
        if below.ndim or above.ndim:
            below, above = np.broadcast_arrays(below, above)
        if (above <= below).any():
            raise ValueError(f"there is no integer from {first} to below {behind}")
        shape = below.shape if size is None else _shape_of(size)
        found = np.empty(math.prod(shape), np.int64)
        bounds = [below, above - below]
        if below.ndim:
            bounds = [np.broadcast_to(bound, shape) for bound in bounds]
        self._call(draw_integers, *(np.ascontiguousarray(bound).reshape(-1) for bound in bounds), found)
        return found.reshape(shape)[()]

    def permutation(self, count: int) -> Integers:
        """The numbers 0 … count − 1 in an order, all orders equally likely: Knuth's algorithm P (Fisher and Yates)."""
        found = np.empty(count, np.int64)
        self._call(draw_permutation, found)
        return found

    def _call(self, kernel: Kernel, *arguments: Any) -> None:
        kernel.compile(UNITS)
        kernel.dispatcher(self._words, *arguments)


def _shape_of(size: Size | None) -> tuple[int, ...]:
    if size is None:
        return ()
    return (int(size),) if isinstance(size, (int, np.integer)) else tuple(size)


def make_generator(seed: np.random.SeedSequence, *key: int) -> Generator:
    """The generator of one part of a stream: a pure function of the stream's seed and the part's number."""
    return Generator(np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key)))


def make_legacy(seed: np.random.SeedSequence) -> np.random.RandomState:
    """NumPy's legacy generator as `np.random.seed(S)` leaves it, S the run's seed, whichever of its streams `seed` is.

    A program's one generator serves all that it draws. A seed above 2³² − 1, which NumPy's takes none of, counts by its
    words of 32 bits, the lowest first.
    """
    entropy = seed.entropy
    if not isinstance(entropy, int) or entropy < 2**32:
        return np.random.RandomState(entropy)
    return np.random.RandomState([entropy >> place & 2**32 - 1 for place in range(0, entropy.bit_length(), 32)])
