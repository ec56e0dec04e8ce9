"""When a run has solved its task: a metric, and the value that it is to reach."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, Self

from bptt.analysis.tables import ACCURACY, LOSS, RMSE

if TYPE_CHECKING:
    import pandas as pd

_SHARE_OF_FIRST: Final = 0.01


_TEXT: Final = re.compile(r"\s*(?P<metric>[\w/]+)\s*(?P<op>>=|<=)\s*(?P<threshold>\S+)\s*")


@dataclass(frozen=True)
class Solved:
    """A run has solved its task at the first recorded update u with metric(u) >= threshold, or <= threshold."""

    metric: str
    op: Literal[">=", "<="]
    threshold: float

    @classmethod
    def parse(cls, text: str, metrics: Collection[str] = ()) -> Self:
        """The criterion that `accuracy/eval>=1` or `loss/eval<=0.01` is; raises ValueError with one line.

        metrics  those that there are; none given: any is taken
        """
        match = _TEXT.fullmatch(text)
        try:
            assert match is not None
            threshold = float(match["threshold"])
        except (AssertionError, ValueError):
            raise ValueError(
                f"solved={text}: not a criterion; give METRIC>=NUMBER or METRIC<=NUMBER, as accuracy/eval>=1"
            ) from None
        if threshold != threshold:
            raise ValueError(f"solved={text}: the threshold is no number")
        metric = match["metric"]
        if metrics and metric not in metrics:
            near = get_close_matches(metric, metrics, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"solved={text}: {metric} is not recorded; {meant}there are {', '.join(metrics)}")
        return cls(metric, ">=" if match["op"] == ">=" else "<=", threshold)

    @property
    def is_possible(self) -> bool:
        """Whether a run could meet it; False where nothing is to be solved."""
        return not (self.op == "<=" and self.threshold == -math.inf)

    @classmethod
    def default(cls, history: "pd.DataFrame", runs: "pd.DataFrame | None" = None) -> Self:
        """accuracy/eval >= 1 where runs have an accuracy, else loss/eval <= 1 % of the median first recorded one.

        Of targets that are known to be numbers, which a network fits more or less well, nothing: what no run can meet.

        history  run, update, metrics
        runs     what there is one number of, as `rmse/eval`; None: nothing
        """
        import numpy as np

        if ACCURACY in history and history[ACCURACY].notna().any():
            return cls(ACCURACY, ">=", 1.0)
        if runs is not None and RMSE in runs and runs[RMSE].notna().any():
            return cls(LOSS, "<=", -math.inf)
        first = history.groupby("run")[LOSS].first().astype("float64") if LOSS in history else None
        finite = None if first is None else first[np.isfinite(first)]
        if finite is None or finite.empty:
            return cls(LOSS, "<=", 0.0)
        # To three digits, so that the text which is shown is the criterion.
        return cls(LOSS, "<=", float(f"{_SHARE_OF_FIRST * float(finite.median()):.3g}"))

    def first(self, history: "pd.DataFrame") -> "pd.Series":
        """Run → the first recorded update that meets the criterion; runs that never do are absent."""
        import pandas as pd

        if self.metric not in history:
            return pd.Series(dtype="float64", index=pd.Index([], dtype="int64", name="run"), name="update")
        values = history[self.metric]
        met = history[values.ge(self.threshold) if self.op == ">=" else values.le(self.threshold)]
        return met.groupby("run")["update"].min().astype("float64")

    def __str__(self) -> str:
        return f"{self.metric}{self.op}{self.threshold:.6g}"
