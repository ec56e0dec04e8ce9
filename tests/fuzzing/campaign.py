"""A fuzzing campaign: one generated input after the other, until the time is over or so many were tried."""

import random
import re
import resource
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

SECONDS_OF_A_CASE: Final = 10  # of the processor's time
MOST_MEMORY: Final = 512 * 2**20  # bytes by which a single case may let the process grow
_ADDRESSES: Final = 8 * 2**30  # bytes that the process may ask for at most
_LONGEST_LINE: Final = 2000  # characters

Refusal = tuple[str, ...]  # its lines


class Refused(Exception):
    """The program refused an input in its own way; `lines` is what it says."""

    def __init__(self, lines: Refusal) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class _Hang(BaseException):
    """No Exception, so that the program can't take it for one that it handles."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    make  an input from a generator of its own, which the number of the case and the seed decide
    feed  gives the input to the program; raises Refused. Whatever else it raises is a fault
    """

    name: str
    make: Callable[[random.Random], Any]
    feed: Callable[[Any], None]


@dataclass
class Report:
    """What a campaign came to; `faults` are the number of the case, its input, and what happened."""

    name: str
    cases: int = 0
    accepted: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    worst: tuple[float, int] = (0.0, 0)
    growth: int = 0
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = [f"  {count:7,}  {kind}" for kind, count in self.refusals.most_common(12)]
        if (others := len(self.refusals) - len(kinds)) > 0:
            kinds.append(f"           and {others:,} other kinds of refusal")
        took, number = self.worst
        lines = [
            f"{self.name}: {self.cases:,} cases in {self.seconds / 60:.1f} minutes",
            f"  {self.accepted:7,}  accepted",
            *kinds,
            f"  the slowest took {took:.2f} s (case {number}); memory grew by {self.growth / 2**20:.0f} MiB",
            *(f"  FAULT in case {case}: {what}\n    {given}" for case, given, what in self.faults),
            f"  faults: {len(self.faults)}",
        ]
        return "\n".join(lines)


def run(target: Target, seed: int, seconds: float, first: int = 0, most: int | None = None) -> Report:
    """Feed a target cases `first`, `first` + 1, … for so long, `most` of them at most."""
    report = Report(target.name)
    began = time.monotonic()
    with _limited():
        number = first
        while time.monotonic() < began + seconds and (most is None or report.cases < most):
            _one(target, seed, number, report)
            number += 1
    report.seconds = time.monotonic() - began
    return report


def _one(target: Target, seed: int, number: int, report: Report) -> None:
    given = target.make(random.Random(f"{seed} {target.name} {number}"))
    before, began = _peak(), time.process_time()
    report.cases += 1
    trouble = None
    try:
        with _alarm():
            target.feed(given)
        report.accepted += 1
    except Refused as refusal:
        report.refusals.update(map(_kind, refusal.lines))
        trouble = _unclear(refusal.lines)
    except _Hang:
        trouble = f"took more than {SECONDS_OF_A_CASE} s"
    except Exception as error:
        trouble = f"raised {type(error).__name__}: {str(error)[:300]}"
    took, grown = time.process_time() - began, _peak() - before
    report.worst = max(report.worst, (took, number))
    report.growth += grown
    if trouble is None and grown > MOST_MEMORY:
        trouble = f"took {grown / 2**20:.0f} MiB"
    if trouble is not None:
        report.faults.append((number, repr(given)[:500], trouble))


def _unclear(lines: Refusal) -> str | None:
    """What is wrong with a refusal, where it is not one readable line for each thing."""
    if not lines or not all(line.strip() for line in lines):
        return "refused without a word"
    if len(set(lines)) < len(lines):
        return f"said twice: {lines}"
    wrong = [line for line in lines if len(line) > _LONGEST_LINE or not line.isprintable()]
    return f"refused with a line that can't be read: {wrong[0][:300]!r}" if wrong else None


def _kind(line: str) -> str:
    """What sort of refusal it is: the line without what the input brought into it."""
    says = re.sub(r"'[^']*'|\"[^\"]*\"", "…", line.partition("; a value with blanks")[0].partition("; did you mean")[0])
    for _ in range(3):  # brackets stand in brackets
        says = re.sub(r"\([^()]*\)?|\[[^]]*\]", "…", says)
    return re.sub(r"[\d,.]*\d", "N", says.rpartition(": ")[2] or says)[:70]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _limited() -> Iterator[None]:
    """Within it warnings are faults, and more memory than a few GiB is refused by the system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    within = _ADDRESSES if hard == resource.RLIM_INFINITY else min(hard, _ADDRESSES)
    resource.setrlimit(resource.RLIMIT_AS, (within, hard))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def _alarm() -> Iterator[None]:
    def raised(_number: int, _frame: FrameType | None) -> None:
        raise _Hang

    before = signal.signal(signal.SIGPROF, raised)
    signal.setitimer(signal.ITIMER_PROF, SECONDS_OF_A_CASE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
