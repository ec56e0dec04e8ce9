"""What a run and a sweep write into the store while they go on.

A run on its own: in batches while it trains, closed with a status. A sweep: its own run, the runs below that, and the
copy of its folder that it keeps, in a folder `archive` among the artifacts of the sweep's own run, so that a whole
sweep is read back with a few requests. What else a run has recorded is among its own artifacts.

    sweep.json, jobs.parquet         as in the sweep's folder; from its begin on
    reused.json                      number → id of each run that was taken from an earlier sweep; likewise
    runs.parquet, history.parquet    of all its runs, `runs` with their ids in the store; from its end on
    flow_ends.parquet                how gradients flowed, at each run's first and last recorded update; likewise
    measures.parquet                 what was measured of their weights, where that was asked for
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.tasks.own_data.preparation import DataNote
from bptt.tracking.folder.block import Tables, read_table
from bptt.tracking.folder.files import FLOW_ENDS, HISTORY, JOBS, REUSED, RUNS, SWEEP, Status, pack_table
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.measures import MEASURES
from bptt.tracking.folder.preparations import read_preparation
from bptt.tracking.folder.run import Journal, make_single_key, read_config
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.provenance.environment import make_provenance_tags
from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.artifacts import fetch, list_names, put_files
from bptt.tracking.store.base import Begun, Point, Store
from bptt.tracking.store.connecting import (
    explain_refusal,
    limit_patience,
    list_refusals,
    shorten,
    summarize,
    wait_while_locked,
)
from bptt.tracking.store.opening import WantedExperiment, open_store
from bptt.tracking.store.runs import Holding, RunToWrite
from bptt.tracking.store.tags import (
    DIGEST_TAG,
    KEY_TAG,
    NOTE_TAG,
    PARENT_TAG,
    SETTING_TAG,
    SWEEP_TAG,
    flatten_config,
    read_user_tags,
)

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_BATCHES: Final = 1.0


_SECONDS_AFTER_A_FAILURE: Final = 30.0


class RunLog:
    """A run in the store. Points are kept here until their batch is written, so none is lost while a server is away.

    A metric's step is the update. NaN is stored as such; MLflow stores an infinite value as ±1.8e308, whereas
    history.parquet keeps it.
    """

    def __init__(
        self, store: Store, run_id: str, artifact_uri: str, stored: Mapping[str, frozenset[int]] | None = None
    ) -> None:
        self.store, self.run_id, self.artifact_uri = store, run_id, artifact_uri
        #: Why the last batch was not written; None: it was.
        self.trouble: str | None = None
        self._stored = stored or {}
        self._waiting: list[Point] = []
        self._next = time.monotonic() + _SECONDS_BETWEEN_BATCHES

    @classmethod
    def begin(
        cls,
        store: Store,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> "RunLog":
        """A new run of the store's experiment, below `parent` where that run is given."""
        nesting = {} if parent is None else {PARENT_TAG: parent}
        try:
            begun = store.begin_run(name, {**tags, **nesting}, params)
        except list_refusals() as error:
            raise StoreError(f"{store.address.shown}: the run can't be recorded: {summarize(error)}") from error
        return cls(store, begun.run_id, begun.artifact_uri)

    @classmethod
    @wait_while_locked
    def reopen(cls, store: Store, run_id: str, params: Mapping[str, str] | None = None) -> "RunLog":
        """A run that was broken off, to go on with. Points that the store holds are not written again.

        params  of the run, where it may lack them
        """
        try:
            begun = store.find_begun(run_id)
            if begun is None:
                raise StoreError(f"{store.address.shown}: run {run_id} can't be reopened: there is no such run")
            if begun.deleted:
                raise StoreError(
                    f"{store.address.shown}: the run was deleted in MLflow; this brings it back: mlflow runs restore"
                    f" --run-id {run_id}"
                )
            if params:
                store.add(run_id, params=params)
            stored = store.read_steps(run_id)
            store.set_status(run_id, "RUNNING")
        except list_refusals() as error:
            raise StoreError(f"{store.address.shown}: run {run_id} can't be reopened: {summarize(error)}") from error
        return cls(store, run_id, begun.artifact_uri, stored)

    def log(self, update: int, metrics: Mapping[str, float]) -> None:
        """Take one point; at most once a second everything that waits is written in one batch."""
        now = time.time_ns() // 1_000_000
        self._waiting += [
            Point(name, float(value), now, update)
            for name, value in metrics.items()
            if update not in self._stored.get(name, frozenset())
        ]
        if time.monotonic() >= self._next:
            with limit_patience():
                self._write()

    @wait_while_locked
    def close(self, status: Status, tags: Mapping[str, str], artifacts: Mapping[Path, str | None]) -> None:
        """Write what still waits, the tags and the artifacts (file → folder in the run), and end the run.

        Raises StoreError where the store doesn't take them.
        """
        self._write()
        if self.trouble is not None:
            raise StoreError(f"{self.store.address.shown}: {self.trouble}")
        try:
            files = {f"{folder}/{path.name}" if folder else path.name: path for path, folder in artifacts.items()}
            put_files(self.store.address, self.artifact_uri, {name: path.read_bytes() for name, path in files.items()})
            self.store.add(self.run_id, tags=tags)
            self.store.set_status(self.run_id, status)
        except list_refusals() as error:
            raise StoreError(f"{self.store.address.shown}: {shorten(error)}") from error

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Keep files (path among the artifacts → content) with the run; older ones are replaced."""
        with explain_refusal(self.store.address):
            put_files(self.store.address, self.artifact_uri, files)

    def _write(self) -> None:
        try:
            self.store.add(self.run_id, self._waiting)
        except list_refusals() as error:
            self.trouble = shorten(error)
            _log.warning("%s did not take %d points: %s", self.store.address.shown, len(self._waiting), self.trouble)
            self._next = time.monotonic() + _SECONDS_AFTER_A_FAILURE
        else:
            self.trouble = None
            self._waiting = []
            self._next = time.monotonic() + _SECONDS_BETWEEN_BATCHES


def begin_recorded(store: Store, folder: Path, journal: Journal, recorded: Mapping[str, Any]) -> RunLog:
    """The run in the store, begun with the configuration that is recorded. Raises StoreError."""
    tags = make_provenance_tags() | read_user_tags(recorded)
    tags |= {DIGEST_TAG: journal.digest, KEY_TAG: make_single_key(folder, journal)}
    log = RunLog.begin(store, journal.name, flatten_config(recorded), tags)
    preparation = read_preparation(folder)
    if preparation is not None and preparation.data is not None:
        with explain_refusal(store.address):
            store.note_data(log.run_id, [preparation.data])
    return log


def reopen_recorded(folder: Path, journal: Journal, uri: str | None, home: Path | None = None) -> RunLog | None:
    """The run in the store that it was begun in, an address as seen from `home`; None where it is not tracked.

    Raises StoreError.
    """
    if journal.uri is None:
        return None
    known = () if journal.run_id is None else (journal.run_id,)
    store = open_store(uri, WantedExperiment(journal.experiment, journal.experiment_id, known), folder=home)
    # Who began it may have been stopped before it noted which run it is, or before there was one.
    run_id = journal.run_id or store.find_by_key(make_single_key(folder, journal))
    if run_id is None:
        return begin_recorded(store, folder, journal, read_config(folder))
    params = {} if journal.run_id is not None else flatten_config(read_config(folder))  # which it may not have got yet
    return RunLog.reopen(store, run_id, params)


_LONGEST_TAG: Final = 8000


_LONGEST_NAME: Final = 250


_LONGEST_SETTING: Final = 1000


_ASKED_AT_ONCE: Final = 4096  # runs, of which a store says whether it has them


_MOST_PARAMS: Final = 100  # that MLflow takes at a time


class SweepLog:
    """A sweep in the store. Every method raises StoreError where the store doesn't take what it is given.

    Whatever failed may be called again: what the store has by then is not written twice.

    parent  the id of the sweep's own run
    """

    def __init__(self, store: Store, name: str, own: Begun, fresh: bool) -> None:
        self.store, self.name = store, name
        self.parent, self._artifact_uri = own.run_id, own.artifact_uri
        self._writer = store.open_writer(self.parent, fresh)

    @classmethod
    @wait_while_locked
    def begin(cls, store: Store, name: str, tags: Mapping[str, str], description: str) -> "SweepLog":
        """Begin the sweep's own run, with a description in Markdown; its tag `bptt.sweep` is the name."""
        own = {SWEEP_TAG: name, NOTE_TAG: _cut(description)}
        with explain_refusal(store.address):
            return cls(store, name, store.begin_run(name[:_LONGEST_NAME], {**tags, **own}, {}), fresh=True)

    @classmethod
    @wait_while_locked
    def reopen(cls, store: Store, parent: str, name: str) -> "SweepLog":
        """Go on with a sweep whose own run was begun: that run is RUNNING again."""
        with explain_refusal(store.address):
            begun = store.find_begun(parent)
            if begun is None:
                raise StoreError(f"{store.address.shown}: Run with id={parent} not found")
            if begun.deleted:
                raise StoreError(
                    f"{store.address.shown}: the sweep's own run was deleted in MLflow; this brings it back:"
                    f" mlflow runs restore --run-id {parent}"
                )
            store.set_status(parent, "RUNNING")
            return cls(store, name, begun, fresh=False)

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        """Write ended runs below the sweep's own; key → run id. Runs that the store has already stay as they are."""
        with explain_refusal(self.store.address):
            return self._writer.write([place_below(run, self.name, self.parent) for run in runs])

    def complete(self, run: RunToWrite, held: Holding) -> None:
        """Write what the store lacks of a run that it has; see `RunWriter.complete`."""
        with explain_refusal(self.store.address):
            self._writer.complete(place_below(run, self.name, self.parent), held)

    def adopt(self, settings: Mapping[str, str], tags: Mapping[str, str] | None = None) -> None:
        """Have runs belong to the sweep, given by id → setting in it, wherever they were trained; see `Store.adopt`."""
        with explain_refusal(self.store.address):
            shortened = {run_id: _shorten_setting(text, self.name) for run_id, text in settings.items()}
            self.store.adopt(self.parent, shortened, tags)

    def note_data(self, notes: Sequence[DataNote]) -> None:
        """Have the sweep's own run say which data its runs were trained on."""
        if notes:
            with explain_refusal(self.store.address):
                self.store.note_data(self.parent, notes)

    def find_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """Key → id of those runs that the store has."""
        with explain_refusal(self.store.address):
            return self._writer.find_ids(keys)

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Keep files (path among the artifacts → content) with the sweep's own run; older ones are replaced."""
        with explain_refusal(self.store.address):
            put_files(self.store.address, self._artifact_uri, files)

    @wait_while_locked
    def close(
        self,
        status: Status,
        description: str | None,
        files: Mapping[str, bytes],
        tags: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """End the sweep's own run with files (path among the artifacts → content); description None: it stays.

        params  those that it has already keep their values
        """
        note = {} if description is None else {NOTE_TAG: _cut(description)}
        now, store = int(1000 * time.time()), self.store
        with explain_refusal(store.address):
            put_files(store.address, self._artifact_uri, files)
            store.add(
                self.parent,
                [Point(name, value, now, 0) for name, value in (metrics or {}).items()],
                tags={key: value[:_LONGEST_TAG] for key, value in {**tags, **note}.items()},
            )
            if params:
                has_them = {*store.read_params(self.parent)}
                new = [(key, value) for key, value in params.items() if key not in has_them]
                for start in range(0, len(new), _MOST_PARAMS):
                    store.add(self.parent, params=dict(new[start : start + _MOST_PARAMS]))
            store.set_status(self.parent, status)


def place_below(run: RunToWrite, name: str, parent: str) -> RunToWrite:
    """A run as it is recorded below the own run of the sweep with this name."""
    tags = {**run.tags, KEY_TAG: run.key, SWEEP_TAG: name, PARENT_TAG: parent}
    tags[SETTING_TAG + parent] = _shorten_setting(run.setting, name)
    return replace(run, name=run.name[:_LONGEST_NAME], tags=tags)


def _shorten_setting(setting: str, name: str) -> str:
    return (setting or name)[:_LONGEST_SETTING]


def _cut(description: str) -> str:
    note = "\n\n… (cut)"
    if len(description) <= _LONGEST_TAG:
        return description
    return description[: _LONGEST_TAG - len(note)] + note


FOLDER: Final = "archive"


_BEGUN: Final = (SWEEP, JOBS, REUSED)


_ENDED: Final = (RUNS, HISTORY, FLOW_ENDS)


@dataclass(frozen=True)
class SweepCopy:
    """What is kept of a sweep.

    reused  number → id in the store of each run that was taken from an earlier sweep
    tables  of all its runs, `runs` with run_id; None where it has not ended
    """

    journal: SweepJournal
    jobs: Sequence[SweepJob]
    reused: dict[int, str]
    tables: Tables | None


def pack_begin(archive: SweepFolder, journal: SweepJournal) -> dict[str, bytes]:
    """What is kept from a sweep's begin on: path among the artifacts → content."""
    reused = {result.job: result.reused for result in archive.ended() if result.reused is not None}
    taken = json.dumps(reused, indent=1) + "\n"
    return pack_journal(journal) | _place(_BEGUN[1:], (archive.folder / JOBS).read_bytes(), taken.encode())


def pack_journal(journal: SweepJournal) -> dict[str, bytes]:
    """What is kept of it, alone: once more, when it says how the sweep has ended."""
    return _place(_BEGUN[:1], (json.dumps(asdict(journal), indent=1) + "\n").encode())


def pack_end(archive: SweepFolder, find_ids: Callable[[Sequence[int]], Mapping[int, str]]) -> dict[str, bytes]:
    """What is kept from its end on; find_ids: number → id in the store, of those of some runs that are there."""
    import pyarrow as pa

    tables = archive.join_tables()
    runs = next(tables)
    ids = list[str | None]()
    for some in runs.select(["run", "reused"]).to_batches(_ASKED_AT_ONCE):
        numbers, reused = (some[name].to_pylist() for name in ("run", "reused"))
        found = find_ids(numbers)
        ids += [found.get(number, earlier) for number, earlier in zip(numbers, reused, strict=True)]
    runs = runs.append_column("run_id", pa.array(ids, pa.string()))
    return _place(_ENDED, pack_table(runs), *map(pack_table, tables))


def pack_measures_copy(folder: Path) -> dict[str, bytes]:
    """What was measured of a sweep's runs since, as it is kept; nothing where nothing was."""
    path = folder / MEASURES
    return _place([MEASURES], path.read_bytes()) if path.is_file() else {}


def list_copy(ended: bool) -> list[str]:
    """The paths of what is kept, of a sweep that has ended or has not."""
    return [f"{FOLDER}/{name}" for name in (*_BEGUN, *(_ENDED if ended else ()))]


def read_copy(address: Address, artifact_uri: str, ended: bool) -> SweepCopy | None:
    """What is kept of a sweep with its own run, whose artifacts these are; None: it has no such files.

    ended: whether the sweep has; otherwise tables may be of an earlier attempt. Raises ArchiveError where a file can't
    be read.
    """
    there = {path.rpartition("/")[2] for path in list_names(address, artifact_uri, FOLDER)}
    if not {*_BEGUN} <= there:
        return None
    whole = ended and {*_ENDED} <= there
    wanted = (*_BEGUN, RUNS, HISTORY) if whole else _BEGUN
    with fetch(address, artifact_uri, [f"{FOLDER}/{name}" for name in wanted]) as artifacts:
        folder = artifacts / FOLDER
        archive = SweepFolder(folder)
        tables = (
            Tables(*(read_table(folder / name).to_pandas(use_threads=False) for name in (RUNS, HISTORY)))
            if whole
            else None
        )
        reused = json.loads((folder / REUSED).read_text(encoding="utf-8"))
        return SweepCopy(archive.journal, archive.jobs(), {int(run): key for run, key in reused.items()}, tables)


def read_flow_ends(address: Address, artifact_uri: str) -> "pd.DataFrame":
    """How gradients flowed at each run's first and last recorded update: run, update, lag, norm; of a whole sweep."""
    name = f"{FOLDER}/{FLOW_ENDS}"
    with fetch(address, artifact_uri, [name]) as artifacts:
        flow: pd.DataFrame = read_table(artifacts / name).to_pandas(use_threads=False)
        return flow


def _place(files: Sequence[str], *contents: bytes) -> dict[str, bytes]:
    return {f"{FOLDER}/{name}": content for name, content in zip(files, contents, strict=True)}
