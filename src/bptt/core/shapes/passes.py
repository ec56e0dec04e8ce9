"""What an update does in a kernel that is made for a shape: the same sums in the same order as everywhere in the core.

A matrix product is a block of accumulators within loops that run, whose code stays small: the cache of instructions is
what limits a kernel of a small network. Products with a state of zeros are left out.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from bptt.core.layout import ACTIVATIONS, READOUTS, delta_at, gate_at, place_before, place_behind, state_at
from bptt.core.models.cell import activate, slope
from bptt.core.shapes.shape import Shape
from bptt.core.shapes.tape import Memory, Tape, Value, Whole
from bptt.core.simd import WIDTH, inline, select, splat, transpose_all, within
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


@inline
def _is_positive(x):
    return x > splat(0.0)


class Passes:
    """Forward, loss and backward of one update, and what becomes of each gradient as it comes about.

    begin  the first timestep of the longest sequence
    layer  the one whose code is being written
    """

    def __init__(self, tape: Tape, shape: Shape, theta: Memory, memory: Memory, begin: Whole = 0) -> None:
        self.tape, self.shape, self.net, self.cell, self.at = tape, shape, shape.net, shape.cell, shape.places
        self.theta, self.memory, self.begin, self.layer = theta, memory, begin, 0
        self.first = begin if shape.net.first_output == 0 else shape.net.first_output  # that is read out
        self.zero, self.odd = tape.number(0.0), tape.variable()
        self.context_sums = self.cell.context_sums or tuple(range(self.cell.gates))

    # ------------------------------------------------------------------------------------------------- what is where
    def _vectors(self, first: Whole, row: int, column: int = 1) -> Factor:
        """Vectors of the working memory."""
        return lambda r, c: self.tape.load(self.memory, r * row + c * column + first)

    def _elements(self, first: Whole, row: int, column: int = 1) -> Factor:
        """Elements of the working memory, from a vector on."""
        return lambda r, k: self.tape.element(self.memory, r * row + k * column + first * self.net.per)

    def _named(self, kind: str) -> str:
        """The name of the layer's weights of a kind."""
        return f"cell.{self.layer}.{kind}"

    def _weights(self, name: str, row: int = 0, column: int = 0) -> Factor:
        """Vectors of a matrix of weights, from a row and a column on."""
        first, by_row, by_column = self.at[name]
        first += row * by_row + column * by_column
        return lambda k, c: self.tape.load(self.theta, k * by_row + c * by_column + first)

    def _nothing(self, *_: Whole) -> Value:
        return self.zero

    def _state(self, t: Whole) -> Any:
        return state_at.py_func(self.net, self.layer, t)

    def _gate(self, t: Whole) -> Any:
        return gate_at.py_func(self.net, self.layer, t)

    def _delta(self, t: Whole) -> Any:
        return delta_at.py_func(self.net, self.net.delta, self.layer, t)

    def _input(self, t: Whole) -> tuple[Factor, int]:
        """x of row r from timestep t on, and its width: the network's input, or the state of the layer below."""
        net = self.net
        if self.layer == 0:
            x = self._elements(net.x, net.inputs)
            return lambda r, k: x(t * net.rows + r, k), net.inputs
        return self._elements(state_at.py_func(net, self.layer - 1, t + 1), net.slots * net.span), net.hidden

    def _layers(self, back: bool = False) -> Iterator[None]:
        """Write the code of one layer after the other, from the first on, so that the last one stays; or back to it."""
        for layer in sorted(range(self.net.layers), reverse=back):
            self.layer = layer
            yield

    def _check(self, value: Value) -> None:
        """Other code makes the update where a value is not finite."""
        self.tape.store(self.odd, 0, self.tape.fma(value, self.zero, self.tape.load(self.odd)))

    def _check_all(self, first: Whole, count: int) -> None:
        vectors = self._vectors(first, 0)
        self.tape.loop(count, lambda n, _: self._check(vectors(0, n)))

    def _clear(self, first: Whole) -> None:
        """A state of zeros."""
        count = self.net.rows * self.net.slots * self.net.units
        self.tape.loop(count, lambda n, _: self.tape.store(self.memory, n + first, self.zero))

    def _live(self, t: Whole, r: Whole) -> Value:
        """As `layout.is_live`."""
        if not self.shape.masked:
            return self.tape.true()
        return self.tape.call(_is_positive, self._elements(self.net.live, self.net.rows)(t, r))

    def _each_unit(self, body: Callable[[Whole, Whole], None]) -> None:
        net = self.net
        self.tape.loop(net.rows, lambda r, _: self.tape.loop(net.units, lambda u, _: body(r, u)) and None)

    # ------------------------------------------------------------------------------------------------- forward in time
    def run_through(self) -> Value:
        """Forward, loss and backward; 0 where everything is finite that must be."""
        net, carry = self.net, self.shape.carry
        for _ in self._layers():
            if (net.kept or self.shape.masked or net.timesteps == 1) and not carry:
                self._clear(self._state(self.begin))
        self.run_forward()
        self._read_out()
        for _ in self._layers(back=True):
            if self.cell.carried is not None:
                self._clear(net.state_delta)
            self.tape.loop(net.timesteps - self.begin, lambda s, _: self._backward_step(net.timesteps - 1 - s))
            if not carry:  # what is left out is 0 · δ, unless δ is not finite
                self._check_all(self._delta(self.begin), net.rows * net.deltas * net.units)
        return self.tape.load(self.odd)

    def run_forward(self) -> None:
        """States, from what stands where the first timestep begins."""
        for _ in self._layers():
            self.tape.loop(self.net.timesteps - self.begin, lambda s, _: self._forward_step(self.begin + s))

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
        tape, net = self.tape, self.net
        # What is left out is 0 · R, unless R is not finite, which the next timestep shows where there always is one.
        leaves_out = not self.shape.carry and not self.shape.masked and net.timesteps > 1
        sums, biases = [], []
        if of_input:
            x, width = self._input(t)
            column = numbers[0] * net.units
            sums.append(Sum(width, x, self._weights(self._named("input"), 0, column)))
            biases += [self._weights(self._named("bias"), 0, column)] if net.biases > 0 else []
        if of_context:
            column = self.context_sums.index(numbers[0]) * net.units
            past = tape.choose(t, ">", 0, net.hidden) if leaves_out else net.hidden
            h = self._elements(self._state(t), net.slots * net.span)
            sums.append(Sum(past, h, self._weights(self._named("recurrent"), 0, column)))
            biases += [self._weights(self._named("recurrent_bias"), 0, column)] if net.biases > 1 else []

        def begin(r: Whole, c: Whole) -> Value:
            values = [bias(0, c) for bias in biases] or [self.zero]
            return tape.plus(*values) if len(values) == 2 else values[0]

        def finish(r: Whole, c: Whole, a: Value) -> None:
            if of_context and leaves_out:
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
        made = tape.call(self.cell.unit, net.activation, self._live(t, r), *sums, *before)
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
        weights, row, column = self.at["readout.weight"]
        h, step = self._by_place(first, last)

        def begin(o: Whole, q: Whole) -> Value:
            return tape.element(self.theta, o + self.at["readout.bias"].first * net.per)

        def v(o: Whole, i: Whole) -> Value:
            from_output, from_unit = (row, column) if net.per == 1 else (net.span, 1)
            return tape.element(self.theta, o * from_output + i * from_unit + weights * net.per)

        write_product(
            tape,
            net.outputs,
            last - first,
            begin if net.biases > 0 else self._nothing,
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
        """∂loss/∂h_t from the output or the layer above, and the timestep behind; then ∂loss/∂pre-activation."""
        tape, net = self.tape, self.net
        if self.layer == net.layers - 1:
            read = net.outputs if net.first_output == 0 else tape.choose(t, ">=", net.first_output, net.outputs)
            logits = self._elements(net.logit_delta, 1, net.places * net.per)
            sums = [Sum(read, lambda r, o: logits(t * net.rows + r, o), self._weights("readout.weight"))]
        else:
            above = self._elements(delta_at.py_func(net, net.delta, self.layer + 1, t), net.deltas * net.span)
            sums = [Sum(net.gates * net.hidden, above, self._weights(f"cell.{self.layer + 1}.input_columns"))]
        if self.cell.carried == 0 and self.shape.onward:
            sums.append(Sum(0, self._nothing, self._nothing, self._vectors(net.state_delta, net.units)))
        if self.shape.onward:
            after = tape.choose(t, "<", net.timesteps - 1, net.hidden)
            for gate, number in enumerate(self.context_sums):
                later = self._elements(self._delta(t + 1) + number * net.units, net.deltas * net.span)
                sums.append(Sum(after, later, self._weights(self._named("columns"), gate * net.span)))
        write_product(tape, net.rows, net.units, self._nothing, sums, lambda r, u, dh: self._set_delta(t, r, u, dh))

    def _set_delta(self, t: Whole, r: Whole, u: Whole, dh: Value) -> None:
        tape, net = self.tape, self.net
        place, slots = r * (net.slots * net.units) + u, range(net.slots)
        kept = self._vectors(self._gate(t) if net.kept else self._state(t + 1), (net.kept or net.slots) * net.units)
        before = [tape.load(self.memory, place + slot * net.units + self._state(t)) for slot in slots]
        given = [dh, *(tape.load(self.memory, place + slot * net.units + net.state_delta) for slot in slots[1:])]
        values = [kept(r, u + number * net.units) for number in range(net.kept or net.slots)]
        made = tape.call(self.cell.unit_back, net.activation, self._live(t, r), *values, *before, *given)
        for number, value in enumerate(made[: net.deltas]):
            tape.store(self.memory, r * (net.deltas * net.units) + u + number * net.units + self._delta(t), value)
        if self.cell.carried is not None and self.shape.onward:
            tape.store(self.memory, place + self.cell.carried * net.units + net.state_delta, made[-1])

    # --------------------------------------------------------------------------------------------------- the gradient
    def descend(self, learner: "Learner") -> None:
        """The gradient of each parameter, and with it the optimizer's step."""
        for _ in self._layers():
            self._descend_layer(learner)
        self._descend_readout(learner)

    def _descend_layer(self, learner: "Learner") -> None:
        net, begin, one = self.net, self.begin, self.tape.number(1.0)
        steps, wide = (net.timesteps - begin) * net.rows, net.deltas * net.units
        past, everything = 0 if self.shape.carry else net.rows, net.gates * net.units
        delta = self._vectors(self._delta(begin), wide)
        x, width = self._input(begin)
        self._gradient(learner, self._named("input"), width, everything, Sum(steps, lambda i, k: x(k, i), delta))
        if net.biases > 0:
            self._gradient(learner, self._named("bias"), 1, everything, Sum(steps, lambda *_: one, delta))
        later_states = self._state(begin + past // net.rows)
        h = self._elements(later_states, 1, net.slots * net.span)
        states = self._vectors(later_states, net.slots * net.units)
        for gate, number, count in self._context_groups():
            columns, of_sum = count * net.units, self._delta(begin) + number * net.units
            later = of_sum + past * wide
            total = Sum(steps - past, h, self._vectors(later, wide))
            self._gradient(learner, self._named("recurrent"), net.hidden, columns, total, column=gate * net.units)
            if net.biases > 1:
                total = Sum(steps, lambda *_: one, self._vectors(of_sum, wide))
                self._gradient(learner, self._named("recurrent_bias"), 1, columns, total, column=gate * net.units)
            if net.per > 1 and learner.steps:
                turned, row = (
                    Sum(steps - past, self._elements(later, 1, net.deltas * net.span), states),
                    gate * net.span,
                )
                self._gradient(learner, self._named("columns"), count * net.span, net.units, turned, row=row)

    def _descend_readout(self, learner: "Learner") -> None:
        net = self.net
        first, end = place_before.py_func(net, net.first_output), place_behind.py_func(net, net.timesteps)
        logits = self._elements(net.logit_delta, net.places * net.per)
        outputs = self._vectors(self._state(self.first + 1), net.slots * net.units)
        terms = (net.timesteps - self.first) * net.rows
        read = Sum(terms, lambda o, q: logits(o, q + self.first * net.rows), outputs)
        self._gradient(learner, "readout.weight", net.outputs, net.units, read)
        for o in range(net.outputs if net.biases > 0 else 0):
            region = net.logit_delta + o * net.places
            g = self.tape.call(sum_vectors, self.memory, region, first, end)
            learner.apply(self.at["readout.bias"].first + o, g)

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


def begin_of(tape: Tape, shape: Shape, begin: Value) -> Whole:
    """The first timestep, a constant where it is always the same."""
    return tape.index(begin) if shape.masked else 0


class Learner:
    """What becomes of a gradient, one vector of parameters at a time: the optimizer's step, or it is kept.

    kept  the optimizer's slots; where it takes no step, the gradient
    """

    def __init__(
        self, tape: Tape, shape: Shape, theta: Memory, kept: Memory, hyper: Memory, moves: Value, update: Whole
    ) -> None:
        self._tape, self._theta, self._kept, self._moves = tape, theta, kept, moves
        self._optimizer, self._vectors, self._rates = shape.optimizer, shape.vectors, list[Value]()
        if self.steps:
            find, names = self._optimizer.step.rates, self._optimizer.kernel.hyper
            self._rates = (
                [tape.load(hyper, n) for n in range(len(names))] if find is None else tape.call(find, hyper, update)
            )

    @property
    def steps(self) -> bool:
        return self._optimizer is not None

    def apply(self, place: Whole, g: Value) -> None:
        tape, optimizer = self._tape, self._optimizer
        if not self.steps:
            tape.store(self._kept, place, g)
            return
        kept = [place + number * self._vectors for number in range(optimizer.slots)]
        theta, slots = tape.load(self._theta, place), [tape.load(self._kept, p) for p in kept]
        moved, *changed = tape.call(optimizer.step.equation, theta, g, *slots, *self._rates)
        for p, value in zip(kept, changed, strict=True):
            tape.store(self._kept, p, value)
        tape.store(self._theta, place, tape.call(select, self._moves, moved, theta))
