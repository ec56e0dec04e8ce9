"""How a run or a sweep shows that it goes on: a bar on a terminal, a line now and then elsewhere; both on stderr."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Final, TextIO

from bptt.cli.common import find_drawn_on, say
from bptt.printable import make_printable
from bptt.tracking.folder.progress import estimate_left, write_duration

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from bptt.sweeps.execution import Progress
    from bptt.tracking.folder.block import RunResult


class RunProgress:
    """Tells of one run on stderr; a `bptt.sweeps.execution.RunReporter`."""

    def say(self, text: str) -> None:
        """A line about what goes on."""
        say(text)

    def progress(self, name: str, updates: int, done: int) -> "AbstractContextManager[Progress]":
        """Training begins."""
        return progress(name, updates, done)


@contextmanager
def progress(name: str, updates: int, done: int = 0, stream: TextIO | None = None) -> "Iterator[Progress]":
    """The bar, or the lines, of a run of so many updates, `done` of which were made by an earlier process."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield _Lines(name, updates, done, stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}", markup=False),
    )
    with RichProgress(
        *columns, console=Console(file=find_drawn_on(stream)), transient=True, refresh_per_second=5
    ) as bar:
        yield _Bar(bar, bar.add_task(make_printable(name), total=updates, completed=done, loss=""), updates)


_OF_LENGTH: Final = "loss/eval_"


def write_metrics(metrics: Mapping[str, float]) -> str:
    """A point's losses and accuracies in words, and a run's test; what a diverged run could not measure is left out."""
    parts = [f"loss {metrics['loss/train']:.4g}"]
    known = {name: value for name, value in metrics.items() if not math.isnan(value)}
    for label, kind in (("evaluation", "eval"), ("test", "test")):
        if (loss := known.get(f"loss/{kind}")) is not None:
            parts.append(f"{label} {loss:.4g}")
        if (share := known.get(f"accuracy/{kind}")) is not None:
            parts.append(f"{'test ' if kind == 'test' else ''}accuracy {percent(share)}")
    return ", ".join(parts)


def write_lengths(once: Mapping[str, float]) -> list[str]:
    """In words how a run does on other lengths, by `Record.once`: none, or a line."""
    lengths = sorted(int(name.removeprefix(_OF_LENGTH)) for name in once if name.startswith(_OF_LENGTH))
    told = []
    for length in lengths:
        share = once.get(f"accuracy/eval_{length}")
        accuracy = "" if share is None else f", accuracy {percent(share)}"
        told.append(f"of length {length:,}: evaluation {once[f'{_OF_LENGTH}{length}']:.4g}{accuracy}")
    return ["; ".join(told)] if told else []


def write_left(seconds: float | None) -> str:
    """How long it takes still, as it stands behind how far it is; None: that is not known."""
    if seconds is None:
        return ""
    return f"; {seconds:.0f} s left" if seconds < 59.5 else f"; {write_duration(seconds)} left"


def percent(share: float) -> str:
    """A share in percent, never rounded up to 100."""
    text = f"{100 * share:.2f}"
    return ("99.99" if text == "100.00" and share < 1 else text).replace("100.00", "100") + " %"


class _Pace:
    """Of a run, from the first update that is recorded: whatever had to be compiled is by then."""

    def __init__(self, updates: int) -> None:
        self._updates, self._first, self._begun = updates, -1, 0.0

    def write_left(self, update: int) -> str:
        """How long it takes still from this update on, which was recorded now."""
        now = time.monotonic()
        if self._first < 0:
            self._first, self._begun = update, now
        if update >= self._updates:
            return ""
        return write_left(estimate_left(update - self._first, self._updates - update, now - self._begun))


class _Bar:
    def __init__(self, bar: "RichProgress", task: "TaskID", updates: int) -> None:
        self._bar, self._task, self._pace = bar, task, _Pace(updates)

    def point(self, update: int, metrics: Mapping[str, float]) -> None:
        with suppress(OSError):  # of a terminal that has gone
            loss = f"loss {metrics['loss/train']:.4g}{self._pace.write_left(update)}"
            self._bar.update(self._task, completed=update, loss=loss)


class _Lines:
    """A line at the start and whenever another tenth is done, but not more often than every second."""

    def __init__(self, name: str, updates: int, done: int, stream: TextIO) -> None:
        self._updates, self._stream, self._pace = updates, stream, _Pace(updates)
        self._last = time.monotonic()
        self._next = done + updates / 10
        beginning = f", going on after update {done:,}" if done else ""
        say(f"{make_printable(name)}: {updates:,} updates{beginning}", stream)

    def point(self, update: int, metrics: Mapping[str, float]) -> None:
        now, left = time.monotonic(), self._pace.write_left(update)
        if update < self._next or now < self._last + 1 or update >= self._updates:
            return
        self._next, self._last = update + self._updates / 10, now
        share = f"{100 * update / self._updates:3.0f} %"
        say(f"  {share}  update {update:,}: {write_metrics(metrics)}{left}", self._stream)


_SECONDS_BETWEEN_LINES: Final = 5.0


class SweepProgress:
    """Counts the runs that have ended: done, diverged, failed; their rate, and the time that is left."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._runs = self._done = self._diverged = self._failed = 0
        self._begun = self._since = self._last = 0.0
        self._bar: RichProgress | None = None

    def say(self, text: str) -> None:
        """A line about what goes on."""
        say(text, self._stream)

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""
        self._begun, self._since = time.monotonic(), time.time()
        self._last = self._begun
        self._runs, self._done, self._diverged, self._failed = runs, 0, 0, 0
        if self._stream.isatty():
            self._bar = _bar(self._stream)
            self._bar.add_task("sweep", total=runs, counts=self._counts())
            self._bar.start()
        else:
            self.say(f"training {runs:,} run{'s'[: runs > 1]}")

    def ended(self, results: "Sequence[RunResult]") -> None:
        """These have ended."""
        if self._done == 0:
            # What was compiled before, or composed, says nothing about the others. Other machines' clocks may.
            compiled = min(result.began for result in results) - self._since
            self._begun += min(max(0.0, compiled), time.monotonic() - self._begun)
        self._done += len(results)
        self._failed += sum(result.status == "FAILED" for result in results)
        self._diverged += sum(result.record is not None and result.record.outcome == "diverged" for result in results)
        now = time.monotonic()
        if self._bar is not None:
            with suppress(OSError):  # of a terminal that has gone
                counts = self._counts() + self._left()
                self._bar.update(self._bar.task_ids[0], completed=self._done, counts=counts)
        elif now >= self._last + _SECONDS_BETWEEN_LINES and self._done < self._runs:
            self._last = now
            share = f"{100 * self._done / self._runs:3.0f} %"
            self.say(f"  {share}  {self._done:,} of {self._runs:,} runs{self._counts()}{self._left()}")

    def end(self) -> None:
        """Nothing is trained any more."""
        if self._bar is not None:
            with suppress(OSError):
                self._bar.stop()
            self._bar = None

    def _left(self) -> str:
        seconds = time.monotonic() - self._begun
        return (
            write_left(estimate_left(self._done, self._runs - self._done, seconds)) if self._done < self._runs else ""
        )

    def _counts(self) -> str:
        parts = [
            f"{count:,} {what}" for count, what in ((self._diverged, "diverged"), (self._failed, "failed")) if count
        ]
        rate = self._done / max(time.monotonic() - self._begun, 1e-9)
        return "".join(f", {part}" for part in [*parts, *([f"{rate:.3g} runs/s"] if self._done else [])])


def _bar(stream: TextIO) -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("runs{task.fields[counts]}", markup=False),
    )
    return RichProgress(*columns, console=Console(file=find_drawn_on(stream)), transient=True, refresh_per_second=5)


def count_units(count: int, unit: str) -> str:
    """`1 kernel`, `1,200 kernels`."""
    return f"{count:,} {unit}{'s'[: count != 1]}"


@contextmanager
def show_counting(
    doing: str, unit: str, count: int, workers: int, stream: TextIO | None = None
) -> Iterator[Callable[[int], None]]:
    """What is called with how many more are done: a bar on a terminal, a line now and then elsewhere."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        say(f"{doing} {count_units(count, unit)}, {workers} at a time", stream)
        yield _print_lines(unit, count, stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn(doing), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn(f"{unit}s"))
    console = Console(file=find_drawn_on(stream))
    with RichProgress(*columns, TimeElapsedColumn(), console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=count)
        yield lambda more: bar.advance(task, more)


def _print_lines(unit: str, count: int, stream: TextIO) -> Callable[[int], None]:
    done, last = 0, time.monotonic()

    def tell(more: int) -> None:
        nonlocal done, last
        done += more
        if done < count and time.monotonic() >= last + _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"  {100 * done / count:3.0f} %  {done:,} of {count_units(count, unit)}", stream)

    return tell
