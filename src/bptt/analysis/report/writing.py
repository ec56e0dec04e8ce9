"""A report's files: made from sweeps, with figures in each format that is asked for, and written into a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The figures of a sweep.

    figures  those that can be drawn and written
    images   of each figure of matplotlib's, by its id, the files
    failed   why the others can't be
    """

    figures: "list[SweepFigure]"
    images: dict[int, dict[Format, bytes]]
    failed: list[Missing]


def draw_report_figures(sweep: "Sweep", formats: Sequence[Format] = FORMATS[:1], along: Axis = UPDATES) -> Drawing:
    """Draw the figures of a sweep's report, which takes most of its time; see `make_report_files`."""
    with use_one_blas_thread():
        return _draw(sweep, formats, along)


def make_report_files(
    sweeps: "Sequence[Sweep]",
    formats: Sequence[Format] = FORMATS[:1],
    options: Sequence[str] = (),
    missing: list[str] | None = None,
    along: Axis = UPDATES,
    drawings: Sequence[Drawing] | None = None,
) -> dict[str, bytes]:
    """report.html, which stands by itself; report.md with figures/; tables/ with the numbers; of one sweep over the
    user's own data, predictions.parquet of its best run. Path → content.

    formats  of the files in figures/; the first is the one that report.md shows
    options  of `bptt report`, as they were given
    missing  takes a line for each figure, table and section that can't be made; the report says so in its place
    along    what figures of convergence and of solved runs have across
    drawings  of each sweep, in these formats and along that; None: they are drawn here
    """
    # Two threads of BLAS wait for each other where the cores are busy: thirty times as long for a small matrix.
    with use_one_blas_thread():
        drawn = [_draw(sweep, formats, along) for sweep in sweeps] if drawings is None else drawings
        return _make_files(sweeps, formats, options, missing, drawn)


def _make_files(
    sweeps: "Sequence[Sweep]",
    formats: Sequence[Format],
    options: Sequence[str],
    missing: list[str] | None,
    drawings: Sequence[Drawing],
) -> dict[str, bytes]:
    figures, failed = [one.figures for one in drawings], [one.failed for one in drawings]
    images = {which: files for one in drawings for which, files in one.images.items()}
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


def _draw(sweep: "Sweep", formats: Sequence[Format], along: Axis) -> Drawing:
    from bptt.analysis.figures import draw_sweep

    made = Drawing(figures=[], images={}, failed=[])

    def tell(name: str, error: Exception) -> None:
        made.failed.append(name_missing(f"The figure “{name}”", error))

    try:
        drawn = draw_sweep(sweep, tell, along)
    except Exception as error:
        tell("all", error)
        return made
    for figure in drawn:
        try:
            made.images[id(figure.figure)] = _draw_images(figure, formats)
            made.figures.append(figure)
        except Exception as error:
            tell(figure.name, error)
    return made


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
