"""What workers of a Dask cluster tell the command that waits for them, be there a folder that both see or not.

The last checkpoint of a block lies among the metadata of Dask's scheduler, under a name that says of which runs it is:
the next worker that is given the block goes on from there. An event tells the command of it, which fetches it into the
sweep's folder. How far a block is comes as an event, too.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final

from bptt.tracking.folder.files import write_bytes, write_text
from bptt.tracking.folder.progress import remove_sign

#: Of Dask's events. All commands on one scheduler hear each other's, and know their own by the names.
TOPIC: Final = "bptt"


def name_block(identity: str) -> str:
    """What a block is called between machines, by the runs that it has."""
    return f"bptt-{sha256(identity.encode()).hexdigest()[:32]}"


class Relay:
    """The way of a block from its worker to the command. No trouble with it fails a run: without it one begins anew."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._left = False  # whether Dask's scheduler has a checkpoint of the block

    def keep(self, name: str, content: bytes | None) -> None:
        """A block has a new checkpoint; content: None where the command's own folder has it."""
        with suppress(Exception):
            if content is not None:
                self._left = True
                _connect().set_metadata([name], content)
            self._tell(name, kept=content is not None, task=self._worker.get_current_task())

    def recall(self, name: str) -> bytes | None:
        """The checkpoint of a block that another worker has left; None: there is none."""
        with suppress(Exception):
            content = fetch_kept(_connect(), name)
            self._left = content is not None
            return content
        return None

    def forget(self, name: str) -> None:
        """A block has ended."""
        with suppress(Exception):
            if self._left:
                forget_kept(_connect(), name)

    def signal(self, name: str, sign: Mapping[str, Any]) -> None:
        """How far a block is."""
        with suppress(Exception):
            self._tell(name, sign=dict(sign))

    def _tell(self, name: str, **what: Any) -> None:
        self._worker.log_event(TOPIC, {"block": name} | what)


def find_relay() -> Relay | None:
    """The way from this worker of a Dask cluster to its command; None: this is none. Imports `distributed`."""
    from distributed import get_worker

    try:
        return Relay(get_worker())
    except ValueError:
        return None


def fetch_kept(client: Any, name: str) -> bytes | None:
    """The checkpoint of a block that Dask's scheduler has; None: it has none."""
    content = client.get_metadata([name], default=None)
    return content if isinstance(content, bytes) else None


def forget_kept(client: Any, name: str) -> None:
    """Have Dask's scheduler forget a checkpoint."""
    client.set_metadata([name], None)


def _connect() -> Any:
    from distributed import get_client

    return get_client()


@dataclass(frozen=True)
class Places:
    """Where a sweep's folder has the checkpoint of a block, and the sign that tells how far it is."""

    checkpoint: Path
    sign: Path | None


class Inbox:
    """Takes what workers tell of blocks, and writes it into the sweep's folder as long as the blocks are trained.

    places  of each block, by its name: of others nothing is taken
    """

    def __init__(self, places: Mapping[str, Places]) -> None:
        self._places = dict(places)
        self._lock = Lock()

    def take(self, name: str, told: bytes | Mapping[str, Any]) -> None:
        """Write a checkpoint, or a sign."""
        with self._lock, suppress(OSError, ValueError):  # of a full disk: no run must fail
            places = self._places.get(name)
            if places is None:
                return
            if isinstance(told, bytes):
                write_bytes(places.checkpoint, told)
            elif places.sign is not None:
                write_text(places.sign, json.dumps(told) + "\n")

    def close(self, name: str) -> None:
        """A block has ended: its files go, and what still comes of it is late."""
        with self._lock, suppress(OSError):
            places = self._places.pop(name, None)
            if places is not None:
                remove_sign(places.sign)
                places.checkpoint.unlink(missing_ok=True)
