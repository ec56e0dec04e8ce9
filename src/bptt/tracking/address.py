"""Where the store is: found out before mlflow is imported, so that a wrong address is told at once."""

import os
import re
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]*)(?P<query>\?.*)?")
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?://)?(?P<rest>.*)", re.IGNORECASE)
_PASSWORD = re.compile(r"(?P<user>://[^/@:]*):[^/@]*@")
_NAMES = {"databricks", "databricks-uc", "uc"}


class StoreError(Exception):
    """The store can't be used as asked; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A store.

    uri        what MLflow is given; a SQLite path in it is absolute
    database   the SQLite file, None for another kind of store
    artifacts  the folder for artifacts; None: the server decides
    lock       the file whose lock guards the store's creation
    """

    uri: str
    database: Path | None
    artifacts: Path | None
    lock: Path

    @property
    def shown(self) -> str:
        """The URI as it may be printed."""
        return without_password(self.uri)


def resolve(uri: str | None, folder: Path | None = None) -> Address:
    """The store to use: `uri` (the configuration's tracking.uri), else MLFLOW_TRACKING_URI, else MLflow's own default.

    The default is the SQLite file `mlflow.db` in the current folder, so that a bare `mlflow ui` there shows the runs.
    A SQLite store keeps its artifacts in `mlruns` beside the database, another database in `mlruns` of the current
    folder, a server where it pleases. Raises StoreError where MLflow can't use the address.
    """
    folder = Path.cwd() if folder is None else folder
    given, origin = uri, "tracking.uri"
    if given is None:
        given, origin = os.environ.get("MLFLOW_TRACKING_URI") or None, "MLFLOW_TRACKING_URI"
    if given is None:
        _refuse_file_store(folder)
        given = "sqlite:///mlflow.db"
    if match := _SQLITE.fullmatch(given):
        return _sqlite(match, folder, origin)
    match = _SCHEME.fullmatch(given)
    if given not in _NAMES and (match is None or match["scheme"].lower() == "file" or len(match["scheme"]) == 1):
        raise StoreError(
            f"{origin}={given}: names a folder, and MLflow no longer keeps runs in folders;"
            " give a database (sqlite:///mlflow.db) or a server (http://host:5000)"
        )
    server = match is None or match["scheme"].lower() in {"http", "https", *_NAMES}
    key = sha256(given.encode()).hexdigest()[:16]
    return Address(
        uri=given,
        database=None,
        artifacts=None if server else folder / "mlruns",
        lock=Path(tempfile.gettempdir()) / f"bptt-store-{key}.lock",
    )


def artifact_location(address: Address, experiment: str) -> str | None:
    """The URI under which an experiment's artifacts are kept: absolute, so that it holds from any folder."""
    if address.artifacts is None:
        return None
    name = quote(experiment, safe=" ")
    return (address.artifacts / (name if name.strip(".") else name.replace(".", "%2E"))).as_uri()


def without_password(uri: str) -> str:
    """The URI with a password in it blotted out."""
    return _PASSWORD.sub(r"\g<user>:***@", uri)


def _sqlite(match: re.Match[str], folder: Path, origin: str) -> Address:
    if match["path"] in {"", ":memory:"}:
        raise StoreError(f"{origin}={match[0]}: a store in memory is gone when the program ends; name a file")
    database = (folder / unquote(match["path"])).resolve()
    artifacts = database.parent / "mlruns"
    return Address(
        uri=f"{match[0][: match.start('path') - match.start()]}{database}{match['query'] or ''}",
        database=database,
        artifacts=artifacts,
        lock=artifacts / f".{database.name}.lock",
    )


def _refuse_file_store(folder: Path) -> None:
    # MLflow looks for the same files: with one of them there a bare `mlflow ui` ignores mlflow.db.
    old = next((path for path in folder.glob("mlruns/*/meta.yaml") if path.parent.name.isdigit()), None)
    if old is not None:
        raise StoreError(
            f"{folder / 'mlruns'}: holds the runs of an old MLflow file store, which hides mlflow.db from `mlflow ui`;"
            " move it away, or name the store: tracking.uri=sqlite:///mlflow.db"
        )
