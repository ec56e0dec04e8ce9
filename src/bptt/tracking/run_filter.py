"""Runs that a filter in MLflow's words finds, asked of the database alone.

MLflow's own search reads all that there is of each run, and opens the store in its own way first: seconds for a
thousand runs, and for none. The conditions here are MLflow's own; only what is selected is less.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bptt.tracking.narrowing import SourceError
from bptt.tracking.store import one_line

if TYPE_CHECKING:
    from sqlalchemy import Engine


def matching_ids(engine: "Engine", query: str) -> list[str] | None:
    """The ids of the active runs; None: this MLflow makes its conditions in a way that isn't known here.

    Raises SourceError where the query can't be understood.
    """
    try:
        from mlflow.store.tracking import sqlalchemy_store
        from mlflow.store.tracking.dbmodels.models import SqlRun
        from mlflow.utils.search_utils import SearchUtils
        from sqlalchemy import select
        from sqlalchemy.orm import Session

        conditions: Any = sqlalchemy_store._get_sqlalchemy_filter_clauses
        parse: Any = SearchUtils.parse_search_filter
        with understood(query), Session(engine) as session:
            of_runs, of_keys, of_datasets = conditions(parse(query), session, engine.dialect.name)
            found: Any = select(SqlRun.run_uuid).distinct().where(SqlRun.lifecycle_stage == "active", *of_runs)
            for one in of_keys:
                found = found.join(one)
            for one in of_datasets:
                found = found.join(one, SqlRun.run_uuid == one.c.destination_id)
            return [str(run_id) for run_id in session.scalars(found)]
    except (ImportError, AttributeError, TypeError, ValueError):
        return None


@contextmanager
def understood(query: str) -> Iterator[None]:
    """Within it MLflow's complaint about a query raises SourceError, with one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise SourceError(f"{query}: not a query that MLflow understands: {one_line(error)}") from None
