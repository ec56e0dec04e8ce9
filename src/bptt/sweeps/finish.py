"""The end of a sweep: what was to come is marked KILLED; a report, a description, and a page in MLflow."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bptt.analysis.load import load
from bptt.analysis.tables import LOSS, final, settings_table
from bptt.sweeps.description import description
from bptt.sweeps.outputs import PAGE, REPORT, report_files, write_files
from bptt.sweeps.session import Session, Stopped
from bptt.tracking.address import StoreError
from bptt.tracking.archive import SweepJob
from bptt.tracking.block_files import RunResult
from bptt.tracking.environment import provenance_files
from bptt.tracking.record import Status
from bptt.tracking.shared_view import compare_path, publish_view
from bptt.tracking.stored_run import run_key, stored_run
from bptt.tracking.sweep_record import SweepRecord

if TYPE_CHECKING:
    import pandas as pd

_GIVEN_UP: Final = "interrupted while it was being recorded"
_MOST_COMPARED: Final = 10  # so that the link fits a terminal


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a sweep came to.

    runs, settings  tables, see `bptt.analysis.sweep` and `bptt.analysis.tables`
    report    the path of its page; None: it has none
    unstored  why the store doesn't have all of it; None: it does, or the sweep is not tracked
    interrupted  whether it was left before its end; status is KILLED then, even where all runs have ended
    view, compare  paths of MLflow's pages, from "/#/"; None: there are none
    seconds   since the sweep was begun, or gone on with
    """

    runs: "pd.DataFrame"
    settings: "pd.DataFrame"
    status: Status
    report: Path | None
    unstored: str | None
    interrupted: bool
    view: str | None
    compare: str | None
    seconds: float


def finish(session: Session, interrupted: bool) -> Summary:
    """End a sweep: what has ended is recorded, what was to come is marked KILLED.

    Its report is written into its folder, and kept with its own run in the store; not of a sweep that was interrupted,
    which is to go on.
    """
    session.stop_workers()
    missing = [job for job in session.jobs if job.number not in session.results]
    unstored = _all_sent(session, missing)
    interrupted |= unstored == _GIVEN_UP
    status: Status = "KILLED" if interrupted or missing else "FAILED" if session.failed else "FINISHED"
    try:
        session.note(status=status)
    except OSError as error:
        session.reporter.say(f"{session.archive.folder}: can't be written: {error.strerror or error}")
    sweep = load(session.archive.folder)
    runs = sweep.runs.assign(run_id=_run_ids(session, sweep.runs["run"], stored=unstored is None))
    settings = settings_table(runs, session.journal.swept)
    files = report_files(session, sweep) if session.journal.report and not interrupted else {}
    report = write_files(session, files)
    seconds = time.time() - session.began
    view = compare = None
    if session.record is not None and unstored is None:
        store, journal, parent = session.record.store, session.journal, session.record.parent
        metrics = [name for name in sweep.history if name not in ("run", "update")]
        diverged = set(runs.loc[runs["outcome"] == "diverged", "run"])
        view = publish_view(store, journal.name, parent, _common(session), metrics, sweep.history, diverged)
        best = _best_of_each(runs, journal.swept)
        compare = compare_path(store, best) if best else None
        note = description(
            runs[runs["status"].notna()],
            name=session.journal.name,
            command=session.journal.command,
            swept=session.journal.swept,
            seconds=seconds,
            duplicates=session.journal.duplicates,
            reused=sum(result.reused is not None for result in session.results.values()),
            never_begun=len(missing),
            experiment_id=session.record.store.experiment_id,
            view=view,
            report=f"/#/experiments/{store.experiment_id}/runs/{parent}/artifacts/{REPORT}/{PAGE}" if files else None,
        )
        kept = {f"{REPORT}/{name}": content for name, content in files.items()}
        unstored = _closed(session.record, status, note, kept | provenance_files(session.archive.folder), view)
    return Summary(
        runs=runs,
        settings=settings,
        status=status,
        report=report,
        unstored=unstored,
        interrupted=interrupted or unstored == _GIVEN_UP,
        view=view,
        compare=compare,
        seconds=seconds,
    )


def _all_sent(session: Session, missing: Sequence[SweepJob]) -> str | None:
    """Wait until the store has every block, and mark what is missing as KILLED there; why it has not, else None."""
    try:
        session.wait_for_store()
        if missing and session.store is not None:
            session.begin_recording(session.store)
        if session.writer is None or session.record is None:
            return session.no_store
        session.writer.finish(session.reporter.say)
        if session.writer.trouble is None and missing:
            now = time.time()
            session.record.write(
                [stored_run(session.journal, job, _killed(job, now), session.writer.tags) for job in missing]
            )
    except (Stopped, StoreError) as error:
        return str(error)
    except KeyboardInterrupt:
        return _GIVEN_UP
    return session.writer.trouble


def _killed(job: SweepJob, now: float) -> RunResult:
    return RunResult(job=job.number, status="KILLED", record=None, error=None, began=now, ended=now)


def _run_ids(session: Session, numbers: "pd.Series", stored: bool) -> list[str | None]:
    """The ids in the store; None where a run is not there, or the store does not answer."""
    reused = {number: result.reused for number, result in session.results.items()}
    keys = {number: run_key(session.journal, session.jobs[number]) for number in numbers}
    known = {}
    if session.record is not None and stored:
        with suppress(StoreError):
            known = session.record.run_ids(list(keys.values()))
    return [reused.get(number) or known.get(keys[number]) for number in numbers]


def _best_of_each(runs: "pd.DataFrame", swept: Sequence[str]) -> list[str]:
    """The ids of the best run of each setting, of the best settings; of the best runs where there is one setting."""
    stored = runs[runs["run_id"].notna() & runs["outcome"].notna()]
    stored = stored.loc[final(stored, LOSS).sort_values(kind="stable").index]
    keys = [key for key in swept if key != "seed"]
    best = stored.drop_duplicates(keys) if keys else stored
    return [str(run_id) for run_id in best["run_id"].head(_MOST_COMPARED)]


def _common(session: Session) -> list[str]:
    """The swept keys that every run has: MLflow draws no run that lacks one of the chart's axes."""
    return [key for key in session.journal.swept if all(key in job.swept for job in session.jobs)]


def _closed(record: SweepRecord, status: Status, note: str, files: dict[str, bytes], view: str | None) -> str | None:
    try:
        record.close(status, note, files, {} if view is None else {"bptt.view": view})
    except StoreError as error:
        return str(error)
    except KeyboardInterrupt:
        return _GIVEN_UP
    return None
