"""A sweep's folder as a store is to have it: which of its runs, how much of each, and what the store has of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from bptt.sweeps.stages import find_next
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import PAGE, REPORT, Detail
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.measures import list_measured, read_measures
from bptt.tracking.folder.preparations import list_data
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.provenance.environment import pack_provenance
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Store, StoredRow
from bptt.tracking.store.connecting import explain_refusal
from bptt.tracking.store.logs import SweepLog, list_copy, pack_measures_copy, place_below
from bptt.tracking.store.runs import Holding, RunToWrite, find_lack, make_run, make_sweep_key
from bptt.tracking.store.tags import KEY_TAG, NOTE_TAG, SWEEP_TAG
from bptt.tracking.store.whereabouts import note_store

#: Runs that were taken from an earlier sweep, as the store has them.
Taken = Sequence[tuple[SweepJob, StoredRow]]

#: What the sweep's own run is called among the runs.
OWN: Final = "the sweep's own run"

#: Of what a store should have.
GONE: Final = "is not there"


class StoredSweep:
    """A sweep as a store is to have it.

    tags  that all of its runs have
    full  the runs that are meant, by number, and that are to be there in full; None: all, as the sweep asks for it
    home  the project from which the store's address is meant; None: the current folder
    """

    def __init__(
        self,
        archive: SweepFolder,
        tags: Mapping[str, str],
        full: frozenset[int] | None = None,
        home: Path | None = None,
    ) -> None:
        self.archive, self.tags, self.journal, self.full = archive, tags, archive.journal, full
        self._home = Path.cwd() if home is None else home
        self._jobs = archive.jobs()
        try:
            self._ids = archive.run_ids()
        except ArchiveError:  # a damaged note of what the store has: it is looked up
            self._ids = {}

    def read_block(self, number: int, store: Store) -> tuple[list[RunToWrite], Taken]:
        """The runs of a block that the store is to have as the sweep's own, and those that it has as an earlier one's.

        Raises ArchiveError.
        """
        if self.full is None and self.journal.detail == "sweep":
            return [], []
        meant = self.archive.results(number)
        results = meant if self.full is None else [result for result in meant if result.job in self.full]
        elsewhere = [result.reused for result in results if result.reused is not None]
        there = {row.run_id: row for row in store.find_runs(elsewhere)} if elsewhere else {}
        own = [replace(result, reused=None) for result in results if result.reused not in there]
        taken = [(self._jobs[result.job], there[result.reused]) for result in results if result.reused in there]
        detail: Detail | None = None if self.full is None else "full"
        runs = [
            make_run(self.journal, self._jobs[result.job], result, self.tags, detail, self._measured.get(result.job))
            for result in own
        ]
        return runs, taken

    def list_blocks(self) -> list[int]:
        """The blocks that have the runs that are meant."""
        written = sorted(self.archive.blocks())
        if self.full is None:
            return written
        wanted = {self._blocks.get(number) for number in self.full}
        return [number for number in written if number in wanted]

    @property
    def count(self) -> int:
        """How many runs are meant, of those that have ended."""
        return len(self._blocks) if self.full is None else len(self.full & self._blocks.keys())

    def recall_ids(self, number: int) -> dict[str, str]:
        """Key → id of the runs of a block that is only sent in part, as they were noted."""
        return {} if self.full is None else self.archive.read_mark(number)

    def place(self, runs: Sequence[RunToWrite], parent: str) -> list[RunToWrite]:
        return [place_below(run, self.journal.name, parent) for run in runs]

    def read_held(self, runs: Sequence[RunToWrite], store: Store) -> dict[str, Holding]:
        """Key → what the store has of a run."""
        return store.read_holdings({run.key: self._ids.get(run.key) for run in runs}, self.journal.name)

    def name_all(self, what: str) -> dict[str, str]:
        """All that a store may lack."""
        return {OWN: what} | self.name_runs(self.list_blocks(), what)

    def name_runs(self, blocks: Iterable[int], what: str) -> dict[str, str]:
        """The runs of blocks; none where the sweep asks for its own run alone."""
        if self.full is None and self.journal.detail == "sweep":
            return {}
        wanted = set(blocks)
        meant = range(len(self._jobs)) if self.full is None else self.full
        return {self._jobs[number].name: what for number in meant if self._blocks.get(number) in wanted}

    @cached_property
    def _measured(self) -> dict[int, dict[str, dict[int, float]]]:
        rows, _ = read_measures(self.archive.folder, {job.number: job.digest for job in self._jobs})
        return list_measured(rows)

    @cached_property
    def _blocks(self) -> dict[int, int]:
        return {run: block for block, runs in self.archive.list_runs() for run in runs}

    def describe_own_lack(self, store: Store) -> str | None:
        """What the store lacks of the sweep's own run, in words; None: nothing."""
        journal, folder = self.journal, self.archive.folder
        key = make_sweep_key(journal)
        held = store.read_holdings({key: journal.parent}, journal.name).get(key)
        if held is None:
            return GONE
        files = [*list_copy(ended=True), *pack_provenance(folder)]
        if (folder / REPORT / PAGE).is_file() and journal.report:
            files.append(f"{REPORT}/{PAGE}")
        files += [*pack_measures_copy(folder)]
        own = RunToWrite(
            key=key,
            name=journal.name,
            status="KILLED" if journal.status == "RUNNING" else journal.status,
            params={},
            tags={SWEEP_TAG: journal.name},
            began=journal.began,
            ended=journal.began,
            history={},
            files=dict.fromkeys(files, b"something"),
        )
        lack = find_lack(own, held)
        if journal.status == "RUNNING" or self._was_left_before_its_end or not held.tags.get(NOTE_TAG):
            lack = replace(lack, ended=True)
        return str(lack) if lack else None

    @property
    def _was_left_before_its_end(self) -> bool:
        """Whether all has been trained, and the end was interrupted; of a search that can't be known."""
        if self.journal.status != "KILLED" or self.journal.search:
            return False
        results = {result.job: result for result in self.archive.ended()}
        return len(results) == len(self._jobs) and find_next(self.journal, self._jobs, results) is None

    def find_own(self, store: Store) -> SweepLog:
        """The sweep's own run: as it is, out of MLflow's bin, or begun anew; noted in the sweep's folder."""
        journal = self.journal
        key = make_sweep_key(journal)
        held = store.read_holdings({key: journal.parent}, journal.name).get(key)
        with explain_refusal(store.address):
            if held is not None and held.deleted:
                store.client.restore_run(held.run_id)
            run_id = store.find_by_key(key) if held is None else held.run_id
            if run_id is None:
                record = SweepLog.begin(store, journal.name, {**self.tags, KEY_TAG: key}, "")
                record.note_data(list_data(journal.preparations.values()))
            else:
                own = store.find_begun(run_id)
                if own is None:
                    raise StoreError(f"{store.address.shown}: Run with id={run_id} not found")
                record = SweepLog(store, journal.name, own, fresh=False)
        self.journal = replace(
            journal,
            parent=record.parent,
            uri=journal.uri if store.asked is None else note_store(store.address, self._home),
            experiment=store.experiment,
            experiment_id=None,
        )
        if self.journal != journal:
            self.archive.write_journal(self.journal)
        return record
