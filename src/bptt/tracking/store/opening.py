"""A store opened: created once, under a lock, before anything is trained; or found, to read from or delete in it.

And the experiment that runs are to go to: which it is, and found in the store, or made there.
"""

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.folder.lock import file_lock
from bptt.tracking.store.address import Address, StoreError, locate_artifacts, resolve_address
from bptt.tracking.store.base import Experiment, Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.connecting import (
    REFUSALS,
    SECONDS_AT_THE_START,
    UNKNOWN_RUN,
    check_reading,
    connect,
    explain_refusal,
    is_passing,
    limit_patience,
    list_refusals,
    make_ready,
    set_environment,
    shorten,
)
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.sqlite import SqliteStore
from bptt.tracking.store.tables import Database, split_values
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


def open_store(
    uri: str | None, wanted: WantedExperiment | str, restore: bool = False, folder: Path | None = None
) -> Store:
    """The store at `uri` (see `resolve_address`) with an experiment, both made where missing.

    wanted   the experiment, or its name
    restore  whether one that was deleted is taken out of MLflow's bin, with its runs; otherwise it is refused
    folder   from which the address is meant; None: the current one

    Several processes opening a fresh database at the same moment break it, so the whole happens under a lock between
    the processes of this machine. Raises StoreError, with one line for the user, for whatever stands in the way; a
    server that doesn't answer is given up within seconds.
    """
    address = resolve_address(uri, folder)
    set_environment()
    try:
        with (
            _clean_up(address.lock),
            file_lock(address.lock),
            limit_patience(seconds=SECONDS_AT_THE_START, retries=0),
        ):
            wanted = WantedExperiment(wanted) if isinstance(wanted, str) else wanted
            if make_ready(address):
                database = Database(address)
                found = find_experiment(TableExperiments(address, database), address, wanted, uri, restore)
                return SqliteStore(address, database, None, found)
            client = connect(address)
            return _choose(address, client, find_experiment(ClientExperiments(client), address, wanted, uri, restore))
    except OSError as error:
        raise StoreError(f"{address.shown}: can't be opened: {error}") from error


@contextmanager
def _clean_up(lock: Path) -> Iterator[None]:
    """Remove the lock again, with its folder, where both are made for a store that can't be opened."""
    fresh = not lock.parent.exists()
    try:
        yield
    except BaseException:
        if fresh:
            with suppress(OSError):
                lock.unlink()
                lock.parent.rmdir()
        raise


def open_to_read(uri: str | None) -> Store:
    """The store at `uri`, see `resolve_address`, to read from. A database is asked without importing MLflow.

    Raises StoreError where there is none, or where it doesn't answer.
    """
    return open_address(find_store(uri))


def open_address(address: Address) -> Store:
    """The store at an address, to read from."""
    if not address.is_server:
        check_reading(address)
        settle_artifacts(address, relative=False)
        return DatabaseStore(address, Database(address))
    set_environment()
    with explain_refusal(address):
        return ClientStore(address, connect(address))


def open_to_delete(uri: str | None, folder: Path | None = None) -> Store:
    """The store at `uri`, see `find_store`, to delete from it. Raises StoreError where it doesn't answer too."""
    address = find_store(uri, folder)
    set_environment()
    with explain_refusal(address):
        return _choose(address, connect(address))


def find_store(uri: str | None, folder: Path | None = None) -> Address:
    """Where the store at `uri` is, as seen from a folder, see `resolve_address`.

    Raises StoreError where it is a file that is not there.
    """
    address = resolve_address(uri, folder)
    if address.is_missing:
        raise StoreError(f"{address.database}: there is no such store")
    return address


def _choose(address: Address, client: "MlflowClient", into: Experiment | None = None) -> Store:
    """What a store is, by its client: a database with the tables that are known here, or what MLflow makes of it."""
    database = Database.of(address, client)
    return ClientStore(address, client, into) if database is None else DatabaseStore(address, database, client, into)


def count_lost(database: Path, run_ids: Sequence[str]) -> int:
    """How many of these runs a database in a file lacks, or has in MLflow's bin. Raises StoreError."""
    if not database.is_file() or database.stat().st_size == 0:
        return len(run_ids)
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1)) as connection:
            there = 0
            for part in split_values(run_ids):
                active = f"lifecycle_stage = 'active' AND run_uuid IN ({', '.join('?' * len(part))})"
                there += connection.execute(f"SELECT count(*) FROM runs WHERE {active}", [*part]).fetchone()[0]
            return len(run_ids) - there
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{database}: can't be read: {error}") from error
