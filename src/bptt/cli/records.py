"""Where the runs of a command are recorded: the store, opened once, and the MLflow run above a sweep's runs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bptt.configuration.build import Configuration
    from bptt.tracking.record import RunRecord, Status
    from bptt.tracking.store import Store


class Records:
    """Opens the store with the first run that asks for it."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self._sweep: RunRecord | None = None
        self._provenance: dict[str, str] = {}

    def open(self, configuration: "Configuration") -> "Store | None":
        """The store of a run; None where it is not tracked. Raises StoreError."""
        from bptt.tracking.store import open_store

        tracking = configuration.tracking
        if not tracking.enabled:
            self.store = None
        elif self.store is None or (self.store.asked, self.store.experiment) != (tracking.uri, tracking.experiment):
            self.store = open_store(tracking.uri, tracking.experiment)
        return self.store

    def begin(self, configuration: "Configuration", name: str, digest: str, sweep: str | None) -> "RunRecord | None":
        """The record of a run in the opened store, below that of its sweep where it is part of one."""
        from bptt.tracking.parameters import flattened
        from bptt.tracking.provenance import provenance
        from bptt.tracking.record import RunRecord

        if self.store is None:
            return None
        self._provenance = self._provenance or provenance()
        tags = self._provenance | ({} if sweep is None else {"bptt.sweep": sweep})
        if sweep is not None and self._sweep is None:
            self._sweep = RunRecord.begin(self.store, sweep, {}, tags)
        parent = None if self._sweep is None else self._sweep.run_id
        params = flattened(as_recorded(configuration))
        return RunRecord.begin(self.store, name, params, tags | {"bptt.digest": digest}, parent)

    def close(self, status: "Status") -> None:
        """End the sweep's own run. Raises StoreError."""
        if self._sweep is not None:
            self._sweep.close(status, {}, {})


def as_recorded(configuration: "Configuration") -> dict[str, Any]:
    """The whole configuration, without a password that the store's address may hold."""
    from bptt.tracking.address import without_password

    resolved, uri = configuration.resolved, configuration.tracking.uri
    return resolved | {"tracking": resolved["tracking"] | {"uri": uri and without_password(uri)}}
