"""How a sweep shows that it goes on: one bar on a terminal, a line now and then elsewhere; both on stderr."""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

from bptt.cli.saying import say

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from bptt.tracking.block_files import RunResult

_SECONDS_BETWEEN_LINES: Final = 5.0


class SweepProgress:
    """Counts the runs that have ended: done, diverged, failed; their rate, and the time that is left."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._runs = self._done = self._diverged = self._failed = 0
        self._begun = self._last = 0.0
        self._bar: RichProgress | None = None

    def say(self, text: str) -> None:
        """A line about what goes on."""
        say(text, self._stream)

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""
        self._begun = self._last = time.monotonic()
        self._runs, self._done, self._diverged, self._failed = runs, 0, 0, 0
        if self._stream.isatty():
            self._bar = _bar(self._stream)
            self._bar.add_task("sweep", total=runs, counts=self._counts())
            self._bar.start()
        else:
            self.say(f"training {runs:,} run{'s'[: runs > 1]}")

    def ended(self, results: "Sequence[RunResult]") -> None:
        """These have ended."""
        self._done += len(results)
        self._failed += sum(result.status == "FAILED" for result in results)
        self._diverged += sum(result.record is not None and result.record.outcome == "diverged" for result in results)
        now = time.monotonic()
        if self._bar is not None:
            with suppress(OSError):  # of a terminal that has gone
                self._bar.update(self._bar.task_ids[0], completed=self._done, counts=self._counts())
        elif now >= self._last + _SECONDS_BETWEEN_LINES and self._done < self._runs:
            self._last = now
            left = (now - self._begun) / self._done * (self._runs - self._done)
            share = f"{100 * self._done / self._runs:3.0f} %"
            self.say(f"  {share}  {self._done:,} of {self._runs:,} runs{self._counts()}; {left:.0f} s left")

    def end(self) -> None:
        """Nothing is trained any more."""
        if self._bar is not None:
            with suppress(OSError):
                self._bar.stop()
            self._bar = None

    def _counts(self) -> str:
        parts = [
            f"{count:,} {what}" for count, what in ((self._diverged, "diverged"), (self._failed, "failed")) if count
        ]
        rate = self._done / max(time.monotonic() - self._begun, 1e-9)
        return "".join(f", {part}" for part in [*parts, *([f"{rate:.3g} runs/s"] if self._done else [])])


def _bar(stream: TextIO) -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("runs{task.fields[counts]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    return RichProgress(*columns, console=Console(file=stream), transient=True, refresh_per_second=5)
