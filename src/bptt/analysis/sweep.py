"""A sweep's results as tidy tables."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bptt.analysis.solved import Solved
from bptt.tracking.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep left, so far; or a single run, or runs that were asked for.

    folder      of its archive, or of the single run; None where it was read from a store
    run_id      of the sweep's own run, or of the single run, in the store; None unknown
    swept       the keys whose values differ between these runs
    command     that repeats it, as words; empty unknown
    began, ended  seconds since 1970; None unknown
    status      FINISHED, FAILED (some run did), KILLED (some run is missing), RUNNING
    question    what it asks; None: nothing was said
    solved      the criterion by which a run has solved its task
    runs        a row per run:
                run, name, status, outcome, updates (trained), what was swept, the metrics as recorded last;
                best/loss/eval, best/accuracy/eval  the smallest loss, the largest accuracy, that were recorded;
                solved         whether the criterion was ever met;
                solved_update  the first recorded update that meets it; nan: none does;
                observed       the updates until then, or until the run ended (censored); a run that diverged unsolved
                               is censored at the updates that it was to be trained for; nan: it has not ended;
                error          the traceback of a run that FAILED; digest; run_id in the store;
                seconds        wall time: an equal share of that of its block; nan where it was taken from elsewhere
                A run that FAILED or has not ended has no outcome.
    history     a row per run and recorded update: run, update, metrics
    provenance  what it was made with; empty unknown
    duplicates  how many jobs were left out since another one is the same run
    """

    name: str
    folder: Path | None
    run_id: str | None
    swept: list[str]
    command: list[str]
    began: float | None
    ended: float | None
    status: str
    question: str | None
    solved: Solved
    runs: pd.DataFrame
    history: pd.DataFrame
    provenance: dict[str, Any]
    duplicates: int
    recording: Recording | None = field(default=None, repr=False, compare=False)

    @cached_property
    def gradient_flow(self) -> pd.DataFrame:
        """A row per run, recorded update and lag: run, update, lag, norm; read when it is first asked for."""
        return self._flow(ends_only=False)

    @cached_property
    def flow_ends(self) -> pd.DataFrame:
        """`gradient_flow` at each run's first and last recorded update alone."""
        return self._flow(ends_only=True)

    @cached_property
    def configs(self) -> dict[int, dict[str, Any]]:
        """Run → its whole resolved configuration."""
        return {run: self._recording.config(run) for run in self._numbers}

    @cached_property
    def overrides(self) -> dict[int, list[str]]:
        """Run → what makes its configuration, as for `bptt train`; empty unknown."""
        return {run: self._recording.overrides(run) for run in self._numbers}

    @property
    def _numbers(self) -> list[int]:
        return [int(run) for run in self.runs["run"]]

    @property
    def _recording(self) -> Recording:
        if self.recording is None:
            raise ValueError(f"{self.name}: not read from anywhere")
        return self.recording

    def _flow(self, ends_only: bool) -> pd.DataFrame:
        return self._recording.gradient_flow(self._numbers, ends_only)
