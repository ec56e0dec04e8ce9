"""What a row of a store says of its run: how much of it there is, what for it was trained, by which command."""

import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bptt.tracking.folder.jobs import Stage
from bptt.tracking.folder.measures import MEASURED
from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.base import StoredRow
from bptt.tracking.store.tags import COMMAND_TAG, DETAIL_TAG, STAGE_TAG

if TYPE_CHECKING:
    import pandas as pd


def refuse_less(address: Address, row: StoredRow | None) -> None:
    """Raise StoreError where a store has less of a run than its sweep's folder."""
    if row is not None and is_less(row):
        says = f"has run {row.run_id} without curves and files (tracking.detail=last); its sweep's folder has them"
        raise StoreError(f"{address.shown}: {says}")


def is_less(row: StoredRow) -> bool:
    return row.tags.get(DETAIL_TAG) == "last"


def drop_measured(history: "pd.DataFrame", rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
    """A history without what was measured after the fact, whose metrics stand beside those that were recorded."""
    names = [name for name in history if name.startswith(MEASURED)]
    if not names:
        return history
    history = history[history["update"] > 0]
    for name in names:
        recorded = [
            number
            for number, row in rows.items()
            if name.removeprefix(MEASURED) in re.findall(r"\w+", row.params.get("train.measure", ""))
        ]
        history = history.assign(**{name: history[name].where(history["run"].isin(recorded))})
    return history.drop(columns=[name for name in names if history[name].isna().all()])


def read_stage(row: StoredRow) -> Stage:
    stage = row.tags.get(STAGE_TAG)
    return "tuning" if stage == "tuning" else "confirming" if stage == "confirming" else "result"


def read_command(row: StoredRow) -> list[str]:
    """The command that a run was begun by; empty where it was another program's, or is not known whole."""
    try:
        words = shlex.split(row.tags.get(COMMAND_TAG, ""))
    except ValueError:
        return []
    return words if words[:2] == ["bptt", "train"] else []
