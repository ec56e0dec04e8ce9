"""First weights: sentiment and temporal order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import (
    choose_figure,
    choose_verdict,
    find_direction,
    join,
    read_direction,
    write_link,
    write_section,
    write_table,
)

_ARTICLE: Final = "Glorot's"


def write_initialisation(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections on first weights, in Markdown."""
    yield _write_sentiment(every["sentiment_init"])
    yield _write_order(every["init_scale_spectral_radius"])


def _write_sentiment(words: Tables) -> str:
    starts: Sequence[tuple[str, Share]] = [
        (_start(row), Share(int(row["held"]), int(row["ended"]))) for _, row in words.settings.iterrows()
    ]
    article = words.held(init="glorot", init__scale=1)
    asked = [(name, share) for name, share in starts if name != _ARTICLE]
    found = conclude([share.ask(article) for _, share in asked])
    worse = [name for (name, _), one in zip(asked, found, strict=True) if read_direction(one) < 0]
    answer = (
        f"It does: {join(worse)} {'does' if len(worse) == 1 else 'do'} worse than Glorot's, of {len(asked)} starts that"
        " are compared with it."
        if worse
        else f"Of none of {len(asked)} starts is it settled that it does worse than Glorot's."
    )
    return write_section(
        "Sentiment: first weights",
        "The sentiment article starts from Glorot's (Xavier's) uniform weights. Does it matter from which?",
        answer,
        choose_figure(words, "success_init"),
        write_table(["start", "all test sentences right at the end"], [[name, str(share)] for name, share in starts]),
        write_link(words),
    )


def _write_order(order: Tables) -> str:
    radii, scales = order.levels("init.recurrent.scale"), order.levels("init.scale")
    rows = [
        [f"{scale:g}", *(order.held(init__scale=scale, init__recurrent__scale=radius).short for radius in radii)]
        for scale in scales
    ]
    small = scales[0]
    near, far = (order.held(init__scale=small, init__recurrent__scale=radius) for radius in (1, 0.5))
    answer = choose_verdict(
        find_direction(near, far),
        1,
        "From a spectral radius of 1 more networks learn it than from one of 0.5.",
        "From a spectral radius of 0.5 more networks learn it than from one of 1.",
        "Whether spectral radii of 0.5 and 1 do as well is not settled by these runs.",
    )
    detail = f"""All runs clip
the norm of the gradient to {order.value("clip.threshold")} and have the learning rate
{order.value("optimizer.alpha")}. With a radius of 1 and a scale of
{small:g} for the other weights {near} networks have all sequences right at the end, with a radius of 0.5 {far}.
By the scale of the other weights (down) and the spectral radius (across):

{write_table(["scale", *(f"{radius:g}" for radius in radii)], rows)}"""
    return write_section(
        "Temporal order: first weights",
        "The counting article shows that it depends on the recurrent weight whether gradients vanish or explode. From"
        f" which spectral radius is temporal order over {order.value('task.length')} timesteps learned?",
        answer,
        choose_figure(order, "success_map"),
        detail,
        write_link(order),
    )


def _start(row: Mapping[str, object]) -> str:
    name, scale = row["init"], float(str(row["init.scale"]))
    known: dict[str, Callable[[], str]] = {
        "glorot": lambda: _ARTICLE if scale == 1 else f"{scale:g} × Glorot's",
        "orthogonal": lambda: "orthogonal recurrent weights",
        "normal": lambda: f"N(0, {scale:g}²)",
    }
    return known[str(name)]()
