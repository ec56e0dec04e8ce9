"""The newest sweep of a store, found without what else MLflow brings along."""

from dataclasses import dataclass
from typing import Final

from bptt.tracking.address import Address
from bptt.tracking.shared_view import children_path

VIEW: Final = "bptt.view"

_SWEEP: Final = "bptt.sweep"
_PARENT: Final = "mlflow.parentRunId"


@dataclass(frozen=True, kw_only=True)
class NewestSweep:
    """A sweep, and the path of its page among MLflow's pages."""

    name: str
    path: str


def newest_sweep(address: Address) -> NewestSweep | None:
    """The sweep that was begun last; None: there is none, or the store does not say.

    Its page is the one that its tag `bptt.view` names, otherwise the experiment's with its runs alone. A database is
    asked with one query of its tables; a server through MLflow, whose import takes one to two seconds.
    """
    try:
        return _from_database(address) if address.pages is None else _from_server(address)
    except Exception:  # whatever it is: this is one link more, and not what was asked for
        return None


def _from_database(address: Address) -> NewestSweep | None:
    import sqlalchemy as sa

    runs = sa.table("runs", *map(sa.column, ("run_uuid", "experiment_id", "lifecycle_stage", "start_time")))
    tags = sa.table("tags", *map(sa.column, ("run_uuid", "key", "value")))

    def tag(key: str) -> sa.ScalarSelect[str]:
        of_the_run = (tags.c.run_uuid == runs.c.run_uuid) & (tags.c.key == key)
        return sa.select(tags.c.value).where(of_the_run).correlate(runs).scalar_subquery()

    newest = (
        sa.select(runs.c.run_uuid, runs.c.experiment_id, tag(_SWEEP), tag(VIEW))
        .where(runs.c.lifecycle_stage == "active", tag(_SWEEP).is_not(None), tag(_PARENT).is_(None))
        .order_by(runs.c.start_time.desc())
        .limit(1)
    )
    engine = sa.create_engine(address.uri)
    try:
        with engine.connect() as connection:
            found = connection.execute(newest).first()
    finally:
        engine.dispose()
    return None if found is None else _sweep(str(found[0]), str(found[1]), found[2], found[3])


def _from_server(address: Address) -> NewestSweep | None:
    from bptt.tracking.store import impatient, set_environment

    set_environment()
    from mlflow import MlflowClient

    with impatient():
        client = MlflowClient(address.uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        # A search can't ask for runs that lack a tag, so the newest run of any sweep leads to its parent.
        newest_first = ["attributes.start_time DESC"]
        found = client.search_runs(experiments, f"tags.`{_SWEEP}` != ''", max_results=1, order_by=newest_first)
        if not found:
            return None
        run = client.get_run(found[0].data.tags.get(_PARENT, found[0].info.run_id))
    return _sweep(run.info.run_id, run.info.experiment_id, run.data.tags[_SWEEP], run.data.tags.get(VIEW))


def _sweep(run_id: str, experiment_id: str, name: str, view: str | None) -> NewestSweep:
    return NewestSweep(name=name, path=view or children_path(experiment_id, run_id))
