"""What a sweep's folder holds at its end, beside the archive: its tables as CSV and its figures as PNG."""

from typing import TYPE_CHECKING, Final

from bptt.sweeps.session import Session

if TYPE_CHECKING:
    import pandas as pd

_DPI: Final = 150


def table_files(runs: "pd.DataFrame", settings: "pd.DataFrame") -> dict[str, bytes]:
    """tables/runs.csv, a row per run, and tables/settings.csv, a row per setting over its seeds."""
    return {
        f"tables/{name}.csv": table.to_csv(index=False).encode()
        for name, table in (("runs", runs), ("settings", settings))
    }


def figure_files(session: Session, runs: "pd.DataFrame", history: "pd.DataFrame") -> dict[str, bytes]:
    """figures/*.png: what was swept against what was learned. Nothing where they can't be drawn, which is told."""
    from io import BytesIO

    try:
        from bptt.analysis.sweep_figures import summary_figures

        files = {}
        flow = session.archive.gradient_flow(ends_only=True)
        for name, figure in summary_figures(runs, history, flow, session.journal.swept).items():
            png = BytesIO()
            figure.savefig(png, format="png", dpi=_DPI)
            files[f"figures/{name}.png"] = png.getvalue()
    except Exception as error:
        # What was trained is worth more than its picture.
        session.reporter.say(f"the figures can't be drawn: {error!r}")
        return {}
    return files


def write_files(session: Session, files: dict[str, bytes]) -> None:
    """Write them into the sweep's folder; a full disk is told, and no more."""
    try:
        for name, content in files.items():
            path = session.archive.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        session.reporter.say(f"{path}: can't be written: {error.strerror or error}")
