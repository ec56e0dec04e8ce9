"""All checks, side by side: one that fails says so, one that hangs is given up, and the others go on."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from bptt.doctor import machine, program, store, sweeps
from bptt.doctor.finding import Finding, Situation

Check = Callable[[Situation], Iterable[Finding]]

CHECKS: Final[dict[str, Check]] = {
    "program": program.examine,
    "processor": machine.examine,
    "kernels": machine.examine_kernels,
    "store": store.examine,
    "sweeps": sweeps.examine,
    "folders": machine.examine_folders,
    "environment": program.examine_variables,
}
_SECONDS: Final = 4.5
_LONGEST: Final = 60.0
_QUIET: Final = 4  # half seconds: on a busy machine a check may get no time to compute for a while


def examine_all(uri: str | None) -> dict[str, list[Finding]]:
    """What every check finds, by its concern."""
    situation = Situation(uri=uri, variables=dict(os.environ))
    found: dict[str, list[Finding]] = {name: [] for name in CHECKS}
    # As daemons: one that hangs, as on a network's disk that is away, doesn't keep the program from its end.
    threads = {
        name: threading.Thread(target=_run, args=(check, situation, found[name]), name=name, daemon=True)
        for name, check in CHECKS.items()
    }
    for thread in threads.values():
        thread.start()
    _wait(list(threads.values()))
    late = {name for name, thread in threads.items() if thread.is_alive()}
    return {name: [*findings, *([_report_late()] if name in late else [])] for name, findings in found.items()}


def _run(check: Check, situation: Situation, found: list[Finding]) -> None:
    try:
        for finding in check(situation):
            found.append(finding)  # noqa: PERF402 (what was found before an error counts)
    except Exception as error:
        says = " ".join(f"{type(error).__name__}: {error}".split())
        found.append(Finding(mark="wrong", subject="this check", says=f"failed: {says}", means=_REPORT))


_REPORT: Final = "what it should have looked at is not known; if nothing else here explains it, it is a bug of bptt's"


def _wait(threads: list[threading.Thread]) -> None:
    """Wait for the checks; after some seconds only as long as they compute, and don't wait for something else."""
    began, computed, quiet = time.monotonic(), time.process_time(), 0
    while any(thread.is_alive() for thread in threads) and time.monotonic() < began + _LONGEST:
        next(thread for thread in threads if thread.is_alive()).join(0.5)
        quiet = 0 if time.process_time() - computed > 0.01 else quiet + 1
        if quiet >= _QUIET and time.monotonic() > began + _SECONDS:
            return
        computed = time.process_time()


def _report_late() -> Finding:
    means = "a disk or a server does not answer; what comes after it here was not looked at"
    return Finding(mark="wrong", subject="this check", says=f"did not end within {_SECONDS:g} s", means=means)
