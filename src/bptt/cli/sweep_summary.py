"""What is said at the end of a sweep: what it found, what failed, where it is, how to look at it."""

from collections import Counter
from typing import Final

from bptt.analysis.tables import lines
from bptt.sweeps.finish import Summary
from bptt.sweeps.session import Session
from bptt.tracking.address import Address

_MOST_ROWS: Final = 20
_MOST_FAILURES: Final = 10


def summary_lines(session: Session, summary: Summary) -> list[str]:
    """The end of a sweep, in lines."""
    return [
        _headline(session, summary),
        *(f"  {line}" for line in lines(summary.settings, _MOST_ROWS)),
        *_failures(session),
        *_whereabouts(session, summary),
    ]


def _headline(session: Session, summary: Summary) -> str:
    jobs, results = len(session.jobs), session.results.values()
    counts = Counter(summary.runs["outcome"].where(summary.runs["status"] != "FAILED", "failed").dropna())
    parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()]
    notes = [
        f"{count:,} {what}"
        for count, what in (
            (jobs - len(results), "not trained"),
            (sum(result.reused is not None for result in results), "in the store already"),
            (session.journal.duplicates, "repeated jobs left out"),
        )
        if count
    ]
    told = "; ".join(filter(None, [", ".join(parts), ", ".join(notes)]))
    return f"sweep {session.journal.name}: {jobs:,} run{'s'[: jobs != 1]} in {summary.seconds:.1f} s: {told}"


def _failures(session: Session) -> list[str]:
    ended = sorted(session.results.values(), key=lambda result: result.job)
    failed = [result for result in ended if result.error is not None]
    if not failed:
        return []
    rows = [
        f"  {session.jobs[result.job].name}: {str(result.error).rstrip().splitlines()[-1]}"
        for result in failed[:_MOST_FAILURES]
    ]
    more = [f"  and {len(failed) - _MOST_FAILURES:,} more"] if len(failed) > _MOST_FAILURES else []
    return ["failed:", *rows, *more]


def _whereabouts(session: Session, summary: Summary) -> list[str]:
    found = [f"files   {session.archive.folder}"]
    if summary.report is not None:
        found.append(f"report  {summary.report}")
    if session.store is None:
        return found
    pages = [(name, path) for name, path in (("sweep", summary.view), ("compare", summary.compare)) if path is not None]
    address, asked = session.store.address, session.store.asked
    if address.pages is not None:
        return found + [f"{name:<8}{address.pages}{path}" for name, path in pages]
    return [
        *found,
        f"open    {_ui(address, asked)}",
        *(f"{name:<8}http://127.0.0.1:5000{path}" for name, path in pages),
    ]


def _ui(address: Address, asked: str | None) -> str:
    uri = "" if asked is None else f" --uri {address.shown}"
    return f"bptt ui{uri}    (or: mlflow ui --backend-store-uri {address.shown})"
