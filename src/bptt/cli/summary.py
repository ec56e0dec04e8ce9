"""What is said at the end of a run or a sweep: what came out, what failed, where it is, how to look at it."""

import shlex
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.tables import FITS, write_lines
from bptt.cli.common import say, write_allow_options, write_store_option
from bptt.cli.progress import percent, write_lengths, write_metrics
from bptt.core.random import Generator
from bptt.core.records.fits import count_classes
from bptt.core.records.keeping import KEPT
from bptt.core.run import Record, Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.printable import make_printable
from bptt.sweeps.execution import Ended
from bptt.sweeps.single import Trained
from bptt.tracking.folder.files import JOURNAL
from bptt.tracking.folder.progress import SWEEP_LOG, write_duration
from bptt.tracking.folder.run import Journal, read_config
from bptt.tracking.store.address import Address, make_run_path, write_sqlite_uri
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.logs import RunLog

if TYPE_CHECKING:
    from bptt.sweeps.finish import Summary
    from bptt.sweeps.session import Session

_MOST_CLASSES: Final = 10  # that a table of a terminal has room for


def tell(trained: Trained) -> None:
    """Print the end of a run, and what the user may want to do about it."""
    lines = [
        *describe_result(trained.run, trained.journal, trained.ended),
        *describe_whereabouts(trained.tracker, trained.folder),
    ]
    say("\n".join(map(make_printable, lines)), sys.stdout)
    for line in suggest_remedies(trained.ended, trained.folder, trained.journal.uri):
        say(line)


def tell_interruption(folder: Path) -> None:
    """Say in one line how a run goes on that was left at once; nothing where it had not begun."""
    if (folder / JOURNAL).exists():
        say(f"interrupted; {_write_going_on(folder)}")


def describe_result(run: Run, journal: Journal, ended: Ended) -> list[str]:
    """How the run ended and what it learned."""
    if ended.error is not None:
        return [f"{journal.name}: failed", *ended.error.rstrip().splitlines()]
    record = ended.record
    if record is None:
        return [f"{journal.name}: interrupted before the first recorded update"]
    last = {name: float(values[-1]) for name, values in record.history.items()} | dict(record.once)
    how = "interrupted" if ended.status == "KILLED" else record.outcome.replace("_", " ")
    after = int(last["update"]) if ended.status == "KILLED" else record.updates
    # What is said of the evaluation set is of the network that is left, as what is said of the test set is.
    kept = {name.removeprefix(KEPT): value for name, value in record.once.items() if name.startswith(KEPT)}
    told = [write_metrics(last | kept), *describe_fits(record)]
    if "accuracy/eval" not in last:  # nothing is right or wrong: how well it fits comes first
        told = [*told[1:], *told[:1]]
    lines = [
        f"{journal.name}: {how} after {after:,} updates ({write_duration(ended.seconds)})",
        *(f"  {line}" for line in (*told, *write_lengths(record.once), *describe_kept(run, record))),
    ]
    if ended.status == "FINISHED" and (record.outcome != "diverged" or record.kept_update != record.updates):
        lines += [f"  {line}" for line in (*_show_outputs(run, record), *show_confusions(run, record))]
    return lines


def describe_whereabouts(tracker: RunLog | None, folder: Path) -> list[str]:
    """Where the run is kept and how to open it."""
    if tracker is None:
        return [f"files   {folder}"]
    store = tracker.store
    address = store.address
    files = find_local_folder(address, tracker.artifact_uri) or tracker.artifact_uri
    path = make_run_path(store.experiment_id, tracker.run_id)
    lines = [f"run     {tracker.run_id} in experiment {store.experiment}", f"files   {files}"]
    if address.pages is not None:
        return [*lines, f"open    {address.pages}{path}"]
    return [
        *lines,
        f"open    {_ui(address, store.asked)}",
        f"        http://127.0.0.1:5000{path}",
    ]


def suggest_remedies(ended: Ended, folder: Path, uri: str | None = None) -> list[str]:
    """What the user may want to do about a run that did not end as it should; uri: of its store, as it is noted."""
    lines = [] if ended.unstored is None else [f"the store doesn't have all of it: {ended.unstored}"]
    if ended.status == "KILLED" or ended.unwritten is not None:
        lines.append(_write_going_on(folder, uri))
    elif ended.unstored is not None:
        lines.append(f"later: bptt sync {shlex.quote(str(folder))}{write_store_option(uri)}")
    return lines


def _write_going_on(folder: Path, uri: str | None = None) -> str:
    allow = write_allow_options(read_config(folder).get("allow") or ())
    return f"go on with: bptt resume {shlex.quote(str(folder))}{allow}{write_store_option(uri)}"


def _show_outputs(run: Run, record: Record) -> list[str]:
    """The task's own printed form, where it has one."""
    show = getattr(run.task, "show", None)
    if show is None:
        return []
    from bptt.core.evaluation import predict

    state = record.state if run.train.carry_state else None

    def outputs(sequences: Sequences) -> Floats:
        return predict(run, record.parameters, sequences, state)

    return list(show(outputs))


_MOST_ROWS: Final = 20


_WIDTH: Final = 100  # characters of a line of a sentence


_MOST_FAILURES: Final = 10


def summary_lines(session: "Session", summary: "Summary") -> list[str]:
    """The end of a sweep, in lines."""
    return [
        _headline(session, summary),
        *(f"  {line}" for sentence in summary.answers for line in textwrap.wrap(sentence, _WIDTH)),
        *(f"  {line}" for line in write_lines(summary.settings, _MOST_ROWS)),
        *_failures(session),
        *_retries(session),
        *_whereabouts(session, summary),
    ]


def _headline(session: "Session", summary: "Summary") -> str:
    jobs, results = len(session.jobs), session.results
    stages = session.jobs.count_stages()
    ended = summary.runs["outcome"].where(summary.runs["status"] != "FAILED", "failed")
    if "given_up" in summary.runs:
        ended = ended.where(summary.runs["given_up"].isna(), "given_up")
    counts = Counter(ended.dropna())
    parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()]
    notes = [
        f"{count:,} {what}"
        for count, what in (
            (stages["tuning"] if stages["result"] else 0, "tuned the others"),
            (stages["confirming"], "confirm the best"),
            (jobs - len(results), "not trained"),
            (len(results.reused), "in the store already"),
            (session.journal.duplicates, "repeated jobs left out"),
        )
        if count
    ]
    told = "; ".join(filter(None, [", ".join(parts), ", ".join(notes)]))
    return f"sweep {session.journal.name}: {jobs:,} run{'s'[: jobs != 1]} in {write_duration(summary.seconds)}: {told}"


def _failures(session: "Session") -> list[str]:
    failed = sorted(session.results.errors.items())
    if not failed:
        return []
    rows = [f"  {session.jobs[job].name}: {error.rstrip().splitlines()[-1]}" for job, error in failed[:_MOST_FAILURES]]
    more = [f"  and {len(failed) - _MOST_FAILURES:,} more"] if len(failed) > _MOST_FAILURES else []
    return ["failed:", *rows, *more]


def _retries(session: "Session") -> list[str]:
    """What was done twice; nothing where nothing was."""
    count = session.journal.retried
    times = "once" if count == 1 else f"{count:,} times"
    return [f"trained again {times}, as workers died: {session.archive.folder / SWEEP_LOG} says when"] if count else []


def _whereabouts(session: "Session", summary: "Summary") -> list[str]:
    found = [f"files   {session.archive.folder}"]
    if summary.report is not None:
        found.append(f"report  {summary.report}")
    if summary.results is not None:
        found.append(f"results sha256 {summary.results}")
    if session.store is None:
        return found
    pages = [(name, path) for name, path in (("sweep", summary.view), ("compare", summary.compare)) if path is not None]
    address, asked = session.store.address, session.store.asked
    if address.pages is not None:
        return found + [f"{name:<8}{address.pages}{path}" for name, path in pages]
    return [
        *found,
        f"open    {_ui(address, asked)}",
        *(f"{name:<8}http://127.0.0.1:5000{path}" for name, path in pages),
    ]


def _ui(address: Address, asked: str | None) -> str:
    shown = shlex.quote(address.shown)
    uri = "" if asked is None else f" --uri {shown}"
    if address.database is not None and address.at_home:
        # Its artifacts are addressed relative to its folder, in which MLflow has to be started.
        file = shlex.quote(write_sqlite_uri(Path(address.database.name), address.query))
        named = "" if asked is None else f" --backend-store-uri {file}"
        return f"bptt ui{uri}    (or, in this folder: mlflow ui{named})"
    return f"bptt ui{uri}    (or: mlflow ui --backend-store-uri {shown})"


def describe_fits(record: Record) -> list[str]:
    """`RMSE 0.12, MAE 0.1, R² 0.93`: a line for the evaluation set and one for the test set, of what there is."""
    lines = []
    for part, label in (("eval", "evaluation"), ("test", "test")):
        found = {name: record.once[key] for name in FITS if (key := f"{name}/{part}") in record.once}
        if found:
            lines.append(f"{label}: {', '.join(_write_fit(name, value) for name, value in found.items())}")
    return lines


def _write_fit(name: str, value: float) -> str:
    return f"{FITS[name]} {percent(value) if name == 'balanced_accuracy' else f'{value:.4g}'}"


def describe_kept(run: Run, record: Record) -> list[str]:
    """Which network was kept, where that is the best one; nothing where it is the last, as usual."""
    metric = run.train.keep_by
    if run.train.keep != "best":
        return []
    if "kept/update" not in record.once:
        return [f"the network of the last update is kept: no recorded one had a number for {metric}"]
    best, last = record.once[f"kept/{metric}"], float(record.history[metric][-1])
    return [
        f"the network of update {record.kept_update:,} is kept, the best by {metric}: {best:.4g}, at the end {last:.4g}"
    ]


def show_confusions(run: Run, record: Record) -> list[str]:
    """How many of each class were taken for each, on the test set, or the evaluation set where there is no such one."""
    from bptt.core.evaluation import predict

    most = {"two_classes": 1, "classes": _MOST_CLASSES}.get(str(getattr(run.task, "target", None)), 0)
    if run.task.outputs > most:
        return []
    test = getattr(run.task, "test", lambda _: None)(Generator(seed_of(run, 3)))
    sequences: Sequences = run.task.evaluation(Generator(seed_of(run, 2))) if test is None else test
    outputs = predict(run, record.parameters, sequences, record.state if run.train.carry_state else None)
    counts = count_classes(outputs, sequences)
    names = _name_classes(run.task, len(counts))
    cells = [
        ["", *names],
        *([name, *(f"{count:,.0f}" for count in row)] for name, row in zip(names, counts, strict=True)),
    ]
    widths = np.array([[len(cell) for cell in row] for row in cells]).max(axis=0)
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return [
        f"{'evaluation' if test is None else 'test'} set by class; rows: its targets, columns: what was predicted",
        *lines,
    ]


def _name_classes(task: Any, count: int) -> list[str]:
    labels = getattr(getattr(task, "preparation", None), "classes", None)
    return [str(label) for label in labels or range(count)]
