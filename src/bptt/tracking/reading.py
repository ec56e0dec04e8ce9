"""A store that is only read: which runs it has, and what they recorded. Nothing is made or changed in it."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bptt.tracking.address import Address

if TYPE_CHECKING:
    import pandas as pd

SWEEP_TAG: Final = "bptt.sweep"
PARENT_TAG: Final = "mlflow.parentRunId"
DIGEST_TAG: Final = "bptt.digest"
OUTCOME_TAG: Final = "bptt.outcome"


@dataclass(frozen=True, kw_only=True)
class StoredRow:
    """A run as a store has it.

    began, ended  seconds since 1970; None: not yet
    """

    run_id: str
    name: str
    status: str
    began: float | None
    ended: float | None
    artifact_uri: str
    tags: Mapping[str, str]
    params: Mapping[str, str]

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep's own run."""
        return SWEEP_TAG in self.tags and PARENT_TAG not in self.tags


class StoreReader(ABC):
    """An open store. Every method raises StoreError where the store doesn't answer, or refuses."""

    def __init__(self, address: Address) -> None:
        self.address = address

    @abstractmethod
    def sweeps_named(self, name: str) -> list[StoredRow]:
        """The sweeps, that is their own runs, with this name."""

    @abstractmethod
    def run(self, run_id: str) -> StoredRow | None:
        """A run; None: there is none with this id, or it was deleted."""

    @abstractmethod
    def runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """Those of these runs that there are."""

    @abstractmethod
    def below(self, parent: StoredRow) -> list[StoredRow]:
        """The runs of a sweep, but for those that were trained in another one."""

    @abstractmethod
    def matching(self, query: str) -> list[StoredRow]:
        """The runs that a filter in MLflow's words finds. Raises SourceError where it can't be understood."""

    @abstractmethod
    def histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """What runs, given by their numbers, recorded: run, update, metrics."""


def infinite(history: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """The history with infinities where MLflow has its largest number for them."""
    import numpy as np

    values = history[metrics].astype("float64")
    return history.assign(**values.where(values.abs() != sys.float_info.max, np.sign(values) * np.inf))


def in_order(rows: Sequence[StoredRow]) -> list[StoredRow]:
    """The order in which runs are numbered where nothing else says it: by begin, name and id."""
    return sorted(rows, key=lambda row: (row.began or 0.0, row.name, row.run_id))
