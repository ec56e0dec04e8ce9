"""A run's files in the store: written straight into their folder where that is on this machine."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bptt.tracking.folder.files import write_files
from bptt.tracking.store.address import Address


def find_local_folder(artifact_uri: str) -> Path | None:
    """The folder that MLflow keeps these artifacts in; None: it is not on this machine."""
    if artifact_uri.startswith("file:///"):
        return Path(url2pathname(urlsplit(artifact_uri).path))  # without the seconds that importing MLflow takes
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    if not is_local_uri(artifact_uri, is_tracking_or_registry_uri=False):  # type: ignore[no-untyped-call]
        return None
    return Path(local_file_uri_to_path(artifact_uri))  # type: ignore[no-untyped-call]


def put_files(address: Address, artifact_uri: str, files: Mapping[str, bytes]) -> None:
    """Keep files (path among the artifacts → content), each whole or not at all; older ones are replaced."""
    folder = find_local_folder(artifact_uri)
    if folder is not None:
        write_files(folder, files)
    elif files:
        with TemporaryDirectory() as temporary:
            write_files(Path(temporary), files)
            _open_repository(address, artifact_uri).log_artifacts(temporary)


@contextmanager
def fetch(address: Address, artifact_uri: str, names: Sequence[str]) -> Iterator[Path]:
    """A folder that holds these files, as far as the store does, while the block lasts."""
    folder = find_local_folder(artifact_uri)
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
    within = find_local_folder(artifact_uri)
    if within is not None:
        return {path.relative_to(within).as_posix() for path in (within / folder).glob("*") if path.is_file()}
    listed = _open_repository(address, artifact_uri).list_artifacts(folder or None)
    return {file.path for file in listed if not file.is_dir}


def remove_artifacts(address: Address, artifact_uri: str, run_id: str, location: str) -> bool:
    """Delete a run's artifacts where they lie within `location`, their experiment's; returns whether they did."""
    folder, within = find_local_folder(artifact_uri), find_local_folder(location)
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
    """MLflow's own access to artifacts that are elsewhere."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(artifact_uri, tracking_uri=address.uri)
