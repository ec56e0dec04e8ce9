"""A run's files in the store: written straight into their folder where that is on this machine."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bptt.tracking.folder.files import write_files
from bptt.tracking.store.address import Address, StoreError, hide_passwords, is_named, is_same_server

# What names a scheme, as s3:// does.
_OTHER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def find_local_folder(address: Address, artifact_uri: str) -> Path | None:
    """The folder that MLflow keeps these artifacts in; None: it is not on this machine.

    A relative one is in the folder of the store's database. Raises StoreError where it would be in that of a server.
    """
    if artifact_uri.startswith("file:///"):
        return Path(url2pathname(urlsplit(artifact_uri).path))  # without the seconds that importing MLflow takes
    if not _OTHER.match(artifact_uri):
        return _find_beside(address, Path(url2pathname(artifact_uri)))
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    if not is_local_uri(artifact_uri, is_tracking_or_registry_uri=False):  # type: ignore[no-untyped-call]
        return None
    return Path(local_file_uri_to_path(artifact_uri))  # type: ignore[no-untyped-call]


def _find_beside(address: Address, path: Path) -> Path:
    if path.is_absolute() or (address.database is None and not address.is_server):
        return path
    if address.database is None:
        raise StoreError(
            f"{address.shown}: the server keeps these files in {path}, relative to a folder of its own: use its"
            " database itself, or record in another tracking.experiment"
        )
    return address.database.parent / path


def put_files(address: Address, artifact_uri: str, files: Mapping[str, bytes]) -> None:
    """Keep files (path among the artifacts → content), each whole or not at all; older ones are replaced."""
    folder = find_local_folder(address, artifact_uri)
    if folder is not None:
        write_files(folder, files)
    elif files:
        with TemporaryDirectory() as temporary:
            write_files(Path(temporary), files)
            _open_repository(address, artifact_uri).log_artifacts(temporary)


@contextmanager
def fetch(address: Address, artifact_uri: str, names: Sequence[str]) -> Iterator[Path]:
    """A folder that holds these files, as far as the store does, while the block lasts."""
    folder = find_local_folder(address, artifact_uri)
    if folder is not None:
        yield folder
        return
    repository = _open_repository(address, artifact_uri)
    with TemporaryDirectory() as temporary:
        for name in names:
            path = Path(temporary, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            # `download_artifacts` would ask of each whether it is a folder.
            repository._download_file(name, str(path))
        yield Path(temporary)


def list_names(address: Address, artifact_uri: str, folder: str = "") -> set[str]:
    """The files that there are in this folder of the artifacts: their paths among the artifacts."""
    within = find_local_folder(address, artifact_uri)
    if within is not None:
        return {path.relative_to(within).as_posix() for path in (within / folder).glob("*") if path.is_file()}
    return {file.path for file in _list_files(address, artifact_uri, folder)}


def _list_files(address: Address, artifact_uri: str, folder: str) -> list[Any]:
    listed = _open_repository(address, artifact_uri).list_artifacts(folder or None)
    return [file for file in listed if not file.is_dir]


def list_all_names(address: Address, artifact_uri: str, folders: Sequence[str]) -> frozenset[str]:
    """The files that hold something, among the artifacts and in these folders of them: their paths."""
    within = find_local_folder(address, artifact_uri)
    if within is None:
        listed = [file for folder in ("", *folders) for file in _list_files(address, artifact_uri, folder)]
        return frozenset(file.path for file in listed if file.file_size != 0)
    paths = [path for folder in ("", *folders) for path in (within / folder).glob("*") if path.is_file()]
    return frozenset(path.relative_to(within).as_posix() for path in paths if path.stat().st_size)


def remove_artifacts(address: Address, artifact_uri: str, run_id: str, location: str) -> bool:
    """Delete a run's artifacts where they lie within `location`, their experiment's; returns whether they did."""
    folder, within = find_local_folder(address, artifact_uri), find_local_folder(address, location)
    if folder is None or within is None:
        inside = artifact_uri.startswith(f"{location.rstrip('/')}/")
        if inside:
            _open_repository(address, artifact_uri).delete_artifacts()
        return inside
    own = folder.resolve().parent
    inside = own.name == run_id and within.resolve() in own.parents
    if inside and own.exists():
        shutil.rmtree(own)
    return inside


def _open_repository(address: Address, artifact_uri: str) -> Any:
    """MLflow's own access to artifacts that are elsewhere. Raises what `refuse_elsewhere` does."""
    refuse_elsewhere(address, artifact_uri)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(artifact_uri, tracking_uri=address.uri)


def refuse_elsewhere(address: Address, artifact_uri: str) -> None:
    """Raise StoreError where the store says that artifacts are on another server: MLflow would send the store's
    password there.
    """
    parts = urlsplit(artifact_uri)
    if parts.scheme in ("http", "https", "mlflow-artifacts") and parts.netloc:
        where = urlsplit(address.uri)
        origin = parts._replace(scheme=where.scheme if parts.scheme == "mlflow-artifacts" else parts.scheme).geturl()
        if not (is_named(origin) or is_same_server(origin, address.uri)):
            shown = hide_passwords(artifact_uri)
            raise StoreError(
                f"{address.shown}: says that files are on another server, {shown}, which bptt does not ask"
            )
