"""How the settings of a sweep stand so far: how many runs of each have ended, how they did, and which does best.

Settings are ranked within a condition alone, by the rule of a report. What is said of them is of the runs that have
ended so far, of which there may be more of one setting than of another: nothing is concluded from it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.analysis.figures.material import find_display
from bptt.analysis.figures.panels import compute_quartiles
from bptt.analysis.ranking import rank_groups
from bptt.analysis.solved import Solved
from bptt.analysis.statistics.intervals import Interval, clopper_pearson
from bptt.analysis.tables import ACCURACY, KEPT_LOSS, LOSS, SEED, choose_conditions, tabulate_runs, write_parts
from bptt.tracking.folder.files import make_empty_history
from bptt.tracking.history.base import Member, MemberColumns
from bptt.watch.curves import Portion

if TYPE_CHECKING:
    import pandas as pd

    from bptt.tracking.folder.sweep import SweepJournal

#: Of a sweep of several stages, those whose runs are its result, as far as they were begun.
_STAGES: Final = ("result", "tuning", "confirming")


@dataclass(frozen=True)
class Arms:
    """A sweep's settings, in each condition, in the order of their first runs.

    stage       whose runs these are
    conditions  the condition of each; empty where there is none
    settings    its setting
    runs        the numbers of its runs
    """

    stage: str
    conditions: list[str]
    settings: list[str]
    runs: list[NDArray[np.int64]]

    @cached_property
    def of_run(self) -> dict[int, int]:
        """Number of a run → the place of its arm."""
        return {run: place for place, runs in enumerate(self.runs) for run in runs.tolist()}


def find_arms(rows: Sequence[Mapping[str, Any]], journal: "SweepJournal") -> Arms:
    """The arms that a sweep has; rows: number, name, stage and swept, as JSON, of its runs."""
    import pandas as pd

    stage = next((stage for stage in _STAGES if any(row["stage"] == stage for row in rows)), _STAGES[0])
    jobs = MemberColumns.of(
        Member(number=row["number"], name=row["name"], digest="", swept=json.loads(row["swept"]), updates=None)
        for row in rows
        if row["stage"] == stage
    )
    tuned = journal.tuned if stage != "tuning" else []
    keys = [key for key in dict.fromkeys([*journal.swept, SEED]) if key not in tuned]
    swept = [key for key in keys if len({*jobs.swept.get(key, ())}) > 1]
    nothing = pd.DataFrame({"run": pd.Series(dtype="int64")} | dict.fromkeys(("status", "outcome", "updates")))
    table = tabulate_runs(jobs, nothing, make_empty_history())
    parts = write_parts(table, swept, choose_conditions(swept, journal.conditions))
    places: dict[tuple[str, str], list[int]] = {}
    for number, arm in zip(jobs.numbers.tolist(), zip(*parts, strict=True), strict=True):
        places.setdefault(arm, []).append(number)
    return Arms(
        stage=stage,
        conditions=[condition for condition, _ in places],
        settings=[setting for _, setting in places],
        runs=[np.array(runs, np.int64) for runs in places.values()],
    )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How an arm stands.

    runs, ended, diverged, failed, given_up, solved  how many there will be, have ended, and did so
    share    of those that ended by themselves, the share that solved the task, with its exact 95 % interval
    by       the update by which half of them had solved it; None: fewer have
    loss     (3,) quartiles of their last evaluation's loss; infinite: diverged
    rank     its place within its condition, from 0; None: none of its runs has ended
    """

    runs: int
    ended: int
    diverged: int
    failed: int
    given_up: int
    solved: int
    share: Interval
    by: int | None
    loss: NDArray[np.float64]
    rank: int | None


def compare_arms(arms: Arms, portions: Iterable[Portion], solved: str | None) -> tuple[list[Standing], Solved | None]:
    """How each arm stands; and when a run has solved its task, None as long as none has ended.

    portions  those that have ended
    solved    the sweep's own criterion; None: the default, which follows from what was recorded so far
    """
    table, criterion = _tabulate([*portions], solved)
    place = table["run"].map(arms.of_run)
    table, place = table[place.notna()], place[place.notna()].astype(int)
    ranked = _rank(table, place, arms.conditions)
    grouped = {int(key): rows for key, rows in table.groupby(place, sort=False)}
    found = []
    for arm, runs in enumerate(arms.runs):
        rows = grouped.get(arm, table.iloc[:0])
        ended = rows[rows["outcome"].notna()]
        rank, by = ranked.get(arm, (None, np.inf))
        found.append(
            Standing(
                runs=len(runs),
                ended=len(rows),
                diverged=int(ended["outcome"].eq("diverged").sum()),
                failed=int(rows["failed"].sum()),
                given_up=int((rows["outcome"].isna() & ~rows["failed"].astype(bool)).sum()),
                solved=int(rows["solved"].sum()),
                share=clopper_pearson(int(rows["solved"].sum()), len(ended)),
                by=int(by) if np.isfinite(by) else None,
                loss=compute_quartiles(ended[LOSS].to_numpy(dtype=float)[None])[0],
                rank=rank,
            )
        )
    return found, criterion


def _rank(table: "pd.DataFrame", arms: "pd.Series", conditions: Sequence[str]) -> dict[int, tuple[int, float]]:
    """Arm → its rank within its condition, and the median number of updates until it has solved its task."""
    found: dict[int, tuple[int, float]] = {}
    condition = arms.map(dict(enumerate(conditions)))
    for one in dict.fromkeys(condition):
        here = condition.eq(one)
        order = rank_groups(table[here], [*arms[here]])
        found |= {int(arm): (rank, row.updates) for rank, (arm, row) in enumerate(order.iterrows())}
    return found


def _tabulate(portions: Sequence[Portion], solved: str | None) -> "tuple[pd.DataFrame, Solved | None]":
    """A row for each run that has ended, as `rank_groups` takes them; and the criterion."""
    import pandas as pd

    columns: dict[str, list[Any]] = {
        name: [] for name in ("run", "outcome", "failed", "first", "accuracy", LOSS, KEPT_LOSS)
    }
    for portion in portions:
        losses, accuracies = (portion.values.get(name) for name in (LOSS, ACCURACY))
        unknown = [np.nan] * len(portion.runs)
        columns["run"] += portion.runs.tolist()
        columns["outcome"] += [*portion.outcome]
        columns["failed"] += portion.failed.tolist()
        columns[KEPT_LOSS] += portion.kept.tolist()
        columns["first"] += unknown if losses is None or not len(losses) else _take_first(losses).tolist()
        columns["accuracy"] += unknown if accuracies is None or not len(accuracies) else accuracies[-1].tolist()
        columns[LOSS] += unknown if losses is None or not len(losses) else losses[-1].tolist()
    table = pd.DataFrame(columns).astype({"run": "int64", "outcome": object, "first": float, LOSS: float})
    if table.empty:
        return table.assign(solved=False, solved_update=np.nan), None
    history = pd.DataFrame({"run": table["run"], LOSS: table["first"], ACCURACY: table["accuracy"].astype(float)})
    criterion = Solved.default(history) if solved is None else Solved.parse(solved)
    when = np.concatenate([_find_solved(portion, criterion) for portion in portions])
    when[table["outcome"].isna().to_numpy()] = np.nan  # a run that failed, or was given up, solved nothing
    return table.assign(solved=~np.isnan(when), solved_update=when), criterion


def _take_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) what each run recorded first."""
    return values[np.argmax(~np.isnan(values), axis=0), np.arange(values.shape[1])]


def _find_solved(portion: Portion, criterion: Solved) -> NDArray[np.float64]:
    """(R,) the first recorded update that meets the criterion; nan: none did."""
    values = portion.values.get(criterion.metric)
    if values is None or not len(values):
        return np.full(len(portion.runs), np.nan)
    threshold = criterion.threshold * (100 if find_display(criterion.metric).scale == "percent" else 1)
    met = values >= threshold if criterion.op == ">=" else values <= threshold
    return np.where(met.any(axis=0), portion.updates[np.argmax(met, axis=0)], np.nan)
