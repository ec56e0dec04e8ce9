"""Opening a store: created once, under a lock, before anything is trained; or found, to read from or delete in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.tracking.folder.lock import file_lock
from bptt.tracking.store.address import Address, StoreError, locate_artifacts, resolve_address
from bptt.tracking.store.base import Experiment, Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.connecting import REFUSALS, check_reading, connect, limit_patience, set_environment, shorten
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.errors import explain_refusal
from bptt.tracking.store.moving import settle_artifacts
from bptt.tracking.store.tables import Database

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_store(uri: str | None, experiment: str) -> Store:
    """The store at `uri` (see `resolve_address`) with this experiment, both made where missing.

    Several processes opening a fresh database at the same moment break it, so the whole happens under a lock between
    the processes of this machine. Raises StoreError, with one line for the user, for whatever stands in the way.
    """
    address = resolve_address(uri)
    set_environment()
    try:
        with _clean_up(address.lock), file_lock(address.lock), limit_patience():
            client = connect(address)
            experiment_id = _find_experiment(client, address, experiment)
            return _choose(address, client, Experiment(name=experiment, experiment_id=experiment_id, asked=uri))
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
        return DatabaseStore(address, Database.at(address))
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
    database = Database.of(client)
    return ClientStore(address, client, into) if database is None else DatabaseStore(address, database, client, into)


def _find_experiment(client: "MlflowClient", address: Address, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                made = str(client.create_experiment(name, locate_artifacts(address, name)))
                settle_artifacts(address, tell=False)  # MLflow makes a whole path of a relative one
                return made
            except MlflowException:
                # Another machine's process may have been quicker.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    except MlflowException as error:
        silent = address.is_server and error.error_code not in REFUSALS
        trouble = "can't be reached" if silent else "can't be used"
        raise StoreError(f"{address.shown}: the store {trouble}: {shorten(error)}") from error
    if found.lifecycle_stage != "active":
        raise StoreError(
            f"tracking.experiment={name}: this experiment was deleted; choose another name, or restore it with:"
            f" mlflow experiments restore -x {found.experiment_id}"
        )
    if not address.is_server and found.artifact_location.startswith("mlflow-artifacts:"):
        raise StoreError(
            f"{address.shown}: the files of experiment {name} are behind a tracking server: record there, with its"
            " address in tracking.uri, or in another tracking.experiment"
        )
    return str(found.experiment_id)
