"""A tape: Python that runs while a kernel is compiled, and writes LLVM's instructions down as it goes.

A loop of Python is unrolled; `Tape.loop` and `Tape.when` make loops and branches that run. The equations are the core's
own helpers, which `Tape.call` has inlined, and so give the same bits here as anywhere else. Sizes and places are Python
integers, or an `Index` where they hang on a loop that runs.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from bptt.core.compiler import call_helper, declare
from bptt.core.simd.memory import LANES_MEMORY, load_vector, store_vector
from bptt.core.simd.vectors import BITS, F64, I64, VECTOR, VECTOR_BYTES, WIDTH, mask, splat_value, vector

Value = Any  # one of LLVM's


class Memory(NamedTuple):
    """A pointer, and the type that kernels know it by."""

    pointer: Value
    kind: Any


class Index:
    """A whole number that is known when the kernel runs, plus one that is known before."""

    def __init__(self, builder: ir.IRBuilder, base: Value, more: int = 0) -> None:
        self._builder, self.base, self.more = builder, base, more

    @property
    def value(self) -> Value:
        return self._builder.add(self.base, ir.Constant(I64, self.more)) if self.more else self.base

    def __add__(self, other: "Whole") -> "Index":
        if isinstance(other, int):
            return Index(self._builder, self.base, self.more + other)
        return Index(self._builder, self._builder.add(self.base, other.base), self.more + other.more)

    def __mul__(self, factor: int) -> "Index":
        return Index(self._builder, self._builder.mul(self.base, ir.Constant(I64, factor)), self.more * factor)

    def __sub__(self, other: "Whole") -> "Index":
        return self + other * -1

    def __rsub__(self, other: int) -> "Index":
        return self * -1 + other

    __radd__, __rmul__ = __add__, __mul__


Whole = int | Index


def _value(given: Any) -> Value:
    if isinstance(given, Memory):
        return given.pointer
    return ir.Constant(I64, given) if isinstance(given, int) else given.value if isinstance(given, Index) else given


def _kind(given: Any) -> Any:
    if isinstance(given, Memory):
        return given.kind
    return types.int64 if isinstance(given, int | Index) else {VECTOR: vector, BITS: mask}[given.type]


class Tape:
    """What a kernel's code is written to."""

    def __init__(self, context: Any, builder: ir.IRBuilder) -> None:
        self._context, self._builder = context, builder

    def number(self, value: float) -> Value:
        """A vector of one number."""
        return ir.Constant(VECTOR, [value] * WIDTH)

    def true(self) -> Value:
        """The condition that holds everywhere."""
        return ir.Constant(BITS, [1] * WIDTH)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x·y + z, rounded once."""
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        return self._builder.call(declare(self._builder, kind, f"llvm.fma.v{WIDTH}f64"), [x, y, z])

    def index(self, value: Value) -> Index:
        """A whole number that the kernel is given."""
        return Index(self._builder, value)

    def plus(self, x: Value, y: Value) -> Value:
        return self._builder.fadd(x, y)

    def times(self, x: Value, y: Value) -> Value:
        return self._builder.fmul(x, y)

    def call(self, helper: Any, *given: Any) -> Any:
        """What a helper of the core makes of vectors, whole numbers and memory: a value, or a list of them."""
        made = call_helper(self._context, self._builder, helper, [*map(_kind, given)], [*map(_value, given)])
        if isinstance(made.type, ir.ArrayType | ir.LiteralStructType):
            return [self._builder.extract_value(made, place) for place in range(len(made.type))]
        return made

    def _at(self, memory: Memory, place: Whole, kind: Any = VECTOR) -> Value:
        pointer = self._builder.bitcast(memory.pointer, kind.as_pointer())
        if isinstance(place, Index):
            pointer, place = self._builder.gep(pointer, [place.base]), place.more
        return self._builder.gep(pointer, [ir.Constant(I64, place)]) if place else pointer

    def load(self, memory: Memory, place: Whole = 0) -> Value:
        """Vector number `place`."""
        return load_vector(self._builder, self._at(memory, place))

    def element(self, memory: Memory, number: Whole) -> Value:
        """An element as a vector; see `bptt.core.simd.memory`."""
        if memory.kind == LANES_MEMORY:
            return self.load(memory, number)
        return splat_value(self._builder, self._builder.load(self._at(memory, number, F64)))

    def store(self, memory: Memory, place: Whole, value: Value) -> None:
        """Let vector number `place` be this value."""
        store_vector(self._builder, self._at(memory, place), value)

    def variable(self) -> Memory:
        """A vector that can be stored anew, 0 at first."""
        with self._builder.goto_entry_block():
            pointer = self._builder.alloca(VECTOR)
        pointer.align = VECTOR_BYTES
        self._builder.store(self.number(0.0), pointer).align = VECTOR_BYTES
        return Memory(pointer, LANES_MEMORY)

    def loop(
        self, count: Whole, body: Callable[[Whole, list[Value]], Sequence[Value] | None], start: Sequence[Value] = ()
    ) -> list[Value]:
        """Repeat body(i, values) → new values for 0 ≤ i < count, and give the last; `start` where count is 0."""
        builder, values = self._builder, list(start)
        if isinstance(count, int) and count < 2:
            return list(body(0, values) or ()) if count == 1 else values
        before, inside, end = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("end")
        builder.cbranch(builder.icmp_signed(">", _value(count), ir.Constant(I64, 0)), inside, end)
        builder.position_at_end(inside)
        i, now = builder.phi(I64), [builder.phi(value.type) for value in values]
        new = list(body(Index(builder, i), [*now]) or ())
        following, last = builder.add(i, ir.Constant(I64, 1)), builder.block
        builder.cbranch(builder.icmp_signed("<", following, _value(count)), inside, end)
        builder.position_at_end(end)
        found = [builder.phi(value.type) for value in values]
        for phi, first, later in zip([i, *now], [ir.Constant(I64, 0), *values], [following, *new], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, last)
        for phi, first, later in zip(found, values, new, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, last)
        return found

    def when(self, left: Whole, sign: str, right: Whole, body: Callable[[], None]) -> None:
        """Do what body writes down where left `sign` right."""
        with self._builder.if_then(self._builder.icmp_signed(sign, _value(left), _value(right))):
            body()

    def choose(self, left: Whole, sign: str, right: Whole, count: int) -> Whole:
        """count where left `sign` right, else 0."""
        holds = self._builder.icmp_signed(sign, _value(left), _value(right))
        return Index(self._builder, self._builder.select(holds, _value(count), _value(0)))
