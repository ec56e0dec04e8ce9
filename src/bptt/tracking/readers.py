"""Opening a store to read from it, in the way that is fastest for its kind."""

from bptt.tracking.address import StoreError, resolve
from bptt.tracking.reading import StoreReader
from bptt.tracking.reading_client import ClientReader
from bptt.tracking.reading_database import DatabaseReader


def open_reader(uri: str | None) -> StoreReader:
    """The store at `uri`, see `resolve`. A database is asked without MLflow, whose import takes seconds.

    Raises StoreError where there is none, or where it doesn't answer.
    """
    address = resolve(uri)
    if address.database is not None and not address.database.is_file():
        raise StoreError(f"{address.database}: there is no such store")
    return ClientReader(address) if address.artifacts is None else DatabaseReader(address)
