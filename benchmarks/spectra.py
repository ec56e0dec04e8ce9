"""How long whole Lyapunov spectra take: python -m benchmarks.spectra [--lanes N] [--units N] [--timesteps N]."""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.measure import summarise
from bptt.core.models.elman import Elman
from bptt.dynamics import Networks, lyapunov_spectrum
from bptt.dynamics.directions import Directions


def draw_networks(lanes: int, units: int) -> tuple[Elman, dict[str, np.ndarray]]:
    """Elman's, of tanh units, with Gaussian weights at the edge of chaos."""
    rng = np.random.default_rng(0)
    model = Elman(hidden_size=units, layers=1, activation="tanh", bias="none", readout="none")
    recurrent = rng.standard_normal((lanes, units, units)) / np.sqrt(units)
    return model, {"cell.0.input": rng.standard_normal((lanes, 1, units)), "cell.0.recurrent": recurrent}


def time_spectra(lanes: int, units: int, timesteps: int) -> float:
    """Seconds for all exponents of so many networks."""
    model, weights = draw_networks(lanes, units)
    x = np.random.default_rng(1).standard_normal((1, timesteps, 1))
    start = time.perf_counter()
    found = lyapunov_spectrum(model, weights, x)
    seconds = time.perf_counter() - start
    if not np.isfinite(found.exponents).all():
        raise RuntimeError("a spectrum is not finite")
    return seconds


def time_decompositions(lanes: int, units: int, steps: int) -> tuple[float, float]:
    """Milliseconds for a timestep's product and QR decomposition of all networks: ours, and NumPy's with LAPACK."""
    networks = Networks(*draw_networks(lanes, units))
    _, jacobian = networks.advance(np.zeros((lanes, 1, 1)), np.zeros((lanes, 1, units)))
    jacobians = jacobian[:, 0]
    directions, q = Directions(lanes, units), np.broadcast_to(np.eye(units), jacobians.shape)
    start = time.perf_counter()
    for _ in range(steps):
        directions.turn(jacobians)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(steps):
        q, r = np.linalg.qr(jacobians @ q)
        np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
    return ours / steps * 1e3, (time.perf_counter() - start) / steps * 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spectra", description="Lyapunov spectra: how long?")
    parser.add_argument("--lanes", type=int, default=1000, help="networks (1000)")
    parser.add_argument("--units", type=int, default=16, help="hidden units of each (16)")
    parser.add_argument("--timesteps", type=int, default=1000, help="of the sequence (1000)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    given = parser.parse_args(arguments)
    Directions(1, 2).turn(np.ones((1, 2, 2)))  # compiles what it needs
    seconds = summarise(time_spectra(given.lanes, given.units, given.timesteps) for _ in range(given.rounds))
    print(
        f"{given.lanes} networks of {given.units} units over {given.timesteps} timesteps: "
        f"{seconds.median:.2f} s ({seconds.lowest:.2f} to {seconds.highest:.2f})"
    )
    ours, lapack = time_decompositions(given.lanes, given.units, 20)
    print(f"a timestep's product and QR of all: {ours:.2f} ms; with NumPy and LAPACK {lapack:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
