"""What a sweep found, in a few lines: a row for each setting, over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bptt.core.run import Record


@dataclass(frozen=True, kw_only=True)
class SweptRun:
    """A finished run of a sweep: the overrides that tell it from the others, as `key=value`, and what it left."""

    swept: Sequence[str]
    record: Record


def sweep_table(runs: Sequence[SweptRun]) -> list[str]:
    """A line of headings and one per setting: how many runs, how many diverged, the median of their last evaluation's
    loss with its range, and how many have an accuracy of 100 %, where the task has one.

    A setting is all that was swept but the seed. Nothing where there are fewer than two runs.
    """
    if len(runs) < 2:
        return []
    table = pd.DataFrame(
        {
            "setting": " ".join(text for text in run.swept if text.partition("=")[0] != "seed") or "all",
            "diverged": run.record.outcome == "diverged",
            "loss": run.record.history["loss/eval"][-1],
            "right": run.record.history.get("accuracy/eval", [float("nan")])[-1],
        }
        for run in runs
    )
    grouped = table.groupby("setting", sort=False)
    rows = pd.DataFrame(
        {
            "runs": grouped.size(),
            "diverged": grouped["diverged"].sum(),
            "loss/eval": grouped["loss"].median().map("{:.3g}".format),
            "from": grouped["loss"].min().map("{:.3g}".format),
            "to": grouped["loss"].max().map("{:.3g}".format),
        }
    )
    if table["right"].notna().any():
        rows["100 % right"] = grouped["right"].agg(lambda shares: int((shares == 1.0).sum()))
    return str(rows.rename_axis("setting").reset_index().to_string(index=False)).splitlines()
