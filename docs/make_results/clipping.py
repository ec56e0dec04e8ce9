"""Clipping against none: sentiment and temporal order."""

from collections.abc import Iterator, Mapping

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import (
    choose_figure,
    choose_verdict,
    compare,
    describe,
    find_direction,
    join,
    sum_up,
    write_link,
    write_section,
    write_table,
)


def write_clipping(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections on clipping, in Markdown."""
    yield _write_sentiment(every["sentiment_clip"])
    yield _write_order(every["clip_threshold"])


def _write_sentiment(tables: Tables) -> str:
    none, clipped = _share(tables, 0.02, None), _share(tables, 0.02, 1)
    answer = choose_verdict(
        find_direction(clipped, none),
        1,
        "The article's network does better with it.",
        "The article's network does better without it.",
        "At its learning rate the article's network does not need it."
        if none.count == none.of
        else "Whether the article's network does better with it is not settled by these runs.",
    )
    detail = f"""With clipping {clipped} networks label all test sentences right, without it {none}:
with it {compare(clipped, none)}.

{_write_shares("sentiment", tables)}"""
    return write_section(
        "Sentiment: clipping against none",
        "The articles name gradient clipping among the remedies for gradients that explode; the sentiment article clips"
        " every element of the gradient to [−1, 1], with α = 0.02. Does it help?",
        answer,
        choose_figure(tables, "success_map"),
        detail,
        write_link(tables),
    )


def _write_order(tables: Tables) -> str:
    thresholds, rates = tables.levels("clip.threshold"), tables.levels("optimizer.alpha")
    pairs = [(alpha, threshold) for alpha in rates for threshold in thresholds]
    found = conclude([_share(tables, alpha, threshold).ask(_share(tables, alpha, None)) for alpha, threshold in pairs])
    told = dict(zip(pairs, found, strict=True))
    parts = [
        f"at α = {alpha:g}, clipped " + join([f"to {one:g} {describe(told[alpha, one])}" for one in thresholds])
        for alpha in rates
    ]
    merged: dict[tuple[float, str], list[float]] = {}
    for threshold in thresholds:
        for alpha in rates:
            merged.setdefault((threshold, told[alpha, threshold].outcome), []).append(alpha)
    named = [
        (f"{threshold:g} (α = {join([f'{alpha:g}' for alpha in alphas])})", told[alphas[0], threshold])
        for (threshold, _), alphas in merged.items()
    ]
    length = tables.value("task.length")
    detail = f"""All sequences are right at the end, compared with no clipping: {"; ".join(parts)}. The intervals
allow for all {len(pairs)} comparisons.

{_write_shares("temporal order", tables)}"""
    return write_section(
        "Temporal order: clipping by thresholds",
        f"Does clipping the gradient's norm help to learn temporal order over {length} timesteps, and to what?",
        sum_up("it is learned", named, "than unclipped", "clipped to"),
        choose_figure(tables, "success_map"),
        detail,
        write_link(tables),
    )


def _share(tables: Tables, alpha: float, threshold: float | None) -> Share:
    kept = {"clip": "none"} if threshold is None else {"clip__threshold": threshold}
    return tables.held(optimizer__alpha=alpha, **kept)


def _write_shares(task: str, tables: Tables) -> str:
    thresholds = [None, *tables.levels("clip.threshold")]
    rows = [
        [f"α = {alpha:g}", *(str(_share(tables, alpha, threshold)) for threshold in thresholds)]
        for alpha in tables.levels("optimizer.alpha")
    ]
    return write_table([task, *(_threshold(threshold) for threshold in thresholds)], rows)


def _threshold(threshold: float | None) -> str:
    return "no clipping" if threshold is None else f"clipped to {threshold:g}"
