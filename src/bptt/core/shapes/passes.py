"""What an update does in a kernel that is made for a shape: the same sums in the same order as everywhere in the core.

A matrix product is a block of accumulators within loops that run, whose code stays small: the cache of instructions is
what limits a kernel of a small network. Products with a state of zeros are left out.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bptt.core.layout import ACTIVATIONS, READOUTS, delta_at, gate_at, place_before, place_behind, state_at
from bptt.core.models.cell import activate, slope
from bptt.core.shapes.shape import Shape
from bptt.core.shapes.tape import Memory, Tape, Value, Whole
from bptt.core.simd import WIDTH, select, transpose_all, within
from bptt.core.simd.sums import sum_vectors

_MOST_COLUMNS = {4: 4 if WIDTH == 8 else 2, 2: 4, 1: 8}  # of a block, by its rows
_OF_READOUT = {READOUTS["identity"]: ACTIVATIONS["identity"], READOUTS["sigmoid"]: ACTIVATIONS["sigmoid"]}

Factor = Callable[[Whole, Whole], Value]


class Sum(NamedTuple):
    """Σ_k left(r, k) · right(k, c) for 0 ≤ k < terms, behind what is added before; None: nothing is."""

    terms: Whole
    left: Factor
    right: Factor
    before: Factor | None = None


def _tile(tape: Tape, count: int, most: int, body: Callable[[Whole, int], None]) -> None:
    """body(first, size) of tiles of one size, `most` or less, and of what is left."""
    size = -(-count // -(-count // most))
    whole = count // size
    tape.loop(whole, lambda n, _: body(n * size, size))
    if count % size:
        body(whole * size, count % size)


def write_product(
    tape: Tape,
    rows: int,
    columns: int,
    begin: Factor,
    sums: Sequence[Sum],
    finish: Callable[[Whole, Whole, Value], None],
) -> None:
    """finish(r, c, begin(r, c) + the sums, one after the other), for r < rows and c < columns."""
    height = 4 if rows >= 4 else 2 if rows >= 2 else 1

    def block(r: Whole, tall: int, c: Whole, wide: int) -> None:
        places = [(r + i, c + j) for i in range(tall) for j in range(wide)]
        values = [begin(*place) for place in places]
        for terms, left, right, before in sums:
            if before is not None:
                values = [tape.plus(value, before(*place)) for value, place in zip(values, places, strict=True)]

            def add(k: Whole, values: Sequence[Value], left: Factor = left, right: Factor = right) -> list[Value]:
                factors, vectors = [left(r + i, k) for i in range(tall)], [right(k, c + j) for j in range(wide)]
                pairs = [(factor, v) for factor in factors for v in vectors]
                return [tape.fma(*pair, value) for pair, value in zip(pairs, values, strict=True)]

            values = tape.loop(terms, add, values)
        for place, value in zip(places, values, strict=True):
            finish(*place, value)

    _tile(
        tape,
        rows,
        height,
        lambda r, tall: _tile(tape, columns, _MOST_COLUMNS[height], lambda c, wide: block(r, tall, c, wide)),
    )


class Passes:
    """Forward, loss and backward of one update, and the optimizer as each gradient comes about."""

    def __init__(self, tape: Tape, shape: Shape, theta: Memory, memory: Memory) -> None:
        self.tape, self.shape, self.net, self.cell, self.at = tape, shape, shape.net, shape.cell, shape.places
        self.theta, self.memory = theta, memory
        self.zero, self.odd, self.live = tape.number(0.0), tape.variable(), tape.true()
        self.context_sums = self.cell.context_sums or tuple(range(self.cell.gates))

    # ------------------------------------------------------------------------------------------------- what is where
    def _vectors(self, first: Whole, row: int, column: int = 1) -> Factor:
        """Vectors of the working memory."""
        return lambda r, c: self.tape.load(self.memory, r * row + c * column + first)

    def _elements(self, first: Whole, row: int, column: int = 1) -> Factor:
        """Elements of the working memory, from a vector on."""
        return lambda r, k: self.tape.element(self.memory, r * row + k * column + first * self.net.per)

    def _weights(self, name: str, row: int = 0, column: int = 0) -> Factor:
        """Vectors of a matrix of weights, from a row and a column on."""
        first, by_row, by_column = self.at[name]
        first += row * by_row + column * by_column
        return lambda k, c: self.tape.load(self.theta, k * by_row + c * by_column + first)

    def _nothing(self, *_: Whole) -> Value:
        return self.zero

    def _state(self, t: Whole) -> Any:
        return state_at.py_func(self.net, 0, t)

    def _gate(self, t: Whole) -> Any:
        return gate_at.py_func(self.net, 0, t)

    def _delta(self, t: Whole) -> Any:
        return delta_at.py_func(self.net, self.net.delta, 0, t)

    def _check(self, value: Value) -> None:
        """Other code makes the update where a value is not finite."""
        self.tape.store(self.odd, 0, self.tape.fma(value, self.zero, self.tape.load(self.odd)))

    def _clear(self, first: Whole) -> None:
        """A state of zeros."""
        count = self.net.rows * self.net.slots * self.net.units
        self.tape.loop(count, lambda n, _: self.tape.store(self.memory, n + first, self.zero))

    def _each_unit(self, body: Callable[[Whole, Whole], None]) -> None:
        net = self.net
        self.tape.loop(net.rows, lambda r, _: self.tape.loop(net.units, lambda u, _: body(r, u)) and None)

    # ------------------------------------------------------------------------------------------------- forward in time
    def run_through(self) -> Value:
        """Forward, loss and backward; 0 where everything is finite that must be."""
        net, carry = self.net, self.shape.carry
        if net.kept and not carry:
            self._clear(self._state(0))
        self.tape.loop(net.timesteps, lambda t, _: self._forward_step(t))
        self._read_out()
        if self.cell.carried is not None:
            self._clear(net.state_delta)
        self.tape.loop(net.timesteps, lambda s, _: self._backward_step(net.timesteps - 1 - s))
        if not carry:  # what is left out is 0 · δ, unless δ is not finite
            deltas = self._vectors(self._delta(0), 0)
            self.tape.loop(net.rows * net.deltas * net.units, lambda n, _: self._check(deltas(0, n)))
        return self.tape.load(self.odd)

    def _forward_step(self, t: Whole) -> None:
        """Sums of input and context, alike ones next to each other at once, and what units make of them."""
        net, sums = self.net, range(self.net.deltas)
        alike = itertools.groupby(sums, lambda number: (number < net.gates, number in self.context_sums))
        for (of_input, of_context), numbers in alike:
            self._add_up(t, [*numbers], of_input, of_context)
        if net.kept:
            kept = self._vectors(self._gate(t), net.kept * net.units)
            self._each_unit(lambda r, u: self._set_unit(t, r, u, [kept(r, u + n * net.units) for n in sums]))

    def _add_up(self, t: Whole, numbers: Sequence[int], of_input: bool, of_context: bool) -> None:
        tape, net, carry = self.tape, self.net, self.shape.carry
        sums, biases = [], []
        if of_input:
            x = self._elements(net.x, net.inputs)
            column = numbers[0] * net.units
            sums.append(Sum(net.inputs, lambda r, k: x(t * net.rows + r, k), self._weights("input", 0, column)))
            biases += [self._weights("bias", 0, column)] if "bias" in self.at else []
        if of_context:
            column = self.context_sums.index(numbers[0]) * net.units
            past = net.hidden if carry else tape.choose(t, ">", 0, net.hidden)
            h = self._elements(self._state(t), net.slots * net.span)
            sums.append(Sum(past, h, self._weights("recurrent", 0, column)))
            biases += [self._weights("recurrent_bias", 0, column)] if "recurrent_bias" in self.at else []

        def begin(r: Whole, c: Whole) -> Value:
            values = [bias(0, c) for bias in biases] or [self.zero]
            return tape.plus(*values) if len(values) == 2 else values[0]

        def finish(r: Whole, c: Whole, a: Value) -> None:
            if of_context and not carry:  # what is left out is 0 · R, unless R is not finite
                tape.when(t, "==", 1, lambda: self._check(a))
            if net.kept:
                place = r * (net.kept * net.units) + c + self._gate(t)
                tape.store(self.memory, place + numbers[0] * net.units, a)
            else:
                self._set_unit(t, r, c, [a])

        write_product(tape, net.rows, len(numbers) * net.units, begin, sums, finish)

    def _set_unit(self, t: Whole, r: Whole, u: Whole, sums: Sequence[Value]) -> None:
        tape, net = self.tape, self.net
        place = r * (net.slots * net.units) + u
        before = [tape.load(self.memory, place + slot * net.units + self._state(t)) for slot in range(net.slots)]
        made = tape.call(self.cell.unit, net.activation, self.live, *sums, *before)
        for number, value in enumerate(made[: net.kept]):
            tape.store(self.memory, r * (net.kept * net.units) + u + number * net.units + self._gate(t), value)
        for slot, value in enumerate(made[net.kept :]):
            if net.hidden % net.per:  # units that only fill a vector up stay 0
                value = tape.call(select, tape.call(within, self.memory, u, 0, net.hidden), value, self.zero)
            tape.store(self.memory, place + slot * net.units + self._state(t + 1), value)

    # ------------------------------------------------------------------------------------------------------- the loss
    def _read_out(self) -> None:
        """Outputs, and ∂loss/∂logit."""
        tape, net = self.tape, self.net
        first, last = place_before.py_func(net, net.first_output), place_behind.py_func(net, net.timesteps)
        weights, row, column = self.at["readout"]
        h, step = self._by_place(first, last)

        def begin(o: Whole, q: Whole) -> Value:
            return tape.element(self.theta, o + self.at["readout_bias"].first * net.per)

        def v(o: Whole, i: Whole) -> Value:
            from_output, from_unit = (row, column) if net.per == 1 else (net.span, 1)
            return tape.element(self.theta, o * from_output + i * from_unit + weights * net.per)

        write_product(
            tape,
            net.outputs,
            last - first,
            begin if "readout_bias" in self.at else self._nothing,
            [Sum(net.hidden, v, lambda i, q: tape.load(self.memory, q * step + i + h))],
            lambda o, q, z: self._lose(o, q + first, z),
        )

    def _by_place(self, first: int, last: int) -> tuple[int, int]:
        """As `places.by_place`."""
        net, row = self.net, self.net.slots * self.net.units
        h = self._state(net.first_output + 1)
        if net.per == 1:
            return h, row
        came, row = h * WIDTH - (net.first_output * net.rows - first * WIDTH) * row * WIDTH, row * WIDTH

        def turn(q: Whole, u: Whole) -> None:
            goes, comes = (q * net.span + u * WIDTH + net.by_place) * WIDTH, q * (WIDTH * row) + u * WIDTH + came
            self.tape.call(transpose_all, self.memory, goes, WIDTH, self.memory, comes, row)

        self.tape.loop(last - first, lambda q, _: self.tape.loop(net.units, lambda u, _: turn(q, u)) and None)
        return net.by_place, net.span

    def _lose(self, o: Whole, q: Whole, z: Value) -> None:
        tape, net, kind = self.tape, self.net, _OF_READOUT[self.net.readout]
        y, place = tape.call(activate, kind, z), q + o * net.places
        scored, target = tape.load(self.memory, q + net.scored), tape.load(self.memory, place + net.target)
        d, bound = tape.call(self.shape.loss.slope, scored, target, z, y)
        if not net.fused:
            d = tape.times(d, tape.call(slope, kind, y))
        if net.per > 1:  # there may be places without a timestep
            inside = tape.call(within, self.memory, q, net.first_output * net.rows, net.timesteps * net.rows)
            d, bound = (tape.call(select, inside, value, self.zero) for value in (d, bound))
        self._check(bound)
        tape.store(self.memory, place + net.logit_delta, d)

    # ------------------------------------------------------------------------------------------------ backward in time
    def _backward_step(self, t: Whole) -> None:
        """∂loss/∂h_t from the output and from the timestep behind, and ∂loss/∂pre-activation."""
        tape, net = self.tape, self.net
        read = net.outputs if net.first_output == 0 else tape.choose(t, ">=", net.first_output, net.outputs)
        logits = self._elements(net.logit_delta, 1, net.places * net.per)
        sums = [Sum(read, lambda r, o: logits(t * net.rows + r, o), self._weights("readout"))]
        if self.cell.carried == 0 and self.shape.onward:
            sums.append(Sum(0, self._nothing, self._nothing, self._vectors(net.state_delta, net.units)))
        if self.shape.onward:
            after = tape.choose(t, "<", net.timesteps - 1, net.hidden)
            for gate, number in enumerate(self.context_sums):
                later = self._elements(self._delta(t + 1) + number * net.units, net.deltas * net.span)
                sums.append(Sum(after, later, self._weights("columns", gate * net.span)))
        write_product(tape, net.rows, net.units, self._nothing, sums, lambda r, u, dh: self._set_delta(t, r, u, dh))

    def _set_delta(self, t: Whole, r: Whole, u: Whole, dh: Value) -> None:
        tape, net = self.tape, self.net
        place, slots = r * (net.slots * net.units) + u, range(net.slots)
        kept = self._vectors(self._gate(t) if net.kept else self._state(t + 1), (net.kept or net.slots) * net.units)
        before = [tape.load(self.memory, place + slot * net.units + self._state(t)) for slot in slots]
        given = [dh, *(tape.load(self.memory, place + slot * net.units + net.state_delta) for slot in slots[1:])]
        values = [kept(r, u + number * net.units) for number in range(net.kept or net.slots)]
        made = tape.call(self.cell.unit_back, net.activation, self.live, *values, *before, *given)
        for number, value in enumerate(made[: net.deltas]):
            tape.store(self.memory, r * (net.deltas * net.units) + u + number * net.units + self._delta(t), value)
        if self.cell.carried is not None and self.shape.onward:
            tape.store(self.memory, place + self.cell.carried * net.units + net.state_delta, made[-1])

    # --------------------------------------------------------------------------------------------------- the gradient
    def descend(self, learner: "Learner") -> None:
        """The gradient of each parameter, and with it the optimizer's step."""
        net, at = self.net, self.at
        steps, past, wide = net.timesteps * net.rows, 0 if self.shape.carry else net.rows, net.deltas * net.units
        everything, one = net.gates * net.units, self.tape.number(1.0)
        delta, x = self._vectors(self._delta(0), wide), self._elements(net.x, 1, net.inputs)
        self._gradient(learner, "input", net.inputs, everything, Sum(steps, x, delta))
        if "bias" in at:
            self._gradient(learner, "bias", 1, everything, Sum(steps, lambda *_: one, delta))
        h = self._elements(self._state(past // net.rows), 1, net.slots * net.span)
        states = self._vectors(self._state(past // net.rows), net.slots * net.units)
        for gate, number, count in self._context_groups():
            columns, of_sum = count * net.units, self._delta(0) + number * net.units
            later = of_sum + past * wide
            total = Sum(steps - past, h, self._vectors(later, wide))
            self._gradient(learner, "recurrent", net.hidden, columns, total, column=gate * net.units)
            if "recurrent_bias" in at:
                total = Sum(steps, lambda *_: one, self._vectors(of_sum, wide))
                self._gradient(learner, "recurrent_bias", 1, columns, total, column=gate * net.units)
            if net.per > 1:
                turned = Sum(steps - past, self._elements(later, 1, net.deltas * net.span), states)
                self._gradient(learner, "columns", count * net.span, net.units, turned, row=gate * net.span)
        first, end = net.first_output, place_behind.py_func(net, net.timesteps)
        logits = self._elements(net.logit_delta, net.places * net.per)
        outputs = self._vectors(self._state(first + 1), net.slots * net.units)
        read = Sum(steps - first * net.rows, lambda o, q: logits(o, q + first * net.rows), outputs)
        self._gradient(learner, "readout", net.outputs, net.units, read)
        for o in range(net.outputs if "readout_bias" in at else 0):
            region = net.logit_delta + o * net.places
            g = self.tape.call(sum_vectors, self.memory, region, place_before.py_func(net, first), end)
            learner.apply(at["readout_bias"].first + o, g)

    def _context_groups(self) -> list[tuple[int, int, int]]:
        """(first gate, its pre-activation, how many) of gates whose pre-activations follow each other."""
        groups: list[tuple[int, int, int]] = []
        for gate, number in enumerate(self.context_sums):
            if groups and groups[-1][1] + groups[-1][2] == number:
                groups[-1] = (*groups[-1][:2], groups[-1][2] + 1)
            else:
                groups.append((gate, number, 1))
        return groups

    def _gradient(
        self, learner: "Learner", name: str, rows: int, columns: int, total: Sum, row: int = 0, column: int = 0
    ) -> None:
        first, by_row, by_column = self.at[name]
        first += row * by_row + column * by_column
        write_product(
            self.tape,
            rows,
            columns,
            self._nothing,
            [total],
            lambda r, c, g: learner.apply(r * by_row + c * by_column + first, g),
        )


class Learner:
    """The optimizer's step of one vector of parameters at a time."""

    def __init__(
        self, tape: Tape, shape: Shape, theta: Memory, slots: Memory, rates: Sequence[Value], moves: Value
    ) -> None:
        self._tape, self._shape, self._theta, self._slots = tape, shape, theta, slots
        self._rates, self._moves = rates, moves

    @staticmethod
    def rates(tape: Tape, optimizer: Any, hyper: Memory, update: Whole) -> list[Value]:
        if optimizer.step.rates is None:
            return [tape.load(hyper, place) for place in range(len(optimizer.kernel.hyper))]
        return list(tape.call(optimizer.step.rates, hyper, update))

    def apply(self, place: Whole, g: Value) -> None:
        tape, optimizer = self._tape, self._shape.optimizer
        kept = [place + number * self._shape.vectors for number in range(optimizer.slots)]
        theta, slots = tape.load(self._theta, place), [tape.load(self._slots, p) for p in kept]
        moved, *changed = tape.call(optimizer.step.equation, theta, g, *slots, *self._rates)
        for p, value in zip(kept, changed, strict=True):
            tape.store(self._slots, p, value)
        tape.store(self._theta, place, tape.call(select, self._moves, moved, theta))
