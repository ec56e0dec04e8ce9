"""python -m benchmarks.grid: every task with every cell, at 1, 16, 64 and 256 lanes, beside PyTorch and JAX."""

import argparse
import multiprocessing
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.workloads import Workload

_TRIED_AT = 16  # lanes at which the form of the other sides is chosen; all lanes are timed in it
_MOST_NUMBERS = 3_000_000  # of data kept for each of the others: 24 MB
_MOST_UNROLLED = 8  # timesteps: JAX compiles a program of all of them for half a minute
_CHECKED = 8  # updates
_ROUNDS = 3
_FEWEST_UPDATES = 4


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Medians of one task, cell and number of lanes: µs per lane and update of each side, and the others' forms."""

    task: str
    cell: str
    lanes: int
    micros: dict[str, float]
    variants: dict[str, str]


def measure(task: str, cell: str, target: float) -> Iterator[Cell]:
    """All numbers of lanes; the sides in turn, each some `target` seconds a round."""
    from benchmarks.workloads import GRID

    by_lanes = {workload.lanes: workload for workload in GRID if workload.name == f"{task}, {cell}"}
    several = _find_fastest_forms(by_lanes[_TRIED_AT], ("torch", "jax"))
    single = _find_fastest_forms(by_lanes[1], ("torch",))  # one network may be PyTorch's own module
    for lanes, workload in by_lanes.items():
        forms = several | (single if lanes == 1 else {})
        yield Cell(
            task=task,
            cell=cell,
            lanes=lanes,
            micros=_measure_micros(workload, forms, target),
            variants={side: str(form) for side, form in forms.items()},
        )


def _find_fastest_forms(workload: "Workload", names: Sequence[str]) -> dict[str, Any]:
    """Each side's fastest form; raises Disagreement where one does not train as we do."""
    from benchmarks.measure import find_fastest
    from benchmarks.problem import build_problem
    from benchmarks.sides import ours
    from benchmarks.suite import SIDES, check

    small, trained, chosen = build_problem(workload, _CHECKED), ours.train_workload(workload, _CHECKED), {}
    for side in names:
        quick = [form for form in SIDES[side].variants(small) if getattr(form, "unroll", 1) <= _MOST_UNROLLED]
        forms = {form: SIDES[side].prepared(small, form) for form in quick}
        check(side, trained, forms, workload.name)
        chosen[side], _ = find_fastest({form: one.seconds_per_update for form, one in forms.items()}, _ROUNDS)
    return chosen


def _measure_micros(workload: "Workload", forms: dict[str, Any], target: float) -> dict[str, float]:
    from benchmarks.measure import alternate, choose_updates
    from benchmarks.problem import build_problem
    from benchmarks.sides import ours
    from benchmarks.suite import SIDES

    one = build_problem(workload, 1)
    most = max(_FEWEST_UPDATES, _MOST_NUMBERS // (one.x.size + one.y.size))
    mine = ours.prepare(workload, target)
    # Of the others as many as take a round's time where they take three times ours.
    data = build_problem(workload, choose_updates(target, 3 * mine.seconds_per_update(), most=most))
    sides = {"ours": mine.seconds_per_update}
    sides |= {side: SIDES[side].prepared(data, form).seconds_per_update for side, form in forms.items()}
    seconds = alternate(sides, _ROUNDS)
    return {side: statistics.median(times) / workload.lanes * 1e6 for side, times in seconds.items()}


def _measure_all(job: tuple[str, str, float]) -> list[Cell]:
    return list(measure(*job))


def _settle(cores: Any) -> None:
    machine.settle(cores.get())


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grid", description="Every task with every cell.")
    parser.add_argument("--task", action="append", help="only this task; may be repeated")
    parser.add_argument("--cell", action="append", help="only this cell; may be repeated")
    parser.add_argument("--seconds", type=float, default=0.15, help="of each side and round (0.15)")
    parser.add_argument(
        "--cores", type=int, default=1, help="how many pairs are measured at a time, each on a core (1)"
    )
    parser.add_argument("--out", type=Path, help="where to write the results")
    return parser.parse_args()


def _show(cells: Sequence[Cell], lanes: Sequence[int], console: "Console") -> None:
    """How many times our time the others take, by task, cell and lanes."""
    from rich.table import Table

    from benchmarks.report import write_number

    table = Table(title="PyTorch ÷ bptt and JAX ÷ bptt, by lanes")
    for column in ("task", "cell", "µs, 1 lane", f"µs, {lanes[-1]}", *(f"{n} lanes" for n in lanes)):
        table.add_column(column, justify="left" if column in ("task", "cell") else "right")
    found = {(cell.task, cell.cell, cell.lanes): cell.micros for cell in cells}
    for task, cell in dict.fromkeys((cell.task, cell.cell) for cell in cells):
        rows = [found[task, cell, n] for n in lanes]
        ratios = [
            f"{write_number(row['torch'] / row['ours'])}, {write_number(row['jax'] / row['ours'])}" for row in rows
        ]
        table.add_row(task, cell, write_number(rows[0]["ours"]), write_number(rows[-1]["ours"]), *ratios)
    console.print(table)


def main() -> int:
    arguments = _parse_arguments()
    chosen = machine.list_cores()[-arguments.cores :]
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in chosen:
        cores.put(core)
    machine.settle(chosen[0])  # before anything that imports NumPy
    from rich.console import Console

    from benchmarks import report
    from benchmarks.workloads import CELLS, LANES, TASKS

    described, found = machine.describe(), list[Cell]()
    path = arguments.out or report.choose_path("-grid")
    jobs = [(*pair, arguments.seconds) for pair in product(arguments.task or TASKS, arguments.cell or CELLS)]
    with context.Pool(len(chosen), _settle, (cores,)) as pool:
        for cells in pool.imap(_measure_all, jobs):
            found += cells
            report.write_json(path, {"machine": described, "at_a_time": len(chosen), "grid": found})
            print(f"{cells[0].task}, {cells[0].cell}", file=sys.stderr, flush=True)
    _show(found, LANES, Console() if sys.stdout.isatty() else Console(width=140))
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
