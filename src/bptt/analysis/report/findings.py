"""What a report tells of a sweep, worked out once."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.statistics.settings import clopper_pearson, setting_statistics
from bptt.analysis.tables import LOSS, drop_seed, take_final, write_settings

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

_PARTS: Final = ("task", "model", "init", "loss", "optimizer", "schedule", "regularizer", "clip", "train")


@dataclass(frozen=True)
class Findings:
    """A sweep, and what follows from it."""

    sweep: "Sweep"

    @cached_property
    def keys(self) -> list[str]:
        """The swept keys but the seed."""
        return [key for key in drop_seed(self.sweep.swept) if key in self.sweep.runs]

    @cached_property
    def statistics(self) -> "pd.DataFrame":
        """A row per setting, see `setting_statistics`, in the order of the sweep; and how many of its runs had the task
        solved at their end: held, held_share with its interval.
        """
        found = setting_statistics(self.sweep.runs, self.sweep.swept)
        if "solved" not in found:
            return found
        runs = self.runs[self.runs["outcome"].notna()]
        held = runs.loc[self._at_the_end(runs), "setting"].value_counts()
        counts = found["setting"].map(held).fillna(0).astype(int)
        shares = [clopper_pearson(count, trials) for count, trials in zip(counts, found["ended"], strict=True)]
        return found.assign(
            held=counts,
            held_share=[interval.value for interval in shares],
            held_share_low=[interval.low for interval in shares],
            held_share_high=[interval.high for interval in shares],
        )

    @cached_property
    def ranked(self) -> "pd.DataFrame":
        """`statistics`, best first: by the share of runs that solved the task, then by the median of the last loss."""
        by = [name for name in ("success", "loss_median") if name in self.statistics]
        return (
            self.statistics.sort_values(
                by, ascending=[name == "loss_median" for name in by], kind="stable", ignore_index=True
            )
            if by
            else self.statistics
        )

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """The runs, with the text of their setting, and with the last loss of a diverged one as infinite."""
        runs = self.sweep.runs
        return runs.assign(setting=write_settings(runs, self.keys), **{LOSS: take_final(runs, LOSS).astype(float)})

    @cached_property
    def common(self) -> dict[str, Any]:
        """What all configurations have in common, key → value, in the order of a configuration's parts."""
        flat = self.flat
        if not flat:
            return {}
        shared = {key: value for key, value in flat[0].items() if all(_has(other, key, value) for other in flat[1:])}
        ordered = [*_PARTS, *(key for key in shared if key.partition(".")[0] not in _PARTS)]
        return {key: shared[key] for part in ordered for key in shared if key == part or key.startswith(f"{part}.")}

    @cached_property
    def flat(self) -> list[dict[str, Any]]:
        """Each run's whole configuration, full key → value."""
        return [dict(list_leaves(config)) for config in self.sweep.configs.values()]

    @property
    def ended(self) -> int:
        """How many runs ended."""
        return int(self.statistics["ended"].sum())

    @property
    def solved(self) -> int:
        """How many runs solved the task."""
        return int(self.statistics["solved"].sum()) if "solved" in self.statistics else 0

    def _at_the_end(self, runs: "pd.DataFrame") -> "pd.Series":
        """Whether what a run recorded last meets the criterion."""
        solved = self.sweep.solved
        last = take_final(runs, solved.metric)
        return last.ge(solved.threshold) if solved.op == ">=" else last.le(solved.threshold)


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
