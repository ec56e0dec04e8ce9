"""When, how fast and how reliably does a recurrent network learn?

The command line is in `bptt.cli`, the numerical core in `bptt.core`; `bptt.sweep` trains a sweep from Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bptt.analysis.sweep import Sweep

__version__ = "0.1.0"


def sweep(overrides: "Sequence[str]", config_dir: "Path | None" = None) -> "Sweep":
    """Train a sweep and return its results as tidy tables: `bptt.sweep(["model=elman,lstm", "seed=range(5)"])`.

    overrides   as for `bptt train -m`: choices, values, and `hydra.launcher.workers=1`
    config_dir  a folder with choices of your own, as `--config-dir`

    Everything is recorded as on the command line. A run that fails is a row with status FAILED, and no exception.
    Raises bptt.configuration.problems.ConfigurationError with a line for everything that is wrong, before anything is
    trained, and bptt.tracking.address.StoreError where the store can't be used. Worker processes import the caller's
    main module, so a script calls this below `if __name__ == "__main__":`.
    """
    # Not a plain import: what trains a sweep imports this package in its turn.
    return import_module("bptt.sweeps.api").sweep(overrides, config_dir)
