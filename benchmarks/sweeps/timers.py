"""Where a program's time goes: each thread is in one phase at a time, the innermost of those that it has entered.

Imports nothing that a program would import later by itself: it is there before the program's first line.
"""

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# The phases. The main process is waiting for its workers: while they start, and while they train.
IMPORTS, COMPOSING, WORKERS, WAITING, TRAINING = "imports", "composing", "workers", "waiting", "training"
ARCHIVE, STORE, REPORT, END, REST = "archive", "store", "report", "end", "rest"


class Recorder:
    """The stretches of all threads: whether it is the main one, phase, begin and end (seconds since 1970), processor
    seconds of the thread. The thread that makes it is in the phase `rest` from then on.
    """

    def __init__(self) -> None:
        self._cpu_before = time.process_time()
        self.stretches: list[tuple[bool, str, float, float, float]] = []
        self.marks: dict[str, list[float]] = {}
        self._own = threading.local()
        self.enter(REST)

    def enter(self, phase: str) -> None:
        phases = self._phases()
        if not phases or phases[-1] != phase:
            self._cut(phases[-1] if phases else None)
        phases.append(phase)

    def leave(self) -> None:
        phases = self._phases()
        phase = phases.pop()
        if not phases or phases[-1] != phase:
            self._cut(phase)

    def time(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """The same function, whose calls are of this phase."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self.enter(phase)
            try:
                return function(*arguments, **named)
            finally:
                self.leave()

        return call

    def mark(self, function: Callable[..., Any], mark: str) -> Callable[..., Any]:
        """The same function; when it is called is noted."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self.marks.setdefault(mark, []).append(time.time())
            return function(*arguments, **named)

        return call

    def write(self, path: Path) -> None:
        """What was recorded until now, as JSON; called by the main thread.

        cpu_before, cpu  processor seconds of this process until the recorder was made, and until now
        children         those of the processes that it has waited for
        """
        self._cut(REST)
        times = os.times()
        found = {
            "stretches": self.stretches,
            "marks": self.marks,
            "cpu_before": self._cpu_before,
            "cpu": time.process_time(),
            "children": times.children_user + times.children_system,
        }
        path.write_text(json.dumps(found), encoding="utf-8")

    def _phases(self) -> list[str]:
        if not hasattr(self._own, "phases"):
            self._own.phases = []
        return self._own.phases

    def _cut(self, phase: str | None) -> None:
        now, cpu = time.time(), time.thread_time()
        if phase is not None:
            main = threading.current_thread() is threading.main_thread()
            self.stretches.append((main, phase, self._own.began, now, cpu - self._own.cpu))
        self._own.began, self._own.cpu = now, cpu


def watch_imports(recorder: Recorder, changes: Mapping[str, Callable[[Any], None]]) -> None:
    """Make imports a phase, and change modules, by name, as soon as they are there and nobody has them yet.

    So nothing is imported earlier than it would be, and who writes `from module import name` gets what was changed.
    """
    machinery: Any = sys.modules["_frozen_importlib"]
    original = machinery._find_and_load  # what Python calls for a module that isn't there
    left = dict(changes)

    def find_and_load(name: str, import_: Any) -> Any:
        recorder.enter(IMPORTS)
        try:
            module = original(name, import_)
        finally:
            recorder.leave()
        if (change := left.pop(name, None)) is not None:
            change(module)
        return module

    machinery._find_and_load = find_and_load


def make_timers(recorder: Recorder, phases: Mapping[str, str]) -> dict[str, Callable[[Any], None]]:
    """Changes that make calls phases: "package.module:function" or "package.module:Class.method" → phase."""
    of_each: dict[str, dict[str, str]] = {}
    for place, phase in phases.items():
        module, _, name = place.partition(":")
        of_each.setdefault(module, {})[name] = phase
    return {module: functools.partial(_change, recorder, names) for module, names in of_each.items()}


def _change(recorder: Recorder, names: Mapping[str, str], module: Any) -> None:
    for path, phase in names.items():
        *outer, name = path.split(".")
        owner = functools.reduce(getattr, outer, module)
        found = vars(owner)[name]
        if isinstance(found, classmethod):
            setattr(owner, name, classmethod(recorder.time(found.__func__, phase)))
        else:
            setattr(owner, name, recorder.time(found, phase))
