"""Sweeps that were never trained, with names that a format would take for its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bptt.analysis.sweep import Sweep, load_found
from bptt.tracking.folder.block import Tables
from bptt.tracking.history.base import Head, History, Member
from bptt.tracking.history.find import Source

HOSTILE = "<script>alert('1')</script> & \"q\" | a_b $x^2$ \\section{y} `z` # % ~ {t} [l](http://h) -- www.h.org\n next"
PROVENANCE = {
    "python": "3.11.7",
    "platform": "Linux",
    "cpu": "A <b>processor</b>",
    "simd": 8,
    "cores": 2,
    "blas": {"name": "openblas", "version": "0.3", "architecture": "Zen", "threads": 1},
    "packages": {"bptt": "0.1.0", "numpy": "2.4.0"},
    "git_commit": "1" * 40,
    "git_dirty": False,
    "numerical_version": "0123456789abcdef",
}


class Planted(History):
    """A recording that is made of frames."""

    def __init__(self, head: Head, members: Sequence[Member], runs: pd.DataFrame, history: pd.DataFrame) -> None:
        self._head, self._members, self.runs, self.history = head, members, runs, history

    @property
    def head(self) -> Head:
        return self._head

    @property
    def members(self) -> Sequence[Member]:
        return self._members

    def tables(self, numbers: Sequence[int]) -> Tables:
        return Tables(self.runs, self.history)

    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> pd.DataFrame:
        rows = [(run, update, lag, 0.5**lag) for run in numbers for update in (1, 20) for lag in range(4)]
        return pd.DataFrame(rows, columns=["run", "update", "lag", "norm"])

    def config(self, number: int) -> dict[str, Any]:
        swept = self.members[number].swept
        return {
            "task": {"_target_": "bptt.tasks.languages.xor.Xor", "path": HOSTILE},
            "model": {"_target_": "bptt.core.models.elman.Elman", "hidden_size": 3, "kind": swept.get("model.kind")},
            "init": {"_target_": "bptt.core.inits.normal.Normal", "bias": None, "scale": 0.5},
            "optimizer": {"_target_": "bptt.core.optimizers.sgd.Sgd", "alpha": 0.1},
            "train": {"updates": 20, "early_stop": {"metric": None, "threshold": 0.0}},
            "tracking": {"uri": "postgresql://secret"},
            "seed": int(swept.get("seed", "0")),
            "allow": [],
        }

    def overrides(self, number: int) -> list[str]:
        return [f"{key}={value}" for key, value in self.members[number].swept.items()] + ["reuse=false"]

    def record(self, number: int) -> None:
        raise AssertionError("a report needs no run as a whole")

    def provenance(self) -> dict[str, Any]:
        return PROVENANCE


def planted(
    kinds: Sequence[str] = ("plain", HOSTILE),
    seeds: int = 4,
    *,
    outcomes: dict[int, str | None] | None = None,
    errors: dict[int, str] | None = None,
    accuracy: bool = True,
    losses: Callable[[int, int], float] = lambda run, update: 1.0 / update / (1 + run) ** 3,
    **head: Any,
) -> Sweep:
    """A sweep over `model.kind` and the seed.

    outcomes  of runs that did not complete; None: did not end
    errors    tracebacks, of runs that FAILED
    losses    of a run at an update
    """
    outcomes, errors = outcomes or {}, errors or {}
    swept = [
        {"model.kind": kind} | ({"seed": str(seed)} if seeds > 1 else {}) for kind in kinds for seed in range(seeds)
    ]
    names = [" ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items()) for values in swept]
    members = [
        Member(number=number, name=name, digest=f"{number:016x}", swept=values, updates=20)
        for number, (name, values) in enumerate(zip(names, swept, strict=True))
    ]
    ended = [n for n in range(len(members)) if outcomes.get(n, "completed") is not None or n in errors]
    runs = pd.DataFrame(
        {
            "run": ended,
            "status": ["FAILED" if n in errors else "FINISHED" for n in ended],
            "outcome": [None if n in errors else outcomes.get(n, "completed") for n in ended],
            "updates": [10 if outcomes.get(n) == "diverged" else 20 for n in ended],
            "error": [errors.get(n) for n in ended],
            "run_id": [None for _ in ended],
            "seconds": [1.5 for _ in ended],
        }
    ).astype({"status": "str", "outcome": "str", "error": "str", "run_id": "object"})
    rows = []
    for n in [n for n in ended if n not in errors]:
        bad = outcomes.get(n) == "diverged"
        for update in (1, 10) if bad else (1, 5, 10, 20):
            loss = losses(n, update)
            with np.errstate(all="ignore"):
                norm = float(1 / np.float64(loss))
            rows.append((n, update, loss, np.nan if bad and update == 10 else loss, norm, float(update >= 5 + 3 * n)))
    columns = ["run", "update", "loss/train", "loss/eval", "grad/norm", "accuracy/eval"]
    history = pd.DataFrame(rows, columns=columns).astype(float).astype({"run": int, "update": int})
    recording = Planted(
        Head(
            **{
                "name": "2026-11-21_10-00-00",
                "folder": None,
                "run_id": None,
                "swept": ["model.kind", "seed"] if seeds > 1 else ["model.kind"],
                "status": "FINISHED",
                "command": ["bptt", "train", "-m", f"model.kind={','.join(kinds)}", "seed=range(4)"],
                "began": 1.0e9,
                "ended": 1.0e9 + 92.4,
                **head,
            }
        ),
        members,
        runs,
        history if accuracy else history.drop(columns="accuracy/eval"),
    )
    return load_found(Source(recording, None, frozenset(range(len(members)))))


def folder_of(path: Path) -> dict[str, bytes]:
    """What a folder holds: path → content."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
