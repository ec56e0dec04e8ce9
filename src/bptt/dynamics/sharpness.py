"""The sharpness of a loss: the largest eigenvalue of its Hessian."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bptt.configuration.owners import check_kernel_folder
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.nesterov import Nesterov
from bptt.core.optimizers.recurrent_constraint import find_constraint
from bptt.core.optimizers.sgd import Sgd
from bptt.core.random import Generator
from bptt.core.run import Run
from bptt.core.sequences import Floats
from bptt.dynamics.gradients import Batches, Gradients, dot_rows, read_batches
from bptt.dynamics.networks import Networks

_STEP = 1e-5  # of the central difference, relative to 1 + ‖θ‖


def sharpness(
    run: Run,
    parameters: Mapping[str, Any],
    sequences: Batches,
    *,
    tolerance: float = 1e-6,
    iterations: int = 100,
) -> Floats:
    """λ_max of ∂²loss/∂θ², (lanes,), on a batch: gradient descent is stable below 2/α, with momentum below 2(1 + ε)/α.

    θ is what is trained: with `train.only` those blocks, under Dale's law R without the connections that are not there.

    Lanczos' iteration from a random vector, its basis orthogonalised again and again, on H v =
    (g(θ + h v) − g(θ − h v)) / 2h, h = 10⁻⁵ (1 + ‖θ‖) / ‖v‖, with g the gradient that the kernels give, what the run's
    regularizer adds included. It ends where the residual ‖H u − λ u‖ is not above tolerance · |λ|, or after
    so many iterations: then λ is a lower bound.

    run, parameters and sequences are as for `bptt.dynamics.gradients.truncation_bias`. λ has the loss's unit per unit
    of θ²; its relative error is some 10⁻⁸, of the difference's h². NaN where a gradient is not finite.
    Lanczos 1950; Cohen, Kaur, Li, Kolter & Talwalkar 2021, "Gradient descent on neural networks typically occurs at the
    edge of stability". Cost: two gradients an iteration, some 10 to 30 of them. A network's number is the same to the
    bit alone and among others. Raises ValueError with one line where shapes do not fit, and where the gradient is that
    of no loss, so that its derivative is not symmetric: with a truncation below the sequences' length, and with
    regularizer=omega.
    """
    if not (tolerance > 0.0 and iterations >= 1):
        raise ValueError(f"tolerance={tolerance}, iterations={iterations}: above 0, and at least 1")
    check_kernel_folder()
    networks = Networks(run.model, parameters)
    batches = read_batches(sequences, networks.lanes)
    truncation = run.train.truncation
    if truncation is not None and truncation < batches[0].timesteps:
        raise ValueError(
            f"train.truncation={truncation}: its gradient is that of no loss; the sharpness is of a whole one"
        )
    flat, gradients = networks.flat, Gradients(run, batches)
    lanes, size = flat.shape
    step = _STEP * (1.0 + np.sqrt(dot_rows(flat, flat)))[:, None]
    start = Generator(np.random.SeedSequence(size)).standard_normal(size) * gradients.find_trained(flat)
    basis = (start / np.sqrt(dot_rows(start, start))[:, None])[None]
    diagonal, beside = np.empty((lanes, 0)), np.empty((lanes, 0))
    found, done = np.full(lanes, np.nan), np.zeros(lanes, bool)
    for k in range(min(iterations, size)):
        turned = (gradients(flat + step * basis[k]) - gradients(flat - step * basis[k])) / (2.0 * step)
        diagonal = np.column_stack([diagonal, dot_rows(turned, basis[k])])
        for _ in range(2):  # once is not enough (Parlett 1980, "twice is enough")
            for past in basis:
                turned -= dot_rows(turned, past)[:, None] * past
        rest = np.sqrt(dot_rows(turned, turned))
        values, last = _solve_tridiagonal(diagonal, beside)
        found = np.where(done, found, values)
        done |= ~(rest * np.abs(last) > tolerance * np.abs(values))
        if done.all():
            break
        basis = np.concatenate([basis, (turned / np.where(rest > 0.0, rest, 1.0)[:, None])[None]])
        beside = np.column_stack([beside, rest])
    return found


def find_stable_sharpness(run: Run) -> float:
    """The sharpness below which a run's optimizer is stable on a quadratic loss, with its α and ε; NaN unknown.

    2/α for sgd, 2(1 + ε)/α for momentum, 2(1 + ε)/((1 + 2ε)α) for nesterov: where the iteration's eigenvalue along the
    sharpest direction comes to −1 (Cohen et al. 2021, appendix B). With weights that decay by λ beside the step 2/α is
    2/α − λ for sgd and momentum. NaN for nesterov that decays, for other optimizers, beside a schedule, and where
    recurrent weights are held orthogonal, which does not step along the gradient.
    """
    optimizer: Any = run.optimizer
    if run.schedule.kernel is not None or type(optimizer) not in (Sgd, Momentum, Nesterov) or optimizer.alpha == 0:
        return float("nan")
    decay = optimizer.weight_decay
    if find_constraint(run) is not None or (decay and isinstance(optimizer, Nesterov)):
        return float("nan")
    epsilon = getattr(optimizer, "epsilon", 0.0)
    through = 1.0 + 2.0 * epsilon if isinstance(optimizer, Nesterov) else 1.0
    return float((1.0 + epsilon) * (2.0 / (through * optimizer.alpha) - decay))


def _solve_tridiagonal(diagonal: Floats, beside: Floats) -> tuple[Floats, Floats]:
    """The largest eigenvalue of each lane's matrix, (lanes,), and its eigenvector's last number; NaN of NaN."""
    count = diagonal.shape[1]
    sound = np.isfinite(diagonal).all(axis=1) & np.isfinite(beside).all(axis=1)
    matrices = np.zeros((len(diagonal), count, count))
    matrices[:, range(count), range(count)] = diagonal
    matrices[:, range(1, count), range(count - 1)] = beside  # eigh reads what is below the diagonal
    largest, last = np.full(len(diagonal), np.nan), np.full(len(diagonal), np.nan)
    values, vectors = np.linalg.eigh(matrices[sound])
    largest[sound], last[sound] = values[:, -1], vectors[:, -1, -1]
    return largest, last
