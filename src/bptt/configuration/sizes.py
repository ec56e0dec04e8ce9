"""What no machine could train, found out from a run's numbers before an array is made of them."""

from collections.abc import Iterator
from typing import Final

from bptt.configuration.problems import problem
from bptt.core.layout import BIASES
from bptt.core.run import Run
from bptt.tasks.memory import machine_memory

_WHOLE: Final = 2**63 - 1  # the largest whole number that compiled code counts with
_NUMBER: Final = 8  # bytes
_OF_A_WEIGHT: Final = 3  # numbers: itself, its gradient, and what an optimizer keeps of it


def check_sizes(run: Run) -> list[str]:
    """A line for each number that can't be counted with, or one for what takes more than this machine's memory."""
    return [*_uncountable(run)] or _too_large(run)


def _uncountable(run: Run) -> Iterator[str]:
    for name in ("updates", "batch_size", "truncation", "log_points"):
        if (value := getattr(run.train, name) or 0) > _WHOLE:
            yield problem(f"train.{name}", value, f"must be at most {_WHOLE:,}")


def _too_large(run: Run) -> list[str]:
    model, train, task = run.model, run.train, run.task
    units = model.layers * model.hidden_size * (model.cell.gates + model.cell.slots)
    parts = {
        "the weights": _OF_A_WEIGHT * _weights(run),
        "a batch": train.batch_size * task.timesteps * (task.inputs + task.outputs + units),
        "what is recorded": min(train.log_points, train.updates) * task.timesteps,
    }
    part = max(parts, key=lambda name: parts[name])
    needed, there = (size / 2**30 for size in (_NUMBER * parts[part], machine_memory()))
    if needed <= there:
        return []
    sizes = {
        "model.layers": model.layers,
        "model.hidden_size": model.hidden_size,
        "train.batch_size": train.batch_size if part == "a batch" else 0,
        "train.log_points": train.log_points if part == "what is recorded" else 0,
        "task.timesteps": task.timesteps if part != "the weights" else 0,
    }
    key = max(sizes, key=lambda name: sizes[name])
    says = f"{part} would take {needed:.3g} GiB of memory, this machine has {there:.3g} GiB"
    if key == "task.timesteps":  # which no key says, but what makes them differs from task to task
        return [problem("task", type(task).__name__.lower(), f"with {sizes[key]:.3g} timesteps {says}")]
    return [problem(key, sizes[key], says)]


def _weights(run: Run) -> int:
    model, task = run.model, run.task
    columns = model.cell.gates * model.hidden_size
    context = task.outputs if model.cell.feedback else model.hidden_size
    below = task.inputs + (model.layers - 1) * model.hidden_size
    return columns * (below + model.layers * (context + BIASES[model.bias])) + model.hidden_size * task.outputs
