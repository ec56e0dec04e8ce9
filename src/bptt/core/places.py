"""From a layer's units to places, sums of these, and from a run's flat row of parameters to the rows of products."""

from bptt.core.layout import (
    gradient_at,
    input_columns,
    input_weights,
    output_element,
    place_before,
    place_behind,
    readout_columns,
    readout_weights,
    recurrent_columns,
)
from bptt.core.simd import (
    WIDTH,
    copy_numbers,
    element,
    elements,
    has_units,
    inline,
    splat,
    transpose,
    transpose_all,
)
from bptt.core.simd.sums import sum_vectors


@inline
def by_place(net, memory, source, source_row, start, stop):
    """(vector, from vector of places to vector of places) of the units that stand, row by row, at `source`, where the
    timesteps from `start` to before `stop` begin: number i of a row is found in vector i of its place.

    Where that place is in the middle of a vector, the places before it are found as well.
    """
    if has_units(memory):
        first, row = place_before(net, start), source_row * WIDTH
        before = start * net.rows - (first - net.lead) * WIDTH
        for q in range(place_behind(net, stop) - first):
            came = elements(memory, source) + (q * WIDTH - before) * row
            for u in range(net.units):
                goes = elements(memory, net.by_place + q * net.span + u * WIDTH)
                transpose_all(memory, goes, WIDTH, memory, came + u * WIDTH, row)
        source, source_row = net.by_place, net.span
    return source, source_row


@inline
def sum_of_places(net, memory, region, begin):
    """The sum over a region (places) from timestep `begin` on, for each run."""
    if net.feedback == 0:
        return sum_vectors(memory, region, place_before(net, begin), place_behind(net, net.timesteps))
    total = splat(0.0)  # between timesteps there may be places without a sequence, as many as the mode makes
    for t in range(begin, net.timesteps):
        for r in range(net.batch):
            total = total + element(memory, output_element(net, memory, region, t, 0) + r)
    return total


@inline
def _copy_rows(target, place, target_row, source, first, source_row, rows, count):
    """target[place + r·target_row + c] = source[first + r·source_row + c] for c < count."""
    if target_row == count and source_row == count:
        copy_numbers(target, place, source, first, rows * count)
    else:
        for r in range(rows):
            copy_numbers(target, place + r * target_row, source, first + r * source_row, count)


@inline
def _width(net, layer):
    return net.inputs if layer == 0 else net.hidden


@inline
def spread_weights(net, theta, memory):
    """With UNITS: from a flat row of parameters to the regions weights and columns, whose rows are whole vectors."""
    if has_units(theta):
        wide, came = net.gates * net.hidden, 0
        for layer in range(net.layers):
            goes = elements(memory, input_weights(net, layer))
            rows = _width(net, layer) + net.context + net.biases
            _copy_rows(memory, goes, net.span, theta, came, net.hidden, rows * net.gates, net.hidden)
            for g in range(net.gates):
                first, column, _ = input_columns(net, layer)
                if layer > 0:
                    goes = elements(memory, first + g * net.span * column)
                    transpose(memory, goes, net.span, theta, came + g * net.hidden, wide, net.hidden, net.hidden)
                first, column, _ = recurrent_columns(net, layer)
                if net.feedback == 0:
                    goes = elements(memory, first + g * net.span * column)
                    rows_before = came + _width(net, layer) * wide + g * net.hidden
                    transpose(memory, goes, net.span, theta, rows_before, wide, net.hidden, net.hidden)
            came += rows * wide
        if net.readout != 0:
            numbers = (net.hidden + (1 if net.biases > 0 else 0)) * net.outputs
            copy_numbers(memory, elements(memory, readout_weights(net)), theta, came, numbers)
            first, _, _ = readout_columns(net)
            transpose(memory, elements(memory, first), net.span, theta, came, net.outputs, net.hidden, net.outputs)


@inline
def spread_columns(net, theta, memory):
    """With UNITS: from the flat row of a network of one layer to rows as the region gradient has them, the read-out's
    by column, and to R's columns.
    """
    wide, came = net.gates * net.hidden, 0
    rows = net.inputs + net.context + net.biases
    _copy_rows(memory, elements(memory, net.gradient), net.span, theta, 0, net.hidden, rows * net.gates, net.hidden)
    first, column, _ = recurrent_columns(net, 0)
    for g in range(net.gates):
        goes, came = elements(memory, first + g * net.span * column), net.inputs * wide + g * net.hidden
        transpose(memory, goes, net.span, theta, came, wide, net.hidden, net.hidden)
    goes, came = elements(memory, gradient_at(net, readout_weights(net))), rows * wide
    transpose(memory, goes, net.span, theta, came, net.outputs, net.hidden, net.outputs)
    if net.biases > 0:
        came += net.hidden * net.outputs
        copy_numbers(memory, goes + net.outputs * net.span, theta, came, net.outputs)


@inline
def collect_gradient(net, memory, gradient):
    """With UNITS: from the region gradient to a flat row."""
    if has_units(gradient):
        wide, goes = net.gates * net.hidden, 0
        for layer in range(net.layers):
            came = elements(memory, gradient_at(net, input_weights(net, layer)))
            rows = _width(net, layer) + net.context + net.biases
            _copy_rows(gradient, goes, net.hidden, memory, came, net.span, rows * net.gates, net.hidden)
            goes += rows * wide
        if net.readout != 0:
            came = elements(memory, gradient_at(net, readout_weights(net)))
            transpose(gradient, goes, net.outputs, memory, came, net.span, net.outputs, net.hidden)
            if net.biases > 0:
                came += net.outputs * net.span
                copy_numbers(gradient, goes + net.hidden * net.outputs, memory, came, net.outputs)
