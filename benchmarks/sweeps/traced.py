"""Runs a sweep, ours or the usual way's, with its phases timed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sweeps import ours, phases, usual
from benchmarks.sweeps.phases import Breakdown
from benchmarks.sweeps.program import Usage, measured, new_folder
from benchmarks.sweeps.timed_ours import BLOCKS

_TRACE = "trace.json"


def of_ours(runs: int, updates: int) -> tuple[Breakdown, Usage]:
    overrides, folder = ours.adder(runs, updates), new_folder()
    usage = measured(_command("timed_ours.py", ["train", "-m", *overrides]), folder)
    ours.ended(folder, overrides, runs)
    blocks = [json.loads(line) for line in (folder / BLOCKS).read_text(encoding="utf-8").splitlines()]
    return phases.ours(_trace(folder), blocks, usage, runs), usage


def of_usual(jobs: int, updates: int, runs: int) -> tuple[Breakdown, Usage]:
    """So many jobs, scaled to so many runs."""
    folder, words = new_folder(), ["-m", *usual.STOCK, *usual.adder_overrides(jobs, updates)]
    usage = measured(_command("timed_usual.py", words), folder)
    return phases.usual(_trace(folder), usage, runs), usage


def _command(script: str, words: Sequence[str]) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name(script)), _TRACE, *words]


def _trace(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _TRACE).read_text(encoding="utf-8"))
