"""What `train.measure` asks for while runs are trained: `bptt.dynamics`, which the core does not know."""

from collections.abc import Sequence

from bptt.core.measurements.measurement import Measurement, shipped_measurements
from bptt.core.run import Run


def choose_measurements(run: Run) -> Sequence[Measurement] | None:
    """What is measured at recorded updates of this run, and of those beside it; None: what is shipped with the core.

    Each training has its own.
    """
    if not run.train.measure:
        return None
    from bptt.dynamics.measures import LiveMeasures

    return [*shipped_measurements(), LiveMeasures(run)]


def add_still_runs(runs: Sequence[Run]) -> list[Sequence[Run]]:
    """The runs, and behind them as many of each kind whose kernels are called where those are measured."""
    if not runs or not runs[0].train.measure:
        return [runs]
    from bptt.dynamics.measures import LiveMeasures, list_still_runs

    return [runs, *([run] * len(runs) for run in list_still_runs(runs[0], LiveMeasures(runs[0]).kinds))]
