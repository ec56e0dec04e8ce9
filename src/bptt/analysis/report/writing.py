"""A report's files: made from sweeps, with figures in each format that is asked for, and written into a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from bptt.analysis.best_run import predict_best
from bptt.analysis.report.contents import report_several, report_single
from bptt.analysis.report.document import Element, Missing, Report, ShownTable, attempt, name_missing
from bptt.analysis.report.latex import render_table
from bptt.analysis.report.rendering import render_pages, write_rows
from bptt.analysis.report.sections.repeating import find_inputs
from bptt.analysis.work import UPDATES, Axis
from bptt.tracking.folder.files import PAGE, PATCH, PREDICTIONS, write_files
from bptt.tracking.provenance.blas import use_one_blas_thread

if TYPE_CHECKING:
    from bptt.analysis.figures import SweepFigure
    from bptt.analysis.sweep import Sweep

Format = Literal["svg", "png", "pdf"]


#: The first is the one that is written where nothing else is asked for.
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


_GENERATOR: Final = b'<meta name="generator" content="bptt '
_HEAD: Final = 4096  # bytes in which that stands


_OWN: Final = {"figures": FORMATS, "tables": ("csv", "tex")}


def make_report_files(
    sweeps: "Sequence[Sweep]",
    formats: Sequence[Format] = FORMATS[:1],
    options: Sequence[str] = (),
    missing: list[str] | None = None,
    along: Axis = UPDATES,
) -> dict[str, bytes]:
    """report.html, which stands by itself; report.md with figures/; tables/ with the numbers; of one sweep over the
    user's own data, predictions.parquet of its best run. Path → content.

    formats  of the files in figures/; the first is the one that report.md shows
    options  of `bptt report`, as they were given
    missing  takes a line for each figure, table and section that can't be made; the report says so in its place
    along    what figures of convergence and of solved runs have across
    """
    # Two threads of BLAS wait for each other where the cores are busy: thirty times as long for a small matrix.
    with use_one_blas_thread():
        return _make_files(sweeps, formats, options, missing, along)


def _make_files(
    sweeps: "Sequence[Sweep]",
    formats: Sequence[Format],
    options: Sequence[str],
    missing: list[str] | None,
    along: Axis,
) -> dict[str, bytes]:
    images: dict[int, dict[Format, bytes]] = {}
    failed: list[list[Missing]] = [[] for _ in sweeps]
    figures = [_draw_figures(sweep, formats, images, own, along) for sweep, own in zip(sweeps, failed, strict=True)]
    if len(sweeps) == 1:
        report = report_single(sweeps[0], figures[0], options, failed[0])
    else:
        report = report_several(sweeps, figures, options, failed)
    report = replace_tables(report)
    if missing is not None:
        missing += map(str, report.missing)
    made = {figure.name: images[id(figure.figure)] for figure in report.figures}
    files = render_pages(report, {name: image["svg"] for name, image in made.items()}, formats[0])
    files |= render_tables(report)
    files |= {f"figures/{name}.{kind}": image[kind] for name, image in made.items() for kind in formats}
    if len(sweeps) == 1 and (best := predict_best(sweeps[0])) is not None:
        files[PREDICTIONS] = best[1].pack()
    patch = find_inputs(sweeps[0]).patch
    return files if patch is None else files | {PATCH: patch.encode()}


def render_tables(report: Report) -> dict[str, bytes]:
    """The files of all tables."""
    return {name: content for table in report.tables for name, content in render_table(table).items()}


def _draw_figures(
    sweep: "Sweep",
    formats: Sequence[Format],
    images: dict[int, dict[Format, bytes]],
    failed: list[Missing],
    along: Axis,
) -> "list[SweepFigure]":
    """The figures of a sweep that can be drawn and written; failed takes the others, images: of each its files."""
    from bptt.analysis.figures import draw_sweep

    def tell(name: str, error: Exception) -> None:
        failed.append(name_missing(f"The figure “{name}”", error))

    try:
        drawn = draw_sweep(sweep, tell, along)
    except Exception as error:
        tell("all", error)
        return []
    written = []
    for figure in drawn:
        try:
            images[id(figure.figure)] = _draw_images(figure, formats)
            written.append(figure)
        except Exception as error:
            tell(figure.name, error)
    return written


def is_own_page(path: Path) -> bool:
    """Whether a file is the page of a report."""
    try:
        with path.open("rb") as file:
            return _GENERATOR in file.read(_HEAD)
    except OSError:
        return False


def write_report(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write a report into a folder, over an earlier one; returns the path of its page. Raises OSError."""
    for own in _OWN:
        if (folder / own).is_symlink():  # in a sweep's folder that came from elsewhere it may lead anywhere
            (folder / own).unlink()
    write_files(folder, files)
    for name, endings in _OWN.items():
        for ending in endings:
            for path in (folder / name).glob(f"*.{ending}"):
                if f"{name}/{path.name}" not in files:
                    path.unlink()
    return folder / PAGE


def _draw_images(drawn: "SweepFigure", formats: Sequence[Format]) -> dict[Format, bytes]:
    from bptt.analysis.figures import save_figure

    found: dict[Format, bytes] = {}
    for kind in dict.fromkeys((*FORMATS[:1], *formats)):
        buffer = BytesIO()
        save_figure(drawn.figure, buffer, kind)
        found[kind] = buffer.getvalue()
    return found


def replace_tables(report: Report) -> Report:
    """The report with what says so in the place of each table that can't be rendered."""
    sections = [replace(section, elements=_replace(section.elements)) for section in report.sections]
    return replace(report, sections=sections)


def _replace(elements: Sequence[Element]) -> list[Element]:
    return [_try_table(element) if isinstance(element, ShownTable) else element for element in elements]


def _try_table(table: ShownTable) -> ShownTable | Missing:
    made = attempt(f"The table “{table.title}”", lambda: (write_rows(table), render_table(table)))
    return made if isinstance(made, Missing) else table
