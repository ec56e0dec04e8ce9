"""Clipping against none: sentiment and temporal order."""

from collections.abc import Mapping

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import (
    choose_figure,
    choose_verdict,
    compare,
    describe,
    find_direction,
    join,
    write_link,
    write_table,
)


def write_clipping(every: Mapping[str, Tables]) -> str:
    """The section on clipping, in Markdown."""
    words, order = every["sentiment_clip"], every["clip_threshold"]

    def sentence(alpha: float, threshold: float | None) -> Share:
        kept = {"clip": "none"} if threshold is None else {"clip__threshold": threshold}
        return words.held(optimizer__alpha=alpha, **kept)

    none, clipped = sentence(0.02, None), sentence(0.02, 1)
    finding = choose_verdict(
        find_direction(clipped, none),
        1,
        "The article's network does better with it.",
        "The article's network does better without it.",
        "At its learning rate the article's network does not need it."
        if none.count == none.of
        else "Whether the article's network does better with it is not settled by these runs.",
    )
    thresholds = [None, *words.levels("clip.threshold")]
    rows = [
        [f"α = {alpha:g}", *(str(sentence(alpha, threshold)) for threshold in thresholds)]
        for alpha in words.levels("optimizer.alpha")
    ]
    return f"""### Clipping against none

**Claim.** The articles name gradient clipping among the remedies for gradients that explode; the sentiment article
clips every element of the gradient to [−1, 1], with α = 0.02.

**Found, sentiment.** {finding} With clipping {clipped} networks label all test sentences right, without it {none}:
with it {compare(clipped, none)}.

{write_table(["sentiment", *(_threshold(threshold) for threshold in thresholds)], rows)}

**Found, temporal order over {order.value("task.length")} timesteps.** {_clipping_of_order(order)}

{choose_figure(order, "success_map")}

Sentiment: {write_link(words)}; temporal order: {write_link(order)}
"""


def _clipping_of_order(tables: Tables) -> str:
    def share(alpha: float, threshold: float | None) -> Share:
        kept = {"clip": "none"} if threshold is None else {"clip__threshold": threshold}
        return tables.held(optimizer__alpha=alpha, **kept)

    thresholds, rates = tables.levels("clip.threshold"), tables.levels("optimizer.alpha")
    pairs = [(alpha, threshold) for alpha in rates for threshold in thresholds]
    found = conclude([share(alpha, threshold).ask(share(alpha, None)) for alpha, threshold in pairs])
    told = dict(zip(pairs, found, strict=True))
    parts = [
        f"at α = {alpha:g}, clipped " + join([f"to {one:g} {describe(told[alpha, one])}" for one in thresholds])
        for alpha in rates
    ]
    rows = [[f"α = {alpha:g}", *(str(share(alpha, threshold)) for threshold in [None, *thresholds])] for alpha in rates]
    headings = ["temporal order", *(_threshold(threshold) for threshold in [None, *thresholds])]
    return f"""All sequences are right at the end, compared with no clipping: {"; ".join(parts)}. The intervals
allow for all {len(pairs)} comparisons.

{write_table(headings, rows)}"""


def _threshold(threshold: float | None) -> str:
    return "no clipping" if threshold is None else f"clipped to {threshold:g}"
