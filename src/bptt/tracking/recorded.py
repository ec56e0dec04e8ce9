"""A run as it was recorded, whole: what is needed to train it again, or to pass it on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt.tracking.recording import Recording
from bptt.tracking.sources import find

if TYPE_CHECKING:
    from bptt.core.run import Record


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A recorded run.

    number             its place in its sweep, or among those that were asked for
    run_id             in the store; None unknown
    numerical_version  of the program that trained it; None unknown
    config             its whole resolved configuration
    status             FINISHED, FAILED, KILLED, RUNNING
    outcome            completed, diverged, early_stopped; None: it has not ended, or FAILED
    current_folder     from which relative paths in `config` are meant; None unknown
    provenance         what it was made with; empty unknown
    """

    name: str
    number: int | None
    run_id: str | None
    digest: str
    numerical_version: str | None
    status: str
    outcome: str | None
    current_folder: Path | None
    provenance: dict[str, Any]
    recording: Recording = field(repr=False, compare=False)
    place: int = field(repr=False, compare=False)

    @property
    def config(self) -> dict[str, Any]:
        """The whole resolved configuration; read when it is asked for."""
        return self.recording.config(self.place)

    @property
    def record(self) -> "Record | None":
        """What it recorded; None: nothing. Read each time it is asked for; a run's neighbours come along for free.

        Its `state` is (0, 0) where it was read from a store.
        """
        return self.recording.record(self.place)


def recorded_runs(source: str | Path, uri: str | None = None) -> list[RecordedRun]:
    """The runs of a source, see `bptt.tracking.sources.find`, by number; what they recorded is read later.

    Raises SourceError, ArchiveError and StoreError, each with one line for the user.
    """
    import pandas as pd

    found = find(source, uri)
    recording, head, provenance = found.recording, found.recording.head, found.recording.provenance()
    members = [member for member in recording.members if member.number in found.numbers]
    ended = recording.tables([member.number for member in members]).runs.set_index("run")[
        ["status", "outcome", "run_id"]
    ]
    runs = []
    for member in members:
        row = ended.loc[member.number] if member.number in ended.index else dict.fromkeys(ended)
        status, outcome, run_id = (None if pd.isna(row[name]) else str(row[name]) for name in ended)
        runs.append(
            RecordedRun(
                name=member.name,
                number=member.number,
                run_id=run_id,
                digest=member.digest,
                numerical_version=head.numerical_version or provenance.get("numerical_version"),
                status=status or ("RUNNING" if head.status == "RUNNING" else "KILLED"),
                outcome=None if status == "FAILED" else outcome,
                current_folder=head.current_folder,
                provenance=provenance,
                recording=recording,
                place=member.number,
            )
        )
    return runs
