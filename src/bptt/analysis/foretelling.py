"""What was measured of runs at their start, and how well it foretells which of them will be solved."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.comparison import select_ended
from bptt.analysis.statistics.conclusions import correct_level
from bptt.analysis.statistics.intervals import Interval
from bptt.analysis.statistics.roc import Foretelling, RocArea, compare_roc_areas, conclude_foretelling, roc_area
from bptt.analysis.statistics.words import write_foretelling
from bptt.analysis.tables import FIRST, SEED, write_parts

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

MEASURED: Final = f"{FIRST}dynamics/"
#: Before a predictor's symbol: the area under its ROC curve, `area/|λ₁|`, a number of a sweep.
AREA: Final = "area/"


@dataclass(frozen=True)
class Predictor:
    """A number of a run at its start.

    column    of `Sweep.runs` where `bptt measure` found it, else of `Sweep.history`, at the first recorded update
    symbol    as in a figure
    name      as in a sentence
    neutral   what it is distant from, where it is a distance: |x − neutral|; None: it is taken as it is
    logarithm whether the distance is that of logarithms
    """

    column: str
    symbol: str
    name: str
    neutral: float | None = None
    logarithm: bool = False

    def take(self, values: "pd.Series") -> "pd.Series":
        """The number, of the column's values."""
        if self.neutral is None:
            return values
        if self.logarithm:
            with np.errstate(divide="ignore", invalid="ignore"):
                return (np.log(values) - np.log(self.neutral)).abs()
        return (values - self.neutral).abs()


#: Gradients neither vanish nor explode where a number that has a neutral value is there.
_PREDICTORS: Final = (
    Predictor(f"{MEASURED}lyapunov_max", "λ₁", "largest Lyapunov exponent"),
    Predictor(f"{MEASURED}lyapunov_max", "|λ₁|", "largest Lyapunov exponent's distance from 0", 0.0),
    Predictor(f"{MEASURED}singular_max", "σ₁", "largest singular value of the Jacobian"),
    Predictor(
        f"{MEASURED}singular_max", "|ln σ₁|", "largest singular value's distance from 1, of logarithms", 1.0, True
    ),
    Predictor(f"{MEASURED}sharpness_ratio", "λα/2", "sharpness as a share of the largest stable one"),
    Predictor("weights/spectral_radius", "ρ", "spectral radius"),
    Predictor("weights/spectral_radius", "|ρ − 1|", "spectral radius's distance from 1", 1.0),
    Predictor("grad/decay", "decay", "gradient's decay"),
    Predictor("grad/decay", "|decay|", "gradient's decay's distance from 0", 0.0),
    Predictor("grad/omega", "Ω", "regularizer Ω"),
)


@dataclass(frozen=True)
class Start:
    """A sweep's runs at their start."""

    sweep: "Sweep"

    @property
    def is_measured(self) -> bool:
        """Whether `bptt measure` looked at the start, and in some condition some runs were solved and some were not."""
        ended = select_ended(self.sweep.runs)
        known = [name for name in ended if name.startswith(MEASURED) and ended[name].notna().any()]
        return bool(known) and SEED in ended and any(one.outcome != "silent" for one in self.found)

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """A row per run that ended: run, condition and setting as texts, seed, solved, and each predictor's number, in
        a column with its symbol; nan where there is none.
        """
        ended = select_ended(self.sweep.runs)
        condition, setting = write_parts(ended, self.sweep.swept, self.sweep.conditions)
        first = self.sweep.history.sort_values("update", kind="stable").drop_duplicates("run").set_index("run")
        frame = ended[["run"]].assign(
            condition=condition,
            setting=setting,
            seed=ended[SEED],
            solved=ended["solved"].astype(bool),
        )
        for one in _PREDICTORS:
            if one.column.startswith(FIRST):
                if one.column in ended:
                    frame[one.symbol] = one.take(ended[one.column].astype("float64"))
            elif one.column in first:
                frame[one.symbol] = one.take(frame["run"].map(first[one.column]).astype("float64"))
        return frame

    @cached_property
    def predictors(self) -> list[Predictor]:
        """Those that tell any runs apart."""
        return [
            one for one in _PREDICTORS if one.symbol in self.runs and len(self.runs[one.symbol].dropna().unique()) > 1
        ]

    @property
    def conditions(self) -> list[str]:
        """The texts of the conditions, in the order of the sweep; one empty text where there are none."""
        return list(dict.fromkeys(self.runs["condition"]))

    @cached_property
    def found(self) -> list[Foretelling]:
        """What each predictor foretells within conditions, in their order."""
        return conclude_foretelling({one.name: self._measure(self.runs, one) for one in self.predictors})

    @cached_property
    def by_condition(self) -> "pd.DataFrame":
        """A row per condition and predictor: condition, symbol, predictor, area with low and high, solved, runs.

        The level of the intervals allows for all rows that have an area.
        """
        import pandas as pd

        asked = [
            (condition, one, part[part[one.symbol].notna()])
            for condition, part in self.runs.groupby("condition", sort=False)
            for one in self.predictors
        ]
        areas = [self._measure(part, one) for _, one, part in asked]
        level = correct_level(max(sum(area.value == area.value for area in areas), 1))
        rows = [
            {"condition": condition, "symbol": one.symbol, "predictor": one.name}
            | area.find_interval(level).name_columns("area")
            | {"solved": int(part["solved"].sum()), "runs": len(part)}
            for (condition, one, part), area in zip(asked, areas, strict=True)
            if len(part)
        ]
        return pd.DataFrame(rows)

    @property
    def overall(self) -> "pd.DataFrame":
        """A row per predictor: predictor, symbol, outcome, area with its interval, within with its interval (the same
        among runs of one setting, which differ in their seed alone), runs, seeds and conditions that it is of, and what
        it foretells as a sentence.
        """
        import pandas as pd

        level = correct_level(len(self.predictors)) if self.predictors else 0.95
        among = self.runs.assign(condition=self.runs["condition"] + "\n" + self.runs["setting"])
        rows = [
            {"predictor": one.name, "symbol": one.symbol, "outcome": found.outcome}
            | found.interval.name_columns("area")
            | self._measure(among, one).find_interval(level).name_columns("within")
            | {"runs": sum(found.area.runs), "seeds": found.area.seeds, "conditions": self._count_telling(one)}
            | {"sentence": self.write(found)}
            for one, found in zip(self.predictors, self.found, strict=True)
        ]
        return pd.DataFrame(rows)

    def find_area(self, symbol: str, numbers: "Sequence[int]", level: float) -> Interval:
        """The area of the predictor with this symbol, over these runs, within conditions. ValueError: there is none."""
        known = [one.symbol for one in self.predictors]
        if symbol not in known:
            raise ValueError(f"{symbol}: no such predictor was measured (measured: {', '.join(known) or 'none'})")
        one = self.predictors[known.index(symbol)]
        return self._measure(self.runs[self.runs["run"].isin(numbers)], one).find_interval(level)

    def write(self, found: Foretelling) -> str:
        """What a predictor foretells, in sentences."""
        return write_foretelling(found, len(self.conditions) > 1)

    @cached_property
    def leading(self) -> list[str]:
        """Sentences on the predictor that foretells most, and on how it compares with the others."""
        sure = [place for place, one in enumerate(self.found) if one.outcome in ("larger", "smaller")]
        if not sure:
            return [self.write(self.found[0])] if self.found else []
        best = max(sure, key=lambda place: abs(self.found[place].area.value - 0.5))
        return [self.write(self.found[best]), *self._write_ranking(best, sure)]

    def _write_ranking(self, best: int, sure: Sequence[int]) -> list[str]:
        """Whether it foretells more than the others that foretell something, on the runs that have both."""
        others = [place for place in sure if place != best]
        if not others:
            return []
        level = correct_level(len(list(combinations(self.predictors, 2))))
        beaten: list[str] = []
        open_: list[str] = []
        for place in others:
            both = self.runs.dropna(subset=[self.predictors[best].symbol, self.predictors[place].symbol])
            areas = [self._measure(both, self.predictors[one]) for one in (best, place)]
            turned = [area if area.value > 0.5 else area.mirrored for area in areas]
            apart = compare_roc_areas(turned[0], turned[1], level)
            ends = f"{100 * apart.value:.0f} points, {100 * apart.low:.0f} to {100 * apart.high:.0f}".replace("-", "−")
            (beaten if apart.low > 0.0 else open_).append(f"the {self.predictors[place].name} ({ends})")
        told = []
        if beaten:
            told.append(f"It foretells more than {_join(beaten)}")
        if open_:
            told.append(f"that it foretells more than {_join(open_)} is not settled")
        text = "; ".join(told)
        return [f"{text[:1].upper()}{text[1:]}."]

    def _measure(self, runs: "pd.DataFrame", one: Predictor) -> RocArea:
        return roc_area(runs[one.symbol], runs["solved"], runs["seed"], runs["condition"])

    def _count_telling(self, one: Predictor) -> int:
        told = self.by_condition
        return int((told["symbol"].eq(one.symbol) & told["area"].notna()).sum())


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
