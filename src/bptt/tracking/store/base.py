"""The store: what is asked of it, whatever holds its runs, and a run as it has it."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from bptt.tasks.own_data.preparation import DataNote
from bptt.tracking.folder.files import FLOW, HISTORY, WEIGHTS, load_record
from bptt.tracking.store.address import Address
from bptt.tracking.store.artifacts import fetch
from bptt.tracking.store.connecting import UNKNOWN_RUN, connect, explain_refusal, limit_patience, set_environment
from bptt.tracking.store.datasets import DATA_CONTEXT, describe_data
from bptt.tracking.store.runs import Holding, RunToWrite
from bptt.tracking.store.tags import KEY_TAG, PARENT_TAG, SHARED_VIEW_TAG, SWEEP_TAG

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from bptt.core.run import Record


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


@dataclass(frozen=True, kw_only=True)
class SweepPlace:
    """Where the pages of a sweep are.

    parent  the id of its own run
    view    the path of its page among MLflow's; None: it has none of its own
    """

    parent: str
    experiment_id: str
    name: str
    view: str | None


@dataclass(frozen=True, kw_only=True)
class SweepToRemove:
    """A sweep as a store has it.

    parent    the id of the sweep's own run
    status    of that run
    location  where the experiment keeps its artifacts
    runs      run → where its artifacts are; the sweep's own run last
    shared    runs that other sweeps have too, and that stay
    """

    name: str
    parent: str
    status: str
    experiment: str
    experiment_id: str
    location: str
    runs: dict[str, str]
    shared: list[str]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The experiment that new runs go to.

    asked     the tracking.uri that its store was opened with
    restored  whether it was in MLflow's bin
    """

    name: str
    experiment_id: str
    asked: str | None
    restored: bool = False


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A run that was begun.

    deleted  whether it is in MLflow's bin
    """

    run_id: str
    artifact_uri: str
    deleted: bool = False


class Point(NamedTuple):
    """A value of a metric: time in milliseconds since 1970, step the update."""

    name: str
    value: float
    time: int
    step: int


class RunWriter(ABC):
    """Writes the ended runs of one sweep, below its own run. What failed may be called again: nothing is doubled."""

    @abstractmethod
    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        """Write what the store lacks of these runs; key → run id of all."""

    @abstractmethod
    def find_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """Key → id of those runs that the store has."""

    @abstractmethod
    def complete(self, run: RunToWrite, held: Holding) -> None:
        """Write what the store lacks of a run that it has; one in MLflow's bin is taken out of it."""


class Store(ABC):
    """An open MLflow store.

    Three classes keep this contract: `ClientStore` goes through MLflow's client; `DatabaseStore` asks MLflow's tables
    themselves where many runs are concerned, with one statement for hundreds, and `SqliteStore` always. Which of them
    a store is decides `bptt.tracking.store.opening` alone, and nobody else has to know. What they leave behind is the
    same.

    Every method raises StoreError, with one line for the user, where the store doesn't answer, or refuses. Runs in
    MLflow's bin count as deleted, unless it is said that they don't. Methods that are about an experiment, and
    `experiment` itself, need a store that was opened with one.
    """

    def __init__(self, address: Address, client: "MlflowClient | None" = None, into: Experiment | None = None) -> None:
        """client: of this store, where there is one already; into: the experiment that new runs go to."""
        self.address, self._given, self._into = address, client, into

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client, made when it is first needed: importing it takes seconds."""
        if self._given is not None:
            return self._given
        set_environment()
        with explain_refusal(self.address):
            return connect(self.address)

    def close(self) -> None:
        """Let go of what it holds open; asked again, it opens that again."""
        return

    @property
    def asked(self) -> str | None:
        """The tracking.uri that it was opened with."""
        return self._opened_for.asked

    @property
    def experiment(self) -> str:
        """The name of the experiment that new runs go to."""
        return self._opened_for.name

    @property
    def experiment_id(self) -> str:
        """The id of that experiment."""
        return self._opened_for.experiment_id

    @property
    def restored(self) -> bool:
        """Whether that experiment was in MLflow's bin, and was taken out of it with all of its runs."""
        return self._opened_for.restored

    # --- Finding runs

    @abstractmethod
    def find_run(self, run_id: str) -> StoredRow | None:
        """A run; None: there is none with this id."""

    @abstractmethod
    def find_runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """Those of these runs that there are."""

    @abstractmethod
    def find_sweeps(self, name: str) -> list[StoredRow]:
        """The sweeps, that is their own runs, with this name."""

    @abstractmethod
    def find_below(self, parent: StoredRow) -> list[StoredRow]:
        """The runs of a sweep, but for those that were trained in another one."""

    @abstractmethod
    def search(self, query: str) -> list[StoredRow]:
        """The runs that a filter in MLflow's words finds. Raises SourceError where it can't be understood."""

    @abstractmethod
    def find_newest_sweep(self) -> SweepPlace | None:
        """The sweep that was begun last; None: there is none."""

    @abstractmethod
    def find_finished(self, digests: Collection[str]) -> dict[str, str]:
        """Digest → id of the newest run of the experiment that has this digest and FINISHED, and is there in full."""

    def find_by_key(self, key: str) -> str | None:
        """The id of the run of the experiment with this key; None: there is none."""
        with explain_refusal(self.address):
            found = self.client.search_runs([self.experiment_id], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        return found[0].info.run_id if found else None

    @abstractmethod
    def count_active(self, parent: str, run_ids: Collection[str]) -> int:
        """How many of these runs there are, most of which are a sweep's own or below it."""

    # --- Reading what runs recorded

    @abstractmethod
    def read_histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """What runs, given by their numbers, recorded: run, update, metrics."""

    @abstractmethod
    def has_at_hand(self, row: StoredRow) -> bool:
        """Whether what a run recorded is read faster from its files than from its metrics."""

    def read_finished(self, run_id: str) -> "Record | None":
        """What a finished run recorded; None where the store no longer has all of it, whole.

        Its `state`, which no artifact holds, is empty: (0, 0).
        """
        with explain_refusal(self.address):
            found = self._find_outcome(run_id)
        if found is None:
            return None
        artifact_uri, outcome = found
        try:
            with limit_patience(), fetch(self.address, artifact_uri, (HISTORY, FLOW, WEIGHTS)) as folder:
                return load_record(outcome, folder)
        except Exception:  # whatever a damaged file, or one that is gone, leads to
            return None

    @abstractmethod
    def read_holdings(self, wanted: Mapping[str, str | None], sweep: str | None) -> dict[str, Holding]:
        """Key → what the store has of a run, of those that it has, in MLflow's bin or not.

        wanted  the runs' keys → their ids as they were noted; None: they were not
        sweep   the name of the sweep that has them; None: they are on their own
        """

    # --- Writing: one run, step by step. What the store refuses with is raised as it is, see `list_refusals`.

    def begin_run(self, name: str, tags: Mapping[str, str], params: Mapping[str, str]) -> Begun:
        """Begin a run of the experiment now."""
        run = self.client.create_run(self.experiment_id, tags=dict(tags), run_name=name)
        self.add(run.info.run_id, params=params)
        return Begun(run_id=run.info.run_id, artifact_uri=run.info.artifact_uri)

    def find_begun(self, run_id: str) -> Begun | None:
        """A run, in MLflow's bin or not; None: there is none with this id."""
        from mlflow.exceptions import MlflowException

        try:
            info = self.client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code in UNKNOWN_RUN:
                return None
            raise
        deleted = info.lifecycle_stage == "deleted"
        return Begun(run_id=info.run_id, artifact_uri=info.artifact_uri, deleted=deleted)

    def read_steps(self, run_id: str) -> dict[str, frozenset[int]]:
        """Metric → updates of which the store has its value."""
        names = self.client.get_run(run_id).data.metrics
        return {name: frozenset(point.step for point in self.client.get_metric_history(run_id, name)) for name in names}

    def add(
        self,
        run_id: str,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Give a run that is not deleted points that it may have already, params that it lacks, and tags."""
        from mlflow.entities import Metric, Param, RunTag

        self.client.log_batch(
            run_id,
            metrics=[Metric(point.name, point.value, point.time, point.step) for point in points],
            params=[Param(key, value) for key, value in (params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )

    def note_data(self, run_id: str, notes: Sequence[DataNote]) -> None:
        """Have a run say which data it was trained on, as MLflow's inputs; noted again, they stand there once."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        tags = [InputTag(*DATA_CONTEXT)]
        inputs = [DatasetInput(Dataset(**describe_data(note)), tags) for note in notes]
        self.client.log_inputs(run_id, inputs)

    def set_status(self, run_id: str, status: str) -> None:
        """Say how a run ended, now; RUNNING: that it goes on."""
        if status == "RUNNING":
            self.client.update_run(run_id, status=status)
        else:
            self.client.set_terminated(run_id, status)

    def read_params(self, run_id: str) -> Iterable[str]:
        """The names of a run's params."""
        return self.client.get_run(run_id).data.params

    def tag_experiment(self, key: str, value: str) -> None:
        """Set a tag of the experiment."""
        self.client.set_experiment_tag(self.experiment_id, key, value)

    # --- Writing: many runs

    @abstractmethod
    def open_writer(self, parent: str | None, fresh: bool) -> RunWriter:
        """What writes runs of the experiment below a run, None: below none; fresh: it has none yet."""

    @abstractmethod
    def adopt(self, parent: str, settings: Mapping[str, str], tags: Mapping[str, str] | None = None) -> None:
        """Have runs, given by id → setting, belong to the sweep whose own run is `parent`, wherever they were trained.

        Those that belong to it stay as they are, and those that are gone are left out.

        tags  that they get, as far as they have none of the same name: what an earlier sweep calls them stays
        """

    # --- Deleting

    @abstractmethod
    def list_sweeps(self, name: str) -> list[str]:
        """The ids of the sweeps, that is of their own runs, with this name, in experiments that were deleted too."""

    def find_sweep(self, parent: str) -> SweepToRemove | None:
        """The sweep whose own run has this id, with whatever can be deleted of it; None: there is no such sweep."""
        from mlflow.exceptions import MlflowException

        with explain_refusal(self.address):
            try:
                run = self.client.get_run(parent)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            if SWEEP_TAG not in run.data.tags or PARENT_TAG in run.data.tags:
                return None
            if run.info.lifecycle_stage == "deleted" and not self.empties_bin:
                return None
            experiment = self.client.get_experiment(run.info.experiment_id)
            runs, shared = self._list_members(parent, run.info.experiment_id)
            return SweepToRemove(
                name=run.data.tags[SWEEP_TAG],
                parent=parent,
                status=run.info.status,
                experiment=experiment.name,
                experiment_id=run.info.experiment_id,
                location=experiment.artifact_location,
                runs={**runs, parent: run.info.artifact_uri},
                shared=shared,
            )

    def delete(self, sweep: SweepToRemove) -> list[str]:
        """Delete a sweep: its runs, and the models that were exported from them; lines about what had to be left.

        Runs that other sweeps have too no longer belong to it, and stay.

        Broken off, it can be called again.
        """
        from mlflow.exceptions import MlflowException

        with explain_refusal(self.address):
            self._disown(sweep.parent, sweep.shared)
            notes = self._delete(sweep)
            with suppress(MlflowException):  # it may have no page
                self.client.delete_experiment_tag(sweep.experiment_id, SHARED_VIEW_TAG + sweep.parent)
        return notes

    @property
    @abstractmethod
    def empties_bin(self) -> bool:
        """Whether what is deleted is gone for good, and what is in MLflow's bin can be deleted."""

    @abstractmethod
    def _find_outcome(self, run_id: str) -> tuple[str, str] | None:
        """Where a run's artifacts are, and its outcome; None: there is no such run, or it has none."""

    @abstractmethod
    def _list_members(self, parent: str, experiment_id: str) -> tuple[dict[str, str], list[str]]:
        """The runs of a sweep: run → where its artifacts are, of those that can be deleted; and those that stay.

        A run stays that belongs to another sweep too, or that was trained elsewhere.
        """

    @abstractmethod
    def _disown(self, parent: str, run_ids: Sequence[str]) -> None:
        """Have runs belong to a sweep no longer."""

    @abstractmethod
    def _delete(self, sweep: SweepToRemove) -> list[str]:
        """Delete the runs of a sweep, and their models."""

    @property
    def _opened_for(self) -> Experiment:
        if self._into is None:
            raise TypeError("this store was opened without an experiment")
        return self._into


def restore_infinities(history: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """The history with infinities where MLflow has its largest number for them."""
    import numpy as np

    values = history[metrics].astype("float64")
    return history.assign(**values.where(values.abs() != sys.float_info.max, np.sign(values) * np.inf))


def sort_rows(rows: Sequence[StoredRow]) -> list[StoredRow]:
    """The order in which runs are numbered where nothing else says it: by begin, name and id."""
    return sorted(rows, key=lambda row: (row.began or 0.0, row.name, row.run_id))
