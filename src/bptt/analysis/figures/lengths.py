"""How well networks do on sequences of other lengths than those that they were trained on."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.material import (
    Material,
    SweepFigure,
    describe_levels,
    describe_lines,
    group_runs,
    label_axis,
    name_pooled,
    pool_runs,
    tell_apart,
)
from bptt.analysis.figures.panels import (
    Window,
    choose_looks,
    compute_quartiles,
    draw_legend,
    make_panels,
    set_percent_axis,
)
from bptt.analysis.style import STYLE
from bptt.analysis.tables import ACCURACY, LOSS, is_smaller_better

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_AT: Final = re.compile(r"(accuracy|loss)/eval_(\d+)")
_LENGTH: Final = "task.length"


def find_lengths(runs: "pd.DataFrame", metric: str) -> list[int]:
    """The lengths, ascending, on which some run was seen: columns `accuracy/eval_200`, or those of the loss."""
    kind = metric.partition("/")[0]
    found = (_AT.fullmatch(column) for column in runs.columns)
    return sorted(int(match[2]) for match in found if match and match[1] == kind and runs[match[0]].notna().any())


def draw_generalisation(runs: "pd.DataFrame", swept: Sequence[str], metric: str = ACCURACY) -> "Figure":
    """The accuracy, or the loss, of each setting's runs against the length of the sequences: median and quartiles.

    runs    as of `bptt.load(…).runs`, with columns `accuracy/eval_200`; those that have not ended don't count
    swept   the swept keys
    metric  accuracy/eval, loss/eval

    A dotted line stands at the length of the training, where it is the same for all runs of a panel.
    """
    import matplotlib as mpl

    ended, told = tell_apart(runs, swept)
    told = pool_runs(told, len(ended))
    assert told.hue is not None
    lengths = find_lengths(ended, metric)
    columns = [f"{metric}_{length}" for length in lengths]
    percent = metric == ACCURACY
    values = ended[columns].to_numpy(float) * (100 if percent else 1)
    drawn, groups = choose_looks(told.hue), group_runs(told, len(ended))
    scale = None if percent else Window.around(values)
    with mpl.rc_context(STYLE):
        figure, every = make_panels(told.titles, "timesteps of a sequence", label_axis(metric))
        for axes in every:
            axes.set_xscale("log", base=2)
            axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
            axes.minorticks_off()
        if scale is not None:
            scale.apply(every[0])
        for (panel, line), chosen in groups.items():
            low, middle, high = compute_quartiles(values[chosen].T).T
            look = drawn[line]
            every[panel].plot(lengths, middle, look.line, marker=look.marker, color=look.colour, markersize=3)
            every[panel].fill_between(lengths, low, high, color=look.colour, alpha=0.15, linewidth=0)
        for panel, axes in enumerate(every):
            here = np.concatenate([np.empty(0, np.intp), *(own for (at, _), own in groups.items() if at == panel)])
            trained = _find_trained(ended.iloc[here])
            if trained is not None:
                axes.axvline(trained, color="0.5", linestyle=":", linewidth=0.9, zorder=0.5)
        if percent:
            set_percent_axis(every[0])
        draw_legend(figure, told.hue, markers=True)
    return figure


def draw_lengths(material: Material) -> Iterator[SweepFigure]:
    """How networks do on longer and shorter sequences, where `task.eval_lengths` asked for it."""
    metric = next((name for name in (ACCURACY, LOSS) if find_lengths(material.ended, name)), None)
    if metric is None:
        return
    lengths, what = find_lengths(material.ended, metric), "accuracy" if metric == ACCURACY else "evaluation loss"
    figure = draw_generalisation(material.runs, material.sweep.swept, metric)
    furthest = material.over_lines(material.ended[f"{metric}_{lengths[-1]}"].to_numpy(float))
    percent = metric == ACCURACY
    dotted = any(line.get_linestyle() == ":" for axes in figure.axes for line in axes.lines)
    mark = " Dotted: the length of the training." if dotted else ""
    better = "Lower" if is_smaller_better(metric) else "Higher"
    told = pool_runs(material.split, len(material.ended))
    yield SweepFigure(
        name="lengths",
        figure=figure,
        title="Other lengths",
        caption=(
            f"The {what} of the trained networks on sequences of other lengths, at the end of their training: medians"
            f" over runs, bands from the first quartile to the third. {better} is better.{mark} "
            f"{name_pooled(material.factors, *material.list_keys())}{material.note}"
        ),
        alt=(
            f"Line chart of the {what}{' in percent' if percent else ', logarithmic'} against {len(lengths)} lengths"
            f" from {lengths[0]:,} to {lengths[-1]:,} timesteps, {describe_lines(told)}. Medians at {lengths[-1]:,}: "
            f"{describe_levels(material.hue, furthest * (100 if percent else 1), ' %' if percent else '')}."
        ),
    )


def _find_trained(runs: "pd.DataFrame") -> float | None:
    """The one length of their training; None where there are several, or that is not known."""
    if _LENGTH not in runs:
        return None
    known = runs[_LENGTH].map(str).unique()
    return float(known[0]) if len(known) == 1 and known[0].isdigit() else None
