"""What the reports' tables say: the only source of the numbers in the index."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bptt.analysis.statistics.settings import Interval, clopper_pearson, median_updates, share_difference


class UnsupportedError(Exception):
    """The tables don't hold what a sentence is about, or say otherwise; one line."""


@dataclass(frozen=True)
class Share:
    """How many runs of how many did something."""

    count: int
    of: int

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

    def __sub__(self, other: "Share") -> Interval:
        return share_difference((self.count, other.count), (self.of, other.of))

    def __add__(self, other: "Share") -> "Share":
        return Share(self.count + other.count, self.of + other.of)


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
        return self._read("results")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run."""
        return self._read("runs")

    def levels(self, key: str) -> list[float]:
        """The numbers that a swept key has, ascending."""
        return sorted(float(value) for value in self.settings[key].dropna().unique())

    def solved(self, **where: object) -> Share:
        """The runs that solved their task at a recorded update; see `rows` for where."""
        return self._share("solved", where)

    def held(self, **where: object) -> Share:
        """The runs whose task was solved at the end of their training."""
        return self._share("held", where)

    def diverged(self, **where: object) -> Share:
        """The runs that diverged."""
        return self._share("diverged", where)

    def median_updates(self, **where: object) -> float:
        """The first recorded update at which half of these runs had solved their task; nan: not reached."""
        runs = self.rows(self.runs, where)
        solved = runs["solved_update"].notna()
        return median_updates(runs["solved_update"].fillna(runs["updates"]), solved).value

    def value(self, key: str) -> str:
        """What a key has in all runs, as the setup's table says."""
        part, _, name = key.partition(".")
        setup = self._read("setup").set_index("part")
        for text in setup.loc[[part], "values"].astype(str) if part in setup.index else ():
            if found := re.search(rf"(?:^|\s){re.escape(name)}=(\S+)", text):
                return found[1]
        raise UnsupportedError(f"{self.name}: {key} is not the same in all runs")

    def rows(self, table: pd.DataFrame, where: Mapping[str, object]) -> pd.DataFrame:
        """The rows of a table with these values of swept keys, of which there must be some.

        where  key → value, a dot of the key written as two underscores; None: it has none
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
        report = (self.folder / "report.md").read_text(encoding="utf-8")
        return {name: alt for alt, name in re.findall(r"!\[((?:[^\]\\]|\\.)*)\]\(figures/(\w+)\.png\)", report)}

    def _share(self, column: str, where: Mapping[str, object]) -> Share:
        rows = self.rows(self.settings, where)
        return Share(int(rows[column].sum()), int(rows["ended"].sum()))

    def _read(self, table: str) -> pd.DataFrame:
        path = self.folder / "tables" / f"{table}.csv"
        try:
            return pd.read_csv(path)
        except FileNotFoundError:
            raise UnsupportedError(f"{path}: is not there; `make results` makes it") from None


def _equals(column: pd.Series, value: object) -> pd.Series:
    if value is None:
        return column.isna()
    if isinstance(value, int | float):
        return pd.Series(np.isclose(column.astype(float), value, rtol=1e-9, atol=0), index=column.index)
    if isinstance(value, list):
        return column.isin(value)
    return column.eq(value)
