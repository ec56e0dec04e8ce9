"""The index of the results: claims and what was found, from the reports' tables alone."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from docs.make_results import articles, dynamics, lengths
from docs.make_results.changes import write_changes
from docs.make_results.figures import DRAWN, draw_figure
from docs.make_results.pictures import smaller
from docs.make_results.remedies import write_remedies
from docs.make_results.tables import Tables
from docs.make_results.titles import TITLES
from docs.make_results.wording import wrap, write_table

NAME: Final = "README.md"

_OPENING: Final = """# Results

What `bptt`'s shipped sweeps found: of the claims of the five tutorials it stands on, of how far back networks
learn, and of what is seen of them before and while they do. Each section has a question, its answer, the figure that
shows it, the report that says how to repeat each number, and then the detail. `make results` trains the sweeps and
writes all of it: every number and every sentence about one comes from their tables.

A share of runs is followed by its 95 % interval (Clopper and Pearson's). Runs of a setting differ in their seed, and so
in their first weights, training data and evaluation data; runs with one seed have the same in every setting, so shares
are compared on pairs. More or less often is said where the interval of the difference excludes none, about as often
where it lies within ten percentage points, and otherwise that it is not settled. A run that diverged has not
solved its task. What is said of the articles is of the end of training; the reports' figures count a run as solved that
met its criterion at some recorded update, and the study of lengths one that did so at its end, on its test set too.
Where runs of several settings or lengths are taken together, an interval takes them for independent, although they
share their seeds.
"""

_CORRECTIONS: Final = """## What earlier versions of this page had wrong

LEFTBIT was measured on the article's six bits, which chance and memory pass; networks are now measured on fresh bits.

Differences were those of independent runs, and about as often was said wherever none was sure: so copying was called
about as often solved with clipping as without.

That IRNNs solve adding more often than LSTMs was told without what decides it, the bias from which forget gates start;
LSTMs with open forget gates are among the runs now.

The sweeps over lengths had one learning rate for all runs of a cell, from a small trial; each setting tunes its own
now, on other seeds. What stopped their runs also counted as proof; the test set is asked now. Their evaluation sets,
and those of the studies of clipping and of first weights, had fewer than 1,000 scored targets. Clipping was judged by
the starts that it helped most. Of several thresholds of clipping the best was compared with none, on the runs that it
was picked by; all are compared now, and the intervals allow for that. The study of first weights did not say that all
of its runs clip.
"""


def write(folder: Path, names: Sequence[str]) -> Path:
    """Write the index into the folder of the reports, with its own figures; returns its path. Raises UnsupportedError.

    names  of the sweeps
    """
    from bptt.analysis.figures import save_figure

    every = {name: Tables(folder / name) for name in names}
    text = write_page(every)
    for name in DRAWN:
        image = BytesIO()
        save_figure(draw_figure(every[name]), image, "png")
        (folder / f"{name}.png").write_bytes(smaller(image.getvalue()))
    path = folder / NAME
    path.write_text(text, encoding="utf-8")
    return path


def write_page(every: Mapping[str, Tables]) -> str:
    """The index in Markdown."""
    parts = [
        _OPENING,
        "## What the articles say\n",
        *articles.write_sections(every),
        write_remedies(every),
        write_changes(every),
        "## Over how many timesteps\n",
        *lengths.write_sections(every),
        "## What gradients and losses tell\n",
        *dynamics.write_sections(every),
        _CORRECTIONS,
        "## All reports\n",
        _list_reports(every),
    ]
    return wrap("\n".join(parts)) + "\n"


def _list_reports(every: Mapping[str, Tables]) -> str:
    rows = [
        [
            f"[{TITLES[name]}]({name}/report.md), `{name}`",
            f"{len(tables.settings):,}",
            f"{int(tables.settings['runs'].sum()):,}",
            f"{int(tables.settings['diverged'].sum()):,}",
            f"{int(tables.settings['failed'].sum() + tables.settings['unfinished'].sum()):,}",
        ]
        for name, tables in sorted(every.items(), key=lambda named: [*TITLES].index(named[0]))
    ]
    return write_table(["sweep", "settings", "runs", "diverged", "failed or not ended"], rows)
