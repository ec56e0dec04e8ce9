"""What tells sweeps, parts of them or runs apart, from Python: `bptt.compare`."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import TYPE_CHECKING

from bptt.analysis.comparison import METRICS, SOLVED, UPDATES, compare_sides, name_better
from bptt.analysis.sweep import Sweep, load_sweep
from bptt.cli.compare import write_comparison
from bptt.printable import make_printable
from bptt.tracking.history.find import SourceError

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.statistics.conclusions import Comparison


@dataclass(frozen=True)
class SweepComparison:
    """What a comparison has found.

    lines    all of it, as `bptt compare` prints it
    answers  of two: what was asked → the answer, see `bptt.analysis.statistics.conclusions.Comparison`; of more: empty
    """

    lines: Sequence[str]
    answers: "dict[str, Comparison]" = field(repr=False)

    @property
    def table(self) -> "pd.DataFrame":
        """A row per question: what it is about, the difference with its interval, who does better where that is sure.

        Of the share of solved runs the difference is A's less B's; else the probability that a run of A does better.
        """
        import pandas as pd

        rows = [
            {
                "about": what,
                "difference": answer.difference.value,
                "low": answer.difference.low,
                "high": answer.difference.high,
                "p": answer.corrected,
                "paired": answer.paired,
                "better": name_better(answer),
            }
            for what, answer in self.answers.items()
        ]
        return pd.DataFrame(rows, columns=["about", "difference", "low", "high", "p", "paired", "better"])

    def __str__(self) -> str:
        return "\n".join(map(make_printable, self.lines))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def compare(*sources: "str | Sweep", metric: str | None = None, uri: str | None = None) -> SweepComparison:
    """What tells sets of runs apart, which does better, and how sure that is: `bptt.compare("latest:model=gru", b)`.

    sources  two or more, each as for `bptt.load`, or a sweep that was loaded or trained
    metric   that is compared; None: the share of solved runs, the updates until then, the losses and the accuracy
    uri      of the store; None: the one that `bptt train` would use in this folder

    Raises SourceError where there are fewer than two, where two are the same runs, and for a metric that some lack.
    """
    if not 2 <= len(sources) <= len(ascii_uppercase):
        raise SourceError(f"{len(sources)} to compare; give 2 to {len(ascii_uppercase)}")
    sides = [one if isinstance(one, Sweep) else load_sweep(one, uri=uri) for one in sources]
    digests = [frozenset(side.runs["digest"]) for side in sides]
    for place, digest in enumerate(digests):
        if digest in digests[:place]:
            first = sides[digests.index(digest)].name
            raise SourceError(f"{sides[place].name}: the same runs as {first}, of which there is nothing to compare")
    by_criterion = all(side.solved == sides[0].solved for side in sides)
    shared = [name for name in sides[0].history if all(name in side.history for side in sides)]
    if metric is not None and metric not in (shared := [*shared]):
        raise SourceError(f"{metric}: not recorded by all; there are {', '.join(shared[2:])}")
    metrics = [name for name in METRICS if name in shared] if metric is None else [metric]
    lines = write_comparison(sides, metrics, None if metric is None else [metric], by_criterion)
    asked = [*((SOLVED, UPDATES) if by_criterion and metric is None else ()), *metrics]
    answers = compare_sides([(sides[0], sides[1])], asked)[0] if len(sides) == 2 else {}
    return SweepComparison(lines, answers)
