"""A store behind MLflow's client: a tracking server, or a database whose tables are not those that are known here."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from bptt.tracking.folder.files import OWN_FOLDERS, make_empty_history
from bptt.tracking.store.artifacts import list_all_names
from bptt.tracking.store.base import (
    RunWriter,
    Store,
    StoredRow,
    SweepPlace,
    SweepToRemove,
    restore_infinities,
    sort_rows,
)
from bptt.tracking.store.connecting import UNKNOWN_RUN, explain_query, explain_refusal, limit_patience, search_runs
from bptt.tracking.store.runs import Holding
from bptt.tracking.store.tags import (
    DETAIL_TAG,
    DIGEST_TAG,
    KEY_TAG,
    OUTCOME_TAG,
    PARENT_TAG,
    SETTING_TAG,
    SWEEP_TAG,
    VIEW_TAG,
)
from bptt.tracking.store.writers import ClientWriter, HeldRun

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

_AT_ONCE: Final = 8  # requests

#: What is answered of a run, or of a tag, that is not there any more, or is in the bin.
_GONE: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class ClientStore(Store):
    """A store that is asked in MLflow's own words."""

    def find_sweeps(self, name: str) -> list[StoredRow]:
        """See `Store.find_sweeps`."""
        quoted = _quote(name)
        with explain_refusal(self.address):
            # The runs below a sweep's own have its tag as well, but not its name.
            own = f"tags.`{SWEEP_TAG}` = {quoted} AND attributes.run_name = {quoted}"
            found = search_runs(self.client, self._list_experiments(), own)
            return sort_rows([row for row in map(_make_row, found) if row.is_sweep])

    def find_run(self, run_id: str) -> StoredRow | None:
        """See `Store.find_run`."""
        with explain_refusal(self.address):
            run = self._get_run(run_id)
        return None if run is None or run.info.lifecycle_stage == "deleted" else _make_row(run)

    def find_runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """See `Store.find_runs`; a request for each, several at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [row for row in pool.map(self.find_run, run_ids) if row is not None]

    def find_below(self, parent: StoredRow) -> list[StoredRow]:
        """See `Store.find_below`."""
        with explain_refusal(self.address):
            experiment = self.client.get_run(parent.run_id).info.experiment_id
            found = search_runs(self.client, [experiment], f"tags.`{PARENT_TAG}` = '{parent.run_id}'")
            return sort_rows([_make_row(run) for run in found])

    def search(self, query: str) -> list[StoredRow]:
        """See `Store.search`."""
        with explain_refusal(self.address), explain_query(query):
            found = [_make_row(run) for run in search_runs(self.client, self._list_experiments(), query)]
        return sort_rows([row for row in found if not row.is_sweep])

    def read_histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """See `Store.read_histories`; a request for each metric of each run, several at once."""
        import pandas as pd

        with explain_refusal(self.address), ThreadPoolExecutor(_AT_ONCE) as pool:
            tables = list(pool.map(self._read_history, rows, rows.values()))
        joined = pd.concat([make_empty_history(), *tables], ignore_index=True)
        return restore_infinities(joined, [name for name in joined if name not in ("run", "update")])

    def _read_history(self, number: int, row: StoredRow) -> "pd.DataFrame":
        import pandas as pd

        names = self.client.get_run(row.run_id).data.metrics
        series = {
            name: {point.step: point.value for point in self.client.get_metric_history(row.run_id, name)}
            for name in names
        }
        return pd.DataFrame(series).rename_axis("update").reset_index().assign(run=number)

    def has_at_hand(self, row: StoredRow) -> bool:  # noqa: ARG002 (metrics are asked for one by one)
        """See `Store.has_at_hand`."""
        return True

    def find_newest_sweep(self) -> SweepPlace | None:
        """See `Store.find_newest_sweep`."""
        with explain_refusal(self.address):
            experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
            # A search can't ask for runs that lack a tag, so the newest run of any sweep leads to its parent.
            newest_first = ["attributes.start_time DESC"]
            found = self.client.search_runs(
                experiments, f"tags.`{SWEEP_TAG}` != ''", max_results=1, order_by=newest_first
            )
            if not found:
                return None
            run = self.client.get_run(found[0].data.tags.get(PARENT_TAG, found[0].info.run_id))
        tags = run.data.tags
        return SweepPlace(
            parent=run.info.run_id,
            experiment_id=run.info.experiment_id,
            name=tags[SWEEP_TAG],
            view=tags.get(VIEW_TAG),
        )

    def find_finished(self, digests: Collection[str]) -> dict[str, str]:
        """See `Store.find_finished`."""
        wanted, found = set(digests), dict[str, str]()
        # MLflow's search takes no list of a tag's values.
        matching = f"attributes.status = 'FINISHED' AND tags.`{DIGEST_TAG}` LIKE '%'"
        with explain_refusal(self.address):
            for run in search_runs(self.client, [self.experiment_id], matching):
                digest = run.data.tags[DIGEST_TAG]
                if digest in wanted and run.data.tags.get(DETAIL_TAG) != "last":
                    found.setdefault(digest, run.info.run_id)
                    if len(found) == len(wanted):
                        break
        return found

    def read_holdings(self, wanted: Mapping[str, str | None], sweep: str | None) -> dict[str, Holding]:
        """See `Store.read_holdings`; some ten requests for each run, several at once."""
        with explain_refusal(self.address), ThreadPoolExecutor(_AT_ONCE) as pool:
            noted = {key: run_id for key, run_id in wanted.items() if run_id is not None}
            found = dict(zip(noted, pool.map(self._get_run, noted.values()), strict=True))
            runs = {key: run for key, run in found.items() if run is not None}
            if unknown := [key for key in wanted if key not in runs]:
                by_key = {run.data.tags.get(KEY_TAG): run for run in self._search_keyed(unknown, sweep)}
                runs |= {key: by_key[key] for key in unknown if key in by_key}
            return dict(zip(runs, pool.map(self._read_holding, runs.values()), strict=True))

    def _get_run(self, run_id: str) -> "Run | None":
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in UNKNOWN_RUN:
                return None
            raise

    def _search_keyed(self, keys: Sequence[str], sweep: str | None) -> "Iterator[Run]":
        """The runs that may have these keys, the preferred ones last."""
        experiments = self._list_experiments(deleted=True)
        own = [f"tags.`{KEY_TAG}` = '{key}'" for key in keys]
        for query in own if sweep is None else [f"tags.`{SWEEP_TAG}` = {_quote(sweep)}"]:
            found = list(search_runs(self.client, experiments, query, deleted=True))
            yield from sorted(found, key=lambda run: HeldRun.of(run).preference, reverse=True)

    def _read_holding(self, run: "Run") -> Holding:
        info, data = run.info, run.data
        with limit_patience():
            return Holding(
                run_id=info.run_id,
                status=info.status,
                deleted=info.lifecycle_stage == "deleted",
                artifact_uri=info.artifact_uri,
                points={
                    name: len({point.step for point in self.client.get_metric_history(info.run_id, name)})
                    for name in data.metrics
                },
                params=frozenset(data.params),
                tags=data.tags,
                files=list_all_names(self.address, info.artifact_uri, () if PARENT_TAG in data.tags else OWN_FOLDERS),
            )

    def count_active(self, parent: str, run_ids: Collection[str]) -> int:
        """See `Store.count_active`."""
        with explain_refusal(self.address):
            below = search_runs(self.client, [self.experiment_id], f"tags.`{PARENT_TAG}` = '{parent}'")
            there = {run.info.run_id for run in below} & {*run_ids}
        return len(there) + len(self.find_runs([run_id for run_id in run_ids if run_id not in there]))

    def open_writer(self, parent: str | None, fresh: bool) -> RunWriter:
        """See `Store.open_writer`."""
        return ClientWriter(self, parent, fresh)

    def adopt(self, parent: str, settings: Mapping[str, str], tags: Mapping[str, str] | None = None) -> None:
        """See `Store.adopt`; a request for each run that does not belong to it, several at once."""
        from mlflow.exceptions import MlflowException

        key = SETTING_TAG + parent

        def mark(run_id: str) -> None:
            try:
                self.client.set_tag(run_id, key, settings[run_id])
                there = self.client.get_run(run_id).data.tags if tags else {}
                for name, text in (tags or {}).items():
                    if name not in there:
                        self.client.set_tag(run_id, name, text)
            except MlflowException as error:
                if error.error_code not in _GONE:
                    raise

        with explain_refusal(self.address):
            has_it = {run.info.run_id for run in search_runs(self.client, [self.experiment_id], f"tags.`{key}` != ''")}
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(mark, [run_id for run_id in settings if run_id not in has_it]))

    def list_sweeps(self, name: str) -> list[str]:
        """See `Store.list_sweeps`."""
        with explain_refusal(self.address):
            everywhere = self._list_experiments(deleted=True)
            found = search_runs(self.client, everywhere, f"tags.`{SWEEP_TAG}` = {_quote(name)}")
            return [run.info.run_id for run in found if PARENT_TAG not in run.data.tags]

    @property
    def empties_bin(self) -> bool:
        """See `Store.empties_bin`."""
        return False

    def _find_outcome(self, run_id: str) -> tuple[str, str] | None:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        outcome = run.data.tags.get(OUTCOME_TAG)
        return None if outcome is None else (run.info.artifact_uri, outcome)

    def _list_members(self, parent: str, experiment_id: str) -> tuple[dict[str, str], list[str]]:
        key, active = SETTING_TAG + parent, dict[str, bool]()
        below = [*search_runs(self.client, [experiment_id], f"tags.`{PARENT_TAG}` = '{parent}'")]
        shared = [run.info.run_id for run in search_runs(self.client, [experiment_id], f"tags.`{key}` != ''")]

        def belongs_elsewhere(run: "Run") -> bool:
            others = [name.removeprefix(SETTING_TAG) for name in run.data.tags if name.startswith(SETTING_TAG)]
            for other in others:
                if other != parent and other not in active:
                    active[other] = self.find_run(other) is not None
            return any(active.get(other, False) for other in others)

        runs = {run.info.run_id: run.info.artifact_uri for run in below if not belongs_elsewhere(run)}
        return runs, sorted({*(run.info.run_id for run in below), *shared} - runs.keys())

    def _disown(self, parent: str, run_ids: Sequence[str]) -> None:
        from mlflow.exceptions import MlflowException

        for run_id in run_ids:
            try:
                self.client.delete_tag(run_id, SETTING_TAG + parent)
            except MlflowException as error:
                if error.error_code not in _GONE:
                    raise

    def _delete(self, sweep: SweepToRemove) -> list[str]:
        for model_id in self._list_models(sweep.experiment_id, set(sweep.runs)):
            self.client.delete_logged_model(model_id)
        for run_id in sweep.runs:
            self.client.delete_run(run_id)
        return ["the server keeps them in its bin: `mlflow gc`, on the server, frees the space"]

    def _list_models(self, experiment_id: str, run_ids: Collection[str]) -> list[str]:
        """The ids of the models of an experiment that were logged from these runs."""
        found, token = [], None
        while True:
            page = self.client.search_logged_models([experiment_id], page_token=token)
            found += [model.model_id for model in page if model.source_run_id in run_ids]
            token = page.token
            if not token:
                return found

    def _list_experiments(self, deleted: bool = False) -> list[str]:
        """The ids of the experiments; with those that were deleted where `deleted`."""
        from mlflow.entities import ViewType

        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        found, token = [], None
        while True:
            page = self.client.search_experiments(view, page_token=token)
            found += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                return found


def _quote(name: str) -> str:
    """A name as a value in MLflow's filters, which know no escape."""
    return f"'{name}'" if "'" not in name else f'"{name}"'


def _make_row(run: "Run") -> StoredRow:
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
