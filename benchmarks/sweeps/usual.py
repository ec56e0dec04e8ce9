"""The other side of a sweep: an ordinary Hydra app, of which a few jobs are run, and what many would take."""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sweeps.ours import choose_rates
from benchmarks.sweeps.program import ProgramFailed, Usage, make_folder, measure_program

STOCK = ("hydra/launcher=basic", "hydra/sweeper=basic")  # ours are chosen in `bptt` alone; said so that it shows
_CHECKED = 32  # updates
_AGREEMENT = 1e-9  # relative


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some jobs of a Hydra app that were measured.

    per_job  seconds that each further one takes
    """

    usage: Usage
    jobs: int
    per_job: float

    def scale(self, jobs: int) -> float:
        """Seconds that so many jobs would take: what is done once stays, the rest grows with the jobs."""
        return self.usage.seconds + (jobs - self.jobs) * self.per_job


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def run_adder(jobs: int, updates: int) -> Sample:
    """So many runs of the adder in the usual way, from 3 on."""
    return _run_sample("usual_app.py", list_adder_overrides(jobs, updates), jobs)


def list_adder_overrides(jobs: int, updates: int) -> list[str]:
    alphas = choose_rates(jobs)
    return [f"alpha={','.join(alphas)}", f"seed=range({jobs // len(alphas)})", f"updates={updates}"]


def run_trivial(jobs: int) -> Sample:
    """So many jobs that do nothing, from 3 on."""
    return _run_sample("trivial.py", [f"seed=range({jobs})"], jobs)


def estimate_per_job(written: float, began: Sequence[float]) -> float:
    """Seconds that each further job takes.

    Hydra composes every job to check it before it runs the first. That one takes longer than others, for what is
    imported and connected in it, and after the last the program has its end: none of these counts.

    written  when Hydra had written what is to be done, and began to check it
    began    when each job began
    """
    return (began[0] - written) / len(began) + (began[-1] - began[1]) / (len(began) - 2)


def check() -> None:
    """Raise ProgramFailed where the usual way does not train what we train."""
    found = measure_difference()
    if not found <= _AGREEMENT:  # NaN too
        raise ProgramFailed(f"the usual way's losses differ from ours by {found:.1e}: their times would say nothing")


def measure_difference() -> float:
    """By how much the usual way's losses differ from ours, trained from the same weights on the same sequences."""
    import numpy as np
    import torch

    from benchmarks.problem import build_problem
    from benchmarks.sides import ours
    from benchmarks.sweeps import usual_app
    from benchmarks.workloads import TABLE

    workload = next(found for found in TABLE if found.name == "adder" and found.lanes == 1)
    losses, _ = ours.train_workload(workload, _CHECKED)
    made = build_problem(workload, _CHECKED)
    network = usual_app.Network(made.run.model.hidden_size)
    with torch.no_grad():
        for parameter, name in (
            (network.input, "cell.0.input"),
            (network.recurrent, "cell.0.recurrent"),
            (network.readout, "readout.weight"),
        ):
            parameter.copy_(torch.tensor(made.parameters[name][0]))
    data = zip(torch.tensor(made.x[:, 0]), torch.tensor(made.y[:, 0]), strict=True)
    theirs = np.array([loss.item() for loss in usual_app.train(network, vars(made.run.optimizer)["alpha"], data)])
    return float(np.max(np.abs(theirs / losses[:, 0] - 1.0)))


def _run_sample(script: str, overrides: Sequence[str], jobs: int) -> Sample:
    folder = make_folder()
    usage = measure_program([sys.executable, str(Path(__file__).with_name(script)), "-m", *STOCK, *overrides], folder)
    (written,) = folder.glob("multirun/*/*/multirun.yaml")
    began = [(written.parent / str(job) / ".hydra" / "config.yaml").stat().st_mtime for job in range(jobs)]
    each = estimate_per_job(written.stat().st_mtime, began)
    return Sample(usage=usage, jobs=jobs, per_job=each)
