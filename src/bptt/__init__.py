"""When, how fast and how reliably does a recurrent network learn?

From Python, in a notebook or a script:

    run = bptt.train("experiment=zhu_adder", model="gru", seed=3)  # one network: run.history, run.predict(x)
    sweep = bptt.sweep(model=["elman", "lstm"], seed=range(5))     # many: sweep.runs, sweep.best()
    bptt.load("latest")                                            # what was recorded, read back

`bptt.resume`, `bptt.status`, `bptt.measure`, `bptt.reproduce`, `bptt.compare`, `bptt.plan`, `bptt.sync` and
`bptt.remove` do what the commands of these names do, and `bptt.Network` is a network with its weights. The command line
is in `bptt.cli`, the numerical core in `bptt.core`. All of it is imported when it is first asked for.
"""

import logging
from importlib import import_module
from typing import Any, Final

__version__ = "0.2.0"

__all__ = [
    "ConfigurationError",
    "Network",
    "RunFailedError",
    "SweepComparison",
    "TrainedRun",
    "TrainedSweep",
    "__version__",
    "compare",
    "live",
    "load",
    "measure",
    "plan",
    "remove",
    "reproduce",
    "resume",
    "status",
    "sweep",
    "sync",
    "tasks",
    "train",
]

#: Name → the module that has it; `__init__.pyi` says the same to a type checker.
_PLACES: Final = {
    "ConfigurationError": "bptt.configuration.errors",
    "Network": "bptt.python.network",
    "RunFailedError": "bptt.python.run",
    "SweepComparison": "bptt.python.comparing",
    "TrainedRun": "bptt.python.run",
    "TrainedSweep": "bptt.python.sweep",
    "compare": "bptt.python.comparing",
    "load": "bptt.python.sweeping",
    "sweep": "bptt.python.sweeping",
    "train": "bptt.python.training",
    **dict.fromkeys(
        ("live", "measure", "plan", "remove", "reproduce", "resume", "status", "sync"), "bptt.python.commands"
    ),
}

# Who wants to see what is logged says so; without a handler of its own Python would print warnings.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """What is public, imported when it is first asked for."""
    if name == "tasks":
        return import_module("bptt.tasks")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
