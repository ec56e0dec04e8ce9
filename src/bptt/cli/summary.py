"""What `bptt train` says at the end: the result, where it is, how to open it."""

import shlex
from pathlib import Path
from urllib.parse import unquote

from bptt.cli.allowing import allow_options
from bptt.cli.execute import Ended
from bptt.cli.progress import written
from bptt.core.run import Record, Run
from bptt.core.sequences import Floats, Sequences
from bptt.tracking.journal import Journal, read_config
from bptt.tracking.record import RunRecord


def result(run: Run, journal: Journal, ended: Ended) -> list[str]:
    """How the run ended and what it learned."""
    if ended.error is not None:
        return [f"{journal.name}: failed", *ended.error.rstrip().splitlines()]
    record = ended.record
    if record is None:
        return [f"{journal.name}: interrupted before the first recorded update"]
    last = {name: float(values[-1]) for name, values in record.history.items()}
    how = "interrupted" if ended.status == "KILLED" else record.outcome.replace("_", " ")
    after = int(last["update"]) if ended.status == "KILLED" else record.updates
    lines = [f"{journal.name}: {how} after {after:,} updates ({ended.seconds:.1f} s)", f"  {written(last)}"]
    if ended.status == "FINISHED" and record.outcome != "diverged":
        lines += [f"  {line}" for line in _shown(run, record)]
    return lines


def whereabouts(tracker: RunRecord | None, folder: Path) -> list[str]:
    """Where the run is kept and how to open it."""
    if tracker is None:
        return [f"files   {folder}"]
    store = tracker.store
    address = store.address
    files = unquote(tracker.artifact_uri.removeprefix("file://"))
    path = f"/#/experiments/{store.experiment_id}/runs/{tracker.run_id}"
    lines = [f"run     {tracker.run_id} in experiment {store.experiment}", f"files   {files}"]
    if address.pages is not None:
        return [*lines, f"open    {address.pages}{path}"]
    asked = "" if store.asked is None else f" --uri {address.shown}"
    return [
        *lines,
        f"open    bptt ui{asked}    (or: mlflow ui --backend-store-uri {address.shown})",
        f"        http://127.0.0.1:5000{path}",
    ]


def remedies(ended: Ended, folder: Path) -> list[str]:
    """What the user may want to do about a run that did not end as it should."""
    lines = [] if ended.unstored is None else [f"the store doesn't have all of it: {ended.unstored}"]
    if ended.status == "KILLED" or ended.unstored is not None:
        allow = allow_options(read_config(folder).get("allow") or ())
        lines.append(f"go on with: bptt resume {shlex.quote(str(folder))}{allow}")
    return lines


def _shown(run: Run, record: Record) -> list[str]:
    """The task's own printed form, where it has one."""
    show = getattr(run.task, "show", None)
    if show is None:
        return []
    from bptt.core.evaluation import predict

    state = record.state if run.train.carry_state else None

    def outputs(sequences: Sequences) -> Floats:
        return predict(run, record.parameters, sequences, state)

    return list(show(outputs))
