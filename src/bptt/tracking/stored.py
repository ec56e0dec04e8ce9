"""Runs as a store has them: what is read of each from its artifacts."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bptt.tracking.access import asking
from bptt.tracking.address import StoreError
from bptt.tracking.artifacts import fetched, names
from bptt.tracking.block_files import read_table
from bptt.tracking.environment import PROVENANCE, provenance_of_tags, read_provenance
from bptt.tracking.files import CONFIG, FLOW, HISTORY, WEIGHTS
from bptt.tracking.finished import read_record
from bptt.tracking.reading import OUTCOME_TAG, StoredRow, StoreReader
from bptt.tracking.recording import Recording, ends, no_flow

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record

T = TypeVar("T")

_AT_ONCE: Final = 8  # requests to a server
_RECORDS_HELD: Final = 8


class Stored(Recording):
    """Runs of a store."""

    def __init__(self, reader: StoreReader, own: StoredRow | None) -> None:
        """own: the sweep's own run, or the single run; None where there is no such."""
        self._reader, self._own = reader, own
        self._records = lru_cache(_RECORDS_HELD)(self._record)

    @abstractmethod
    def row(self, number: int) -> StoredRow | None:
        """A run as the store has it; None: it has not."""

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """See `Recording.gradient_flow`."""
        flow = self.joined(FLOW, numbers, no_flow())
        return ends(flow) if ends_only else flow

    def config(self, number: int) -> dict[str, Any]:
        """See `Recording.config`."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        row = self.row(number)
        text = None if row is None else self.read(row, [CONFIG], lambda folder: (folder / CONFIG).read_bytes())
        try:
            found = None if text is None else yaml.load(text, loader)
        except yaml.YAMLError:
            found = None
        if not isinstance(found, dict):
            name = number if row is None else row.run_id
            raise StoreError(f"{self._reader.address.shown}: run {name} has no {CONFIG} that can be read")
        return found

    def record(self, number: int) -> "Record | None":
        """See `Recording.record`."""
        return self._records(number)

    def provenance(self) -> dict[str, Any]:
        """See `Recording.provenance`."""
        if self._own is None:
            return {}
        found = self.read(self._own, [PROVENANCE], read_provenance)
        return found or provenance_of_tags(dict(self._own.tags))

    def read(self, row: StoredRow, wanted: Sequence[str], how: Callable[[Path], T]) -> T | None:
        """What `how` makes of a folder with these artifacts of a run; None where one is missing."""
        address = self._reader.address
        with asking(address):
            # Whatever came to an end without an error has left all of its files.
            if (OUTCOME_TAG not in row.tags or PROVENANCE in wanted) and not {*wanted} <= names(
                address, row.artifact_uri
            ):
                return None
            with fetched(address, row.artifact_uri, wanted) as folder:
                return how(folder)

    def joined(self, name: str, numbers: Sequence[int], empty: "pd.DataFrame") -> "pd.DataFrame":
        """One parquet file of each run, as far as runs have it, below each other; a column `run` comes first."""
        import pyarrow as pa

        def table(number: int) -> Any:
            row = self.row(number)
            found = None if row is None else self.read(row, [name], lambda folder: read_table(folder / name))
            return None if found is None else found.add_column(0, "run", [pa.array([number] * len(found), pa.int64())])

        if self._reader.address.artifacts is not None:
            tables = [table(number) for number in numbers]
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                tables = list(pool.map(table, numbers))
        found = [pa.Table.from_pandas(empty), *(one for one in tables if one is not None)]
        frame: pd.DataFrame = pa.concat_tables(found, promote_options="permissive").to_pandas()
        return frame

    def _record(self, number: int) -> "Record | None":
        row = self.row(number)
        if row is None or OUTCOME_TAG not in row.tags:
            return None
        outcome = row.tags[OUTCOME_TAG]
        found = self.read(row, [HISTORY, FLOW, WEIGHTS], lambda folder: _whole(outcome, folder))
        if found is None:
            raise StoreError(f"{self._reader.address.shown}: what run {row.run_id} recorded is damaged")
        return found


def _whole(outcome: str, folder: Path) -> "Record | None":
    try:
        return read_record(outcome, folder)
    except (ValueError, KeyError, IndexError, ZeroDivisionError):
        return None
