"""Whether training comes to the edge of stability: sharpness at, or above, what the optimizer can bear.

J. M. Cohen, S. Kaur, Y. Li, J. Z. Kolter, A. Talwalkar, "Gradient Descent on Neural Networks Typically Occurs at the
Edge of Stability", ICLR 2021: trained on all data at once, with the learning rate α, the largest eigenvalue of the
loss's Hessian rises until it is 2/α, with momentum ε 2(1 + ε)/α, and stays there or a little above, where a quadratic
loss would diverge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.comparison import select_ended
from bptt.analysis.statistics.conclusions import correct_level
from bptt.analysis.statistics.intervals import Interval, clopper_pearson, median_interval
from bptt.analysis.tables import write_parts

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

SHARPNESS: Final = "dynamics/sharpness_ratio"
#: Before the name of each column of `tabulate_edge`.
EDGE: Final = "edge/"
NEAR: Final = 0.95  # of the bound
REST: Final = 0.75  # of a run's updates, after which it has come to where it stays
_LEAST: Final = 3  # updates at which sharpness was measured, so that there is something to be seen


@dataclass(frozen=True)
class Edge:
    """How many of some runs are at the edge of stability, at some update or at their end.

    count, of    how many of those that ended
    interval     of the share, at a level that allows for all groups of runs together
    """

    name: str
    count: int
    of: int
    interval: Interval

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        told = "most" if low > 0.5 else "fewer than half" if high < 0.5 else "whether most is not settled"
        where = f" with {self.name}" if self.name else " runs"
        return f"{self.count:,} of {self.of:,}{where} ({100 * low:.0f} to {100 * high:.0f} %: {told})"


@dataclass(frozen=True)
class Stability:
    """A sweep's sharpness through training, as `bptt measure --sharpness --at all` found it."""

    sweep: "Sweep"

    @cached_property
    def history(self) -> "pd.DataFrame":
        """A row per run that ended and update at which its sharpness is known: run, update, `SHARPNESS`."""
        measures = self.sweep.measures
        if SHARPNESS not in measures:
            return measures.reindex(columns=["run", "update", SHARPNESS]).iloc[:0]
        known = measures.loc[measures[SHARPNESS].notna(), ["run", "update", SHARPNESS]]
        return known[known["run"].isin(select_ended(self.sweep.runs)["run"])].reset_index(drop=True)

    @property
    def is_measured(self) -> bool:
        """Whether it was measured often enough to see where it stays."""
        return bool(self.history.groupby("run").size().ge(_LEAST).any())

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """A row per run that ended: run, condition and setting as texts, diverged, start and rest: sharpness as a share
        of the largest stable one before training, and its median over the last quarter of the run's updates; reached:
        whether it is at least 0.95 at some update, the start left out; at_edge: whether rest is. Of a run that diverged
        there is no rest, and it is not at the edge.
        """
        ended = select_ended(self.sweep.runs)
        ended = ended[ended["run"].isin(self.history["run"])].reset_index(drop=True)
        last = self.history["run"].map(ended.set_index("run")["updates"])
        late = self.history[self.history["update"] > REST * last].groupby("run")[SHARPNESS].median()
        first = self.history[self.history["update"] == 0].set_index("run")[SHARPNESS]
        most = self.history[self.history["update"] > 0].groupby("run")[SHARPNESS].max()
        diverged = ended["outcome"].eq("diverged")
        rest = ended["run"].map(late).where(~diverged)
        condition, setting = write_parts(ended, self.sweep.swept, self.sweep.conditions)
        return ended[["run"]].assign(
            condition=condition,
            setting=setting,
            diverged=diverged,
            start=ended["run"].map(first),
            rest=rest,
            reached=ended["run"].map(most).ge(NEAR),
            at_edge=rest.ge(NEAR),
        )

    @cached_property
    def settings(self) -> "pd.DataFrame":
        """A row per condition and setting: condition, setting, runs, diverged; reached and at_edge, each with its share
        and that with low and high; the medians of start and rest, the latter with low and high. The intervals of either
        share allow for all rows.
        """
        import pandas as pd

        groups = self.runs.groupby(["condition", "setting"], sort=False)
        level, rows = correct_level(max(len(groups), 1)), []
        for (condition, setting), part in groups:
            row: dict[str, Any] = {"condition": condition, "setting": setting, "runs": len(part)}
            row["diverged"] = int(part["diverged"].sum())
            for name in ("reached", "at_edge"):
                count = int(part[name].sum())
                row |= {name: count} | clopper_pearson(count, len(part), level).name_columns(f"{name}_share")
            row["start"] = float(part["start"].median())
            rows.append(row | median_interval(part["rest"]).name_columns("rest"))
        return pd.DataFrame(rows)

    def count(self, name: str) -> list[Edge]:
        """How many runs of each condition, or of all where there are none, `reached` the edge, or are `at_edge`."""
        groups = self.runs.groupby("condition", sort=False)
        level = correct_level(max(len(groups), 1))
        counts = [(str(condition), int(part[name].sum()), len(part)) for condition, part in groups]
        return [Edge(condition, hits, of, clopper_pearson(hits, of, level)) for condition, hits, of in counts]

    @property
    def leading(self) -> str:
        """Sentences on how many runs come to the edge, and stay there."""
        reached, stay = self.count("reached"), self.count("at_edge")
        allowed = f" The 95 % intervals allow for all {len(stay)} conditions." if len(stay) > 1 else ""
        return (
            f"A sharpness of at least {100 * NEAR:.0f} % of the largest one with which their optimizer is stable on a"
            f" quadratic loss is reached by {_list(reached)}. Over the last quarter of their updates it is that of"
            f" {_list(stay)}.{allowed}"
        )


def tabulate_edge(sweep: "Sweep") -> "pd.DataFrame":
    """A row for each run whose sharpness was measured: run, and, as shares of the largest stable one,

    edge/start  sharpness before training
    edge/rest   its median over the last quarter of the run's updates; ∞ of a run that diverged
    """
    runs = Stability(sweep).runs
    rest = runs["rest"].where(~runs["diverged"], np.inf)
    return runs[["run"]].assign(**{f"{EDGE}start": runs["start"], f"{EDGE}rest": rest})


def _list(edges: Sequence[Edge]) -> str:
    return "; ".join(map(str, edges))
