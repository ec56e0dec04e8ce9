"""Where a run's page is among MLflow's."""

from typing import Final

from bptt.tracking.store.address import Address, make_run_path
from bptt.tracking.store.connecting import SourceError, connect, explain_refusal, set_environment
from bptt.tracking.store.opening import ClientExperiments, TableExperiments
from bptt.tracking.store.tables import Database

#: Where `bptt ui` shows a store that is no server.
_LOCAL: Final = "http://127.0.0.1:5000"


def write_page(address: Address, experiment_id: str, run_id: str) -> str:
    """The address of a run's page; of a store that is no server, where `bptt ui` shows it."""
    return f"{address.pages or _LOCAL}{make_run_path(experiment_id, run_id)}"


def find_page(address: Address, run_id: str) -> str:
    """The same of a run whose experiment the store is asked for; a database without MLflow.

    Raises SourceError where it has no such run, and StoreError where it does not answer.
    """
    set_environment()
    with explain_refusal(address):
        if address.is_server:
            found = ClientExperiments(connect(address)).find_by_run(run_id)
        else:
            found = TableExperiments(address, Database(address)).find_by_run(run_id)
    if found is None:
        raise SourceError(f"{run_id}: no run in {address.shown}")
    return write_page(address, found.experiment_id, run_id)
