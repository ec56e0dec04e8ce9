"""What a store refuses, in one line for the user; and a search through all its pages."""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from bptt.tracking.store.address import Address, StoreError, hide_passwords
from bptt.tracking.store.connecting import is_passing, limit_patience, shorten

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_log = logging.getLogger(__name__)

P = ParamSpec("P")


T = TypeVar("T")


_LOCKED: Final = "database is locked"


_SECONDS_OF_PATIENCE: Final = 60.0


_PAGE: Final = 250  # runs in one answer: for seconds of patience, also where the server is slow


@contextmanager
def explain_refusal(address: Address) -> Iterator[None]:
    """Within it a store that refuses, or that doesn't answer for seconds, raises StoreError with one line."""
    try:
        with limit_patience():
            yield
    except Exception as error:
        if not isinstance(error, _list_refusals()):
            raise
        raise StoreError(f"{address.shown}: {summarize(error)}", is_passing(error)) from error


def wait_while_locked(ask: Callable[P, T]) -> Callable[P, T]:
    """Make what asks a store wait, for a minute, for another process that holds its database; MLflow waits for less."""

    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        until = time.monotonic() + _SECONDS_OF_PATIENCE
        while True:
            try:
                return ask(*args, **kwargs)
            except StoreError as error:
                # It was rolled back, so that nothing is done twice.
                if _LOCKED not in str(error) or time.monotonic() > until:
                    raise
                _log.warning("waiting for another process that holds the database: %s", error)

    return asked


def _list_refusals() -> tuple[type[Exception], ...]:
    """What a store refuses with; of packages that were not imported, which takes seconds, nothing can come."""
    kinds = {"mlflow.exceptions": "MlflowException", "sqlalchemy.exc": "SQLAlchemyError"}
    return OSError, *(getattr(sys.modules[module], kind) for module, kind in kinds.items() if module in sys.modules)


def search_runs(
    client: "MlflowClient", experiment_ids: Sequence[str], matching: str, deleted: bool = False
) -> Iterator["Run"]:
    """The runs that a filter in MLflow's words finds, the newest first; with those in MLflow's bin where `deleted`."""
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    token: str | None = None
    while True:
        page = client.search_runs([*experiment_ids], matching, view, _PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def summarize(error: Exception) -> str:
    """What went wrong, in one line without a password."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # A database's own words stand behind the class of its error, in the midst of SQLAlchemy's.
    told = re.search(r"\(\w+(?:\.\w+)*Error\) (.+)", str(error))
    return shorten(error) if told is None else hide_passwords(told[1].strip())


class SourceError(Exception):
    """What was named can't be found, or is not clear; the message is one line for the user."""


@contextmanager
def explain_query(query: str) -> Iterator[None]:
    """Within it MLflow's complaint about a query raises SourceError, with one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise SourceError(f"{query}: not a query that MLflow understands: {shorten(error)}") from None
