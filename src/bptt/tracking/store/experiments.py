"""The experiment that runs are to go to: which it is, and found in a store, or made there."""

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.store.address import Address, StoreError, locate_artifacts
from bptt.tracking.store.base import Experiment
from bptt.tracking.store.connecting import REFUSALS, UNKNOWN_RUN, connect, is_passing, list_refusals, shorten
from bptt.tracking.store.tables import Database
from bptt.tracking.store.whereabouts import settle_artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient

_NAME: Final = "MLFLOW_EXPERIMENT_NAME"


_ID: Final = "MLFLOW_EXPERIMENT_ID"


_NAME_BY_DEFAULT: Final = "bptt"


_LONGEST_NAME: Final = 250  # characters; of a longer one MLflow decides itself


@dataclass(frozen=True)
class WantedExperiment:
    """The experiment that runs are to go to.

    name           None: it goes by its id; without one either, it is `bptt`
    experiment_id  None: it goes by its name, and is made where missing
    runs           that may be in it: the first of them that there is says which it is, should it have another name
    """

    name: str | None
    experiment_id: str | None = None
    runs: Sequence[str] = ()


def choose_experiment(configured: str | None) -> WantedExperiment:
    """The experiment of new runs: tracking.experiment, otherwise as MLflow has it: MLFLOW_EXPERIMENT_NAME, which is
    made where missing, then MLFLOW_EXPERIMENT_ID, then `bptt`.
    """
    if configured is not None:
        return WantedExperiment(configured)
    name, number = (os.environ.get(variable) or None for variable in (_NAME, _ID))
    return WantedExperiment(name or (_NAME_BY_DEFAULT if number is None else None), number)


@dataclass(frozen=True)
class _Found:
    experiment_id: str
    name: str
    artifact_location: str
    deleted: bool


class Experiments(ABC):
    """The experiments of a store. What the store refuses with is raised as it is, see `list_refusals`."""

    @abstractmethod
    def find(self, experiment_id: str) -> _Found | None:
        """The experiment with this id."""

    @abstractmethod
    def find_by_name(self, name: str) -> _Found | None:
        """The experiment with this name."""

    @abstractmethod
    def find_by_run(self, run_id: str) -> _Found | None:
        """The experiment that has this run."""

    @abstractmethod
    def create(self, name: str, location: str | None) -> None:
        """Make an experiment whose artifacts are kept at this URI; None: where the store pleases."""

    @abstractmethod
    def restore(self, experiment_id: str) -> None:
        """Take an experiment out of MLflow's bin, with its runs."""


class ClientExperiments(Experiments):
    """Those that MLflow's client knows."""

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def find(self, experiment_id: str) -> _Found | None:
        """See `Experiments.find`."""
        from mlflow.exceptions import MlflowException

        try:
            return _read(self._client.get_experiment(experiment_id))
        except MlflowException as error:
            if error.error_code not in UNKNOWN_RUN:
                raise
        return None

    def find_by_name(self, name: str) -> _Found | None:
        """See `Experiments.find_by_name`."""
        found = self._client.get_experiment_by_name(name)
        return None if found is None else _read(found)

    def find_by_run(self, run_id: str) -> _Found | None:
        """See `Experiments.find_by_run`."""
        from mlflow.exceptions import MlflowException

        try:
            return _read(self._client.get_experiment(self._client.get_run(run_id).info.experiment_id))
        except MlflowException as error:
            if error.error_code not in UNKNOWN_RUN:
                raise
        return None

    def create(self, name: str, location: str | None) -> None:
        """See `Experiments.create`."""
        self._client.create_experiment(name, location)

    def restore(self, experiment_id: str) -> None:
        """See `Experiments.restore`."""
        self._client.restore_experiment(experiment_id)


def _read(found: Any) -> _Found:
    deleted = found.lifecycle_stage != "active"
    return _Found(str(found.experiment_id), str(found.name), str(found.artifact_location), deleted)


class TableExperiments(Experiments):
    """Those that stand in the tables of a SQLite file."""

    def __init__(self, address: Address, database: Database) -> None:
        self._address, self._database = address, database

    def find(self, experiment_id: str) -> _Found | None:
        """See `Experiments.find`."""
        return self._find("experiment_id = ?", int(experiment_id)) if experiment_id.isdecimal() else None

    def find_by_name(self, name: str) -> _Found | None:
        """See `Experiments.find_by_name`."""
        return self._find("name = ?", name)

    def find_by_run(self, run_id: str) -> _Found | None:
        """See `Experiments.find_by_run`."""
        return self._find("experiment_id = (SELECT experiment_id FROM runs WHERE run_uuid = ?)", run_id)

    def _find(self, condition: str, value: object) -> _Found | None:
        columns = "experiment_id, name, artifact_location, lifecycle_stage <> 'active'"
        with self._database.connection() as connection:
            found = connection.read(f"SELECT {columns} FROM experiments WHERE {condition}", (value,))
        if not found:
            return None
        number, name, location, deleted = found[0]
        return _Found(str(number), str(name), str(location), bool(deleted))

    def create(self, name: str, location: str | None) -> None:
        """See `Experiments.create`."""
        if not name or len(name) > _LONGEST_NAME:
            connect(self._address).create_experiment(name, location)
            return
        now = time.time_ns() // 1_000_000
        with self._database.transaction() as connection:
            connection.run(
                "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time)"
                " VALUES (?, ?, 'active', ?, ?)",
                (name, location, now, now),
            )

    def restore(self, experiment_id: str) -> None:
        """See `Experiments.restore`; through MLflow's client, as nobody waits for it."""
        connect(self._address).restore_experiment(experiment_id)


def find_experiment(
    experiments: Experiments, address: Address, wanted: WantedExperiment, asked: str | None, restore: bool
) -> Experiment:
    """The experiment that is wanted, made where missing; asked: the tracking.uri. Raises StoreError."""
    try:
        found = _find_by_runs(experiments, wanted.runs) or _find_by_name(experiments, address, wanted)
        name, deleted = found.name, found.deleted
        if deleted and restore:
            experiments.restore(found.experiment_id)
            found = experiments.find(found.experiment_id) or found
    except list_refusals() as error:
        if isinstance(error, OSError):
            raise
        silent = address.is_server and getattr(error, "error_code", None) not in REFUSALS
        trouble = "can't be reached" if silent else "can't be used"
        says = f"{address.shown}: the store {trouble}: {shorten(error)}"
        raise StoreError(says, is_passing(error)) from error
    if found.deleted:
        raise StoreError(
            f"tracking.experiment={name}: this experiment was deleted; choose another name, or restore it with:"
            f" mlflow experiments restore -x {found.experiment_id}"
        )
    if not address.is_server and found.artifact_location.startswith("mlflow-artifacts:"):
        raise StoreError(
            f"{address.shown}: the files of experiment {name} are behind a tracking server: record there, with its"
            " address in tracking.uri, or in another tracking.experiment"
        )
    return Experiment(name=name, experiment_id=found.experiment_id, asked=asked, restored=deleted)


def _find_by_runs(experiments: Experiments, runs: Sequence[str]) -> _Found | None:
    """The experiment that has the first of these runs that there is, whatever the experiment is called by now."""
    return next((found for found in map(experiments.find_by_run, runs) if found is not None), None)


def _find_by_name(experiments: Experiments, address: Address, wanted: WantedExperiment) -> _Found:
    name, number = wanted.name, wanted.experiment_id
    if name is None and number is not None:
        found = experiments.find(number)
        if found is None:
            raise StoreError(f"{_ID}={number}: there is no such experiment in {address.shown}")
        return found
    name = name or _NAME_BY_DEFAULT
    found = experiments.find_by_name(name)
    if found is None:
        try:
            experiments.create(name, locate_artifacts(address, name))
            settle_artifacts(address, tell=False)  # of whole paths relative ones are made
        except Exception as error:
            # Another machine's process may have been quicker.
            if not isinstance(error, list_refusals()) or isinstance(error, sqlite3.OperationalError):
                raise
            found = experiments.find_by_name(name)
            if found is None:
                raise
        found = experiments.find_by_name(name)
        assert found is not None
    if number not in (None, found.experiment_id):
        raise StoreError(f"{_ID}={number}: is not the experiment {name}, which {_NAME} names; set one of them")
    return found
