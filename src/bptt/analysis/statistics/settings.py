"""What can be said of a sweep's settings, each over its seeds, and how sure it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.statistics.intervals import (
    Interval,
    clopper_pearson,
    iqm_interval,
    location_intervals,
    median_interval,
    probability_of_improvement,
    share_difference,
)
from bptt.analysis.statistics.survival import median_updates, survival
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


def setting_statistics(runs: "pd.DataFrame", swept: Sequence[str]) -> "pd.DataFrame":
    """A row for each setting, which is all that was swept but the seed, in the order of its first run.

    runs   as of `load(…).runs`
    swept  the swept keys

    Columns: setting (text), the swept keys, then
    runs        how many there are
    ended       how many of them ended, among them those that diverged, stopped early or were pruned by a search: the
                statistics are of these
    diverged, failed, unfinished  how many of all runs did, FAILED, or were broken off or never begun
    solved      how many solved their task; success their share of those that ended (Clopper and Pearson's interval)
    loss_median, loss_iqm            of the last evaluations' loss; a diverged run's is infinite (bootstrap intervals)
    best_loss_median, best_loss_iqm  of the least loss that each run had
    accuracy_median, accuracy_iqm    of the last accuracy; a diverged run's is 0
    updates_to_solve_median          the first recorded update at which half of the runs had solved it; nan: not reached
    Each estimate is followed by the ends of its 95 % interval, …_low and …_high. Columns whose metric no run recorded
    are left out.
    """
    import pandas as pd

    keys = [key for key in drop_seed(swept) if key in runs]
    status = runs["status"].fillna("")
    ended, failed = runs["outcome"].notna(), status.eq("FAILED")
    table = runs[keys].assign(
        setting=write_settings(runs, keys),
        ended=ended,
        diverged=runs["outcome"].eq("diverged"),
        failed=failed,
        unfinished=~(ended | failed),
    )
    grouped = table.groupby(["setting", *keys], sort=False, dropna=False)
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
        watched = zip(grouped(runs["observed"]), solved, strict=True)
        columns |= _make_columns("updates_to_solve_median", [median_updates(*seen) for seen in watched])
    return pd.DataFrame(columns, index=range(settings))


def _make_columns(name: str, intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {
        name: [interval.value for interval in intervals],
        f"{name}_low": [interval.low for interval in intervals],
        f"{name}_high": [interval.high for interval in intervals],
    }
