"""The one way in: what was recorded of a sweep, of a run or of several, as tidy tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from bptt.analysis.solved import Solved
from bptt.analysis.sweep import Sweep
from bptt.analysis.tables import ACCURACY, LOSS, run_table
from bptt.tracking.sources import Source, SourceError, find

if TYPE_CHECKING:
    import pandas as pd


def load(source: str | Path, *, uri: str | None = None, solved: str | None = None) -> Sweep:
    """What was recorded of a source, see `bptt.tracking.sources.find`.

    uri     of the store; None: the one that `bptt train` would use here
    solved  the criterion by which a run has solved its task, as `loss/eval<=0.01`; None: the sweep's own, else
            `Solved.default`

    The sweep's folder is read where it is there, and the MLflow store otherwise. Raises SourceError, ArchiveError and
    StoreError, each with one line for the user.
    """
    return loaded(find(source, uri), solved)


def loaded(source: Source, solved: str | None = None) -> Sweep:
    """What was recorded of a source that was found; see `load`."""
    recording, head = source.recording, source.recording.head
    every = recording.tables([member.number for member in recording.members])
    # Of the whole, so that parts of one sweep are measured alike.
    criterion = _criterion(solved or head.solved, every.history)
    members = [member for member in recording.members if member.number in source.numbers]
    numbers = [member.number for member in members]
    history = every.history[every.history["run"].isin(numbers)].reset_index(drop=True)
    runs = run_table(members, every.runs, history)
    runs = _with_results(runs, history, criterion, [member.updates for member in members])
    runs["digest"] = [member.digest for member in members]
    came_to = every.runs.set_index("run")
    for name in ("error", "run_id"):
        found = runs["run"].map(came_to[name]).astype(object)
        runs[name] = found.where(found.notna(), None)
    runs["seconds"] = runs["run"].map(came_to["seconds"])
    return Sweep(
        name=source.name,
        folder=head.folder,
        run_id=head.run_id,
        swept=[key for key in head.swept if len({member.swept.get(key) for member in members}) > 1],
        command=head.command,
        began=head.began,
        ended=head.ended,
        status=head.status,
        question=head.question,
        solved=criterion,
        runs=runs,
        history=history,
        provenance=recording.provenance(),
        duplicates=head.duplicates,
        recording=recording,
    )


def _criterion(text: str | None, history: "pd.DataFrame") -> Solved:
    if text is None:
        return Solved.default(history)
    try:
        return Solved.parse(text, [name for name in history if name not in ("run", "update")])
    except ValueError as error:
        raise SourceError(str(error)) from None


def _with_results(
    runs: "pd.DataFrame", history: "pd.DataFrame", solved: Solved, wanted: list[int | None]
) -> "pd.DataFrame":
    """The runs with their best metrics, and when each has solved its task; wanted: updates that each was to take."""
    import pandas as pd

    by_run = history.groupby("run")
    columns = {}
    if LOSS in history:
        columns[f"best/{LOSS}"] = runs["run"].map(by_run[LOSS].min())
    if ACCURACY in history:
        columns[f"best/{ACCURACY}"] = runs["run"].map(by_run[ACCURACY].max())
    when = runs["run"].map(solved.first(history)).astype("float64").where(runs["outcome"].notna())
    full = pd.Series(wanted, index=runs.index, dtype="float64").fillna(runs["updates"].max())
    ended = runs["updates"].astype("float64").where(runs["outcome"] != "diverged", full)
    return runs.assign(
        **columns, solved=when.notna(), solved_update=when, observed=when.fillna(ended.where(runs["outcome"].notna()))
    )
