"""What the reports' tables say: the only source of the numbers in the index."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bptt.analysis.statistics.conclusions import Comparison, ConditionRuns, Question, conclude
from bptt.analysis.statistics.settings import Interval, clopper_pearson, median_updates


class UnsupportedError(Exception):
    """The tables don't hold what a sentence is about, or say otherwise; one line."""


@dataclass(frozen=True)
class Share:
    """How many runs of how many did something.

    runs  where it is known which: a row for each run that ended, with what was swept and `did`
    """

    count: int
    of: int
    runs: "pd.DataFrame | None" = field(default=None, repr=False, compare=False)

    @property
    def interval(self) -> Interval:
        """The share, with its exact 95 % interval."""
        return clopper_pearson(self.count, self.of)

    def __str__(self) -> str:
        interval = self.interval
        return f"{self.count:,} of {self.of:,} ({100 * interval.low:.0f} to {100 * interval.high:.0f} %)"

    @property
    def short(self) -> str:
        """For the cell of a table."""
        return f"{self.count}/{self.of}"

    def __sub__(self, other: "Share") -> Comparison:
        """One share less another, see `ask`."""
        (found,) = conclude([self.ask(other)])
        return found

    def ask(self, other: "Share") -> Question:
        """Which of the two is larger. Where it is known which runs they are, those are pairs that have equal seeds, and
        all else equal that has the same values in both shares; they are none where that does not tell a share's runs
        apart.
        """
        keys = self._list_shared(other)
        sides = [share._by_condition(keys, side) for share, side in ((self, "a"), (other, "b"))]
        if "" in {*sides[0]} ^ {*sides[1]}:
            sides = [share._by_condition([], side) for share, side in ((self, "a"), (other, "b"))]
        conditions = [ConditionRuns(name, sides[0][name], sides[1][name]) for name in sides[0] if name in sides[1]]
        return Question("the first", "the second", "solved", conditions)

    def __add__(self, other: "Share") -> "Share":
        known = self.runs is not None and other.runs is not None
        runs = pd.concat([self.runs, other.runs], ignore_index=True) if known else None
        return Share(self.count + other.count, self.of + other.of, runs)

    def _list_shared(self, other: "Share") -> list[str]:
        """The keys by whose values runs of both are matched."""
        if self.runs is None or other.runs is None:
            return []
        one, two = self.runs.astype(str), other.runs.astype(str)
        return [key for key in one if key != "did" and key in two and {*one[key]} == {*two[key]}]

    def _by_condition(self, keys: Sequence[str], side: str) -> dict[str, dict[Any, float]]:
        """Each condition's runs by what they are matched by, and whether they did it."""
        if not keys:
            return {"": {(side, place): float(place < self.count) for place in range(self.of)}}
        found: dict[str, dict[Any, float]] = {}
        assert self.runs is not None
        for row in self.runs.astype(object).to_dict("records"):
            name = " ".join(f"{key.rpartition('.')[2]}={row[key]}" for key in keys if key.startswith("task"))
            same = tuple(str(row[key]) for key in keys)
            mine = found.setdefault(name, {})
            if same in mine:  # no run is more of a partner than the other
                return self._by_condition([], side)
            mine[same] = float(row["did"])
        return found


@dataclass(frozen=True)
class Tables:
    """The tables of a sweep's report.

    folder  of the report
    """

    folder: Path

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self.folder.name

    @cached_property
    def settings(self) -> pd.DataFrame:
        """A row per setting: the swept keys, and what its runs came to."""
        return self.read("results")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run."""
        return self.read("runs")

    def levels(self, key: str) -> list[float]:
        """The numbers that a swept key has, ascending."""
        return sorted(float(value) for value in self.settings[key].dropna().unique())

    def solved(self, **where: object) -> Share:
        """The runs that solved their task at a recorded update; see `rows` for where."""
        return self._share("solved", where)

    def held(self, **where: object) -> Share:
        """The runs whose task was solved at the end of their training."""
        return self._share("held", where)

    def confirmed(self, **where: object) -> Share:
        """The runs whose task was solved at the end of their training, on the test set too."""
        return self._share("confirmed", where)

    def diverged(self, **where: object) -> Share:
        """The runs that diverged."""
        return self._share("diverged", where)

    def write_median_updates(self, **where: object) -> str:
        """The updates between which half of these runs had solved their task, `300–320`; empty: not reached."""
        runs = self.rows(self.runs, where)
        solved = runs["solved_update"].notna()
        after, until = (
            median_updates(runs[end].fillna(runs["updates"]), solved).value for end in ("solved_after", "solved_update")
        )
        return "" if np.isnan(until) else f"{after:,.0f}–{until:,.0f}"

    def write_cost(self, of: str, **where: object) -> str:
        """What it cost until half of these runs, of one setting in one condition, had solved the task, in gradients or
        seconds as the report's table of costs says, `300–320`; empty: fewer than half did, or nothing is known.
        """
        if not (self.folder / "tables" / "costs.csv").is_file():
            return ""
        costs = self.read("costs")
        ((condition, setting),) = self.rows(self.settings, where)[["condition", "setting"]].astype(str).to_numpy()
        # Its conditions are told with what goes with them.
        named = (costs["condition"] + " ").str.startswith(f"{condition} ") & costs["setting"].eq(setting)
        after, until = (float(costs.loc[named, name].item()) for name in (f"{of}_after", of))
        return "" if np.isnan(until) else f"{after:,.0f}–{until:,.0f}"

    def value(self, key: str) -> str:
        """What a key has in all runs, as the setup's table says."""
        part, _, name = key.partition(".")
        setup = self.read("setup").set_index("part")
        for text in setup.loc[[part], "values"].astype(str) if part in setup.index else ():
            if found := re.search(rf"(?:^|\s){re.escape(name)}=(\S+)", text):
                return found[1]
        raise UnsupportedError(f"{self.name}: {key} is not the same in all runs")

    def rows(self, table: pd.DataFrame, where: Mapping[str, object]) -> pd.DataFrame:
        """The rows of a table with these values of swept keys, of which there must be some.

        where  key → value, a dot of the key written as two underscores; None: it has none; ...: it has one
        """
        chosen = np.full(len(table), True)
        for name, value in where.items():
            key = name.replace("__", ".")
            if key not in table:
                raise UnsupportedError(f"{self.name}: {key} was not swept")
            chosen &= _equals(table[key], value).to_numpy()
        if not chosen.any():
            raise UnsupportedError(f"{self.name}: no setting with {dict(where)}")
        return table[chosen]

    def has_figure(self, name: str) -> bool:
        """Whether the report has a figure of this name."""
        return name in self._figures

    def alt(self, figure: str) -> str:
        """What one sees in a figure, as the report says."""
        if figure not in self._figures:
            raise UnsupportedError(f"{self.name}: the report has no figure {figure}; it has {', '.join(self._figures)}")
        return self._figures[figure]

    @cached_property
    def _figures(self) -> dict[str, str]:
        found = re.findall(r"!\[((?:[^\]\\]|\\.)*)\]\(figures/(\w+)\.png\)", self._report)
        return {name: alt for alt, name in found}

    @cached_property
    def _report(self) -> str:
        return (self.folder / "report.md").read_text(encoding="utf-8")

    @cached_property
    def tuned(self) -> dict[str, list[float]]:
        """Key → the values that were tried, of the keys that each setting tuned; empty: none was."""
        if not (self.folder / "tables" / "tuning.csv").is_file():
            return {}
        keys = list(self._tuning)[: list(self._tuning).index("runs")]
        return {
            key: sorted(float(value) for value in self._tuning[key].dropna().unique())
            for key in keys
            if key not in {"condition", "setting"}
        }

    def count_edges(self) -> tuple[int, int]:
        """How many settings took a value at the edge of what was tried, and how many tuned one."""
        chosen = self._tuning[self._tuning["chosen"]]
        return int(chosen["edge"].notna().sum()), len(chosen)

    @cached_property
    def _tuning(self) -> pd.DataFrame:
        return self.read("tuning")

    def _share(self, column: str, where: Mapping[str, object]) -> Share:
        asked = repr((column, sorted(where.items())))
        if asked not in self._shares:
            self._shares[asked] = self._count(column, where)
        return self._shares[asked]

    @cached_property
    def _shares(self) -> dict[str, Share]:
        """What was counted already: one page asks for the same runs in several of its sentences."""
        return {}

    def _count(self, column: str, where: Mapping[str, object]) -> Share:
        rows = self.rows(self.settings, where)
        count, of = int(rows[column].sum()), int(rows["ended"].sum())
        runs = self.rows(self.runs, where)
        runs = runs[runs["outcome"].notna()]
        held = self._holds(runs)
        did = {
            "solved": runs["solved_update"].notna(),
            "held": held,
            "confirmed": held.eq(True) & self._holds(runs, "/test").eq(True),
        }.get(column)
        if did is None or (int(did.sum()), len(runs)) != (count, of):
            return Share(count, of)
        # A status is there where not all runs have the same.
        before = list(self.runs)[: list(self.runs).index("status" if "status" in self.runs else "outcome")]
        swept = [key for key in before if key not in {"run", "name", *self.tuned}]
        return Share(count, of, runs[swept].assign(did=did).reset_index(drop=True))

    def _holds(self, runs: pd.DataFrame, of: str = "/eval") -> "pd.Series":
        """Whether what a run recorded last, of its evaluation or its test set, meets the report's criterion."""
        found = re.search(r"first recorded update with `(\S+?)(>=|<=)(\S+?)`", self._report)
        metric = "" if found is None else found[1].replace("/eval", of)
        if found is None or metric not in runs:
            return pd.Series(np.nan, index=runs.index)
        last = runs[metric]
        return last.ge(float(found[3])) if found[2] == ">=" else last.le(float(found[3]))

    def read(self, table: str) -> pd.DataFrame:
        """A table of the report, by the name of its file. Raises UnsupportedError where it is not there."""
        path = self.folder / "tables" / f"{table}.csv"
        try:
            return pd.read_csv(path)
        except FileNotFoundError:
            raise UnsupportedError(f"{path}: is not there; `make results` makes it") from None


def _equals(column: pd.Series, value: object) -> pd.Series:
    if value is None or value is ...:
        return column.isna() if value is None else column.notna()
    if isinstance(value, int | float):
        return pd.Series(np.isclose(column.astype(float), value, rtol=1e-5, atol=0), index=column.index)
    if isinstance(value, list):
        return column.isin(value)
    return column.eq(value)
