"""How a training shows that it goes on, from Python: a bar in a notebook or on a terminal, lines, or nothing."""

import html
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from bptt.cli.common import say
from bptt.cli.progress import SweepProgress, count_units, progress, write_left, write_metrics
from bptt.printable import make_printable
from bptt.sweeps.execution import Progress, RunReporter
from bptt.sweeps.session import SweepReporter
from bptt.tracking.folder.progress import estimate_left

if TYPE_CHECKING:
    from bptt.tracking.folder.block import RunResult

_SECONDS_BETWEEN: Final = 0.2


class Reporter(RunReporter, SweepReporter, Protocol):
    """Is told of a run, or of a sweep."""


def choose_reporter(shown: bool | None) -> Reporter:
    """Who is told: a notebook or a terminal, where there is one.

    shown  None: nobody where there is neither; True: who reads the lines on stderr then; False: nobody at all
    """
    if shown is False:
        return Quiet()
    if _is_notebook():
        return NotebookProgress()
    return TerminalProgress() if shown or sys.stderr.isatty() else Quiet()


def _is_notebook() -> bool:
    """Whether this is a kernel whose outputs somebody looks at."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None else None
    return getattr(shell, "kernel", None) is not None


class Quiet:
    """Tells nobody what goes on."""

    def say(self, text: str) -> None: ...
    def begin(self, runs: int) -> None: ...
    def ended(self, results: "Sequence[RunResult]") -> None: ...
    def end(self) -> None: ...

    @contextmanager
    def progress(self, name: str, updates: int, done: int) -> Iterator[Progress]:  # noqa: ARG002 (a reporter's)
        """Training begins."""
        yield self

    def point(self, update: int, metrics: Mapping[str, float]) -> None: ...


class TerminalProgress(SweepProgress):
    """Tells of a run or of a sweep on stderr, as the command line does."""

    def say(self, text: str) -> None:
        """A line about what goes on."""
        say(text)

    def progress(self, name: str, updates: int, done: int) -> AbstractContextManager[Progress]:
        """Training begins."""
        return progress(name, updates, done)


class NotebookProgress:
    """Tells of a run or of a sweep below a notebook's cell: a bar while it goes on, and nothing when it has ended."""

    def __init__(self) -> None:
        self._runs = self._done = self._failed = 0
        self._since = 0.0
        self._bar: _Bar | None = None

    def say(self, text: str) -> None:
        """A line about what goes on."""
        say(make_printable(text), sys.stdout)

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""
        self._runs, self._done, self._failed, self._since = runs, 0, 0, time.monotonic()
        self._bar = _Bar()
        self._bar.show(0.0, f"training {count_units(runs, 'run')}")

    def ended(self, results: "Sequence[RunResult]") -> None:
        """These have ended."""
        self._done += len(results)
        self._failed += sum(result.status == "FAILED" for result in results)
        seconds = time.monotonic() - self._since
        left = write_left(estimate_left(self._done, self._runs - self._done, seconds))
        failed = f", {self._failed:,} failed" if self._failed else ""
        if self._bar is not None:
            self._bar.show(self._done / self._runs, f"{self._done:,} of {count_units(self._runs, 'run')}{failed}{left}")

    def end(self) -> None:
        """Nothing is trained any more."""
        if self._bar is not None:
            self._bar.clear()
            self._bar = None

    @contextmanager
    def progress(self, name: str, updates: int, done: int) -> Iterator[Progress]:
        """Training begins."""
        bar = _Bar()
        bar.show(done / updates, f"{make_printable(name)}: {updates:,} updates")
        try:
            yield _RunBar(bar, updates, done)
        finally:
            bar.clear()


class _RunBar:
    def __init__(self, bar: "_Bar", updates: int, done: int) -> None:
        self._bar, self._updates, self._first, self._since = bar, updates, done, time.monotonic()

    def point(self, update: int, metrics: Mapping[str, float]) -> None:
        seconds = time.monotonic() - self._since
        left = write_left(estimate_left(update - self._first, self._updates - update, seconds))
        self._bar.show(update / self._updates, f"update {update:,}: {write_metrics(metrics)}{left}")


class _Bar:
    """A bar with a text behind it, drawn over what was there before; not more often than can be seen."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = 0.0

    def show(self, share: float, text: str) -> None:
        now = time.monotonic()
        if self._handle is not None and now < self._last + _SECONDS_BETWEEN:
            return
        self._last = now
        self._display(
            {
                "text/plain": f"{100 * share:3.0f} %  {text}",
                "text/html": f'<progress value="{share:.3f}" max="1"></progress> <code>{html.escape(text)}</code>',
            }
        )

    def clear(self) -> None:
        self._display({"text/plain": "", "text/html": ""})

    def _display(self, content: Mapping[str, str]) -> None:
        if self._handle is None:
            show: Any = import_module("IPython.display").display
            self._handle = show(dict(content), raw=True, display_id=True)
        else:
            self._handle.update(dict(content), raw=True)
