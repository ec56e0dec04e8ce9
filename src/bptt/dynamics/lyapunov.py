"""Lyapunov exponents, how fast neighbouring states of a driven network part, or come together; and the singular values
of the Jacobian over a whole sequence, how much the best and the worst direction grow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt.core.sequences import Floats
from bptt.dynamics.directions import Directions
from bptt.dynamics.networks import Networks


@dataclass(frozen=True)
class LyapunovSpectrum:
    """Exponents (lanes, S): λ_1 ≥ … ≥ λ_S, natural logarithms per timestep; −∞ where a direction is lost."""

    exponents: Floats

    @property
    def largest(self) -> Floats:
        """λ_1, (lanes,): above 0 gradients explode along the sequences, below 0 they vanish."""
        return self.exponents[:, 0]

    @property
    def total(self) -> Floats:
        """Σ λ_i = mean ln |det J|, (lanes,): how fast volumes grow."""
        return self.exponents.sum(axis=1)

    @property
    def dimension(self) -> Floats:
        """The attractor's dimension after Kaplan & Yorke 1979, (lanes,); see `kaplan_yorke_dimension`."""
        return kaplan_yorke_dimension(self.exponents)


def kaplan_yorke_dimension(exponents: Floats) -> Floats:
    """(lanes,): j + (λ_1 + … + λ_j) / |λ_{j+1}|, j being the most exponents from the largest on whose sum is ≥ 0.

    0 where λ_1 < 0, S where all together are ≥ 0, NaN where an exponent is. exponents: (lanes, S), the largest first.
    Kaplan & Yorke 1979, "Chaotic behavior of multidimensional difference equations".
    """
    sums = np.cumsum(exponents, axis=1)
    found = np.full(len(exponents), np.nan)
    for lane, (own, total) in enumerate(zip(exponents, sums, strict=True)):
        if np.isnan(own).any():
            continue
        whole = int(np.argmax(np.append(total, -np.inf) < 0.0))
        part = total[whole - 1] / abs(own[whole]) if 0 < whole < len(own) else 0.0
        found[lane] = whole + part
    return found


def measure_growth(jacobians: Iterable[Any], washout: int = 0) -> Floats:
    """(B, S): mean ln |T_t,ii|, the largest first, of Q_t T_t = J_t Q_{t−1}, Q_0 = 1 and T_t upper triangular.

    jacobians  J_1, J_2, … of a trajectory of each of B systems, (B, S, S) each
    washout    the first of them, which turn the directions and do not count

    The algorithm of Benettin, Galgani, Giorgilli & Strelcyn 1980. Cost: 5 S³ multiplications each, in vectors of
    systems. Raises ValueError where none is left behind the washout.
    """
    growth, counted = _grow(jacobians, washout)
    return _sort(growth / counted)


def _sort(exponents: Floats) -> Floats:
    return -np.sort(-exponents, axis=1)


def _grow(jacobians: Iterable[Any], washout: int) -> tuple[Floats, int]:
    """Σ ln |T_t,ii| (B, S) in the order of the directions, which after a while is theirs from the largest on; and over
    how many timesteps.
    """
    directions: Directions | None = None
    counted = -washout
    for jacobian in jacobians:
        if directions is None:
            directions = Directions(jacobian.shape[0], jacobian.shape[1])
        if counted == 0:
            directions.forget()
        directions.turn(jacobian)
        counted += 1
    if directions is None or counted <= 0:
        raise ValueError(f"washout={washout}: of {counted + washout} timesteps none is left to be measured")
    return directions.growth, counted


def lyapunov_spectrum(
    model: Any,
    parameters: Mapping[str, Any],
    x: Any,
    *,
    washout: int = 0,
    state: Any = None,
    lengths: Any = None,
) -> LyapunovSpectrum:
    """The Lyapunov exponents of networks along driven sequences: all S of each.

    J_t = ∂s_t/∂s_{t−1},  Q_t T_t = J_t Q_{t−1},  λ_i = mean over t of ln |T_t,ii|, and over the sequences.

    model       one of `bptt.core.models`, or another that has what `bptt.core.run.Model` asks for
    parameters  name → (lanes, …): a sweep's (`bptt.analysis.sweep.Sweep.parameters`), or one network's `array[None]`
    x           inputs (N, T, inputs), the same for all networks, or (lanes, N, T, inputs); zeros: an undriven network
    washout     timesteps at the beginning of each sequence that do not count, in which states come to their attractor
                and directions to their growth
    state       s_0, that broadcasts to (lanes, N, S); None: zeros, where a network without inputs and biases stays
    lengths     timesteps of each sequence that count, (N,) or (lanes, N), from 1 to T; None: all

    A state is all layers' h, for LSTM (h, c), with feedback the output. An exponent's error falls as 1/T. Vogt,
    Puelma Touzel, Shlizerman & Lajoie 2022, "On Lyapunov exponents for RNNs"; Engelken, Wolf & Abbott 2023, "Lyapunov
    spectra of chaotic recurrent neural networks". Cost: lanes · N · T · 5 S³ multiplications. A network's numbers are
    the same to the bit alone and among others. Raises ValueError with one line where shapes do not fit or no timestep
    is left behind the washout.
    """
    networks = Networks(model, parameters)
    inputs = networks.read_inputs(x)
    rows, steps, size = inputs.shape[1], inputs.shape[2], networks.size
    ends = networks.read_lengths(lengths, inputs)
    steps = steps if ends is None else int(ends.min())
    if not 0 <= washout < steps:
        raise ValueError(f"washout={washout}: not from 0 to {steps - 1}, one less than the {steps} timesteps")
    start = networks.read_state(state, rows)
    jacobians = (jacobian.reshape(-1, size, size) for _, jacobian in networks.follow(inputs, start, ends))
    growth, counted = _grow(jacobians, washout)
    own: Any = counted if ends is None else (ends - washout)[..., None]  # what is behind the end adds ln 1
    exponents = growth.reshape(networks.lanes, rows, size) / own
    return LyapunovSpectrum(_sort(np.add.reduce(exponents, axis=1) / rows))


@dataclass(frozen=True)
class SingularValues:
    """Of each network and sequence.

    values     (lanes, N, S), the largest first
    condition  (lanes, N): the largest over the smallest, ∞ where that is 0
    """

    values: Floats
    condition: Floats

    @property
    def largest(self) -> Floats:
        """(lanes, N)."""
        return self.values[..., 0]

    @property
    def smallest(self) -> Floats:
        """(lanes, N)."""
        return self.values[..., -1]


def jacobian_singular_values(
    model: Any, parameters: Mapping[str, Any], x: Any, *, state: Any = None, lengths: Any = None
) -> SingularValues:
    """The singular values of ∂s_T/∂s_0 = J_T … J_1 along each sequence.

    All near 1: dynamical isometry, gradients neither vanish nor explode whatever their direction (Saxe, McClelland &
    Ganguli 2014; Pennington, Schoenholz & Ganguli 2017). model, parameters, x, state and lengths are as for
    `lyapunov_spectrum`; T is what x has, or a sequence's own length.

    The product is scaled by powers of two along the way, so that it neither overflows nor underflows; a singular value
    is right to some 2⁻⁵² of the largest, and smaller ones, or a condition above 10¹⁵, are rounding. The Lyapunov
    exponents tell such directions apart. Cost: lanes · N · (T S³ + 10 S³). A network's numbers are the same to the bit
    alone and among others. Raises ValueError with one line where shapes do not fit.
    """
    networks = Networks(model, parameters)
    inputs = networks.read_inputs(x)
    product, exponents = np.eye(networks.size), np.zeros(inputs.shape[:2], np.int64)
    start, ends = networks.read_state(state, inputs.shape[1]), networks.read_lengths(lengths, inputs)
    for _, jacobian in networks.follow(inputs, start, ends):
        product = jacobian @ product
        largest = np.abs(product).max(axis=(-2, -1))
        exponent = np.where(np.isfinite(largest), np.frexp(largest)[1], 0)
        product, exponents = np.ldexp(product, -exponent[..., None, None]), exponents + exponent
    found = np.full(product.shape[:-1], np.nan)
    sound = np.isfinite(product).all(axis=(-2, -1))
    found[sound] = np.linalg.svd(product[sound], compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        condition = found[..., 0] / found[..., -1]
    return SingularValues(np.ldexp(found, np.clip(exponents, -5000, 5000)[..., None]), condition)
