"""The figures of a sweep: tidy tables in, figures out, no file touched."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.factors import factors, settings, split
from bptt.analysis.sweep_curves import curves, through_training
from bptt.analysis.sweep_finals import final_loss, success
from bptt.analysis.sweep_flow import SPAN, flow_by_lag
from bptt.analysis.sweep_maps import is_grid, loss_map, success_map
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS, final

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MOST_LEVELS: Final = 10  # of a key that has colours of its own


def summary_figures(
    runs: "pd.DataFrame", history: "pd.DataFrame", gradient_flow: "pd.DataFrame", swept: Sequence[str]
) -> "dict[str, Figure]":
    """What a sweep shows, by name.

    convergence, gradient_norm    loss/eval and grad/norm through training
    gradient_flow_first, gradient_flow_last  ‖∂loss/∂h‖ by lag, where it is given and settings can be told apart
    final_loss_KEY, success_KEY   the last loss, and the share of runs with an accuracy of 100 %, against each swept key
    loss_map, success_map         the same over a grid of two swept keys

    runs           as of `bptt.analysis.tables.run_table`
    history        run, update, metrics
    gradient_flow  run, update, lag, norm; may be empty
    swept          the swept keys

    A run that diverged counts as infinitely bad from there on. Each caption counts those that diverged, failed, or did
    not end. Nothing where no run has ended.
    """
    if not runs["outcome"].notna().any():
        return {}
    found = factors(runs, swept)
    told = split(found, len(runs))
    note = _note(runs, len(settings(found, len(runs)).levels))
    ceiling = 10 * _usual_start(history, LOSS)  # runs that end above it are all alike
    loss, accuracy = (final(runs, metric).to_numpy() for metric in (LOSS, ACCURACY))
    right = bool(np.any(accuracy == 1.0))
    best = int(np.nanargmin(loss))
    figures = {
        "convergence": through_training(
            curves(history, runs, LOSS), told, "evaluation loss", note, best, ceiling=ceiling
        ),
        "gradient_norm": through_training(
            curves(history, runs, GRADIENT),
            told,
            "gradient norm",
            note,
            best,
            ceiling=1000 * _usual_start(history, GRADIENT),
            span=SPAN,
        ),
    }
    if told.hue is not None and len(gradient_flow):
        for end in ("first", "last"):
            figures[f"gradient_flow_{end}"] = flow_by_lag(gradient_flow, runs, told, end, note)
    for factor in found:
        others = [other for other in found if other is not factor and len(other.levels) <= _MOST_LEVELS]
        hue = others[0] if len(found) == 2 and others else None
        figures[f"final_loss_{factor.label}"] = final_loss(loss, factor, hue, note, ceiling)
        if right:
            figures[f"success_{factor.label}"] = success(accuracy, factor, hue, note)
    if len(found) == 2 and is_grid(found[0], found[1]):
        figures["loss_map"] = loss_map(loss, found[0], found[1], note, ceiling)
        if right:
            figures["success_map"] = success_map(accuracy, found[0], found[1], note)
    return figures


def _note(runs: "pd.DataFrame", settings: int) -> str:
    """How many runs there are, and how many of them did not go well."""
    status = runs["status"].fillna("")
    counts = {
        "diverged": int(runs["outcome"].eq("diverged").sum()),
        "failed": int(status.eq("FAILED").sum()),
        "did not end": int((~status.isin(["FINISHED", "FAILED"])).sum()),
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    each = (
        f", {len(runs) // settings} for each setting" if len(runs) % settings == 0 and 1 < settings < len(runs) else ""
    )
    return f"{len(runs):,} runs{each}{'; ' if told else ''}{', '.join(told)}."


def _usual_start(history: "pd.DataFrame", metric: str) -> float:
    """The largest value of a metric that runs begin with, but for the worst tenth."""
    first = history.groupby("run")[metric].first()
    return float(first.quantile(0.9)) if first.notna().any() else np.inf
