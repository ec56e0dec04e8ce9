"""Runs a sweep, ours or the usual way's, with its phases timed."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sweeps import ours, phases, usual
from benchmarks.sweeps.phases import Breakdown
from benchmarks.sweeps.program import Usage, make_folder, measure_program
from benchmarks.sweeps.timed_ours import BLOCKS

_TRACE = "trace.json"


def trace_ours(runs: int, updates: int) -> tuple[Breakdown, Usage]:
    overrides, folder = ours.list_adder_overrides(runs, updates), make_folder()
    usage = measure_program(_write_command("timed_ours.py", ["train", "-m", *overrides]), folder)
    ours.check_ended(folder, overrides, runs)
    blocks = [json.loads(line) for line in (folder / BLOCKS).read_text(encoding="utf-8").splitlines()]
    return phases.break_down_ours(_read_trace(folder), blocks, usage, runs), usage


def trace_usual(jobs: int, updates: int, runs: int) -> tuple[Breakdown, Usage]:
    """So many jobs, scaled to so many runs."""
    folder, words = make_folder(), ["-m", *usual.STOCK, *usual.list_adder_overrides(jobs, updates)]
    usage = measure_program(_write_command("timed_usual.py", words), folder)
    return phases.break_down_usual(_read_trace(folder), usage, runs), usage


def _write_command(script: str, words: Sequence[str]) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name(script)), _TRACE, *words]


def _read_trace(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _TRACE).read_text(encoding="utf-8"))
