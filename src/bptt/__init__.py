"""When, how fast and how reliably does a recurrent network learn?

The command line is in `bptt.cli`, the numerical core in `bptt.core`; `bptt.sweep` trains a sweep from Python and
`bptt.load` reads what was recorded.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bptt.analysis.sweep import Sweep

__version__ = "0.1.0"

# Who wants to see what is logged says so; without a handler of its own Python would print warnings.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def sweep(overrides: "str | Sequence[str]", config_dir: "Path | None" = None) -> "Sweep":
    """Train a sweep and return its results as tidy tables: `bptt.sweep("model=elman,lstm seed=range(5)")`.

    overrides   as for `bptt train -m`: choices, values, and `hydra.launcher.workers=1`; a list of them, or a text that
                is parted at its blanks as a shell does, so that a value with a blank stands in quotes
    config_dir  a folder with choices of your own, as `--config-dir`

    Everything is recorded as on the command line. A run that fails is a row with status FAILED, and no exception. What
    an experiment sets for a choice that is replaced falls away, with a warning.
    Raises bptt.configuration.errors.ConfigurationError with a line for everything that is wrong, before anything is
    trained, and bptt.tracking.store.address.StoreError where the store can't be used; one that is away, or does not
    take all, is warned of. Worker processes import the caller's main module, so a script calls this below
    `if __name__ == "__main__":`.
    """
    # Not a plain import: what trains a sweep imports this package in its turn.
    return import_module("bptt.sweeps.task").sweep(overrides, config_dir)


def load(
    source: "str | Path",
    *,
    uri: "str | None" = None,
    solved: "str | None" = None,
    conditions: "Sequence[str] | None" = None,
) -> "Sweep":
    """What was recorded of a sweep or of runs, as tidy tables: `bptt.load("multirun/2026-05-01_12-00-00-000000").runs`.

    source  a sweep's folder, a single run's folder, a sweep's name, the id of a run in the MLflow store (a sweep's own
            run: the sweep), a query in MLflow's words (`params.model = 'gru' AND metrics."loss/eval" < 0.1`), or
            `latest`, the newest sweep or run in ./multirun. `SOURCE:12` is its run number 12,
            `SOURCE:model=lstm,alpha=0.1` those of its runs with these values, and `SOURCE:best` the one that did best:
            of the best setting (of each condition) the run with the smallest last loss
    uri     of the store; None: the one that `bptt train` would use in this folder
    solved  when a run has solved its task, as `loss/eval<=0.01`; None: as the sweep says, else `accuracy/eval>=1` where
            there is an accuracy, and a hundredth of the first loss where there is none
    conditions  the swept keys that make the task harder, across which nothing is ranked or compared; None: as the sweep
            says, else those of the task

    A sweep's folder is read where it is there, and the store otherwise. See `bptt.analysis.sweep.Sweep` for the tables.
    Raises bptt.tracking.history.find.SourceError, bptt.tracking.folder.block.ArchiveError and
    bptt.tracking.store.address.StoreError, each with one line for the user.
    """
    found: Sweep = import_module("bptt.analysis.sweep").load_sweep(
        source, uri=uri, solved=solved, conditions=conditions
    )
    return found
