"""A store read through MLflow's client: a tracking server, and whatever is asked in MLflow's own words."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from bptt.tracking.access import asking, every_run
from bptt.tracking.address import Address
from bptt.tracking.reading import PARENT_TAG, SWEEP_TAG, StoredRow, StoreReader, in_order, infinite
from bptt.tracking.recording import no_history
from bptt.tracking.run_filter import understood
from bptt.tracking.store import _open, set_environment

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

_AT_ONCE: Final = 8  # requests


class ClientReader(StoreReader):
    """A store behind MLflow's client."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        set_environment()
        with asking(address):
            self._client = _open(address)

    def sweeps_named(self, name: str) -> list[StoredRow]:
        """See `StoreReader.sweeps_named`."""
        quoted = f"'{name}'" if "'" not in name else f'"{name}"'  # MLflow's filters know no escape
        with asking(self.address):
            # The runs below a sweep's own have its tag as well, but not its name.
            own = f"tags.`{SWEEP_TAG}` = {quoted} AND attributes.run_name = {quoted}"
            found = every_run(self._client, self._experiments(), own)
            return in_order([row for row in map(_row, found) if row.is_sweep])

    def run(self, run_id: str) -> StoredRow | None:
        """See `StoreReader.run`."""
        from mlflow.exceptions import MlflowException

        with asking(self.address):
            try:
                run = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return None if run.info.lifecycle_stage == "deleted" else _row(run)

    def runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """See `StoreReader.runs`; a request for each, several at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [row for row in pool.map(self.run, run_ids) if row is not None]

    def below(self, parent: StoredRow) -> list[StoredRow]:
        """See `StoreReader.below`."""
        with asking(self.address):
            experiment = self._client.get_run(parent.run_id).info.experiment_id
            found = every_run(self._client, [experiment], f"tags.`{PARENT_TAG}` = '{parent.run_id}'")
            return in_order([_row(run) for run in found])

    def matching(self, query: str) -> list[StoredRow]:
        """See `StoreReader.matching`."""
        with asking(self.address), understood(query):
            found = [_row(run) for run in every_run(self._client, self._experiments(), query)]
        return in_order([row for row in found if not row.is_sweep])

    def histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """See `StoreReader.histories`; a request for each metric of each run, several at once."""
        import pandas as pd

        with asking(self.address), ThreadPoolExecutor(_AT_ONCE) as pool:
            tables = list(pool.map(self._history, rows, rows.values()))
        joined = pd.concat([no_history(), *tables], ignore_index=True)
        return infinite(joined, [name for name in joined if name not in ("run", "update")])

    def _history(self, number: int, row: StoredRow) -> "pd.DataFrame":
        import pandas as pd

        names = self._client.get_run(row.run_id).data.metrics
        series = {
            name: {point.step: point.value for point in self._client.get_metric_history(row.run_id, name)}
            for name in names
        }
        return pd.DataFrame(series).rename_axis("update").reset_index().assign(run=number)

    def _experiments(self) -> list[str]:
        found, token = [], None
        while True:
            page = self._client.search_experiments(page_token=token)
            found += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                return found


def _row(run: "Run") -> StoredRow:
    info = run.info
    return StoredRow(
        run_id=info.run_id,
        name=info.run_name or "",
        status=info.status,
        began=None if info.start_time is None else info.start_time / 1000,
        ended=None if info.end_time is None else info.end_time / 1000,
        artifact_uri=info.artifact_uri,
        tags=run.data.tags,
        params=run.data.params,
    )
