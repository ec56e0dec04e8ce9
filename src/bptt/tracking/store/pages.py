"""Where a run's page is among MLflow's."""

from typing import Final

from bptt.tracking.store.address import Address, make_run_path
from bptt.tracking.store.connecting import connect, explain_refusal, set_environment

#: Where `bptt ui` shows a store that is no server.
_LOCAL: Final = "http://127.0.0.1:5000"


def write_page(address: Address, experiment_id: str, run_id: str) -> str:
    """The address of a run's page; of a store that is no server, where `bptt ui` shows it."""
    return f"{address.pages or _LOCAL}{make_run_path(experiment_id, run_id)}"


def find_page(address: Address, run_id: str) -> str:
    """The same of a run whose experiment the store is asked for. Raises StoreError where it has no such run."""
    set_environment()
    with explain_refusal(address):
        found = connect(address).get_run(run_id)
    return write_page(address, found.info.experiment_id, run_id)
