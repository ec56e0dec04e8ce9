"""What a search with Optuna takes beside its trainings: python -m benchmarks.studies [--rounds N] [--out FILE].

Studies of three parameters whose trials train nothing, in one thread, with Optuna's default sampler (TPE) and at
random, in memory and in SQLite. Processor time, which others on the machine disturb little.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna

from benchmarks.measure import alternate, summarise
from benchmarks.sweeps.report import describe_machine

TRIALS = 200


def time_study(sampler: Callable[[], Any], stored: bool, trials: int) -> float:
    """Milliseconds of processor time per trial."""
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/study.db" if stored else None
        study = optuna.create_study(sampler=sampler(), storage=storage)
        start = time.process_time()
        study.optimize(_suggest, n_trials=trials)
        return 1000 * (time.process_time() - start) / trials


def _suggest(trial: optuna.Trial) -> float:
    alpha = trial.suggest_float("alpha", 0.01, 10.0, log=True)
    scale = trial.suggest_float("scale", 0.1, 3.0)
    return abs(alpha - 1) + abs(scale - 1) + trial.suggest_categorical("hidden_size", [4, 8, 16]) / 16


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies", description="Optuna's trials: how long?")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"of a study ({TRIALS})")
    parser.add_argument("--out", type=Path, help="a file for what was measured, as JSON")
    given = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, Callable[[], Any]] = {
        "TPE": lambda: optuna.samplers.TPESampler(seed=0),
        "random": lambda: optuna.samplers.RandomSampler(seed=0),
    }
    sides = {
        (name, place): (lambda make=make, place=place: time_study(make, place == "SQLite", given.trials))
        for name, make in samplers.items()
        for place in ("memory", "SQLite")
    }
    found = {key: summarise(values) for key, values in alternate(sides, given.rounds).items()}
    print("| sampler | stored in | ms per trial |\n|---|---|---:|")
    for (name, place), spread in found.items():
        print(f"| {name} | {place} | {spread.median:.2f} ({spread.lowest:.2f}–{spread.highest:.2f}) |")
    if given.out:
        studies = [
            {"sampler": name, "stored": place, "milliseconds": vars(spread)} for (name, place), spread in found.items()
        ]
        content = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": describe_machine() | {"optuna": optuna.__version__},
            "method": {"rounds": given.rounds, "trials": given.trials, "clock": "processor"},
            "studies": studies,
        }
        given.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
