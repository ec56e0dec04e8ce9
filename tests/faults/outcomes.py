"""What the trials of each fault came to, counted."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.faults.phases import PHASES
from tests.faults.trial import Trial


@dataclass
class Tally:
    """A fault's trials.

    blows     disturbances, of which `kills` ended a process
    survived  trials after which everything was as undisturbed
    phases    phase → how many blows hit it
    seconds   that the commands took which brought trials to their ends
    problems  of the trials that were not survived
    """

    fault: str
    trials: int = 0
    survived: int = 0
    blows: int = 0
    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, trial: Trial, problem: str | None) -> None:
        """Count a trial; one that nothing hit, since it was at its end before, counts for nothing."""
        if not trial.blows and problem is None:
            return
        self.trials += 1
        self.blows += len(trial.blows)
        self.kills += sum(blow.kills for blow in trial.blows)
        self.phases.update(blow.phase for blow in trial.blows)
        self.seconds += trial.recoveries
        if problem is None:
            self.survived += 1
        else:
            self.problems.append(problem)

    @property
    def moments(self) -> str:
        """How often each phase was hit."""
        return ", ".join(f"{phase} {self.phases[phase]}" for phase in PHASES if self.phases[phase])

    @property
    def recovery(self) -> str:
        """The median of the seconds."""
        return f"{median(self.seconds):.1f} s" if self.seconds else ""

    @property
    def row(self) -> tuple[str, ...]:
        return (
            self.fault,
            str(self.blows),
            str(self.kills),
            f"{self.survived} of {self.trials}",
            self.moments,
            self.recovery,
        )


COLUMNS = ("fault", "times", "kills", "trials survived", "hit while", "goes on in")


def as_json(tallies: Sequence[Tally], about: Mapping[str, Any]) -> str:
    """All that was counted, and where and when."""
    return json.dumps({**about, "faults": [vars(tally) for tally in tallies]}, indent=1) + "\n"


def from_json(text: str) -> tuple[list[Tally], dict[str, Any]]:
    """What `as_json` was given."""
    about = json.loads(text)
    return [Tally(**(row | {"phases": Counter(row["phases"])})) for row in about.pop("faults")], about


def as_markdown(tallies: Sequence[Tally], about: Mapping[str, Any]) -> str:
    """The table, and below it where and when it was measured."""
    total = Tally("all", phases=sum((tally.phases for tally in tallies), Counter()))
    for name in ("trials", "survived", "blows", "kills", "seconds"):
        setattr(total, name, sum((getattr(tally, name) for tally in tallies), type(getattr(total, name))()))
    rows = [COLUMNS, ("---", "---:", "---:", "---:", "---", "---:"), *(tally.row for tally in (*tallies, total))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\n{about['date']}, {about['machine']}; `{about['command']}`, {about['minutes']} minutes.\n"
