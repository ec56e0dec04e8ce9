"""Fixed points: the states at which a network stands still, and whether it comes back to them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats
from bptt.dynamics.networks import Networks

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-14, 1e10


@dataclass(frozen=True)
class FixedPoints:
    """Those of one network, M of them, that to which most starts led first.

    states       (M, S)
    speeds       (M,): q = ‖F(s) − s‖² / 2, not above the tolerance
    eigenvalues  (M, S): of ∂F/∂s there, the largest |eigenvalue| first
    stable       (M,): whether every |eigenvalue| is below 1, so that states nearby come closer
    starts       (M,): how many starts led there
    """

    states: Floats
    speeds: Floats
    eigenvalues: NDArray[np.complex128]
    stable: NDArray[np.bool_]
    starts: NDArray[np.int64]


def fixed_points(
    model: Any,
    parameters: Mapping[str, Any],
    starts: Any,
    *,
    x: Any = None,
    tolerance: float = 1e-20,
    apart: float = 1e-4,
    iterations: int = 200,
) -> list[FixedPoints]:
    """The fixed points of each network under a constant input, a `FixedPoints` for each lane.

    q(s) = ‖F(s) − s‖² / 2 is minimised from every start, F being a timestep, by Levenberg and Marquardt's method with
    the Jacobian in closed form; a point with q ≤ tolerance is kept, and points of one network that are nearer to each
    other than apart · (1 + ‖s‖) are one, the slowest of them.

    model, parameters  as for `bptt.dynamics.lyapunov.lyapunov_spectrum`
    starts             (M, S), the same for all networks, or (lanes, M, S): states that were visited
                       (`bptt.dynamics.networks.visit_states`), some of them, or others
    x                  the input (inputs,), or (lanes, inputs); None: zeros
    tolerance          of q; 10⁻²⁰ is a step of 10⁻¹⁰. A larger one keeps slow points too
    apart              of two points, relative to 1 + ‖s‖
    iterations         at most, for each start

    What no start leads to is not found. A line of fixed points, as that of a counting network, gives as many as there
    are starts. Sussillo & Barak 2013, "Opening the black box: low-dimensional dynamics in high-dimensional recurrent
    neural networks". Cost: lanes · M · iterations · 2 S³, mostly some 10 iterations. Raises ValueError with one line
    where shapes do not fit.
    """
    networks = Networks(model, parameters)
    state = _read_starts(networks, starts)
    inputs = _read_input(networks, x, state.shape[1])
    damping = np.full(state.shape[:2], _FIRST_DAMPING)
    done = ~np.isfinite(state).all(axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        rest, jacobian, speed = _measure(networks, inputs, state)
        for _ in range(iterations):
            done |= ~(speed > 1e-32 * (1.0 + (state * state).sum(axis=-1))) | (damping > _MOST_DAMPING)
            if done.all():
                break
            tried = state + _step(rest, jacobian, np.where(done, 1.0, damping))
            new_rest, new_jacobian, new_speed = _measure(networks, inputs, tried)
            better = ~done & (new_speed < speed)
            state = np.where(better[..., None], tried, state)
            rest = np.where(better[..., None], new_rest, rest)
            jacobian = np.where(better[..., None, None], new_jacobian, jacobian)
            speed = np.where(better, new_speed, speed)
            damping = np.where(done, damping, np.where(better, damping * 0.1, damping * 10.0))
            damping = np.maximum(damping, _LEAST_DAMPING)
    kept = speed <= tolerance
    return [
        _merge(state[lane][kept[lane]], speed[lane][kept[lane]], jacobian[lane][kept[lane]], apart)
        for lane in range(networks.lanes)
    ]


def _read_starts(networks: Networks, starts: Any) -> Floats:
    array = np.asarray(starts, np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[-1] != networks.size or array.shape[0] not in (1, networks.lanes):
        raise ValueError(
            f"starts: shape {np.shape(starts)}; give (M, {networks.size}), the same for all networks, "
            f"or ({networks.lanes}, M, {networks.size})"
        )
    return np.array(np.broadcast_to(array, (networks.lanes, *array.shape[1:])))


def _read_input(networks: Networks, x: Any, rows: int) -> Floats:
    """(lanes, M, inputs)."""
    array = np.zeros(networks.inputs) if x is None else np.asarray(x, np.float64)
    if array.shape not in ((networks.inputs,), (networks.lanes, networks.inputs)):
        raise ValueError(
            f"x: shape {array.shape}; give ({networks.inputs},), the same for all networks, "
            f"or ({networks.lanes}, {networks.inputs})"
        )
    array = array[:, None] if array.ndim == 2 else array
    return np.ascontiguousarray(np.broadcast_to(array, (networks.lanes, rows, networks.inputs)))


def _measure(networks: Networks, inputs: Floats, state: Floats) -> tuple[Floats, Floats, Floats]:
    """(F(s) − s, ∂F/∂s, q)."""
    new, jacobian = networks.advance(inputs, state)
    rest = new - state
    return rest, jacobian, 0.5 * (rest * rest).sum(axis=-1)


def _step(rest: Floats, jacobian: Floats, damping: Floats) -> Floats:
    """−(AᵀA + μ 1)⁻¹ Aᵀ r of A = ∂F/∂s − 1, r = F(s) − s; 0 where something is not finite or singular."""
    identity = np.eye(rest.shape[-1])
    slope = jacobian - identity
    turned = slope.swapaxes(-1, -2)
    matrix = turned @ slope + damping[..., None, None] * identity
    right = -(turned @ rest[..., None])
    sound: Any = np.isfinite(matrix).all(axis=(-2, -1)) & np.isfinite(right).all(axis=(-2, -1))
    matrix, right = (
        np.where(sound[..., None, None], part, other) for part, other in ((matrix, identity), (right, 0.0))
    )
    try:
        found: Any = np.linalg.solve(matrix, right)[..., 0]
    except np.linalg.LinAlgError:  # one of them is singular to the last bit: each by itself
        found = np.zeros(right.shape[:-1])
        for place in np.ndindex(matrix.shape[:-2]):
            with suppress(np.linalg.LinAlgError):
                found[place] = np.linalg.solve(matrix[place], right[place])[:, 0]
    return found


def _merge(states: Floats, speeds: Floats, jacobians: Floats, apart: float) -> FixedPoints:
    """What is kept of one network's points."""
    order = np.argsort(speeds, kind="stable")
    found: list[int] = []
    counts: list[int] = []
    for place in order:
        own = states[place]
        near = [
            k
            for k, other in enumerate(found)
            if np.linalg.norm(own - states[other]) <= apart * (1.0 + np.linalg.norm(own))
        ]
        if near:
            counts[near[0]] += 1
        else:
            found.append(int(place))
            counts.append(1)
    by_starts = sorted(range(len(found)), key=lambda k: -counts[k])
    chosen = [found[k] for k in by_starts]
    values = np.linalg.eigvals(jacobians[chosen]).astype(np.complex128)
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), axis=1)
    return FixedPoints(
        states=states[chosen],
        speeds=speeds[chosen],
        eigenvalues=values,
        stable=np.all(np.abs(values) < 1.0, axis=1),
        starts=np.array([counts[k] for k in by_starts], np.int64),
    )
