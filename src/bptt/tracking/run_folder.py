"""A single run as its folder has it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.block_files import ArchiveError, Tables, read_table
from bptt.tracking.environment import read_provenance
from bptt.tracking.files import FLOW, HISTORY, WEIGHTS
from bptt.tracking.finished import read_record
from bptt.tracking.journal import JOURNAL, ResumeError, read_config, read_journal
from bptt.tracking.recording import Head, Member, Recording, ends, no_flow, no_history

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record

_TRACEBACK: Final = "traceback.txt"


class RunFolder(Recording):
    """The single run in a folder, so far. Making one raises ArchiveError where it can't be read."""

    def __init__(self, folder: Path) -> None:
        self._given, self._folder = folder, folder.absolute()
        try:
            self._journal, self._config = read_journal(folder), read_config(folder)
        except ResumeError as error:
            raise ArchiveError(str(error)) from error

    @cached_property
    def head(self) -> Head:
        """See `Recording.head`."""
        journal, overrides = self._journal, self.overrides(0)
        return Head(
            name=journal.name,
            folder=self._given,
            run_id=journal.run_id,
            swept=[],
            status=journal.status,
            command=["bptt", "train", *overrides] if overrides else [],
            numerical_version=journal.numerical_version,
            current_folder=Path(journal.current_folder),
        )

    @cached_property
    def members(self) -> list[Member]:
        """See `Recording.members`."""
        journal = self._journal
        updates = self._config.get("train", {}).get("updates")
        return [Member(number=0, name=journal.name, digest=journal.digest, swept={}, updates=updates)]

    def tables(self, numbers: Sequence[int]) -> Tables:
        """See `Recording.tables`."""
        import pandas as pd

        history = self._table(HISTORY, no_history())
        error = self._folder / _TRACEBACK
        row = {
            "run": 0,
            "status": self._journal.status,
            "outcome": self._journal.outcome,
            "updates": None if history.empty else history["update"].iloc[-1],
            "error": error.read_text(encoding="utf-8") if error.is_file() else None,
            "run_id": self._journal.run_id,
            "seconds": float("nan"),
        }
        return Tables(pd.DataFrame([row] * len(numbers), columns=list(row)), history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":  # noqa: ARG002 (one run)
        """See `Recording.gradient_flow`."""
        flow = self._table(FLOW, no_flow())
        return ends(flow) if ends_only else flow

    def config(self, number: int) -> dict[str, Any]:  # noqa: ARG002 (one run)
        """See `Recording.config`."""
        return self._config

    def overrides(self, number: int) -> list[str]:  # noqa: ARG002 (one run)
        """See `Recording.overrides`."""
        import yaml

        try:
            words = yaml.safe_load((self._folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return []
        return [str(word) for word in words or []]

    def record(self, number: int) -> "Record | None":  # noqa: ARG002 (one run)
        """See `Recording.record`."""
        if not (self._folder / WEIGHTS).is_file():
            return None
        outcome = self._journal.outcome or "completed"
        try:
            return read_record(outcome, self._folder)
        except (OSError, ValueError, KeyError) as error:
            raise ArchiveError(f"{self._folder}: can't be read: {error}") from error

    def provenance(self) -> dict[str, Any]:
        """See `Recording.provenance`."""
        return read_provenance(self._folder)

    def _table(self, name: str, empty: "pd.DataFrame") -> "pd.DataFrame":
        if not (self._folder / name).is_file():
            return empty
        table: pd.DataFrame = read_table(self._folder / name).to_pandas()
        table.insert(0, "run", 0)
        return table


def is_run(folder: Path) -> bool:
    """Whether the folder is a single run's."""
    return (folder / JOURNAL).is_file()
