"""What a store lacks of what a folder has, found and written there: a sweep's runs, block by block, or a single run.

The archive has everything, whatever became of the store: its file is gone, or is another one; runs, artifacts or the
experiment were deleted; the server was away.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from bptt.sweeps.reopen import find_recorded_experiment
from bptt.sweeps.stored import GONE, OWN, StoredSweep, Taken
from bptt.tasks.own_data.preparation import Preparation
from bptt.tracking.folder.block import ArchiveError, read_table
from bptt.tracking.folder.files import (
    CONFIG,
    FLOW,
    HISTORY,
    OWN_FOLDERS,
    PATCH,
    PREDICTIONS,
    PREPARATION,
    PROVENANCE,
    TRACEBACK,
    WEIGHTS,
    check_content,
    read_once,
)
from bptt.tracking.folder.measures import list_measured, read_measures
from bptt.tracking.folder.run import Journal, make_single_key, read_config, read_journal, write_journal
from bptt.tracking.folder.sweep import SweepFolder, is_sweep
from bptt.tracking.history.from_folder import RunFolderHistory
from bptt.tracking.provenance.environment import recall_provenance_tags
from bptt.tracking.store.address import Address, StoreError, recall_uri, resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.connecting import explain_refusal
from bptt.tracking.store.logs import SweepLog, pack_measures_copy
from bptt.tracking.store.opening import WantedExperiment, open_address, open_store
from bptt.tracking.store.runs import Holding, RunToWrite, find_lack, write_setting
from bptt.tracking.store.tags import DIGEST_TAG, KEY_TAG, OUTCOME_TAG, SETTING_TAG, flatten_config, read_user_tags
from bptt.tracking.store.whereabouts import Noted, describe_lost, find_whereabouts, note_store

T = TypeVar("T")

_WAITS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)

_SECONDS_WITHOUT_AN_ANSWER: Final = 60.0

_UNWRITTEN: Final = "could not be written"


class Patience:
    """Waits for a store that does not answer: each time for longer, and no longer than a minute in all.

    Whenever the store has answered, it begins anew.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.renew()

    def renew(self) -> None:
        """The store has answered."""
        self._waits, self._until = deque(_WAITS), time.monotonic() + _SECONDS_WITHOUT_AN_ANSWER

    def wait(self, trouble: StoreError) -> bool:
        """Wait for a while; False, at once: there is no more patience, or the trouble won't pass."""
        if not trouble.passing or not self._waits or time.monotonic() > self._until:
            return False
        seconds = self._waits.popleft()
        self._say(f"{trouble}; asked again in {seconds:g} s")
        time.sleep(seconds)
        return True

    def persist(self, ask: Callable[[], T]) -> T:
        """What the store answers in the end. Raises StoreError where it does not."""
        while True:
            try:
                answer = ask()
            except StoreError as trouble:
                if not self.wait(trouble):
                    raise
            else:
                self.renew()
                return answer


@dataclass(kw_only=True)
class Difference:
    """What a store lacked of what a folder has, and lacks still.

    count     how many runs the folder has
    lacked    run, or what else → what it lacked, in words
    left      the same, of what could not be written; only where it was to be
    notes     what else there is to be told
    trouble   why something is left, or nothing is known; None: nothing is, and all is
    """

    count: int
    lacked: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    trouble: str | None = None


def _find_home(folder: Path, noted: Noted, own: str | None, asked: str | None) -> tuple[Path, str | None, list[str]]:
    """The project that a folder lies in; the address of the store to open, as seen from there, and remarks on it.

    own    the id of the folder's own run in the store; None: it was not begun there
    asked  an address to open instead

    Raises ArchiveError where neither is known, and StoreError as `recall_uri` does.
    """
    where = find_whereabouts(folder, noted, own)
    if where.home is None or not where.home.is_dir():
        if asked is None:
            raise ArchiveError(describe_lost(folder, noted))
        return Path.cwd(), asked, []
    remarks = [] if asked is not None else where.list_remarks(folder)
    return where.home, recall_uri(where.uri, asked, folder), [one.removeprefix(f"{folder}: ") for one in remarks]


def compare_sweep(
    archive: SweepFolder, uri: str | None, patience: Patience, full: frozenset[int] | None = None
) -> Difference:
    """What the store lacks of a sweep; nothing is written.

    uri   of another store than the sweep notes
    full  the runs that are meant, by number, and that are to be there in full, whatever the sweep asks for; None: all

    Raises ArchiveError, and StoreError where the store may not be asked, see `recall_uri`, or refuses.
    """
    home, to_open, notes = _find_home(archive.folder, archive.journal, archive.journal.parent, uri)
    address = resolve_address(to_open, home)
    sweep = StoredSweep(archive, {}, full)
    found = Difference(count=sweep.count, notes=notes)
    if is_lost(address):
        found.lacked |= sweep.name_all(f"{GONE}, as the store itself is not")
        return found
    try:
        store = patience.persist(lambda: open_address(address))
        if (own := patience.persist(lambda: sweep.describe_own_lack(store))) is not None:
            found.lacked[OWN] = own
        for number in sweep.list_blocks():
            found.lacked |= patience.persist(partial(_compare_block, sweep, number, store))
    except StoreError as trouble:
        if not trouble.passing:
            raise
        found.trouble = str(trouble)
    return found


def _compare_block(sweep: StoredSweep, number: int, store: Store) -> dict[str, str]:
    """Run → what the store lacks of it."""
    parent = sweep.journal.parent or ""
    own, taken = sweep.read_block(number, store)
    runs = sweep.place(own, parent)
    return _describe_lacks(runs, sweep.read_held(runs, store)) | _describe_strays(taken, parent)


def _describe_strays(taken: Taken, parent: str) -> dict[str, str]:
    """Run → that it does not belong to the sweep."""
    return {job.name: f"lacks tags {tag}" for job, row in taken if (tag := SETTING_TAG + parent) not in row.tags}


def _describe_lacks(runs: Sequence[RunToWrite], held: Mapping[str, Holding]) -> dict[str, str]:
    lacks = {run.name: find_lack(run, held[run.key]) if run.key in held else GONE for run in runs}
    return {name: str(lack) for name, lack in lacks.items() if lack}


def restore_sweep(
    archive: SweepFolder, uri: str | None, patience: Patience, full: frozenset[int] | None = None
) -> Difference:
    """Write what the store lacks of a sweep's runs; what its own run lacks is found, for the end of the sweep to write.

    full  see `compare_sweep`

    Raises what `compare_sweep` does.
    """
    home, to_open, notes = _find_home(archive.folder, archive.journal, archive.journal.parent, uri)
    lost = is_lost(resolve_address(to_open, home))
    tags = recall_provenance_tags(archive.folder, archive.journal.command) | archive.journal.tags
    sweep = StoredSweep(archive, tags, full, home)
    found = Difference(count=sweep.count, notes=notes)
    try:
        store = patience.persist(lambda: open_store(to_open, find_recorded_experiment(archive), True, home))
        found.notes += _tell_of_experiment(store, archive.journal.experiment)
        own = patience.persist(lambda: sweep.describe_own_lack(store))
        record = patience.persist(lambda: sweep.find_own(store))
    except StoreError as trouble:
        if not trouble.passing:
            raise
        found.trouble, found.left = str(trouble), sweep.name_all("is not known to be there")
        return found
    if lost or own is not None:
        found.lacked[OWN] = own or GONE
    waiting = deque(sweep.list_blocks())
    while waiting:
        number = waiting.popleft()
        try:
            _restore_block(sweep, number, record, found.lacked)
        except StoreError as trouble:
            found.trouble = str(trouble)
            found.left |= sweep.name_runs([number], _UNWRITTEN)
            if trouble.passing:
                waiting.append(number)  # after the others
                if not patience.wait(trouble):
                    found.left |= sweep.name_runs(waiting, _UNWRITTEN)
                    break
        else:
            patience.renew()
            for name in sweep.name_runs([number], _UNWRITTEN) if found.left else ():
                found.left.pop(name, None)
    if not found.left:
        found.trouble = None
    if found.trouble is None and (measures := pack_measures_copy(archive.folder)):  # which grows from time to time
        try:
            patience.persist(lambda: record.keep(measures))
        except StoreError as trouble:
            found.trouble, found.left = str(trouble), {OWN: _UNWRITTEN}
    return found


def _restore_block(sweep: StoredSweep, number: int, record: SweepLog, told: dict[str, str]) -> None:
    """Write what the store lacks of the runs of a block; told gets what that is, when it is first found out."""
    runs, taken = sweep.read_block(number, record.store)
    placed = sweep.place(runs, record.parent)
    held = sweep.read_held(placed, record.store)
    strays = _describe_strays(taken, record.parent)
    lacked = _describe_lacks(placed, held) | strays
    told |= lacked | told
    ids = {run.key: held[run.key].run_id for run in runs if run.key in held}
    absent = [run for run in runs if run.key not in held]
    if absent:
        ids |= record.write(absent)
    for run in runs:
        if run.key in held and run.name in lacked:
            record.complete(run, held[run.key])
    if strays:
        record.adopt({row.run_id: write_setting(job) for job, row in taken}, sweep.archive.journal.tags)
    stored = number in sweep.archive.stored()
    # A block some of whose runs were sent is not there, unless it was.
    if (absent or not stored) and (stored or sweep.full is None):
        with suppress(OSError):  # of a full disk: it is looked up again
            sweep.archive.mark_stored(number, sweep.recall_ids(number) | ids)


def _tell_of_experiment(store: Store, noted: str | None) -> Iterator[str]:
    if store.restored:
        yield f"experiment {store.experiment} was deleted in MLflow; it is back, with the runs deleted with it"
    if noted not in (None, store.experiment):
        yield f"experiment {noted} is called {store.experiment} now"


def is_lost(address: Address) -> bool:
    """Whether the store is a file that is gone, or has nothing in it."""
    return address.is_missing or (address.database is not None and address.database.stat().st_size == 0)


def compare_run(folder: Path, journal: Journal, uri: str | None, patience: Patience) -> Difference:
    """What the store lacks of a single run that has ended; nothing is written. Otherwise as `compare_sweep`."""
    home, to_open, notes = _find_home(folder, journal, journal.run_id, uri)
    address = resolve_address(to_open, home)
    found, run = Difference(count=1, notes=notes), _pack_run(folder, journal)
    if is_lost(address):
        found.lacked[run.name] = f"{GONE}, as the store itself is not"
        return found
    try:
        store = patience.persist(lambda: open_address(address))
        held = patience.persist(lambda: store.read_holdings({run.key: journal.run_id}, None))
        found.lacked |= _describe_lacks([run], held)
    except StoreError as trouble:
        if not trouble.passing:
            raise
        found.trouble = str(trouble)
    return found


def restore_run(folder: Path, journal: Journal, uri: str | None, patience: Patience) -> Difference:
    """Write what the store lacks of a single run that has ended, whose lock is held. Raises what `compare_run` does."""
    home, to_open, notes = _find_home(folder, journal, journal.run_id, uri)
    found, run = Difference(count=1, notes=notes), _pack_run(folder, journal)
    known = () if journal.run_id is None else (journal.run_id,)
    wanted = WantedExperiment(journal.experiment, journal.experiment_id, known)
    try:
        store = patience.persist(lambda: open_store(to_open, wanted, True, home))
        found.notes += _tell_of_experiment(store, journal.experiment)
        lacked, run_id = patience.persist(lambda: _restore_single(run, journal, store))
        found.lacked |= lacked
    except StoreError as trouble:
        if not trouble.passing:
            raise
        found.trouble, found.left = str(trouble), {run.name: _UNWRITTEN}
        return found
    now = replace(journal, run_id=run_id, experiment=store.experiment, experiment_id=None, recorded=True)
    now = now if store.asked is None else replace(now, uri=note_store(store.address, home))
    if now != journal:
        write_journal(folder, now)
    return found


def send_measures(folder: Path, uri: str | None, patience: Patience) -> str | None:
    """Have the store take what was measured of a run or a sweep, as metrics of the runs, as far as it is to have it.

    Why it doesn't; None: it does. uri: of another store than its folder notes.
    """
    try:
        if is_sweep(folder):
            archive = SweepFolder.open(folder)
            kept = archive.journal.uri is not None or uri is not None
            return restore_sweep(archive, uri, patience).trouble if kept else None
        journal = read_journal(folder)
        kept = (journal.uri is not None or uri is not None) and journal.status != "RUNNING"
        return restore_run(folder, journal, uri, patience).trouble if kept else None
    except StoreError as trouble:
        return str(trouble)


def _restore_single(run: RunToWrite, journal: Journal, store: Store) -> tuple[dict[str, str], str]:
    """What the store lacked, and the run's id there."""
    with explain_refusal(store.address):
        held = store.read_holdings({run.key: journal.run_id}, None)
        lacked = _describe_lacks([run], held)
        writer = store.open_writer(None, fresh=True)
        if run.key not in held:
            run_id = writer.write([run])[run.key]
        else:
            run_id = held[run.key].run_id
            if lacked:
                writer.complete(run, held[run.key])
        if PREPARATION in run.files and (data := Preparation.from_json(run.files[PREPARATION].decode()).data):
            store.note_data(run_id, [data])
        return lacked, run_id


def _pack_run(folder: Path, journal: Journal) -> RunToWrite:
    """A single run as the store is to have it. Raises ResumeError and ArchiveError where its files can't be read."""
    config = read_config(folder, journal)
    names = (CONFIG, PREPARATION, PROVENANCE, PATCH, HISTORY, FLOW, WEIGHTS, TRACEBACK, PREDICTIONS)
    paths = [folder / name for name in names] + sorted((folder / OWN_FOLDERS[0]).glob("*.png"))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    for name, content in files.items():
        try:
            check_content(content, journal.files.get(name))
        except ValueError as error:
            raise ArchiveError(f"{folder / name}: {error}") from error
    table = read_table(folder / HISTORY) if HISTORY in files else None
    command = RunFolderHistory(folder).head.command
    outcome = {} if journal.outcome is None else {OUTCOME_TAG: journal.outcome}
    key = make_single_key(folder, journal)
    ended = max((folder / name).stat().st_mtime for name in files)
    return RunToWrite(
        key=key,
        name=journal.name,
        status="KILLED" if journal.status == "RUNNING" else journal.status,
        params=flatten_config(config),
        tags=recall_provenance_tags(folder, command)
        | read_user_tags(config)
        | {DIGEST_TAG: journal.digest, KEY_TAG: key, **outcome},
        began=min((folder / CONFIG).stat().st_mtime, ended),
        ended=ended,
        history={} if table is None else {name: table[name].to_numpy() for name in table.column_names},
        files=files,
        once={} if table is None else read_once(table),
        measured=list_measured(read_measures(folder, {0: journal.digest})[0]).get(0, {}),
    )
