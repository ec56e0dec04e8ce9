"""Where the store is: found out before mlflow is imported, so that a wrong address is told at once."""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shlex import quote as quote_word
from typing import Final
from urllib.parse import quote, unquote, urlencode

from bptt.printable import OneLineError

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]*)(?P<query>\?.*)?", re.DOTALL)


#: The options that Python's sqlite3 and SQLite itself know; whatever else stands behind a ? is of the path.
_OPTIONS: Final = re.compile(
    r"(?:uri|timeout|isolation_level|detect_types|check_same_thread|cached_statements|mode|cache|vfs|psow|nolock|immutable)=.*"
)


# SQLAlchemy decodes a path once more, and cuts it at a question mark.
_QUOTED: Final = re.compile(r"[%?\x00-\x1f\x7f\x85\u2028\u2029]")


_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?://)?(?P<rest>.*)", re.IGNORECASE)


_BLOTTED: Final = "***"


# In an address a password stands after the user's name, a token in its place, and either among a database's options.
_SECRETS = (
    (re.compile(r"(://[^/\s@:]*):[^/\s]*@"), rf"\1:{_BLOTTED}@"),
    (re.compile(r"(https?://)[^/\s@:]+@", re.IGNORECASE), rf"\1{_BLOTTED}@"),
    (re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]+", re.IGNORECASE), rf"\1{_BLOTTED}"),
)


_PAGES = re.compile(r"(?P<scheme>https?://)(?:[^/]*@)?", re.IGNORECASE)


#: The folder of artifacts, beside a database in a file.
ARTIFACTS: Final = "mlruns"


# The default, of MLflow too.
_DEFAULT: Final = "sqlite:///mlflow.db"


_KEY: Final = "tracking.uri"


#: Of a page's address: without it MLflow's pages turn to what it offers for language models.
MODEL_TRAINING: Final = {"workflowType": "machine_learning"}


_NAMES = {"databricks", "databricks-uc", "uc"}


class StoreError(OneLineError):
    """The store can't be used as asked; the message is one line for the user.

    passing  whether that may come right by itself, as with a server that is away
    """

    def __init__(self, says: str, passing: bool = False) -> None:
        super().__init__(says)
        self.passing = passing


@dataclass(frozen=True, kw_only=True)
class Address:
    """A store.

    uri        what MLflow is given; a SQLite path in it is absolute
    database   the SQLite file, None for another kind of store
    artifacts  the folder for artifacts; None: the server decides
    lock       the file whose lock guards the store's creation
    query      the options of a SQLite file, with the ?
    at_home    whether it is a SQLite file in the folder that it was named from, and was named as such: artifacts are
               addressed relative to it, so that the folder can be copied and moved, and a bare `mlflow ui` in it finds
               them. One that is named by a whole path is used from anywhere, also by MLflow
    """

    uri: str
    database: Path | None
    artifacts: Path | None
    lock: Path
    query: str = ""
    at_home: bool = False

    @property
    def is_server(self) -> bool:
        """Whether it is a server, and no database."""
        return self.artifacts is None

    @property
    def is_missing(self) -> bool:
        """Whether it is a file that is not there."""
        return self.database is not None and not self.database.is_file()

    @property
    def shown(self) -> str:
        """The URI as it may be printed."""
        return hide_passwords(self.uri)

    @property
    def pages(self) -> str | None:
        """Where MLflow's pages are, to be opened in a browser; None: it is no server."""
        server = _PAGES.match(self.uri)
        return None if server is None else (server["scheme"] + self.uri[server.end() :]).rstrip("/")


def resolve_address(uri: str | None, folder: Path | None = None) -> Address:
    """The store to use: `uri` (the configuration's tracking.uri), else MLFLOW_TRACKING_URI, else MLflow's own default.

    The default is the SQLite file `mlflow.db` in the current folder, so that a bare `mlflow ui` there shows the runs.
    A SQLite store keeps its artifacts in `mlruns` beside the database, another database in `mlruns` of the current
    folder, a server where it pleases. Raises StoreError where MLflow can't use the address, and where one that is not
    from the environment holds a password: arguments are seen by all users of a machine, and kept in many places.
    """
    folder = Path.cwd() if folder is None else folder
    given, origin = uri, "tracking.uri"
    if given is None:
        given, origin = os.environ.get("MLFLOW_TRACKING_URI") or None, "MLFLOW_TRACKING_URI"
    if given is None:
        _refuse_file_store(folder)
        given = _DEFAULT
    if match := _SQLITE.fullmatch(given if given.rstrip("/") != "sqlite:" else "sqlite:///"):
        return _resolve_sqlite(match, folder, origin)
    _check_password(given, origin)
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
        artifacts=None if server else folder / ARTIFACTS,
        lock=Path(tempfile.gettempdir()) / f"bptt-store-{key}.lock",
    )


def locate_artifacts(address: Address, experiment: str) -> str | None:
    """The URI under which an experiment's artifacts are kept: absolute, so that it holds from any folder."""
    if address.artifacts is None:
        return None
    name = quote(experiment, safe=" ")
    return (address.artifacts / (name if name.strip(".") else name.replace(".", "%2E"))).as_uri()


def hide_passwords(text: str) -> str:
    """The text with the passwords of the URIs in it blotted out."""
    for pattern, blotted in _SECRETS:
        text = pattern.sub(blotted, text)
    return text


def recall_uri(noted: str | None, asked: str | None = None, whose: object = "its folder") -> str | None:
    """The address to open for a run or a sweep that notes where it is recorded; None: what the environment names.

    noted  by the run or the sweep, with a password blotted out
    asked  on the command line, where it counts instead
    whose  what notes it

    Raises StoreError where it is a server, or a database on one, that neither the command line nor
    MLFLOW_TRACKING_URI names: whoever wrote what notes it would be sent the user's runs, and passwords.
    """
    if asked is not None:
        return asked
    if noted is None or is_named(noted):
        return None if noted is not None and _BLOTTED in noted else noted
    raise StoreError(
        f"{noted}: {whose} names this {'server' if _PAGES.match(noted) else 'database'}, and you have not: nothing is"
        f" sent there unless MLFLOW_TRACKING_URI or --store names it: --store {quote_word(noted)}"
    )


def refuse_unnamed(uri: str | None, arguments: Sequence[str]) -> None:
    """Raise StoreError where a file of choices, and none of a command's arguments, names a server: see `recall_uri`."""
    if uri is None or is_named(uri) or any(word.lstrip("+").startswith(f"{_KEY}=") for word in arguments):
        return
    shown = hide_passwords(uri)
    raise StoreError(
        f"{_KEY}={shown}: a file of choices names this host, and you have not: nothing is sent there unless"
        f" MLFLOW_TRACKING_URI or the command line names it: {quote_word(f'{_KEY}={shown}')}"
    )


def is_named(uri: str) -> bool:
    """Whether MLFLOW_TRACKING_URI names the server of this address, or what it names is on no server."""
    return _SQLITE.fullmatch(uri) is not None or _find_origin(uri) in (
        None,
        _find_origin(os.environ.get("MLFLOW_TRACKING_URI") or ""),
    )


def is_same_server(one: str, other: str) -> bool:
    """Whether two addresses are of one server: scheme, host and port."""
    return _find_origin(one) == _find_origin(other)


def _find_origin(uri: str) -> str | None:
    """Scheme, host and port of a server; of a database the whole address; None: it is a folder, which is refused."""
    if not _PAGES.match(uri):
        match = _SCHEME.fullmatch(uri)
        elsewhere = uri in _NAMES or (match and len(match["scheme"]) > 1 and match["scheme"].lower() != "file")
        return hide_passwords(uri) if elsewhere else None
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url  # it reads an address as what sends requests does

    try:
        parts = parse_url(uri)
    except LocationParseError:
        return uri
    return f"{parts.scheme}://{parts.host}:{parts.port or {'http': 80, 'https': 443}[str(parts.scheme)]}"


def refuse_password(text: str, origin: str = "") -> None:
    """Raise StoreError where a text that a user gave holds a URI with a password; origin: its key, with the =."""
    shown = hide_passwords(text)
    if shown != text:
        raise StoreError(
            f"{origin}{shown}: a password is taken from the environment alone, where it is not on show:"
            " set MLFLOW_TRACKING_URI to the address, or a server's user and password as MLFLOW_TRACKING_USERNAME and"
            " MLFLOW_TRACKING_PASSWORD"
        )


def _check_password(uri: str, origin: str) -> None:
    _, _, rest = uri.partition("://")
    user, at, _ = rest.partition("?")[0].rpartition("@")
    if at and re.search(r"[/@\s]", user):
        # What follows is taken for the host, and would be shown.
        raise StoreError(f"{origin}: can't be read; in a user's name and password @ and / are written %40 and %2F")
    if uri != os.environ.get("MLFLOW_TRACKING_URI"):
        refuse_password(uri, f"{origin}=")


def _resolve_sqlite(match: re.Match[str], folder: Path, origin: str) -> Address:
    if match["path"] in {"", ":memory:"}:
        raise StoreError(f"{origin}={match[0]}: a store in memory is gone when the program ends; name a file")
    query = match["query"] or ""
    if wrong := [option for option in query[1:].split("&") if option and not _OPTIONS.fullmatch(option)]:
        raise StoreError(f"{origin}={match[0]}: {wrong[0]} is no option of SQLite's; a ? in a path is written %3F")
    path = unquote(match["path"], errors="surrogateescape")
    if "\0" in path:
        raise StoreError(f"{origin}={match[0]}: no path holds a NUL")
    database = (folder / path).resolve()
    check_name(database)
    artifacts = database.parent / ARTIFACTS
    return Address(
        uri=write_sqlite_uri(database, query),
        database=database,
        artifacts=artifacts,
        lock=artifacts / f".{database.name}.lock",
        query=query,
        at_home=not Path(path).is_absolute() and database.parent == folder.resolve(),
    )


def split_sqlite_uri(uri: str) -> tuple[Path | None, str]:
    """The file that a SQLite URI names, and its options with the ?; None: it is of another kind."""
    match = _SQLITE.fullmatch(uri)
    if match is None:
        return None, ""
    return Path(unquote(match["path"], errors="surrogateescape")), match["query"] or ""


def write_sqlite_uri(path: Path, query: str = "") -> str:
    """The URI of a SQLite file, or of one relative to the folder in which it is used."""
    text = str(path)
    if not _QUOTED.search(text):
        return f"sqlite:///{text}{query}"
    # MLflow makes the folders on the way as they are written in a URI that begins with sqlite:///.
    return f"sqlite+pysqlite:///{_QUOTED.sub(lambda found: quote(found[0]), text)}{query}"


def check_name(path: Path) -> None:
    """Raise StoreError for a path that can't be written in text, which MLflow's tables and addresses are."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise StoreError(f"{shown}: this name is not UTF-8, and can't be recorded; rename the folder") from None


def make_run_path(experiment_id: str, run_id: str, artifact: str | None = None) -> str:
    """The page of a run, or of a file among its artifacts, among MLflow's pages."""
    within = "" if artifact is None else f"/artifacts/{artifact}"
    return f"/#/experiments/{experiment_id}/runs/{run_id}{within}?{urlencode(MODEL_TRAINING)}"


def find_file_store(folder: Path) -> list[Path]:
    """The experiments of an MLflow file store in this folder's mlruns."""
    # MLflow looks for the same files: with one of them there a bare `mlflow ui` ignores mlflow.db.
    return sorted(path.parent for path in folder.glob(f"{ARTIFACTS}/*/meta.yaml") if path.parent.name.isdigit())


def _refuse_file_store(folder: Path) -> None:
    if find_file_store(folder):
        raise StoreError(
            f"{folder / ARTIFACTS}: holds the runs of an old MLflow file store, which hides mlflow.db from `mlflow ui`;"
            f" move it away, or name the store: tracking.uri={_DEFAULT}"
        )
