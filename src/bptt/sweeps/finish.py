"""The end of a sweep: what was to come is marked KILLED; its report, and its own run in MLflow."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bptt.analysis.sweep import hash_results, load_found
from bptt.analysis.tables import LOSS, drop_seed, tabulate_settings, take_final
from bptt.printable import make_printable
from bptt.sweeps.description import OwnRun, describe_sweep, summarize_sweep
from bptt.sweeps.reporting import MadeReport, answer_sweep, make_whole_report
from bptt.sweeps.session import Session
from bptt.sweeps.stages import find_next
from bptt.sweeps.workers.calls import Stopped
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import PAGE, REPORT, Status, make_place
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.history.find import Source
from bptt.tracking.history.from_folder import SweepFolderHistory
from bptt.tracking.provenance.environment import pack_provenance
from bptt.tracking.store.address import StoreError, make_run_path
from bptt.tracking.store.logs import SweepLog, pack_journal, pack_measures_copy
from bptt.tracking.store.opening import count_lost
from bptt.tracking.store.runs import make_run, make_run_key, write_setting
from bptt.tracking.store.sweep_page import make_compare_path, publish_view
from bptt.tracking.store.tags import BEST_TAG, VIEW_TAG

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep
    from bptt.sweeps.session import Session


def make_report(session: "Session", sweep: "Sweep") -> MadeReport:
    """The sweep's report, by the process that was asked for it, or else here. What can't be made is told."""
    made = session.report.take(session.reporter.say) or make_whole_report(sweep)
    for line in made.says:
        session.reporter.say(make_printable(line))
    return made


def save_report(session: "Session", files: dict[str, bytes]) -> Path | None:
    """Write the report into the sweep's folder; its page, or None where it has none. A full disk is told, no more."""
    from bptt.analysis.report.writing import write_report

    if not files:
        return None
    try:
        return write_report(make_place(session.archive.folder, f"{REPORT}/{PAGE}").parent, files)
    except OSError as error:
        session.reporter.say(f"the report can't be written: {error.strerror or error}")
    return None


_GIVEN_UP: Final = "interrupted while it was being recorded"


_ASKED_AT_ONCE: Final = 4096  # runs, of which a store says whether it has them


_MOST_COMPARED: Final = 10  # so that the link fits a terminal


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a sweep came to.

    runs, settings  tables, see `bptt.analysis.sweep` and `bptt.analysis.tables`
    answers   what follows from the runs, in a sentence or two; none of a sweep that was interrupted
    report    the path of its page; None: it has none
    unstored  why the store doesn't have all of it; None: it does, or the sweep is not tracked
    interrupted  whether it was left before its end; status is KILLED then, even where all runs have ended
    view, compare  paths of MLflow's pages, from "/#/"; None: there are none
    seconds   how long commands have worked on it, until all was recorded that was trained
    results   `hash_results`; None: it was left before its end
    """

    runs: "pd.DataFrame"
    settings: "pd.DataFrame"
    answers: Sequence[str]
    status: Status
    report: Path | None
    unstored: str | None
    interrupted: bool
    view: str | None
    compare: str | None
    seconds: float
    results: str | None = None


def finish(session: Session, interrupted: bool) -> Summary:
    """End a sweep: what has ended is recorded, what was to come is marked KILLED.

    Its report is written into its folder, and kept with its own run in the store; not of a sweep that was interrupted,
    which is to go on.
    """
    try:
        summary = _finish(session, interrupted)
        if session.journal.measure and summary.status != "KILLED" and summary.unstored is None:
            from bptt.sweeps.restoring import Patience, send_measures

            trouble = send_measures(session.archive.folder, None, Patience(session.reporter.say))
            summary = replace(summary, unstored=trouble)
        return summary
    finally:
        session.close_log()


def _finish(session: Session, interrupted: bool) -> Summary:
    session.stop_workers()
    missing = [session.jobs[number] for number in range(len(session.jobs)) if number not in session.results]
    more = find_next(session.journal, session.jobs, session.results) is not None
    to_come = interrupted or missing or more or session.journal.measure
    if session.journal.report and session.writer is not None and not to_come:  # else there is nothing to wait for
        session.report.draw(session.archive.folder)
    unstored = _all_sent(session, missing, hurry=interrupted)
    interrupted |= unstored == _GIVEN_UP
    interrupted = interrupted or (not missing and _measure(session))
    status: Status = "KILLED" if interrupted or missing or more else "FAILED" if session.failed else "FINISHED"
    seconds, ended = session.seconds, True
    try:
        session.note(status=status, seconds=seconds)
    except OSError as error:
        ended = False
        session.reporter.say(f"{session.archive.folder}: can't be written: {error.strerror or error}")
    wanted = session.journal.report and not interrupted
    if wanted:
        session.report.ask(session.archive.folder)
    recording = SweepFolderHistory(session.archive.folder, (session.archive, session.jobs))
    sweep = load_found(Source(recording, None, frozenset(recording.numbers)))
    results = None if interrupted else hash_results([sweep])  # while the report is made
    runs = sweep.runs.assign(run_id=_run_ids(session, sweep.runs["run"], stored=unstored is None))
    settings = tabulate_settings(runs, session.journal.swept)
    made = make_report(session, sweep) if wanted else None
    files = {} if made is None else made.files
    report = save_report(session, files)
    view = compare = None
    if session.record is not None and unstored is None:
        store, journal, parent = session.record.store, session.journal, session.record.parent
        metrics = [name for name in sweep.history if name not in ("run", "update")]
        diverged = set(runs.loc[runs["outcome"] == "diverged", "run"])
        if journal.detail != "sweep":  # else there are no runs to be shown
            view = publish_view(
                store,
                journal.name,
                parent,
                _common(session),
                metrics,
                sweep.history,
                diverged,
                settings=_list_settings(session.jobs),
                worded=[key for key in journal.swept if key in runs and runs[key].dtype.kind not in "if"],
            )
        best = _best_of_each(runs, sweep)
        compare = make_compare_path(store, best) if best else None
        note = describe_sweep(
            runs[runs["status"].notna()],
            name=session.journal.name,
            command=session.journal.command,
            swept=session.journal.swept,
            conditions=sweep.conditions,
            seconds=seconds,
            question=journal.question,
            duplicates=session.journal.duplicates,
            reused=len(session.results.reused),
            never_begun=len(missing),
            experiment_id=session.record.store.experiment_id,
            view=view,
            report=make_run_path(store.experiment_id, parent, f"{REPORT}/{PAGE}") if files else None,
        )
        kept = {f"{REPORT}/{name}": content for name, content in files.items()} | pack_journal(session.journal)
        kept |= pack_measures_copy(session.archive.folder)
        own = summarize_sweep(sweep, journal, session.jobs, seconds)
        unstored = _closed(session.record, status, note, kept | pack_provenance(session.archive.folder), view, own)
        if unstored is None:
            unstored = _find_loss(session.record, runs["run_id"].dropna().tolist())
    answers = [] if made is None else made.answers
    if made is None and not interrupted:
        answers = answer_sweep(sweep, session.reporter.say)
    return Summary(
        runs=runs,
        settings=settings,
        answers=answers,
        status=status if ended else "KILLED",  # as its folder says, of which there is more to write
        report=report,
        unstored=unstored,
        interrupted=interrupted or unstored == _GIVEN_UP,
        view=view,
        compare=compare,
        seconds=seconds,
        results=results,
    )


def _measure(session: Session) -> bool:
    """Measure what the sweep asks for; whether that was interrupted, and is to go on."""
    if not session.journal.measure:
        return False
    from bptt.sweeps.measuring import measure_results

    return measure_results(
        session.archive.folder,
        session.journal.measure,
        session.conduct.allow,
        session.conduct.workers,
        session.reporter.say,
    )


def _all_sent(session: Session, missing: Sequence[SweepJob], hurry: bool) -> str | None:
    """Wait until the store has every block, and mark what is missing as KILLED there; why it has not, else None.

    hurry: not for what only waits in the sweep's folder
    """
    try:
        session.wait_for_store()
        if missing:
            session.begin_recording()
        if session.writer is None or session.record is None:
            return session.no_store
        session.writer.finish(session.reporter.say, hurry)
        if session.writer.trouble is None and missing and session.journal.detail != "sweep":
            now = time.time()
            session.record.write(
                [make_run(session.journal, job, _killed(job, now), session.writer.tags) for job in missing]
            )
    except (Stopped, StoreError) as error:
        return str(error)
    except KeyboardInterrupt:
        if session.writer is not None:
            session.writer.give_up()
        return _GIVEN_UP
    return session.writer.trouble or (_GIVEN_UP if session.writer.left_out else None)


def _killed(job: SweepJob, now: float) -> RunResult:
    return RunResult(job=job.number, status="KILLED", record=None, error=None, began=now, ended=now)


def _find_loss(record: SweepLog, run_ids: Sequence[str]) -> str | None:
    """What the store lacks of what it took; None: nothing. It may have been replaced, or runs deleted, meanwhile."""
    store, wanted = record.store, [record.parent, *run_ids]
    try:
        if store.address.database is not None:
            store.close()  # a connection may lead to a file that has gone
            lost = count_lost(store.address.database, wanted)
        else:
            lost = len(wanted) - store.count_active(record.parent, wanted)
    except StoreError as error:
        return str(error)
    says = f"{store.address.shown}: lacks {lost:,} of the {len(wanted):,} runs that it got; they were lost, or deleted"
    return says if lost else None


def _run_ids(session: Session, numbers: "pd.Series", stored: bool) -> list[str | None]:
    """The ids in the store; None where a run is not there, or the store does not answer."""
    found, away = list[str | None](), session.record is None or not stored
    for start in range(0, len(numbers), _ASKED_AT_ONCE):
        keys = {
            number: make_run_key(session.journal, session.jobs[number])
            for number in numbers.iloc[start : start + _ASKED_AT_ONCE].tolist()
        }
        known: dict[str, str] = {}
        if session.record is not None and not away:
            try:
                known = session.record.find_ids(list(keys.values()))
            except StoreError:
                away = True
        found += [known.get(key) or session.results.reused.get(number) for number, key in keys.items()]
    return found


def _list_settings(jobs: Sequence[SweepJob]) -> list[str]:
    """The setting of each run; equal ones are one object."""
    known: dict[str, str] = {}
    return [known.setdefault(text, text) for text in map(write_setting, jobs)]


def _best_of_each(runs: "pd.DataFrame", sweep: "Sweep") -> list[str]:
    """The ids of the best run of each setting, of the best settings; of the best runs where there is one setting; of
    the best run of each condition where there are any.
    """
    stored = runs[runs["run_id"].notna() & runs["outcome"].notna()]
    stored = stored.loc[take_final(stored, LOSS).sort_values(kind="stable").index]
    keys = sweep.conditions or drop_seed(sweep.swept)
    best = stored.drop_duplicates(keys) if keys else stored
    return [str(run_id) for run_id in best["run_id"].head(_MOST_COMPARED)]


def _common(session: Session) -> list[str]:
    """The swept keys that every run has: MLflow draws no run that lacks one of the chart's axes."""
    return [key for key in session.journal.swept if all(key in job.swept for job in session.jobs.settings)]


def _closed(
    record: SweepLog, status: Status, note: str, files: dict[str, bytes], view: str | None, own: OwnRun
) -> str | None:
    tags = {VIEW_TAG: view, BEST_TAG: own.best}
    try:
        record.close(status, note, files, {key: text for key, text in tags.items() if text}, own.params, own.metrics)
    except StoreError as error:
        return str(error)
    except KeyboardInterrupt:
        return _GIVEN_UP
    return None
