"""The tag by which a run is found again when the process that began it died before it could note the run's id."""

from hashlib import sha256
from typing import Final

from bptt.tracking.access import asking
from bptt.tracking.store import Store

#: The tag; no two runs have the same key.
KEY: Final = "bptt.key"


def key_of(*parts: str) -> str:
    """The key, 32 hexadecimal digits, of what these parts tell from everything else."""
    return sha256(" ".join(parts).encode()).hexdigest()[:32]


def run_with_key(store: Store, key: str) -> str | None:
    """The id of the run with this key; None: there is none. Raises StoreError."""
    with asking(store.address):
        found = store.client.search_runs([store.experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
    return found[0].info.run_id if found else None
