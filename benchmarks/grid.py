"""python -m benchmarks.grid: every task with every cell, at 1 and 256 lanes, beside PyTorch and JAX."""

import argparse
import json
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

_MOST_NUMBERS = 3_000_000  # of data kept for each of the others: 24 MB
_MOST_UNROLLED = 8  # timesteps: JAX compiles a program of all of them for half a minute
_CHECKED = 8  # updates
_ROUNDS = 3
_LANES = (1, 256)
_FEWEST_UPDATES = 4


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Medians of one task, cell and number of lanes: µs per lane and update of each side, and the others' forms."""

    task: str
    cell: str
    lanes: int
    micros: dict[str, float]
    variants: dict[str, str]


def measure(task: str, cell: str, lanes: Sequence[int], target: float) -> Iterator[Cell]:
    """These numbers of lanes; the sides in turn, each some `target` seconds a round, in the fastest of their forms."""
    from benchmarks.workloads import GRID

    for workload in GRID:
        if workload.name == f"{task}, {cell}" and workload.lanes in lanes:
            forms = _find_fastest_forms(workload)
            yield Cell(
                task=task,
                cell=cell,
                lanes=workload.lanes,
                micros=_measure_micros(workload, forms, target),
                variants={side: str(form) for side, form in forms.items()},
            )


def _find_fastest_forms(workload: "Workload") -> dict[str, Any]:
    """Each side's fastest form; raises Disagreement where one does not train as we do."""
    from benchmarks.measure import find_least
    from benchmarks.problem import build_problem
    from benchmarks.sides import ours
    from benchmarks.suite import SIDES, check

    small, trained, chosen = build_problem(workload, _CHECKED), ours.train_workload(workload, _CHECKED), {}
    for side in ("torch", "jax"):
        forms = {form: SIDES[side].prepare(small, form) for form in _list_quick(side, small)}
        check(side, trained, forms, workload.name)
        least = find_least({form: one.seconds_per_update for form, one in forms.items()}, _ROUNDS)
        chosen[side] = min(least, key=least.__getitem__)
    return chosen


def _list_quick(side: str, problem: Any) -> list[Any]:
    """The forms that are compiled in seconds, less those that were never the fastest of many lanes."""
    from benchmarks.suite import SIDES

    forms = SIDES[side].list_variants(problem)
    if side == "torch":
        return [form for form in forms if not form.compiled]
    unrolls = {1, max(form.unroll for form in forms if form.unroll <= _MOST_UNROLLED)}
    products = ("matmul",) if problem.lanes > 1 else ("matmul", "sum")
    return [form for form in forms if form.unroll in unrolls and form.product in products]


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
    sides |= {side: SIDES[side].prepare(data, form).seconds_per_update for side, form in forms.items()}
    seconds = alternate(sides, _ROUNDS)
    return {side: statistics.median(times) / workload.lanes * 1e6 for side, times in seconds.items()}


def _measure_all(job: tuple[str, str, Sequence[int], float, bool]) -> list[Cell]:
    task, cell, lanes, seconds, shared = job
    if shared:
        from benchmarks.measure import count_processor_time

        count_processor_time()
    return list(measure(task, cell, lanes, seconds))


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
    parser.add_argument("--lanes", type=int, action="append", help="this many lanes; may be repeated (1 and 256)")
    parser.add_argument("--shared", action="store_true", help="processor time, where others use the machine too")
    parser.add_argument(
        "--out", type=Path, help="where to write the results; what it has already is not measured again"
    )
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
        if any((task, cell, n) not in found for n in lanes):
            continue
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
    from benchmarks.workloads import CELLS, TASKS

    path, lanes = arguments.out or report.choose_path("-grid"), tuple(arguments.lanes or _LANES)
    clock = "processor" if arguments.shared else "wall"
    described = {"machine": machine.describe(), "at_a_time": len(chosen), "clock": clock}
    try:
        found = read_measured(path, described)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    there = {(cell.task, cell.cell, cell.lanes) for cell in found}
    pairs = product(arguments.task or TASKS, arguments.cell or CELLS)
    lacking = {pair: [n for n in lanes if (*pair, n) not in there] for pair in pairs}
    jobs = [(*pair, asked, arguments.seconds, arguments.shared) for pair, asked in lacking.items() if asked]
    with context.Pool(len(chosen), _settle, (cores,)) as pool:
        for cells in pool.imap(_measure_all, jobs):
            found += cells
            report.write_json(path, described | {"grid": found})
            print(f"{cells[0].task}, {cells[0].cell}", file=sys.stderr, flush=True)
    _show(found, lanes, Console() if sys.stdout.isatty() else Console(width=140))
    print(f"written to {path}")
    return 0


def read_measured(path: Path, described: dict[str, Any]) -> list[Cell]:
    """What a file has already; raises ValueError where it was measured in another way, or elsewhere."""
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    for what in ("clock", "at_a_time"):
        if found.get(what) != described[what]:
            raise ValueError(f"{path}: {what} was {found.get(what)}, is {described[what]}; name another --out")
    if found["machine"]["versions"] != described["machine"]["versions"]:
        raise ValueError(f"{path} was measured with other versions; name another --out")
    return [Cell(**cell) for cell in found["grid"]]


if __name__ == "__main__":
    sys.exit(main())
