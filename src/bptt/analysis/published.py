"""What was published, beside what a sweep's runs say: each number and claim, and whether it is so here."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.analysis.capacity import STORED, measure_capacity
from bptt.analysis.comparison import find_horizon, name_outcome, take_metric
from bptt.analysis.foretelling import AREA, Start
from bptt.analysis.stability import EDGE, tabulate_edge
from bptt.analysis.statistics.conclusions import Comparison, ConditionRuns, Measure, Question, conclude, correct_level
from bptt.analysis.statistics.intervals import Interval, clopper_pearson, median_interval, median_updates
from bptt.analysis.tables import SEED, show_value, write_settings
from bptt.configuration.published import Published, PublishedRow, Selected, is_same_value, read_published

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bptt.analysis.report.findings import Findings
    from bptt.analysis.sweep import Sweep

Verdict = Literal["same", "different", "unsettled", "missing", "shown"]

SOLVED: Final = "solved"
UPDATES: Final = "updates"
#: What a comparison has to come to for a claim to hold. Of shares it is `more` where the first side does it more often,
#: of updates where it is sooner, of a column where its number is the smaller one.
_MEANT: Final[Mapping[str, Mapping[str, str]]] = {
    SOLVED: {"more": "more", "less": "less", "same": "same"},
    UPDATES: {"more": "less", "less": "more", "same": "same"},
    "loss": {"more": "less", "less": "more", "same": "same"},
}
#: What the names of numbers begin with that are made of what was recorded → the table of a sweep's runs that has them.
_MADE: Final[Mapping[str, Callable[["Sweep"], "pd.DataFrame"]]] = {STORED: measure_capacity, EDGE: tabulate_edge}
#: Such a number → the swept keys across whose values it picks one run of each seed: partners need not share those.
_PICKED: Final[Mapping[str, tuple[str, ...]]] = {f"{STORED}most": ("task.patterns",)}


@dataclass(frozen=True)
class PublishedAnswer:
    """What a sweep's runs say of a row of what was published.

    ours     the share, the updates or the column's median, with its interval; of two settings their difference: of
             shares, or the probability that the first has the smaller number, or is sooner
    runs     how many it is of; of two settings those of both, or the pairs
    solved   of how many of these runs, where it is a share
    found    the comparison, where it is one
    verdict  whether it is the `same` here, `different`, `unsettled` by these runs; `missing`: no run answers it;
             `shown`: nothing is compared
    why      it can't be answered; empty: it is, or no run has these values
    """

    row: PublishedRow
    ours: Interval
    runs: int
    solved: int | None
    found: Comparison | None
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class HeldAgainst:
    """A sweep that is held against what was published.

    Intervals of numbers allow for all numbers that are compared, those of comparisons for all comparisons.
    """

    findings: "Findings"
    published: Published

    @classmethod
    def of(cls, findings: "Findings") -> "HeldAgainst | None":
        """None where it is held against nothing. Raises ValueError where what was noted can't be read."""
        problems: list[str] = []
        published = read_published(findings.sweep.published, problems)
        if problems:
            raise ValueError(problems[0])
        return None if published is None else cls(findings, published)

    @cached_property
    def answers(self) -> list[PublishedAnswer]:
        """An answer to each row, in their order."""
        rows = self.published.rows
        level = correct_level(max(1, sum(row.number is not None for row in rows)))
        found: list[PublishedAnswer | Question] = []
        for row in rows:
            try:
                found.append(self._answer(row, level) if row.against is None else self._ask(row))
            except ValueError as error:  # of this row; the others are answered
                found.append(_miss(row, str(error)))
        concluded = iter(conclude([one for one in found if isinstance(one, Question)]))
        return [
            _judge(row, next(concluded)) if isinstance(one, Question) else one
            for row, one in zip(rows, found, strict=True)
        ]

    def _answer(self, row: PublishedRow, level: float) -> PublishedAnswer:
        runs = self._select(row.where)
        if runs.empty:
            return _miss(row)
        solved = None
        if row.measure == SOLVED:
            solved = int(self._did_solve(runs).sum())
            ours = clopper_pearson(solved, len(runs), level)
        elif row.measure == UPDATES:
            ours = median_updates(runs["observed"].astype(float), runs["solved"].astype(bool), level)
            if np.isnan(ours.low):  # not reached while they were watched: later
                ours = replace(ours, low=find_horizon(runs))
        elif row.measure.startswith(AREA):
            start, symbol = Start(self.findings.sweep), row.measure.removeprefix(AREA)
            ours = start.find_area(symbol, runs["run"].tolist(), level)
        else:
            values = self._take(runs, row)
            runs, ours = runs[~np.isnan(values)], median_interval(values, level)
        return PublishedAnswer(row, ours, len(runs), solved, None, _compare(row, ours))

    def _ask(self, row: PublishedRow) -> Question:
        """The question which of two settings is more so; runs are pairs where their seeds and all else that was swept
        are equal, within the conditions that neither side names.
        """
        assert row.against is not None
        named = {key for key, _ in (*row.where, *row.against)} | {*_PICKED.get(row.measure, ())}
        conditions = [key for key in self.findings.conditions if key not in named]
        beside = [key for key in self.findings.keys if key not in named and key not in conditions]
        selected = [self._select(where) for where in (row.where, row.against)]
        if {*selected[0]["run"]} & {*selected[1]["run"]}:
            raise ValueError(f"{row.what}: where and against have runs in common")
        # Runs of other conditions may have been watched for less long.
        watched = [find_horizon(runs) for runs in selected if len(runs)] if row.measure == UPDATES else []
        horizon = min(watched, default=None)
        sides = [
            self._list_values(runs, row, conditions, beside, side, horizon)
            for runs, side in zip(selected, ("where", "against"), strict=True)
        ]
        names = dict.fromkeys(name for side in sides for name in side)
        return Question(
            a=_write_selected(row.where),
            b=_write_selected(row.against),
            measure=_name_measure(row),
            conditions=[ConditionRuns(name, *(side.get(name, {}) for side in sides)) for name in names],
            horizon=horizon,
            margin=row.within,
            called=None if row.measure in (SOLVED, UPDATES) else row.measure,
        )

    def _list_values(
        self,
        runs: "pd.DataFrame",
        row: PublishedRow,
        conditions: Sequence[str],
        beside: Sequence[str],
        side: str,
        horizon: float | None,
    ) -> dict[str, dict[Any, float]]:
        """Condition → what its runs have, each by its seed and all else."""
        if row.measure == SOLVED:
            values = self._did_solve(runs).to_numpy(float)
        elif row.measure == UPDATES:
            values = runs["solved_update"].fillna(np.inf).to_numpy(float)
            if horizon is not None:  # what one side was not watched for is not known of it
                values = np.where(values <= horizon, values, np.inf)
        else:
            values = self._take(runs, row)
        known = ~np.isnan(values)
        runs, values = runs[known], values[known]
        names = write_settings(runs, conditions) if conditions else [""] * len(runs)
        others = write_settings(runs, beside)
        seeds = runs[SEED].tolist() if SEED in runs else [0] * len(runs)
        keys = list(zip(names, seeds, others, strict=True))
        times = Counter(keys)
        found: dict[str, dict[Any, float]] = {}
        for run, key, value in zip(runs["run"].tolist(), keys, values, strict=True):
            name, *rest = key
            # Of runs that nothing tells apart none is another's partner rather than the next.
            found.setdefault(name, {})[tuple(rest) if times[key] == 1 else (*rest, run, side)] = float(value)
        return found

    def _take(self, runs: "pd.DataFrame", row: PublishedRow) -> "NDArray[np.float64]":
        """What each of these runs has; NaN: nothing."""
        if row.measure in runs:
            if runs[row.measure].dtype.kind not in "iufb":
                raise ValueError(f"{row.what}: {row.measure} is no number")
            return take_metric(runs, row.measure)
        made = next((made for begin, made in self._made.items() if row.measure.startswith(begin)), None)
        if made is None or row.measure not in made:
            raise ValueError(f"{row.what}: no run has {row.measure}")
        return runs["run"].map(made[row.measure]).to_numpy(float)

    @cached_property
    def _made(self) -> "dict[str, pd.DataFrame]":
        """The tables of `_MADE` that some row asks for, by run."""
        asked = [begin for begin in _MADE if any(row.measure.startswith(begin) for row in self.published.rows)]
        return {begin: _MADE[begin](self.findings.sweep).set_index("run") for begin in asked}

    def _did_solve(self, runs: "pd.DataFrame") -> "pd.Series":
        """Whether each of these runs ended with the task solved, on the test set too where there is one."""
        proofs = self.findings.proofs
        if not proofs:
            raise ValueError("nothing says when a run has solved its task; `solved` does")
        return proofs.get("confirmed", proofs["held"]).loc[runs.index]

    def _select(self, where: Selected) -> "pd.DataFrame":
        """The runs that ended and have these values; those of a key that was not swept are the configuration's."""
        runs = self.findings.ended_runs
        chosen = np.full(len(runs), True)
        for key, value in where:
            if key in runs:
                own: Sequence[Any] = runs[key].tolist()
            else:
                own = [self._leaves[int(run)].get(key) for run in runs["run"]]
            chosen &= np.array([is_same_value(one, value) for one in own], dtype=bool)
        return runs[chosen]

    @cached_property
    def _leaves(self) -> dict[int, dict[str, Any]]:
        """Run → its whole configuration, full key → value."""
        return dict(zip(self.findings.sweep.configs, self.findings.flat, strict=True))


def _miss(row: PublishedRow, why: str = "") -> PublishedAnswer:
    """That nothing answers a row."""
    return PublishedAnswer(row, Interval(np.nan, np.nan, np.nan), 0, None, None, "missing", why)


def _name_measure(row: PublishedRow) -> Measure:
    return "solved" if row.measure == SOLVED else "updates" if row.measure == UPDATES else "loss"


def _compare(row: PublishedRow, ours: Interval) -> Verdict:
    """Whether ours is what a row says: the same only where the whole interval is near enough."""
    number = row.number
    if number is None:
        return "shown"
    if np.isnan(ours.low) and np.isnan(ours.high):
        return "unsettled"
    reach = row.within if row.measure == SOLVED or number == 0 else row.within * abs(number)
    low = -np.inf if np.isnan(ours.low) else ours.low
    high = np.inf if np.isnan(ours.high) else ours.high
    if row.claim == "at_least":
        return "same" if low >= number - reach else "different" if high < number - reach else "unsettled"
    if row.claim == "at_most":
        return "same" if high <= number + reach else "different" if low > number + reach else "unsettled"
    if number - reach <= low and high <= number + reach:
        return "same"
    return "different" if high < number - reach or low > number + reach else "unsettled"


def _judge(row: PublishedRow, found: Comparison) -> PublishedAnswer:
    """Whether a claim holds, by what its comparison came to."""
    wanted = _MEANT[_name_measure(row)][row.claim or "more"]
    verdict: Verdict = "unsettled"
    if found.outcome == "missing":
        verdict = "missing"
    elif found.outcome == wanted:
        verdict = "same"
    elif found.outcome in ("more", "less", "same"):
        verdict = "different"
    runs = found.runs[0] if found.paired else sum(found.runs)
    return PublishedAnswer(row, found.difference, runs, None, found, verdict)


def _write_selected(where: Selected) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={show_value(value)}" for key, value in where) or "all runs"


#: Verdict → the words of the table.
WORDS: Final[Mapping[Verdict, str]] = {
    "same": "the same",
    "different": "different",
    "unsettled": "not settled by these runs",
    "missing": "no run answers it",
    "shown": "",
}


def write_ours(answer: PublishedAnswer) -> str:
    """What ours came to, with its interval, as a cell of a table."""
    ours, row = answer.ours, answer.row
    if answer.verdict == "missing":
        return answer.why
    if answer.found is not None:
        return _write_comparison(answer.found, answer.row.claim == "more")
    if answer.solved is not None:
        return f"{answer.solved} of {answer.runs} ({100 * ours.low:.0f} to {100 * ours.high:.0f} %)"
    write: Callable[[float], str] = (lambda number: f"{number:,.0f}") if row.measure == UPDATES else _write_number
    if np.isnan(ours.value):
        return "fewer than half do" if row.measure == UPDATES else "no number"
    ends = [write(end) if not np.isnan(end) else "?" for end in (ours.low, ours.high)]
    return f"{write(ours.value)} ({ends[0]} to {ends[1]})"


def _write_comparison(found: Comparison, more: bool) -> str:
    if np.isnan(found.difference.value):
        reasons = {why for _, why in found.silent}
        if found.question.measure == SOLVED and reasons <= {"all", "none"} and reasons:
            runs = [
                sum(map(len, side)) for side in zip(*((one.a, one.b) for one in found.question.conditions), strict=True)
            ]
            did = " or ".join(sorted(reasons))
            return f"{did} of {runs[0]} do, and {did} of {runs[1]}: no difference can show"
        return name_outcome(found)
    value, low, high = (100 * end for end in (found.difference.value, found.difference.low, found.difference.high))
    if found.shares is not None:
        a, b = (100 * share for share in found.shares)
        return f"{a:.0f} % against {b:.0f} %: {value:+.0f} points ({low:+.0f} to {high:+.0f})".replace("-", "−")
    if more:
        value, low, high = 100 - value, 100 - high, 100 - low
    if found.question.measure == UPDATES:
        which = f"the first is {'later' if more else 'sooner'}"
    else:
        which = f"the first's is {'larger' if more else 'smaller'}"
    return f"{which} on {value:.0f} % of {'pairs' if found.paired else 'comparisons'} ({low:.0f} to {high:.0f} %)"


def _write_number(number: float) -> str:
    return f"{number:.4g}"
