"""The study of remedies: which carries how far, and what it costs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import describe, join, write_link, write_plain_table, write_section, write_table

LENGTH: Final = "task.length"
TASKS: Final = {"temporal_order": "temporal order", "adding": "adding"}
PLAIN: Final = {
    "model": "elman",
    "optimizer": "sgd",
    "regularizer": "none",
    "clip": "none",
    "init__recurrent": None,
    "init__gate_bias__forget": None,
}
_LSTM: Final = {"model": "lstm", "clip": "norm"}
#: What a setting is called → the values of swept keys that it has beside those of the plain network.
REMEDIES: Final[Mapping[str, Mapping[str, object]]] = {
    "none": {},
    "clipping": {"clip": "norm"},
    "Ω": {"regularizer": "omega"},
    "Ω and clipping": {"regularizer": "omega", "clip": "norm"},
    "momentum": {"optimizer": "momentum"},
    "momentum and clipping": {"optimizer": "momentum", "clip": "norm"},
    "orthogonal start": {"init__recurrent": "orthogonal"},
    "orthogonal start and clipping": {"init__recurrent": "orthogonal", "clip": "norm"},
    "orthogonal start and momentum": {"init__recurrent": "orthogonal", "optimizer": "momentum"},
    "orthogonal start, momentum and clipping": {
        "init__recurrent": "orthogonal",
        "optimizer": "momentum",
        "clip": "norm",
    },
    "Rprop": {"optimizer": "irprop_minus"},
    "Hessian-free": {"optimizer": "hessian_free"},
    "LSTM and clipping": _LSTM,
    "LSTM, forget bias 4, and clipping": {**_LSTM, "init__gate_bias__forget": ..., "init__gate_bias__input": None},
    "LSTM, chrono, and clipping": {**_LSTM, "init__gate_bias__forget": ..., "init__gate_bias__input": ...},
}
#: Each remedy, and the setting that lacks nothing but that.
_ASKED: Final = (
    ("clipping", "none"),
    ("Ω", "none"),
    ("Ω and clipping", "clipping"),
    ("momentum", "none"),
    ("orthogonal start", "none"),
    ("orthogonal start and clipping", "clipping"),
    ("Rprop", "none"),
    ("Hessian-free", "none"),
    ("LSTM, forget bias 4, and clipping", "LSTM and clipping"),
    ("LSTM, chrono, and clipping", "LSTM and clipping"),
)


def write_remedies(every: Mapping[str, Tables]) -> str:
    """The section in Markdown, from the tables of every sweep."""
    tables = every["remedies"]
    lengths = tables.levels(LENGTH)
    tried = join([f"{rate:g}" for rate in tables.tuned["optimizer.alpha"]])
    edges, settings = tables.count_edges()
    heads = [f"{task}, {length:g}" for task in TASKS.values() for length in lengths]
    rows = [
        [name, *(find_share(tables, name, task, length).short for task in TASKS for length in lengths)]
        for name in REMEDIES
    ]
    detail = f"""{_write_reaches(tables)}

Each remedy against the setting that lacks nothing but it, on the test set too, over both tasks and all lengths; what
all runs solve or none says nothing of it. The intervals allow for all {len(_ASKED)} comparisons.

{write_plain_table(["with", "against", "is solved"], _list_comparisons(tables))}

{write_table(["solved, on the test set too, by task and timesteps", *heads], rows)}

Plain networks have tanh units and start from N(0, 0.1²), Rprop is iRprop⁻. There are up to 3,000 updates of SGD,
momentum and Rprop, and 80 of Hessian-free optimisation. The learning rate is the one of {tried} that
did best on two other seeds, for each setting, task and length; so are Rprop's first step, Ω's factor and the first
damping. For {edges} of {settings} a value is the smallest or the largest that was tried, beyond which may lie a better.
All have batches of 16, on which Rprop's signs turn by chance, but for Hessian-free optimisation, which has 200.

**What it costs**, over the largest length that more than half of the runs solve. {_COUNTED}

{write_table(["remedy", "task, timesteps", "updates until half solve it", "gradient evaluations"], _list_costs(tables))}
"""
    return write_section(
        "Remedies",
        'peterroelants.github.io ("How to implement a recurrent neural network") says that clipping, Hessian-free'
        " optimisation, momentum and Rprop cope with gradients that vanish or explode. How far does each carry?",
        _answer(tables),
        f"![{write_alt(tables)}]({tables.name}.png)",
        detail,
        write_link(tables),
    )


def write_alt(tables: Tables) -> str:
    """What one sees in the figure of the remedies."""
    told = []
    for name in REMEDIES:
        shares = [(find_share(tables, name, task).interval.value, called) for task, called in TASKS.items()]
        told.append(f"{name} {join([f'{100 * share:.0f} % of {called}' for share, called in shares])}")
    return (
        "Heat map of solved runs in percent, a row for each remedy, a column for each task and length. Over all"
        f" lengths: {'; '.join(told)}."
    )


_COUNTED: Final = (
    "A gradient counts as one whatever the batch, a product with the curvature as one, the loss at other parameters as"
    " a third; an update of all but Hessian-free optimisation is one gradient."
)


def find_share(tables: Tables, name: str, task: str, length: float | None = None) -> Share:
    """The runs with a remedy that solved a task, on the test set too; over all lengths, or over one."""
    where = {**PLAIN, **REMEDIES[name], "task": task}
    return tables.confirmed(**where, **({} if length is None else {"task__length": length}))


def _find_reach(tables: Tables, name: str, task: str) -> float | None:
    """The largest length over which more than half of the runs solved the task; None: none."""
    reached = [
        length for length in tables.levels(LENGTH) if find_share(tables, name, task, length).interval.value > 0.5
    ]
    return max(reached, default=None)


def _answer(tables: Tables) -> str:
    """Which carry furthest."""
    told = []
    for task, called in TASKS.items():
        lengths, reached = _group_reaches(tables, task)
        if lengths:
            told.append(f"{called} over up to {lengths[0]:g} timesteps with {' or with '.join(reached[lengths[0]])}")
    if not told:
        return "With none of them do more than half of the runs solve anything."
    return f"More than half of the runs solve {' and '.join(told)}, and over as many with nothing else."


def _group_reaches(tables: Tables, task: str) -> tuple[list[float], dict[float | None, list[str]]]:
    """The lengths that some remedy reaches, largest first; and the remedies by how far they reach."""
    reached: dict[float | None, list[str]] = {}
    for name in REMEDIES:
        reached.setdefault(_find_reach(tables, name, task), []).append(name)
    return sorted((length for length in reached if length is not None), reverse=True), reached


def _write_reaches(tables: Tables) -> str:
    told = []
    for task, called in TASKS.items():
        lengths, reached = _group_reaches(tables, task)
        found = [f"{length:g} timesteps with {join(reached[length])}" for length in lengths]
        found += [f"none of the lengths with {join(reached[None])}"] if None in reached else []
        told.append(f"More than half of the runs solve {called} over up to {'; '.join(found)}.")
    return " ".join(told)


def _list_comparisons(tables: Tables) -> Iterator[list[str]]:
    def both(name: str) -> Share:
        first, second = (find_share(tables, name, task) for task in TASKS)
        return first + second

    found = conclude([both(one).ask(both(other)) for one, other in _ASKED])
    for (one, other), answer in zip(_ASKED, found, strict=True):
        yield [one, other, describe(replace(answer, silent=()))]


def _list_costs(tables: Tables) -> Iterator[list[str]]:
    for task, called in TASKS.items():
        for name in REMEDIES:
            reach = _find_reach(tables, name, task)
            if reach is None:
                continue
            where = {**PLAIN, **REMEDIES[name], "task": task, "task__length": reach}
            updates, gradients = tables.write_median_updates(**where), tables.write_cost("gradients", **where)
            yield [name, f"{called}, {reach:g}", updates or "–", gradients or updates or "–"]
