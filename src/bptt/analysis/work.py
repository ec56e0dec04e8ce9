"""What runs cost, in place of how many updates they took: the same tables along gradient evaluations or seconds."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from bptt.analysis.statistics.intervals import median_updates
from bptt.analysis.style import are_logarithmic
from bptt.analysis.tables import drop_seed, write_settings

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: What training may be shown along.
Axis = Literal["update", "work/gradients", "work/seconds"]
AXES: Final[tuple[Axis, ...]] = get_args(Axis)
UPDATES, GRADIENTS, SECONDS = AXES
#: At an axis.
AXIS_LABELS: Final[Mapping[Axis, str]] = {
    UPDATES: "update",
    GRADIENTS: "gradient evaluations",
    SECONDS: "processor time (s)",
}
_MOST_PLACES: Final = 200  # along an axis on which hardly two runs have a value in common
_ALIKE: Final = 1e-9  # relative, of gradients per update


def check_axis(along: str, history: "pd.DataFrame") -> Axis:
    """Raise ValueError, in one line, where there is no such axis, or nothing of it was recorded."""
    found: Axis | None = next((axis for axis in AXES if axis == along), None)
    if found is None:
        near = get_close_matches(along, AXES, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"along={along}: must be {', '.join(AXES[:-1])} or {AXES[-1]}{meant}")
    if found != UPDATES and (found not in history or not history[found].notna().any()):
        raise ValueError(f"along={along}: was not recorded of these runs; train them again, or use along={UPDATES}")
    return found


def costs_differ(runs: "pd.DataFrame") -> bool:
    """Whether an update cost some of these runs more gradient evaluations than others; runs as of `load(…).runs`."""
    if GRADIENTS not in runs:
        return False
    each = (runs[GRADIENTS].astype(float) / runs["updates"].astype(float)).where(runs["outcome"].notna()).dropna()
    return bool(len(each)) and bool(each.max() - each.min() > _ALIKE * each.max())


def restate_history(history: "pd.DataFrame", along: Axis) -> "pd.DataFrame":
    """A history whose column `update` is what its runs had cost by then.

    Where hardly two runs have a value in common it is that of the next of some 200 places, spaced as the updates are;
    of several rows of a run at one place the last is kept. A row that says nothing of its work, that at which a run
    diverged, has what so many updates cost of the same run.
    """
    if along == UPDATES:
        return history
    costs = _fill(history, along)
    known = history.assign(update=costs)[costs.notna()]
    values = np.unique(known["update"])
    if len(values) > 2 * _MOST_PLACES:
        places = _space(values, history["update"].to_numpy())
        known = known.assign(update=places[np.searchsorted(places[:-1], known["update"])])
    return known.drop_duplicates(["run", "update"], keep="last")


def restate_runs(runs: "pd.DataFrame", history: "pd.DataFrame", along: Axis) -> "pd.DataFrame":
    """Runs, as of `load(…).runs`, whose solved_update, solved_after and observed are what they had cost by then.

    Of a run that diverged `observed` is what all of its updates would have cost at the rate until there.
    """
    if along == UPDATES:
        return runs
    import pandas as pd

    costs = history.assign(cost=_fill(history, along)).dropna(subset="cost")
    at = costs.set_index(["run", "update"])["cost"]
    ends = costs.groupby("run")[["update", "cost"]].last()
    rate = runs["run"].map(ends["cost"] / ends["update"])

    def restate(updates: "pd.Series") -> "NDArray[Any]":
        wanted = pd.MultiIndex.from_arrays([runs["run"], updates.astype("float64")])
        exact = at.reindex(wanted).to_numpy()
        return np.where(np.isnan(exact), (rate * updates.astype("float64")).to_numpy(), exact)

    times = [name for name in ("solved_update", "solved_after", "observed") if name in runs]
    return runs.assign(**{name: restate(runs[name]) for name in times})


def tabulate_work(
    runs: "pd.DataFrame", history: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str] = ()
) -> "pd.DataFrame":
    """What each setting cost, a row for each in each condition, in the order of its first run.

    Arguments as of `bptt.analysis.statistics.settings.setting_statistics`. Columns: condition (text, where there are
    any), setting (text), ended (runs), solved (of them), then
    gradients_per_update, seconds_per_update  the median over runs of what an update cost
    updates, gradients, seconds               until half of the runs had solved the task: the median of Kaplan and
                                              Meier's estimate; NaN: not reached. …_after: the median lies above it, as
                                              a run is seen at recorded updates alone; …_low, …_high: the ends of the
                                              95 % interval of both
    """
    import pandas as pd

    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    keys = [key for key in drop_seed(swept) if key in runs]
    text = {"condition": write_settings(ended, [key for key in keys if key in conditions])} if conditions else {}
    text["setting"] = write_settings(ended, [key for key in keys if key not in conditions])
    restated = {along: restate_runs(ended, history, along) for along in AXES if along == UPDATES or along in runs}
    rows = []
    for names, part in ended.assign(**text).groupby([*text], sort=False):
        row: dict[str, Any] = dict(zip(text, names, strict=True))
        row |= {"ended": len(part), "solved": int(part["solved"].sum())}
        for along in (GRADIENTS, SECONDS):
            each = (
                part[along].astype(float) / part["updates"].astype(float) if along in part else pd.Series(dtype=float)
            )
            row[f"{along.removeprefix('work/')}_per_update"] = each.median()
        for along, table in restated.items():
            name = "updates" if along == UPDATES else along.removeprefix("work/")
            row |= _estimate(name, table.loc[part.index])
        rows.append(row)
    return pd.DataFrame(rows)


def _estimate(name: str, runs: "pd.DataFrame") -> dict[str, float]:
    solved, seen = runs["solved"].astype(bool).to_numpy(), runs["observed"].to_numpy(dtype=float)
    after = runs["solved_after"].fillna(runs["observed"]).to_numpy(dtype=float)
    low, high = (median_updates(times, solved) for times in (after, seen))
    return {name: high.value, f"{name}_after": low.value, f"{name}_low": low.low, f"{name}_high": high.high}


def _fill(history: "pd.DataFrame", along: Axis) -> "pd.Series":
    """The costs, of rows without one by the rate of the last row before that has one."""
    costs, updates = history[along].astype("float64"), history["update"].astype("float64")
    rate = (costs / updates).groupby(history["run"]).ffill()
    return costs.where(costs.notna(), rate * updates)


def _space(values: "NDArray[np.float64]", updates: "NDArray[Any]") -> "NDArray[np.float64]":
    """Places from the least to the largest value, logarithmic where the recorded updates are spaced so."""
    if are_logarithmic(np.unique(updates)) and values[0] > 0:
        return np.geomspace(values[0], values[-1], _MOST_PLACES)
    return np.linspace(values[0], values[-1], _MOST_PLACES)
