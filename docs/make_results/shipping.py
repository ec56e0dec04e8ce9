"""What of a sweep's report lies in docs/results: its Markdown, its tables as CSV, and the figures that answer it.

The whole report, with its page, every figure and the tables as LaTeX, is in the sweep's own folder.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Final

from docs.make_results.tables import UnsupportedError

#: Of each sweep's report, the figures that answer its question.
FIGURES: Final[Mapping[str, tuple[str, ...]]] = {
    "alpha_epsilon": ("success_map", "success_alpha", "survival", "loss_map"),
    "clip_threshold": ("success_map", "success_alpha", "survival", "clipped_share"),
    "eta": ("success_map", "success_eta_plus", "survival", "loss_map"),
    "hidden_size": ("success_hidden_size", "survival", "convergence", "final_loss_hidden_size"),
    "init_scale_spectral_radius": ("success_map", "survival", "gradient_profiles_first", "radius_against_decay"),
    "leftbit_hidden_size": ("success_hidden_size", "survival", "convergence", "final_loss_hidden_size"),
    "leftbit_momentum": ("success_alpha", "success_epsilon", "survival", "convergence"),
    "length_adding": ("success_map", "success_length", "success_init", "gradient_profiles_last"),
    "length_copying": ("success_clip", "success_init", "success_length", "gradient_profiles_last"),
    "length_temporal_order": ("success_map", "success_length", "success_clip", "gradient_profiles_last"),
    "optuna_adder": ("success_alpha", "success_scale", "success_hidden_size", "variance"),
    "sentiment_clip": ("success_map", "success_alpha", "gradient_norm", "clipped_share"),
    "sentiment_init": ("success_init", "success_scale", "survival", "gradient_profiles"),
}
MOST_FIGURES: Final = 4

_PAGE: Final = "report.md"
_TITLE: Final = "## Figures\n\n"
_NOTE: Final = (
    "Those that answer the question; all of them, the tables as LaTeX, and everything as one page are in the report "
    "with which the sweep ends, below `multirun/`.\n\n"
)
_FIGURE: Final = re.compile(
    r"!\[(?:[^\]\\]|\\.)*\]\(figures/(?P<name>\w+)\.png\)\n\n\*\*Figure (?P<number>\d+)\. [^\n]+\n\n"
)
_LATEX: Final = re.compile(r"(Files: `tables/\w+\.csv`), `tables/\w+\.tex`$", re.MULTILINE)


def shipped_files(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a report that are shipped; its Markdown names no others. Raises UnsupportedError.

    name   of the sweep
    files  of the report, or of one that is shipped: path → content
    """
    figures = [f"figures/{figure}.png" for figure in FIGURES[name]]
    if missing := [figure for figure in figures if figure not in files]:
        raise UnsupportedError(
            f"{name}: the report has no {missing[0]}, which docs/make_results/shipping.py has shipped"
        )
    kept = {
        path: content
        for path, content in files.items()
        if path in figures or path.endswith((".csv", ".patch"))  # the patch of a program that differs from its commit
    }
    return {_PAGE: _page(files[_PAGE].decode(), FIGURES[name]).encode(), **kept}


def _page(text: str, figures: tuple[str, ...]) -> str:
    """A report's Markdown with these figures alone, numbered anew."""
    numbers = itertools.count(1)

    def keep(found: re.Match[str]) -> str:
        if found["name"] not in figures:
            return ""
        return found[0].replace(f"**Figure {found['number']}.", f"**Figure {next(numbers)}.")

    kept = _FIGURE.sub(keep, text.replace(_NOTE, ""))
    return _LATEX.sub(r"\1", kept.replace(_TITLE, _TITLE + _NOTE))
