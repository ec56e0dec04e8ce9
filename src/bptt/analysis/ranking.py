"""Groups of a sweep's runs, best first, and the best setting of each condition."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bptt.analysis.tables import take_kept_loss, write_settings

if TYPE_CHECKING:
    import pandas as pd

#: The rule in words.
RULE: Final = (
    "by the share of runs that solved the task, then by the median number of updates until they did, then by the median"
    " of the last loss"
)


def rank_groups(runs: "pd.DataFrame", groups: Sequence[object]) -> "pd.DataFrame":
    """Groups of runs, best first: by the share that solved the task, then by the median number of updates to solve it,
    then by the median last loss, of runs that keep their best network of its loss. Of equals the one that comes first.

    runs    as of `load(…).runs`
    groups  the group of each run

    Columns: runs (how many), success, updates (infinite where half never solved it), loss; the index is the group. A
    run that FAILED or has not ended solved nothing, and its loss is infinite.
    """
    import numpy as np
    import pandas as pd

    ended = runs["outcome"].notna()
    table = pd.DataFrame(
        {
            "group": pd.Series([*groups], index=runs.index, dtype=object),
            "runs": 1,
            "success": runs["solved"].astype(bool) & ended,
            "updates": runs["solved_update"].where(ended).fillna(np.inf),
            "loss": take_kept_loss(runs).where(ended).fillna(np.inf),
        }
    )
    grouped = table.groupby("group", sort=False)
    found = pd.DataFrame(
        {
            "runs": grouped["runs"].sum(),
            "success": grouped["success"].mean(),
            # No mean of a finite and an infinite one: half of the runs had solved it, or not.
            "updates": grouped["updates"].agg(lambda values: values.quantile(0.5, interpolation="lower")),
            "loss": grouped["loss"].agg(lambda values: values.quantile(0.5, interpolation="higher")),
        }
    )
    return found.sort_values(["success", "updates", "loss"], ascending=[False, True, True], kind="stable")


def choose_best(runs: "pd.DataFrame", keys: Sequence[str], conditions: Sequence[str]) -> list[list[int]]:
    """The runs of the best setting of each condition, by `rank_groups`; conditions in the order of their first run.

    keys  the swept keys but the seed, conditions among them
    """
    harder = write_settings(runs, [key for key in keys if key in conditions])
    settings = write_settings(runs, [key for key in keys if key not in conditions])
    chosen = []
    for condition in dict.fromkeys(harder):
        here = runs[[one == condition for one in harder]]
        names = [setting for setting, one in zip(settings, harder, strict=True) if one == condition]
        best = rank_groups(here, names).index[0]
        chosen.append([int(run) for run, name in zip(here["run"], names, strict=True) if name == best])
    return chosen
