"""What a sweep's folder holds at its end, beside the archive: its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep
    from bptt.sweeps.session import Session

REPORT: Final = "report"
PAGE: Final = "report.html"


def report_files(session: "Session", sweep: "Sweep") -> dict[str, bytes]:
    """The files of the sweep's report; none where it can't be made, which is told."""
    try:
        from bptt.analysis.report.writing import report_files

        return report_files([sweep])
    except Exception as error:
        # What was trained is worth more than what is told of it.
        session.reporter.say(f"the report can't be made: {error!r}")
    return {}


def write_files(session: "Session", files: dict[str, bytes]) -> Path | None:
    """Write the report into the sweep's folder; its page, or None where it has none. A full disk is told, no more."""
    from bptt.analysis.report.writing import write_report

    if not files:
        return None
    try:
        return write_report(session.archive.folder / REPORT, files)
    except OSError as error:
        session.reporter.say(f"the report can't be written: {error.strerror or error}")
    return None
