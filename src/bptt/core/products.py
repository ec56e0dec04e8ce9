"""Matrix products of small networks, over vectors of lanes or rows.

Every sum runs in the order of its index, one fused multiply-add after the other; the blocks below only keep several
sums in registers at once, so block sizes never change a bit.
"""

from bptt.core.simd import fma, inline, load, set_gradient, splat, store, weight


@inline
def add_product(memory, target, target_row, source, source_row, theta, w, step_in, step_out, rows, n_in, n_out):
    """target[r, j] += Σ_i source[r, i] · θ[w + i·step_in + j·step_out], for `rows` rows, *_row vectors apart."""
    r = 0
    while r + 4 <= rows:
        a, s = target + r * target_row, source + r * source_row
        b, c, d = a + target_row, a + 2 * target_row, a + 3 * target_row
        s2, s3, s4 = s + source_row, s + 2 * source_row, s + 3 * source_row
        j = 0
        while j + 4 <= n_out:
            a0, a1, a2, a3 = (
                load(memory, a + j),
                load(memory, a + j + 1),
                load(memory, a + j + 2),
                load(memory, a + j + 3),
            )
            b0, b1, b2, b3 = (
                load(memory, b + j),
                load(memory, b + j + 1),
                load(memory, b + j + 2),
                load(memory, b + j + 3),
            )
            c0, c1, c2, c3 = (
                load(memory, c + j),
                load(memory, c + j + 1),
                load(memory, c + j + 2),
                load(memory, c + j + 3),
            )
            d0, d1, d2, d3 = (
                load(memory, d + j),
                load(memory, d + j + 1),
                load(memory, d + j + 2),
                load(memory, d + j + 3),
            )
            p = w + j * step_out
            for i in range(n_in):
                w0, w1 = weight(theta, p), weight(theta, p + step_out)
                w2, w3 = weight(theta, p + 2 * step_out), weight(theta, p + 3 * step_out)
                x = load(memory, s + i)
                a0, a1, a2, a3 = fma(x, w0, a0), fma(x, w1, a1), fma(x, w2, a2), fma(x, w3, a3)
                x = load(memory, s2 + i)
                b0, b1, b2, b3 = fma(x, w0, b0), fma(x, w1, b1), fma(x, w2, b2), fma(x, w3, b3)
                x = load(memory, s3 + i)
                c0, c1, c2, c3 = fma(x, w0, c0), fma(x, w1, c1), fma(x, w2, c2), fma(x, w3, c3)
                x = load(memory, s4 + i)
                d0, d1, d2, d3 = fma(x, w0, d0), fma(x, w1, d1), fma(x, w2, d2), fma(x, w3, d3)
                p += step_in
            _store_four(memory, a + j, a0, a1, a2, a3)
            _store_four(memory, b + j, b0, b1, b2, b3)
            _store_four(memory, c + j, c0, c1, c2, c3)
            _store_four(memory, d + j, d0, d1, d2, d3)
            j += 4
        while j < n_out:
            a0, b0, c0, d0 = load(memory, a + j), load(memory, b + j), load(memory, c + j), load(memory, d + j)
            p = w + j * step_out
            for i in range(n_in):
                w0 = weight(theta, p)
                a0, b0 = fma(load(memory, s + i), w0, a0), fma(load(memory, s2 + i), w0, b0)
                c0, d0 = fma(load(memory, s3 + i), w0, c0), fma(load(memory, s4 + i), w0, d0)
                p += step_in
            store(memory, a + j, a0)
            store(memory, b + j, b0)
            store(memory, c + j, c0)
            store(memory, d + j, d0)
            j += 1
        r += 4
    while r < rows:
        a, s = target + r * target_row, source + r * source_row
        j = 0
        while j + 8 <= n_out:
            a0, a1, a2, a3 = (
                load(memory, a + j),
                load(memory, a + j + 1),
                load(memory, a + j + 2),
                load(memory, a + j + 3),
            )
            b = a + j + 4
            b0, b1, b2, b3 = load(memory, b), load(memory, b + 1), load(memory, b + 2), load(memory, b + 3)
            p = w + j * step_out
            for i in range(n_in):
                x = load(memory, s + i)
                q = p + 4 * step_out
                a0 = fma(x, weight(theta, p), a0)
                a1 = fma(x, weight(theta, p + step_out), a1)
                a2 = fma(x, weight(theta, p + 2 * step_out), a2)
                a3 = fma(x, weight(theta, p + 3 * step_out), a3)
                b0 = fma(x, weight(theta, q), b0)
                b1 = fma(x, weight(theta, q + step_out), b1)
                b2 = fma(x, weight(theta, q + 2 * step_out), b2)
                b3 = fma(x, weight(theta, q + 3 * step_out), b3)
                p += step_in
            _store_four(memory, a + j, a0, a1, a2, a3)
            _store_four(memory, b, b0, b1, b2, b3)
            j += 8
        while j + 2 <= n_out:
            a0, a1 = load(memory, a + j), load(memory, a + j + 1)
            p = w + j * step_out
            for i in range(n_in):
                x = load(memory, s + i)
                a0 = fma(x, weight(theta, p), a0)
                a1 = fma(x, weight(theta, p + step_out), a1)
                p += step_in
            store(memory, a + j, a0)
            store(memory, a + j + 1, a1)
            j += 2
        while j < n_out:
            a0 = load(memory, a + j)
            p = w + j * step_out
            for i in range(n_in):
                a0 = fma(load(memory, s + i), weight(theta, p), a0)
                p += step_in
            store(memory, a + j, a0)
            j += 1
        r += 1


@inline
def _store_four(memory, place, v0, v1, v2, v3):
    store(memory, place, v0)
    store(memory, place + 1, v1)
    store(memory, place + 2, v2)
    store(memory, place + 3, v3)


@inline
def set_outer(memory, gradient, w, w_row, source, source_row, delta, delta_row, rows, n_in, n_out):
    """gradient[w + i·w_row + j] = Σ_r source[r, i] · delta[r, j], over all timesteps' rows, *_row vectors apart."""
    i = 0
    while i + 4 <= n_in:
        j = 0
        while j + 4 <= n_out:
            a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            b0, b1, b2, b3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            c0, c1, c2, c3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            d0, d1, d2, d3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                y0, y1, y2, y3 = load(memory, t), load(memory, t + 1), load(memory, t + 2), load(memory, t + 3)
                x = load(memory, s)
                a0, a1, a2, a3 = fma(x, y0, a0), fma(x, y1, a1), fma(x, y2, a2), fma(x, y3, a3)
                x = load(memory, s + 1)
                b0, b1, b2, b3 = fma(x, y0, b0), fma(x, y1, b1), fma(x, y2, b2), fma(x, y3, b3)
                x = load(memory, s + 2)
                c0, c1, c2, c3 = fma(x, y0, c0), fma(x, y1, c1), fma(x, y2, c2), fma(x, y3, c3)
                x = load(memory, s + 3)
                d0, d1, d2, d3 = fma(x, y0, d0), fma(x, y1, d1), fma(x, y2, d2), fma(x, y3, d3)
                s += source_row
                t += delta_row
            p = w + i * w_row + j
            _set_four(gradient, p, a0, a1, a2, a3)
            _set_four(gradient, p + w_row, b0, b1, b2, b3)
            _set_four(gradient, p + 2 * w_row, c0, c1, c2, c3)
            _set_four(gradient, p + 3 * w_row, d0, d1, d2, d3)
            j += 4
        while j < n_out:
            a0, b0, c0, d0 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                y = load(memory, t)
                a0, b0 = fma(load(memory, s), y, a0), fma(load(memory, s + 1), y, b0)
                c0, d0 = fma(load(memory, s + 2), y, c0), fma(load(memory, s + 3), y, d0)
                s += source_row
                t += delta_row
            p = w + i * w_row + j
            set_gradient(gradient, p, a0)
            set_gradient(gradient, p + w_row, b0)
            set_gradient(gradient, p + 2 * w_row, c0)
            set_gradient(gradient, p + 3 * w_row, d0)
            j += 1
        i += 4
    while i + 2 <= n_in:
        j = 0
        while j + 4 <= n_out:
            a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            b0, b1, b2, b3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                y0, y1, y2, y3 = load(memory, t), load(memory, t + 1), load(memory, t + 2), load(memory, t + 3)
                x = load(memory, s)
                a0, a1, a2, a3 = fma(x, y0, a0), fma(x, y1, a1), fma(x, y2, a2), fma(x, y3, a3)
                x = load(memory, s + 1)
                b0, b1, b2, b3 = fma(x, y0, b0), fma(x, y1, b1), fma(x, y2, b2), fma(x, y3, b3)
                s += source_row
                t += delta_row
            p = w + i * w_row + j
            _set_four(gradient, p, a0, a1, a2, a3)
            _set_four(gradient, p + w_row, b0, b1, b2, b3)
            j += 4
        while j + 2 <= n_out:
            a0, a1, b0, b1 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                y0, y1 = load(memory, t), load(memory, t + 1)
                x = load(memory, s)
                a0, a1 = fma(x, y0, a0), fma(x, y1, a1)
                x = load(memory, s + 1)
                b0, b1 = fma(x, y0, b0), fma(x, y1, b1)
                s += source_row
                t += delta_row
            p = w + i * w_row + j
            set_gradient(gradient, p, a0)
            set_gradient(gradient, p + 1, a1)
            set_gradient(gradient, p + w_row, b0)
            set_gradient(gradient, p + w_row + 1, b1)
            j += 2
        while j < n_out:
            a0, b0 = splat(0.0), splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                y = load(memory, t)
                a0, b0 = fma(load(memory, s), y, a0), fma(load(memory, s + 1), y, b0)
                s += source_row
                t += delta_row
            set_gradient(gradient, w + i * w_row + j, a0)
            set_gradient(gradient, w + (i + 1) * w_row + j, b0)
            j += 1
        i += 2
    while i < n_in:
        j = 0
        while j + 2 <= n_out:
            a0, a1 = splat(0.0), splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                x = load(memory, s)
                a0, a1 = fma(x, load(memory, t), a0), fma(x, load(memory, t + 1), a1)
                s += source_row
                t += delta_row
            set_gradient(gradient, w + i * w_row + j, a0)
            set_gradient(gradient, w + i * w_row + j + 1, a1)
            j += 2
        while j < n_out:
            a0 = splat(0.0)
            s, t = source + i, delta + j
            for _ in range(rows):
                a0 = fma(load(memory, s), load(memory, t), a0)
                s += source_row
                t += delta_row
            set_gradient(gradient, w + i * w_row + j, a0)
            j += 1
        i += 1


@inline
def _set_four(gradient, p, v0, v1, v2, v3):
    set_gradient(gradient, p, v0)
    set_gradient(gradient, p + 1, v1)
    set_gradient(gradient, p + 2, v2)
    set_gradient(gradient, p + 3, v3)


@inline
def set_sum(memory, gradient, w, delta, delta_row, rows, n_out):
    """gradient[w + j] = Σ_r delta[r, j]."""
    j = 0
    while j + 2 <= n_out:
        a, b = splat(0.0), splat(0.0)
        t = delta + j
        for _ in range(rows):
            a, b = a + load(memory, t), b + load(memory, t + 1)
            t += delta_row
        set_gradient(gradient, w + j, a)
        set_gradient(gradient, w + j + 1, b)
        j += 2
    while j < n_out:
        a = splat(0.0)
        t = delta + j
        for _ in range(rows):
            a = a + load(memory, t)
            t += delta_row
        set_gradient(gradient, w + j, a)
        j += 1


@inline
def fill_bias(memory, target, target_row, theta, first, second, rows, n_out):
    """target[r, j] = θ[first + j] + θ[second + j]; a bias whose place is negative is not there."""
    for j in range(n_out):
        value = splat(0.0)
        if first >= 0:
            value = weight(theta, first + j)
        if second >= 0:
            value = value + weight(theta, second + j)
        for r in range(rows):
            store(memory, target + r * target_row + j, value)


@inline
def clear(memory, place, count):
    """Zeros in `count` vectors."""
    for i in range(place, place + count):
        store(memory, i, splat(0.0))
