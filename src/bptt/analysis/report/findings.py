"""What a report tells of a sweep, worked out once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.chosen import warn_of_edges, write_confirmation, write_halved, write_tuning
from bptt.analysis.comparison import choose_leading, conclude_about, describe_common
from bptt.analysis.ranking import rank_groups
from bptt.analysis.statistics.settings import clopper_pearson, setting_statistics
from bptt.analysis.statistics.words import write_conclusion
from bptt.analysis.tables import LOSS, drop_decided, drop_seed, take_final, write_settings

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.statistics.conclusions import Comparison
    from bptt.analysis.sweep import Sweep

_NOTHING_ALIKE: Final = "No two values of one key were trained with all else equal, so none is said to do better."
_PARTS: Final = ("task", "model", "init", "loss", "optimizer", "schedule", "regularizer", "clip", "train")


@dataclass(frozen=True)
class Findings:
    """A sweep, and what follows from it."""

    sweep: "Sweep"

    @cached_property
    def keys(self) -> list[str]:
        """The swept keys but the seed."""
        return [key for key in drop_seed(self.sweep.swept) if key in self.sweep.runs]

    @property
    def conditions(self) -> list[str]:
        """The keys across whose values nothing is ranked."""
        return [key for key in self.sweep.conditions if key in self.keys]

    @property
    def labels(self) -> list[str]:
        """The columns whose texts tell settings apart: of the condition where there is one, and of the setting."""
        return ["condition", "setting"] if self.conditions else ["setting"]

    @cached_property
    def statistics(self) -> "pd.DataFrame":
        """A row per setting, see `setting_statistics`, in the order of the sweep; how many of its runs had the task
        solved at their end: held, held_share with its interval; and of how many the network that is kept solves it, on
        the test set too, where all runs looked at one: confirmed, confirmed_share.
        """
        found = setting_statistics(self.sweep.runs, self.sweep.swept, self.conditions)
        runs = self.ended_runs
        for name, did in self.proofs.items():
            counted = Counter(_zip_columns(runs[did], self.labels))
            counts = [counted[texts] for texts in _zip_columns(found, self.labels)]
            shares = [clopper_pearson(count, trials) for count, trials in zip(counts, found["ended"], strict=True)]
            columns: dict[str, Any] = {
                name: counts,
                f"{name}_share": [interval.value for interval in shares],
                f"{name}_share_low": [interval.low for interval in shares],
                f"{name}_share_high": [interval.high for interval in shares],
            }
            found = found.assign(**columns)
        return found

    @cached_property
    def ranked(self) -> "pd.DataFrame":
        """`statistics`, in each condition best first, see `rank_groups`. Conditions stay in the order of the sweep."""
        runs, labels = self.runs, self.labels
        if self.statistics.empty or "solved" not in runs:
            return self.statistics
        rank = {texts: number for number, texts in enumerate(rank_groups(runs, list(_zip_columns(runs, labels))).index)}
        first = dict.fromkeys(self.statistics["condition"]) if self.conditions else {}
        place = {condition: number for number, condition in enumerate(first)}
        order = [(place.get(texts[0], 0), rank[texts]) for texts in _zip_columns(self.statistics, labels)]
        return self.statistics.iloc[sorted(range(len(order)), key=order.__getitem__)].reset_index(drop=True)

    @property
    def ended_runs(self) -> "pd.DataFrame":
        """Those of `runs` that ended."""
        return self.runs[self.runs["outcome"].notna()]

    @cached_property
    def proofs(self) -> "dict[str, pd.Series]":
        """Of each run that ended whether it had the task solved at its end: held; and, where all runs looked at a test
        set, whether the network that is kept solves it, on that set too: confirmed. Empty where nothing is solved.
        """
        runs, metric = self.ended_runs, self.sweep.solved.metric
        if "solved" not in runs or not self.sweep.solved.is_possible:
            return {}
        tested = metric.replace("/eval", "/test")
        found = {"held": self._meets(runs, metric)}
        if tested != metric and tested in runs and runs.loc[runs["outcome"].ne("diverged"), tested].notna().all():
            found["confirmed"] = self._meets(runs, metric, kept=True) & self._meets(runs, tested)
        return found

    def split_ranked(self) -> "list[tuple[str, pd.DataFrame]]":
        """Each condition's text and its part of `ranked`; one without a text where there are no conditions."""
        if not self.conditions:
            return [("", self.ranked)]
        return [(str(text), part.reset_index(drop=True)) for text, part in self.ranked.groupby("condition", sort=False)]

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """The runs, with the texts of their condition, where there is one, and of their setting, and with the last loss
        of a diverged one as infinite.
        """
        runs, own = self.sweep.runs, self.conditions
        texts = {"condition": write_settings(runs, drop_decided(runs, own))} if own else {}
        texts["setting"] = write_settings(runs, [key for key in self.keys if key not in own])
        return runs.assign(**texts, **{LOSS: take_final(runs, LOSS).astype(float)})

    @cached_property
    def common(self) -> dict[str, Any]:
        """What all configurations have in common, key → value, in the order of a configuration's parts."""
        configs = list(self.sweep.configs.values())
        if not configs:
            return {}
        shared: dict[str, Any] = {}
        for name in configs[0]:
            # A part that is one object in many configurations is looked at once.
            parts = {id(part): part for part in (config.get(name, {}) for config in configs)}
            first, *others = (dict(list_leaves(part, str(name))) for part in parts.values())
            shared |= {key: value for key, value in first.items() if all(_has(one, key, value) for one in others)}
        ordered = [*_PARTS, *(key for key in shared if key.partition(".")[0] not in _PARTS)]
        return {key: shared[key] for part in ordered for key in shared if key == part or key.startswith(f"{part}.")}

    @cached_property
    def flat(self) -> list[dict[str, Any]]:
        """Each run's whole configuration, full key → value."""
        return [dict(list_leaves(config)) for config in self.sweep.configs.values()]

    @cached_property
    def conclusions(self) -> "list[Comparison]":
        """What the runs say of all questions that may be asked of them together."""
        common = (*describe_common(self.common), *write_tuning(self.sweep))
        return conclude_about(self.sweep.runs, self.sweep.swept, self.conditions, common)

    @property
    def leading(self) -> list[str]:
        """A sentence or two that answer the sweep's question; what all runs have in common stands in the last."""
        if told := self.sweep.trials.write_best() or write_halved(self.sweep):
            return [told]
        if not self.conclusions and len(self.statistics.drop_duplicates("setting")) > 1 and self.ended:
            return [_NOTHING_ALIKE]
        found = choose_leading(self.conclusions)
        bare = [replace(one, question=replace(one.question, common=())) for one in found[:-1]]
        return [write_conclusion(one) for one in (*bare, *found[-1:])]

    @cached_property
    def notes(self) -> list[str]:
        """What was chosen, as far as it is to be known beside an answer: how the best did on fresh seeds, and tuned
        values beyond which better ones may lie.
        """
        return [text for text in (write_confirmation(self.sweep), warn_of_edges(self.sweep)) if text]

    @property
    def ended(self) -> int:
        """How many runs ended."""
        return int(self.statistics["ended"].sum())

    @property
    def solved(self) -> int:
        """How many runs solved the task."""
        return int(self.statistics["solved"].sum()) if "solved" in self.statistics else 0

    def _meets(self, runs: "pd.DataFrame", metric: str, kept: bool = False) -> "pd.Series":
        """Whether what a run recorded last of a metric meets the criterion's threshold; or, where it keeps its best
        network, that one, of which what is said of the test set is.
        """
        solved = self.sweep.solved
        last = take_final(runs, metric)
        if kept and (own := f"kept/{metric}") in runs:
            last = runs[own].astype(float).fillna(last)
        return last.ge(solved.threshold) if solved.op == ">=" else last.le(solved.threshold)


def _zip_columns(frame: "pd.DataFrame", names: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(frame[name] for name in names), strict=True)


def list_leaves(config: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The values of a nested configuration, by their full keys."""
    if not isinstance(config, dict):
        return [(prefix, config)]
    return [
        leaf
        for name, value in config.items()
        for leaf in list_leaves(value, f"{prefix}.{name}" if prefix else str(name))
    ]


def _has(config: dict[str, Any], key: str, value: Any) -> bool:
    return key in config and config[key] == value and type(config[key]) is type(value)
