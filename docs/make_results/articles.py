"""What the five articles say, and what many seeds say of it: a section each."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from docs.make_results.tables import Share, Tables
from docs.make_results.wording import compared, direction, figure, link, listed, table, updates, verdict

Every = Mapping[str, Tables]


def sections(every: Every) -> Iterator[str]:
    """The sections in Markdown, from the tables of every sweep."""
    for write in (_hidden_units, _momentum, _rprop, _clipping, _initialisation, _adder_units):
        yield write(every)


def _hidden_units(every: Every) -> str:
    tables = every["leftbit_hidden_size"]
    key = "model__hidden_size"
    one, two, three, most = (tables.held(**{key: size}) for size in (1, 2, 3, 8))
    first = [updates(tables.median_updates(**{key: size})) for size in (2, 3)]
    once = [tables.solved(**{key: size}) for size in (2, 3)]
    finding = verdict(
        direction(two, three),
        -1,
        "The claim holds: 2 hidden units learn it too, and not as often.",
        "The claim does not hold: 2 hidden units learn it more often than 3.",
        "A difference does not show.",
    )
    return f"""### 2 hidden units against 3

**Claim** (outlace.com, "Recurrent neural network"): 2 hidden units learn LEFTBIT as the article's 3 do, "but
train harder".

**Found.** {finding} At the end of training {two} networks with 2 units have all bits of the evaluation right, of those
with 3 units {three}: 2 units do so {compared(two, three)}. A single unit: {one}; 8 units: {most}. At some recorded
update {once[0].short} and {once[1].short} had all bits right, half of them by {first[0]} and {first[1]}.

{figure(tables, "success_hidden_size")}

{link(tables)}
"""


def _momentum(every: Every) -> str:
    left, adder = every["leftbit_momentum"], every["alpha_epsilon"]
    plain = _rates(left, 0.1, 0)
    rows = [[_rate(alpha, epsilon), str(_rates(left, alpha, epsilon))] for alpha, epsilon in _pairs(left)]
    pairs = [
        (epsilon, _rates(left, 0.1, epsilon), _rates(left, 0.1 / (1 - epsilon), 0))
        for epsilon in left.levels("optimizer.epsilon")
        if epsilon
    ]
    against_none = listed([f"with ε = {epsilon:g} {compared(with_it, plain)}" for epsilon, with_it, _ in pairs])
    against_larger = listed([f"with ε = {epsilon:g} {compared(with_it, larger)}" for epsilon, with_it, larger in pairs])
    finding = (
        "What momentum does for LEFTBIT, a larger learning rate does as well."
        if not any(direction(with_it, larger) for _, with_it, larger in pairs)
        else "Momentum is not the same as a larger learning rate."
    )
    return f"""### Momentum against none

**Claim.** The articles name momentum among the remedies; outlace.com trains LEFTBIT with α = 0.1, ε = 0.3.

**Found, LEFTBIT.** {finding} All bits are right at the end, compared with no momentum at the same α = 0.1,
{against_none}; compared with no momentum and the learning rate α/(1 − ε) that it amounts to, {against_larger}.

{table(["LEFTBIT", "all bits right at the end"], rows)}

**Found, binary addition.** What counts is how far a constant gradient moves the weights, α/(1 − ε): where that is
alike, so are the results.

{_by_effective_rate(adder)}

{figure(adder, "success_map")}

LEFTBIT: {link(left)}; binary addition: {link(adder)}
"""


def _rates(tables: Tables, alpha: float, epsilon: float) -> Share:
    return tables.held(optimizer__alpha=alpha, optimizer__epsilon=epsilon)


def _pairs(tables: Tables) -> list[tuple[float, float]]:
    keys = ["optimizer.epsilon", "optimizer.alpha"]
    return [(row[1], row[0]) for row in sorted(map(tuple, tables.settings[keys].to_numpy()))]


def _rate(alpha: float, epsilon: float) -> str:
    return f"α = {alpha:.3g}, ε = {epsilon:g}" + (f", α/(1 − ε) = {alpha / (1 - epsilon):.3g}" if epsilon else "")


def _by_effective_rate(tables: Tables) -> str:
    """Runs by α/(1 − ε), without momentum and with it."""
    bins = ((0, 0.05), (0.05, 0.2), (0.2, 2), (2, 20), (20, 200))
    rows = []
    for low, high in bins:
        shares: list[Share | None] = []
        for momentum in (False, True):
            chosen = [
                _rates(tables, alpha, epsilon)
                for alpha, epsilon in _pairs(tables)
                if low <= alpha / (1 - epsilon) < high and bool(epsilon) is momentum
            ]
            shares.append(sum(chosen[1:], chosen[0]) if chosen else None)
        rows.append([f"{low:g} to {high:g}", *("–" if share is None else str(share) for share in shares)])
    return table(["α/(1 − ε)", "all sums right, without momentum", "with momentum"], rows)


def _rprop(every: Every) -> str:
    tables = every["eta"]
    settings = tables.settings
    article = tables.held(optimizer__eta_plus=1.2, optimizer__eta_minus=0.5)
    product = settings["optimizer.eta_plus"] * settings["optimizer.eta_minus"]
    below, above = (
        Share(int(settings.loc[chosen, "held"].sum()), int(settings.loc[chosen, "ended"].sum()))
        for chosen in (product < 1 - 1e-9, product >= 1 - 1e-9)
    )
    diverged = tables.diverged()
    none = settings.loc[product >= 1 - 1e-9, "diverged"].sum()
    best = settings.sort_values(["held", "loss_median"], ascending=[False, True]).iloc[0]
    finding = verdict(
        direction(below, above),
        1,
        "Steps have to shrink more than they grow.",
        "Steps may grow more than they shrink.",
        "Whether steps shrink more than they grow makes no difference.",
    )
    return f"""### Rprop's η⁺ and η⁻

**Claim** (peterroelants.github.io, "How to implement a recurrent neural network"): Rprop with η⁺ = 1.2 and η⁻ = 0.5
learns counting, from wx = −1.5, wrec = 2, where gradients explode.

**Found**, from starts with both weights in U(−2, 2). {finding} With the article's values {article} starts end with all
counts right. Where η⁺·η⁻ < 1, {below} do, where it is 1 or more {above}; {diverged.count} runs diverge, {none} of them
with a product of 1 or more. The most are right with η⁺ = {best["optimizer.eta_plus"]:g},
η⁻ = {best["optimizer.eta_minus"]:g}: {Share(int(best["held"]), int(best["ended"]))}.

{figure(tables, "success_map")}

{link(tables)}
"""


def _clipping(every: Every) -> str:
    words, order = every["sentiment_clip"], every["clip_threshold"]

    def sentence(alpha: float, threshold: float | None) -> Share:
        kept = {"clip": "none"} if threshold is None else {"clip__threshold": threshold}
        return words.held(optimizer__alpha=alpha, **kept)

    none, clipped = sentence(0.02, None), sentence(0.02, 1)
    finding = verdict(
        direction(clipped, none),
        1,
        "The article's network needs it.",
        "The article's network does better without it.",
        "At its learning rate the article's network does not need it.",
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
{compared(clipped, none)} with it.

{table(["sentiment", *(_threshold(threshold) for threshold in thresholds)], rows)}

**Found, temporal order over {order.value("task.length")} timesteps.** {_clipping_of_order(order)}

{figure(order, "success_threshold")}

Sentiment: {link(words)}; temporal order: {link(order)}
"""


def _clipping_of_order(tables: Tables) -> str:
    def share(alpha: float, threshold: float | None) -> Share:
        kept = {"clip": "none"} if threshold is None else {"clip__threshold": threshold}
        return tables.held(optimizer__alpha=alpha, **kept)

    thresholds = tables.levels("clip.threshold")
    rows, parts = [], []
    for alpha in tables.levels("optimizer.alpha"):
        none = share(alpha, None)
        best = max(thresholds, key=lambda threshold: share(alpha, threshold).count)
        rows.append([f"α = {alpha:g}", *(str(share(alpha, threshold)) for threshold in [None, *thresholds])])
        parts.append(f"at α = {alpha:g}, to {best:g}, {compared(share(alpha, best), none)}")
    headings = ["temporal order", *(_threshold(threshold) for threshold in [None, *thresholds])]
    return f"""All sequences are right at the end, with the best threshold compared with no
clipping: {"; ".join(parts)}.

{table(headings, rows)}"""


def _threshold(threshold: float | None) -> str:
    return "no clipping" if threshold is None else f"clipped to {threshold:g}"


def _initialisation(every: Every) -> str:
    words, order = every["sentiment_init"], every["init_scale_spectral_radius"]
    starts: Sequence[tuple[str, Share]] = [
        (_start(row), Share(int(row["held"]), int(row["ended"]))) for _, row in words.settings.iterrows()
    ]
    article = words.held(init="glorot", init__scale=1)
    worse = [name for name, share in starts if direction(share, article) < 0]
    finding = (
        f"It matters: {listed(worse)} {'does' if len(worse) == 1 else 'do'} worse than Glorot's."
        if worse
        else "No start does worse than Glorot's."
    )
    radii, scales = order.levels("init.recurrent.scale"), order.levels("init.scale")
    rows = [
        [f"{scale:g}", *(order.held(init__scale=scale, init__recurrent__scale=radius).short for radius in radii)]
        for scale in scales
    ]
    small = scales[0]
    near, far = (order.held(init__scale=small, init__recurrent__scale=radius) for radius in (1, 0.5))
    long_finding = verdict(
        direction(near, far),
        1,
        "The recurrent matrix has to start with a spectral radius near 1.",
        "A spectral radius of 0.5 does better than one of 1.",
        "Spectral radii of 0.5 and 1 do as well.",
    )
    return f"""### Initialisation

**Claim.** The sentiment article starts from Glorot's (Xavier's) uniform weights; the counting article shows that it
depends on the recurrent weight whether gradients vanish or explode.

**Found, sentiment.** {finding}

{table(["start", "all test sentences right at the end"], [[name, str(share)] for name, share in starts])}

**Found, temporal order over {order.value("task.length")} timesteps.** {long_finding} With a radius of 1 and a scale of
{small:g} for the other weights {near} networks have all sequences right at the end, with a radius of 0.5 {far}.
By the scale of the other weights (down) and the spectral radius (across):

{table(["scale", *(f"{radius:g}" for radius in radii)], rows)}

{figure(order, "success_map")}

Sentiment: {link(words)}; temporal order: {link(order)}
"""


def _start(row: Mapping[str, object]) -> str:
    name, scale = row["init"], float(str(row["init.scale"]))
    known: dict[str, Callable[[], str]] = {
        "glorot": lambda: "Glorot's" if scale == 1 else f"{scale:g} × Glorot's",
        "orthogonal": lambda: "orthogonal recurrent weights",
        "normal": lambda: f"N(0, {scale:g}²)",
    }
    return known[str(name)]()


def _adder_units(every: Every) -> str:
    tables = every["hidden_size"]
    sizes = tables.levels("model.hidden_size")
    shares = [tables.held(model__hidden_size=size) for size in sizes]
    fewest = next((size for size, share in zip(sizes, shares, strict=True) if share.count), None)
    begins = (
        "No network gets all sums right." if fewest is None else f"The fewest units with which one does: {fewest:g}."
    )
    rows = [[f"{size:g}", str(share)] for size, share in zip(sizes, shares, strict=True)]
    return f"""### Hidden units of the adder

**Setting.** Binary addition is trained with 16 hidden units in the article on learning to carry.

**Found.** {begins} With 16 units {tables.held(model__hidden_size=16)} networks have all of the evaluated sums right at
the end.

{table(["hidden units", "all sums right at the end"], rows)}

{link(tables)}
"""
