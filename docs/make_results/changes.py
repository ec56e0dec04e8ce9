"""The study of single changes: what each does to how often one task is learned."""

from collections.abc import Mapping
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import describe, write_link, write_section, write_table

_HEADS: Final = ("changed", "solved, on the test set too", "updates until half solve it", "compared with no change")
BASE: Final = {
    "schedule": "constant",
    "regularizer": "none",
    "optimizer": "sgd",
    "init__recurrent": None,
    "optimizer__weight_decay": None,
    "optimizer__noise": None,
    "train__only": None,
}
#: What is changed → the values of swept keys that say so.
CHANGES: Final[Mapping[str, Mapping[str, object]]] = {
    "nothing": {},
    "schedule: warm-up of 100 updates": {"schedule": "warmup"},
    "schedule: half a cosine": {"schedule": "cosine"},
    "schedule: a line to 0": {"schedule": "linear"},
    "schedule: half every 1,000 updates": {"schedule": "step"},
    "schedule: inverse root from 100 on": {"schedule": "inverse_sqrt"},
    "start: sparse, 5 a row": {"init__recurrent": ...},
    "regularizer: L2, 0.0001": {"regularizer": "l2"},
    "regularizer: orthogonality, 0.01": {"regularizer": "orthogonality"},
    "regularizer: Ω, 1": {"regularizer": "omega"},
    "weight decay: 0.01": {"optimizer__weight_decay": ...},
    "gradient noise: 0.01": {"optimizer__noise": ...},
    "trained: the read-out alone": {"train__only": ...},
    "optimizer: Nesterov's momentum": {"optimizer": "nesterov"},
    "optimizer: RMSProp": {"optimizer": "rmsprop"},
    "optimizer: Adam": {"optimizer": "adam"},
    "optimizer: AdamW": {"optimizer": "adamw"},
    "optimizer: Rprop, the counting article's": {"optimizer": "rprop"},
    "optimizer: Rprop⁺": {"optimizer": "rprop_plus"},
    "optimizer: iRprop⁻": {"optimizer": "irprop_minus"},
    "optimizer: iRprop⁺": {"optimizer": "irprop_plus"},
}


def write_changes(every: Mapping[str, Tables]) -> str:
    """The section in Markdown, from the tables of every sweep."""
    tables = every["single_changes"]
    shares = find_shares(tables)
    base, changed = shares["nothing"], [name for name in CHANGES if name != "nothing"]
    found = dict(zip(changed, conclude([shares[name].ask(base) for name in changed]), strict=True))
    rows = [
        [
            name,
            str(share),
            tables.write_median_updates(**{**BASE, **CHANGES[name]}) or "–",
            describe(found[name]) if name in found else "–",
        ]
        for name, share in shares.items()
    ]
    more, less = ([name for name in changed if found[name].outcome == outcome] for outcome in ("more", "less"))
    told = [
        f"with {len(some) or 'none'} of {len(changed)} changes it is learned {word} often"
        + (f" ({'; '.join(some)})" if some else "")
        for some, word in ((more, "more"), (less, "less"))
    ]
    answer = f"{'; '.join(told)}; of the others it is not settled, or about as often."
    detail = f"""Temporal order over {tables.value("task.length")} timesteps: a tanh network from an orthogonal matrix,
SGD, clipping to {tables.value("clip.threshold")}, {tables.value("train.updates")} updates; and one thing after
the other changed, each with a learning rate, or a first step, that was tuned for it. The intervals allow for all
{len(changed)} comparisons.

{write_table(_HEADS, rows)}"""
    return write_section(
        "One change at a time",
        "A network that learns temporal order most of the time: which single change makes it learn it more often, or"
        " less?",
        answer[:1].upper() + answer[1:],
        f"![{write_alt(tables)}]({tables.name}.png)",
        detail,
        write_link(tables),
    )


def find_shares(tables: Tables) -> dict[str, Share]:
    """The runs with each change that solved the task, on the test set too."""
    return {name: tables.confirmed(**{**BASE, **where}) for name, where in CHANGES.items()}


def write_alt(tables: Tables) -> str:
    """What one sees in the figure of the changes."""
    told = [f"{name} {100 * share.interval.value:.0f} %" for name, share in find_shares(tables).items()]
    return f"Points with intervals, solved runs in percent, a row for each change: {'; '.join(told)}."
