"""How a run's own data were prepared, kept with it: a file in its folder, or once for each task of a sweep."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bptt.tasks.own_data.preparation import DataNote, Preparation
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import PREPARATION, check_content, make_key


def identify_task(config: Mapping[str, Any]) -> str:
    """The key of a configuration's task among a sweep's preparations."""
    return make_key(json.dumps(config.get("task"), sort_keys=True))


def note_preparation(preparation: Preparation) -> dict[str, Any]:
    """A preparation as a sweep's journal has it."""
    noted: dict[str, Any] = json.loads(preparation.to_json())
    return noted


def write_preparation(noted: Mapping[str, Any]) -> str:
    """A preparation that was noted as its file has it, without making one of it: a sweep has thousands of runs."""
    return json.dumps(noted, indent=1, ensure_ascii=False) + "\n"


def recall_preparation(noted: Mapping[str, Any], config: Mapping[str, Any]) -> Preparation | None:
    """That of a run with this configuration, of those that its sweep noted. Raises ArchiveError."""
    if not noted or (found := noted.get(identify_task(config))) is None:
        return None
    return _parse(json.dumps(found), "the sweep's preparation")


def read_preparation(folder: Path, digest: str | None = None) -> Preparation | None:
    """That of the run in a folder; None: it has none. Raises ArchiveError where it can't be read.

    digest  of the file, where it is known
    """
    path = folder / PREPARATION
    if not path.is_file():
        return None
    try:
        content = path.read_bytes()
        check_content(content, digest)
        text = content.decode()
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: can't be read: {error}") from error
    return _parse(text, str(path))


def list_preparations(noted: Mapping[str, Any]) -> list[Preparation]:
    """All that a sweep noted, each once. Raises ArchiveError."""
    return list(dict.fromkeys(_parse(json.dumps(one), "the sweep's preparation") for one in noted.values()))


def list_data(noted: Iterable[Mapping[str, Any]]) -> list[DataNote]:
    """The data that preparations, as they were noted, are of, each once."""
    found = dict.fromkeys(Preparation.from_json(json.dumps(one)).data for one in noted)
    return [note for note in found if note is not None]


def _parse(text: str, where: str) -> Preparation:
    try:
        return Preparation.from_json(text)
    except ValueError as error:
        raise ArchiveError(f"{where}: {error}") from error
