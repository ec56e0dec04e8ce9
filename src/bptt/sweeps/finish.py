"""The end of a sweep: what was to come is marked KILLED; its report, and what its own run in MLflow says of it."""

import math
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bptt.analysis.sweep import load_sweep
from bptt.analysis.tables import (
    ACCURACY,
    LOSS,
    drop_seed,
    show_value,
    show_values,
    tabulate_settings,
    take_final,
    write_duration,
    write_right,
)
from bptt.sweeps.jobs.stages import find_next
from bptt.sweeps.session import Session
from bptt.sweeps.workers.calls import Stopped
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import PAGE, Status
from bptt.tracking.folder.sweep import SweepJob
from bptt.tracking.provenance.environment import pack_provenance
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.runs import make_run, make_run_key
from bptt.tracking.store.sweep_log import SweepLog
from bptt.tracking.store.sweep_page import make_compare_path, publish_view
from bptt.tracking.store.tags import VIEW_TAG

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep
    from bptt.sweeps.session import Session

_LONGEST: Final = 7900  # MLflow takes 8,000 characters


_BEST: Final = 5


_MOST_CONDITIONS: Final = 12


_VALUES: Final = 12  # of one key that are listed


_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()>#|~])")


def describe_sweep(
    runs: "pd.DataFrame",
    *,
    name: str,
    command: Sequence[str],
    swept: Sequence[str],
    conditions: Sequence[str] = (),
    seconds: float,
    duplicates: int = 0,
    reused: int = 0,
    never_begun: int = 0,
    experiment_id: str | None = None,
    view: str | None = None,
    report: str | None = None,
) -> str:
    """What was swept and how it went, the best settings and the best runs, and the command that repeats it.

    runs           a row per run: run, name, status, outcome, updates, loss/eval, accuracy/eval where the task has one,
                   a column per swept key, and run_id where MLflow has the run
    swept          the keys, in the order of the command line
    conditions     those across whose values nothing is ranked
    duplicates     how many jobs were left out since another one is the same run
    reused         how many of the runs were taken from earlier sweeps
    never_begun    how many runs the sweep was broken off before
    view           the path of the sweep's page in MLflow, from "/#/"
    report         the path of its report among its artifacts, from "/#/"
    """
    runs = runs.sort_values("run", kind="stable")
    before = [
        _summary(runs, name, seconds, duplicates, reused, never_begun),
        _links({"The report": report, "The runs: curves and table": view}),
        _table(["swept", "values"], [[_plain(key), _values(runs[key])] for key in swept if key in runs]),
        _best_settings(runs, swept, conditions),
        _best_runs(runs, conditions, experiment_id),
    ]
    sections = [section for section in before if section]
    repeat = f"### To repeat it\n\n```sh\n{shlex.join(command)}\n```"
    if len("\n\n".join([*sections, repeat])) > _LONGEST:
        repeat = "### To repeat it\n\nThe command is too long for this page; `sweep.json` in the sweep's folder has it."
    return "\n\n".join([*sections, repeat]) + "\n"


def _summary(runs: "pd.DataFrame", name: str, seconds: float, duplicates: int, reused: int, never_begun: int) -> str:
    counts = {
        "diverged": (runs["outcome"] == "diverged").sum(),
        "stopped early": (runs["outcome"] == "early_stopped").sum(),
        "failed": (runs["status"] == "FAILED").sum(),
        "killed": (runs["status"] == "KILLED").sum() + never_begun,
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    number = len(runs) + never_begun
    text = f"**{_plain(name)}**: {number:,} {'run' if number == 1 else 'runs'} in {write_duration(seconds)}"
    text += f", {', '.join(told)}." if told else ", all completed."
    if reused:
        text += f" {reused:,} taken from earlier sweeps, where the same configuration had been trained."
    if duplicates:
        text += f" {duplicates:,} left out as duplicates."
    return text


def _links(paths: Mapping[str, str | None]) -> str:
    return " · ".join(f"[{text}]({path.removeprefix('/')})" for text, path in paths.items() if path is not None)


def _values(column: "pd.Series") -> str:
    values = [_plain(text) for text in show_values(column.dropna().drop_duplicates())]
    if len(values) <= _VALUES:
        return ", ".join(values)
    return f"{', '.join(values[: _VALUES // 2])}, …, {values[-1]} ({len(values):,} values)"


def _best_settings(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str]) -> str:
    """A row per setting by its median, or the best one of each condition; nothing where each run is a setting of its
    own, or all are one.
    """
    settings = tabulate_settings(runs, swept)
    if len(settings) in {1, len(runs)}:
        return ""
    best = _choose_best(settings[settings[LOSS] < math.inf], conditions)
    keys = [key for key in drop_seed(swept) if key in best]
    headings = [
        *map(_plain, keys),
        "runs",
        "diverged",
        LOSS,
        "from",
        "to",
        *(["100 % right"] if "right" in best else []),
    ]
    rows = [
        [
            *(_plain(show_value(row[key])) for key in keys),
            *(f"{row[count]:,}" for count in ("runs", "diverged")),
            *(f"{row[loss]:.4g}" for loss in (LOSS, "from", "to")),
            *([write_right(row)] if "right" in best else []),
        ]
        for row in best.to_dict("records")
    ]
    about = f"By the median of their runs' last `{LOSS}`, in which a diverged run counts as the worst."
    about = f"The best of each condition ({', '.join(map(_plain, conditions))}). {about}" if conditions else about
    return f"### Best settings\n\n{about}\n\n{_table(headings, rows)}" if rows else ""


def _best_runs(runs: "pd.DataFrame", conditions: Sequence[str], experiment_id: str | None) -> str:
    comparable = runs.assign(**{LOSS: take_final(runs, LOSS)})[runs["status"].eq("FINISHED")]
    best = _choose_best(comparable[comparable[LOSS] < math.inf], conditions)
    metrics = [metric for metric in (LOSS, ACCURACY) if metric in best]
    rows = [
        [_linked(row, experiment_id), *(f"{row[metric]:.4g}" for metric in metrics), f"{row['updates']:,.0f}"]
        for row in best.to_dict("records")
    ]
    return f"### Best runs\n\n{_table(['run', *metrics, 'updates'], rows)}" if rows else ""


def _choose_best(table: "pd.DataFrame", conditions: Sequence[str]) -> "pd.DataFrame":
    """The rows with the smallest losses; of each condition one, in the order of conditions."""
    keys = [key for key in conditions if key in table]
    best = table.sort_values(LOSS, kind="stable")
    return best.drop_duplicates(keys).sort_index().head(_MOST_CONDITIONS) if keys else best.head(_BEST)


def _linked(row: "dict[str, object]", experiment_id: str | None) -> str:
    text, run_id = _plain(str(row["name"])), row.get("run_id")
    if experiment_id is None or not isinstance(run_id, str):
        return text
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id})"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if rows else ""


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


REPORT: Final = "report"


def make_report(session: "Session", sweep: "Sweep") -> dict[str, bytes]:
    """The files of the sweep's report; none where it can't be made, which is told."""
    try:
        from bptt.analysis.report.writing import make_report_files

        return make_report_files([sweep])
    except Exception as error:
        # What was trained is worth more than what is told of it.
        session.reporter.say(f"the report can't be made: {error!r}")
    return {}


def write_files(session: "Session", files: dict[str, bytes]) -> Path | None:
    """Write the report into the sweep's folder; its page, or None where it has none. A full disk is told, no more."""
    from bptt.analysis.report.writing import write_report

    if not files:
        return None
    try:
        return write_report(session.archive.folder / REPORT, files)
    except OSError as error:
        session.reporter.say(f"the report can't be written: {error.strerror or error}")
    return None


_GIVEN_UP: Final = "interrupted while it was being recorded"


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
    seconds   since the sweep was begun, or gone on with
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


def finish(session: Session, interrupted: bool) -> Summary:
    """End a sweep: what has ended is recorded, what was to come is marked KILLED.

    Its report is written into its folder, and kept with its own run in the store; not of a sweep that was interrupted,
    which is to go on.
    """
    try:
        return _finish(session, interrupted)
    finally:
        session.close_log()


def _finish(session: Session, interrupted: bool) -> Summary:
    session.stop_workers()
    missing = [job for job in session.jobs if job.number not in session.results]
    unstored = _all_sent(session, missing)
    interrupted |= unstored == _GIVEN_UP
    more = find_next(session.journal, session.jobs, session.results) is not None
    status: Status = "KILLED" if interrupted or missing or more else "FAILED" if session.failed else "FINISHED"
    ended = True
    try:
        session.note(status=status)
    except OSError as error:
        ended = False
        session.reporter.say(f"{session.archive.folder}: can't be written: {error.strerror or error}")
    sweep = load_sweep(session.archive.folder)
    runs = sweep.runs.assign(run_id=_run_ids(session, sweep.runs["run"], stored=unstored is None))
    settings = tabulate_settings(runs, session.journal.swept)
    files = make_report(session, sweep) if session.journal.report and not interrupted else {}
    report = write_files(session, files)
    seconds = time.time() - session.began
    view = compare = None
    if session.record is not None and unstored is None:
        store, journal, parent = session.record.store, session.journal, session.record.parent
        metrics = [name for name in sweep.history if name not in ("run", "update")]
        diverged = set(runs.loc[runs["outcome"] == "diverged", "run"])
        view = publish_view(store, journal.name, parent, _common(session), metrics, sweep.history, diverged)
        best = _best_of_each(runs, sweep)
        compare = make_compare_path(store, best) if best else None
        note = describe_sweep(
            runs[runs["status"].notna()],
            name=session.journal.name,
            command=session.journal.command,
            swept=session.journal.swept,
            conditions=sweep.conditions,
            seconds=seconds,
            duplicates=session.journal.duplicates,
            reused=sum(result.reused is not None for result in session.results.values()),
            never_begun=len(missing),
            experiment_id=session.record.store.experiment_id,
            view=view,
            report=f"/#/experiments/{store.experiment_id}/runs/{parent}/artifacts/{REPORT}/{PAGE}" if files else None,
        )
        kept = {f"{REPORT}/{name}": content for name, content in files.items()}
        unstored = _closed(session.record, status, note, kept | pack_provenance(session.archive.folder), view)
    return Summary(
        runs=runs,
        settings=settings,
        answers=[] if interrupted else _answer(session, sweep),
        status=status if ended else "KILLED",  # as its folder says, of which there is more to write
        report=report,
        unstored=unstored,
        interrupted=interrupted or unstored == _GIVEN_UP,
        view=view,
        compare=compare,
        seconds=seconds,
    )


def _answer(session: Session, sweep: "Sweep") -> list[str]:
    try:
        from bptt.analysis.report.findings import Findings

        findings = Findings(sweep)
        return [*findings.leading, *findings.notes]
    except Exception as error:
        # What was trained is worth more than what is told of it.
        session.reporter.say(f"the runs can't be compared: {error!r}")
    return []


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
                [make_run(session.journal, job, _killed(job, now), session.writer.tags) for job in missing]
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
    keys = {number: make_run_key(session.journal, session.jobs[number]) for number in numbers}
    known = {}
    if session.record is not None and stored:
        with suppress(StoreError):
            known = session.record.find_ids(list(keys.values()))
    return [reused.get(number) or known.get(keys[number]) for number in numbers]


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
    return [key for key in session.journal.swept if all(key in job.swept for job in session.jobs)]


def _closed(record: SweepLog, status: Status, note: str, files: dict[str, bytes], view: str | None) -> str | None:
    try:
        record.close(status, note, files, {} if view is None else {VIEW_TAG: view})
    except StoreError as error:
        return str(error)
    except KeyboardInterrupt:
        return _GIVEN_UP
    return None
