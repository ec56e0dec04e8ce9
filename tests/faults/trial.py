"""One trial: a sweep or a run that is disturbed and goes on, and what was seen of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.contents import Contents


@dataclass(frozen=True)
class Blow:
    """A disturbance: in which phase it hit, how many runs the archive had then, and whether a process died of it."""

    phase: str
    ended: int
    kills: int


@dataclass
class Trial:
    """What a scenario is given, and notes.

    folder      of its own, empty at first
    rng         decides on the moments
    undisturbed what the same sweep left when nothing disturbed it
    most_blows  that hit one sweep
    blows       in their order
    recoveries  how many seconds each command took that brought all to its end
    """

    folder: Path
    rng: np.random.Generator
    undisturbed: Contents
    most_blows: int = 6
    blows: list[Blow] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)

    def one_of(self, *choices: Any) -> Any:
        """One of these, each as likely."""
        return choices[int(self.rng.integers(len(choices)))]

    def seconds(self, most: float) -> float:
        """A while, at most so long."""
        return float(self.rng.uniform(0, most))


Scenario = Callable[[Trial], None]
