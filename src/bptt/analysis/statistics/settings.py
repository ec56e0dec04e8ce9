"""What can be said of a sweep's settings, each over its seeds, and how sure it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.statistics.intervals import (
    Interval,
    clopper_pearson,
    iqm_interval,
    location_intervals,
    median_interval,
    median_updates,
    probability_of_improvement,
    share_difference,
    survival,
)
from bptt.analysis.statistics.variance import variance_shares
from bptt.analysis.tables import ACCURACY, LOSS, drop_seed, take_final, write_settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "Interval",
    "clopper_pearson",
    "iqm_interval",
    "median_interval",
    "median_updates",
    "probability_of_improvement",
    "setting_statistics",
    "share_difference",
    "survival",
    "variance_shares",
]


_LOCATED: Final = {"loss": LOSS, "best_loss": f"best/{LOSS}", "accuracy": ACCURACY}


def setting_statistics(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str] = ()) -> "pd.DataFrame":
    """A row for each setting in each condition, in the order of its first run.

    runs        as of `load(…).runs`
    swept       the swept keys; a setting is all of them but the seed and the conditions
    conditions  those that make a task harder: a setting is compared with others within one condition alone

    Columns: condition (text, where there are any), setting (text), the swept keys, then
    runs        how many there are
    ended       how many of them ended, among them those that diverged, stopped early or were pruned by a search: the
                statistics are of these
    diverged, failed, unfinished  how many of all runs did, FAILED, or were broken off or never begun
    solved      how many solved their task; success their share of those that ended (Clopper and Pearson's interval)
    loss_median, loss_iqm            of the last evaluations' loss; a diverged run's is infinite (bootstrap intervals)
    best_loss_median, best_loss_iqm  of the least loss that each run had
    accuracy_median, accuracy_iqm    of the last accuracy; a diverged run's is 0
    updates_to_solve_median          the first recorded update at which half of the runs had solved it; nan: not reached
    updates_to_solve_median_after    the update after which half of the runs solved it: the median lies between the two
    Each estimate is followed by the ends of its 95 % interval, …_low and …_high; that of a median number of updates
    reaches from the low end of its lower bound's to the high end of its upper bound's. Columns whose metric no run
    recorded are left out.
    """
    import pandas as pd

    keys = [key for key in drop_seed(swept) if key in runs]
    status = runs["status"].fillna("")
    ended, failed = runs["outcome"].notna(), status.eq("FAILED")
    text = {"condition": write_settings(runs, [key for key in keys if key in conditions])} if conditions else {}
    table = runs[keys].assign(
        **text,
        setting=write_settings(runs, [key for key in keys if key not in conditions]),
        ended=ended,
        diverged=runs["outcome"].eq("diverged"),
        failed=failed,
        unfinished=~(ended | failed),
    )
    grouped = table.groupby([*text, "setting", *keys], sort=False, dropna=False)
    counted = grouped[["ended", "diverged", "failed", "unfinished"]].sum()
    counted.insert(0, "runs", grouped.size())
    counted = counted.reset_index()
    setting = grouped.ngroup().to_numpy()[table["ended"]]
    return pd.concat([counted, _estimate(runs[table["ended"]], setting, len(counted))], axis=1)


def _estimate(runs: "pd.DataFrame", setting: "NDArray[np.int64]", settings: int) -> "pd.DataFrame":
    """The columns with intervals, of runs that ended and the number of each one's setting."""
    import pandas as pd

    def grouped(column: "pd.Series") -> "list[NDArray[Any]]":
        values = column.to_numpy()
        return [values[setting == number] for number in range(settings)]

    columns: dict[str, Any] = {}
    if "solved" in runs:
        solved = grouped(runs["solved"].astype(bool))
        columns["solved"] = [int(values.sum()) for values in solved]
        columns |= _make_columns("success", [clopper_pearson(int(values.sum()), len(values)) for values in solved])
    for name, metric in _LOCATED.items():
        if metric == LOSS or (metric in runs and runs[metric].notna().any()):
            found = location_intervals(grouped(take_final(runs, metric)))
            columns |= _make_columns(f"{name}_median", [location.median for location in found])
            columns |= _make_columns(f"{name}_iqm", [location.iqm for location in found])
    if "solved" in runs:
        seen = grouped(runs["observed"])
        before = grouped(runs["solved_after"].fillna(runs["observed"]))
        upper = [median_updates(times, event) for times, event in zip(seen, solved, strict=True)]
        lower = [median_updates(times, event) for times, event in zip(before, solved, strict=True)]
        columns["updates_to_solve_median_after"] = [interval.value for interval in lower]
        columns |= _make_columns(
            "updates_to_solve_median",
            [Interval(high.value, low.low, high.high) for low, high in zip(lower, upper, strict=True)],
        )
    return pd.DataFrame(columns, index=range(settings))


def _make_columns(name: str, intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {
        name: [interval.value for interval in intervals],
        f"{name}_low": [interval.low for interval in intervals],
        f"{name}_high": [interval.high for interval in intervals],
    }
