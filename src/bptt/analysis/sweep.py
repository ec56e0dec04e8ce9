"""A sweep's results as tidy tables, from its folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bptt.analysis.tables import run_table
from bptt.tracking.archive import Archive


@dataclass(frozen=True)
class Sweep:
    """What a sweep left.

    folder   of its archive
    swept    the keys whose values differ between runs
    runs     a row per run: run, name, status, outcome, updates, what was swept, and the metrics as recorded last
    history  a row per run and recorded update: run, update, metrics
    """

    folder: Path
    swept: list[str]
    runs: pd.DataFrame
    history: pd.DataFrame

    @cached_property
    def gradient_flow(self) -> pd.DataFrame:
        """A row per run, recorded update and lag: run, update, lag, norm; read when it is first asked for."""
        return Archive.open(self.folder).gradient_flow()


def load_sweep(folder: Path) -> Sweep:
    """The results of the sweep in this folder so far. Raises ArchiveError where it is no sweep's."""
    archive = Archive.open(folder)
    tables = archive.tables()
    runs = run_table(archive.jobs(), tables.runs, tables.history)
    return Sweep(folder, archive.journal.swept, runs, tables.history)
