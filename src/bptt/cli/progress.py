"""How a run shows that it trains: a bar on a terminal, a few lines elsewhere; both on stderr."""

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from bptt.cli.saying import say

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """What is told of every recorded update."""

    def point(self, update: int, metrics: Mapping[str, float]) -> None: ...


@contextmanager
def progress(name: str, updates: int, done: int = 0, stream: TextIO | None = None) -> Iterator[Progress]:
    """The bar, or the lines, of a run of so many updates, `done` of which were made by an earlier process."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield _Lines(name, updates, done, stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with RichProgress(*columns, console=Console(file=stream), transient=True, refresh_per_second=5) as bar:
        yield _Bar(bar, bar.add_task(name, total=updates, completed=done, loss=""))


def written(metrics: Mapping[str, float]) -> str:
    """A point's losses and accuracy in words; what a diverged run could not measure is left out."""
    parts = [
        f"{label} {metrics[name]:.4g}"
        for label, name in (("loss", "loss/train"), ("evaluation", "loss/eval"))
        if name == "loss/train" or not math.isnan(metrics.get(name, math.nan))
    ]
    if not math.isnan(metrics.get("accuracy/eval", math.nan)):
        parts.append(f"accuracy {percent(metrics['accuracy/eval'])}")
    return ", ".join(parts)


def percent(share: float) -> str:
    """A share in percent, never rounded up to 100."""
    text = f"{100 * share:.2f}"
    return ("99.99" if text == "100.00" and share < 1 else text).replace("100.00", "100") + " %"


class _Bar:
    def __init__(self, bar: "RichProgress", task: "TaskID") -> None:
        self._bar, self._task = bar, task

    def point(self, update: int, metrics: Mapping[str, float]) -> None:
        with suppress(OSError):  # of a terminal that has gone
            self._bar.update(self._task, completed=update, loss=f"loss {metrics['loss/train']:.4g}")


class _Lines:
    """A line at the start and whenever another tenth is done, but not more often than every second."""

    def __init__(self, name: str, updates: int, done: int, stream: TextIO) -> None:
        self._updates, self._first, self._stream = updates, done, stream
        self._begun = self._last = time.monotonic()
        self._next = done + updates / 10
        beginning = f", going on after update {done:,}" if done else ""
        say(f"{name}: {updates:,} updates{beginning}", stream)

    def point(self, update: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        if update < self._next or now < self._last + 1 or update >= self._updates:
            return
        self._next, self._last = update + self._updates / 10, now
        left = (now - self._begun) / (update - self._first) * (self._updates - update)
        share = f"{100 * update / self._updates:3.0f} %"
        say(f"  {share}  update {update:,}: {written(metrics)}; {left:.0f} s left", self._stream)
