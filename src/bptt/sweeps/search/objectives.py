"""What a search is for: metrics to be made small or large, one or several, and what a run is worth by them.

loss/eval, loss/train, accuracy/eval  as recorded last; so is work/gradients, the gradient evaluations that it took
rmse/eval and its like                what there is one number of when a run has ended, as far as its task has it
parameters                            how many numbers the network has
update                                how many a run was trained for: fewer where it stopped early

A test set chooses nothing, so none of its metrics is an objective; nor is a time, which is another one each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from bptt.configuration.errors import suggest, write_problem
from bptt.core.parameters import list_parameters, parameter_count
from bptt.core.random import Generator
from bptt.core.run import Run
from bptt.tracking.folder.files import ONCE

Direction = Literal["minimize", "maximize"]
#: What runs can be compared by before their end.
Metric = Literal["loss/eval", "loss/train", "accuracy/eval"]

PARAMETERS: Final = "parameters"
_EVALUATED: Final = tuple(name for name in ONCE if name.endswith("/eval"))
ALLOWED: Final[tuple[str, ...]] = (*get_args(Metric), "work/gradients", *_EVALUATED, PARAMETERS, "update")
_LARGE: Final = ("accuracy", "balanced_accuracy", "r2")  # of which more is better


@dataclass(frozen=True)
class Objective:
    """A metric, and what is wanted of it."""

    metric: str
    direction: Direction

    @classmethod
    def of(cls, metric: str, direction: Direction | None = None) -> "Objective":
        """What is usually wanted of the metric, where nothing is said."""
        large = metric.removeprefix("kept/").partition("/")[0] in _LARGE
        return cls(metric, direction or ("maximize" if large else "minimize"))

    @property
    def minimize(self) -> bool:
        return self.direction == "minimize"

    @property
    def worst(self) -> float:
        """What a run is worth that has no value: one that diverged."""
        return float("inf") if self.minimize else float("-inf")

    def cost(self, value: float) -> float:
        """The smaller the better; infinite where there is no value."""
        cost = value if self.minimize else -value
        return float("inf") if np.isnan(cost) else cost


def read_objectives(given: Any, beside: Mapping[str, Any], problems: list[str]) -> tuple[Objective, ...]:
    """The objectives of `hydra.sweeper.objectives`: metric → minimize, maximize or null, what is usually wanted of it.

    beside  the other settings: with objectives, a direction of the metric alone means nothing
    """
    key = "hydra.sweeper.objectives"
    if given in (None, {}, []):
        return ()
    if not isinstance(given, Mapping):
        problems.append(write_problem(key, given, "must be a mapping, as {loss/eval: minimize, parameters: minimize}"))
        return ()
    problems += [
        f"hydra.sweeper.{name}={beside[name]}: objectives are given too; give one or the other"
        for name in ("metric", "direction")
        if beside.get(name) not in (None, "loss/eval")
    ]
    found = []
    for name, direction in given.items():
        if name not in ALLOWED:
            why = "a test set chooses nothing; " if str(name).endswith("/test") else ""
            problems.append(f"{key}.{name}: {why}must be one of {', '.join(ALLOWED)}{suggest(str(name), ALLOWED)}")
        elif direction not in (None, *get_args(Direction)):
            problems.append(
                write_problem(f"{key}.{name}", direction, f"must be minimize or maximize{_suggest(direction)}")
            )
        else:
            found.append(Objective.of(str(name), direction))
    return tuple(found)


def _suggest(direction: Any) -> str:
    return suggest(str(direction), get_args(Direction))


def weigh_run(values: Mapping[str, float], goals: tuple[Objective, ...]) -> list[float]:
    """What a run is worth that has ended, by each goal; one without a number is worth the worst there is.

    values  what it recorded last, what there is one number of, and its parameters, as far as they are a goal
    """
    own = [float(values[goal.metric]) for goal in goals]
    return [goal.worst if np.isnan(value) else value for goal, value in zip(goals, own, strict=True)]


def count_parameters(run: Run) -> int:
    """How many numbers a run's network has."""
    return parameter_count(list_parameters(run.model, run.task.inputs, run.task.outputs))


def has_accuracy(run: Run) -> bool:
    """Whether the run's task has a notion of right."""
    sequences = run.task.evaluation(Generator(np.random.SeedSequence(0)))
    return run.task.accuracy(np.zeros(sequences.y.shape), sequences) is not None
