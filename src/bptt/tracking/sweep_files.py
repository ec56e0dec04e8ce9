"""The files of a sweep that are kept with its own run in the store: a whole sweep is read back with a few requests.

    sweep.json, jobs.parquet         as in the sweep's folder; from its begin on
    reused.json                      number → id of each run that was taken from an earlier sweep; likewise
    runs.parquet, history.parquet    of all its runs, `runs` with their ids in the store; from its end on
    flow_ends.parquet                how gradients flowed, at each run's first and last recorded update; likewise

They are in a folder `archive` among the artifacts. What else a run has recorded is among its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from bptt.tracking.address import Address
from bptt.tracking.archive import JOBS, SWEEP, Archive, SweepJob, SweepJournal
from bptt.tracking.artifacts import fetched, names
from bptt.tracking.block_files import RUNS, Tables, read_table
from bptt.tracking.files import HISTORY

if TYPE_CHECKING:
    import pandas as pd

FOLDER: Final = "archive"
FLOW_ENDS: Final = "flow_ends.parquet"

_REUSED: Final = "reused.json"
_BEGUN: Final = (SWEEP, JOBS, _REUSED)
_ENDED: Final = (RUNS, HISTORY, FLOW_ENDS)


@dataclass(frozen=True)
class KeptSweep:
    """What is kept of a sweep.

    reused  number → id in the store of each run that was taken from an earlier sweep
    tables  of all its runs, `runs` with run_id; None where it has not ended
    """

    journal: SweepJournal
    jobs: list[SweepJob]
    reused: dict[int, str]
    tables: Tables | None


def begun_files(archive: Archive, journal: SweepJournal) -> dict[str, bytes]:
    """What is kept from a sweep's begin on: path among the artifacts → content."""
    reused = {result.job: result.reused for result in archive.ended() if result.reused is not None}
    whose, taken = (json.dumps(noted, indent=1) + "\n" for noted in (asdict(journal), reused))
    return _placed(_BEGUN, whose.encode(), (archive.folder / JOBS).read_bytes(), taken.encode())


def ended_files(archive: Archive, run_ids: Mapping[int, str]) -> dict[str, bytes]:
    """What is kept from its end on; run_ids: number → id in the store, of the runs that are there."""
    tables = archive.tables()
    ids = tables.runs["run"].map(run_ids)
    runs = tables.runs.assign(run_id=tables.runs["reused"].where(tables.runs["reused"].notna(), ids))
    flow = archive.gradient_flow(ends_only=True)
    return _placed(_ENDED, *map(_parquet, (runs, tables.history, flow)))


def read_kept(address: Address, artifact_uri: str, ended: bool) -> KeptSweep | None:
    """What is kept of a sweep with its own run, whose artifacts these are; None: it has no such files.

    ended: whether the sweep has; otherwise tables may be of an earlier attempt. Raises ArchiveError where a file can't
    be read.
    """
    there = {path.rpartition("/")[2] for path in names(address, artifact_uri, FOLDER)}
    if not {*_BEGUN} <= there:
        return None
    whole = ended and {*_ENDED} <= there
    wanted = (*_BEGUN, RUNS, HISTORY) if whole else _BEGUN
    with fetched(address, artifact_uri, [f"{FOLDER}/{name}" for name in wanted]) as artifacts:
        folder = artifacts / FOLDER
        archive = Archive(folder)
        tables = Tables(*(read_table(folder / name).to_pandas() for name in (RUNS, HISTORY))) if whole else None
        reused = json.loads((folder / _REUSED).read_text(encoding="utf-8"))
        return KeptSweep(archive.journal, archive.jobs(), {int(run): key for run, key in reused.items()}, tables)


def read_flow_ends(address: Address, artifact_uri: str) -> "pd.DataFrame":
    """How gradients flowed at each run's first and last recorded update: run, update, lag, norm; of a whole sweep."""
    name = f"{FOLDER}/{FLOW_ENDS}"
    with fetched(address, artifact_uri, [name]) as artifacts:
        flow: pd.DataFrame = read_table(artifacts / name).to_pandas()
        return flow


def _placed(files: Sequence[str], *contents: bytes) -> dict[str, bytes]:
    return {f"{FOLDER}/{name}": content for name, content in zip(files, contents, strict=True)}


def _parquet(table: "pd.DataFrame") -> bytes:
    buffer = BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()
