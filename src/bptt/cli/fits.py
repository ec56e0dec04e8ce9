"""How well the network of a run fits its targets, and which network that is, in lines for the terminal."""

from typing import Any, Final

import numpy as np

from bptt.analysis.tables import FITS
from bptt.cli.progress import percent
from bptt.core.random import Generator
from bptt.core.records.fits import count_classes
from bptt.core.run import Record, Run, seed_of
from bptt.core.sequences import Sequences

_MOST_CLASSES: Final = 10  # that a table of a terminal has room for


def describe_fits(record: Record) -> list[str]:
    """`RMSE 0.12, MAE 0.1, R² 0.93`: a line for the evaluation set and one for the test set, of what there is."""
    lines = []
    for part, label in (("eval", "evaluation"), ("test", "test")):
        found = {name: record.once[key] for name in FITS if (key := f"{name}/{part}") in record.once}
        if found:
            lines.append(f"{label}: {', '.join(_write_fit(name, value) for name, value in found.items())}")
    return lines


def _write_fit(name: str, value: float) -> str:
    return f"{FITS[name]} {percent(value) if name == 'balanced_accuracy' else f'{value:.4g}'}"


def describe_kept(run: Run, record: Record) -> list[str]:
    """Which network was kept, where that is the best one; nothing where it is the last, as usual."""
    metric = run.train.keep_by
    if run.train.keep != "best":
        return []
    if "kept/update" not in record.once:
        return [f"the network of the last update is kept: no recorded one had a number for {metric}"]
    best, last = record.once[f"kept/{metric}"], float(record.history[metric][-1])
    return [
        f"the network of update {record.kept_update:,} is kept, the best by {metric}: {best:.4g}, at the end {last:.4g}"
    ]


def show_confusions(run: Run, record: Record) -> list[str]:
    """How many of each class were taken for each, on the test set, or the evaluation set where there is no such one."""
    from bptt.core.evaluation import predict

    most = {"two_classes": 1, "classes": _MOST_CLASSES}.get(getattr(run.task, "target", None), 0)
    if run.task.outputs > most:
        return []
    test = getattr(run.task, "test", lambda _: None)(Generator(seed_of(run, 3)))
    sequences: Sequences = run.task.evaluation(Generator(seed_of(run, 2))) if test is None else test
    outputs = predict(run, record.parameters, sequences, record.state if run.train.carry_state else None)
    counts = count_classes(outputs, sequences)
    names = _name_classes(run.task, len(counts))
    cells = [
        ["", *names],
        *([name, *(f"{count:,.0f}" for count in row)] for name, row in zip(names, counts, strict=True)),
    ]
    widths = np.array([[len(cell) for cell in row] for row in cells]).max(axis=0)
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return [
        f"{'evaluation' if test is None else 'test'} set by class; rows: its targets, columns: what was predicted",
        *lines,
    ]


def _name_classes(task: Any, count: int) -> list[str]:
    labels = getattr(getattr(task, "preparation", None), "classes", None)
    return [str(label) for label in labels or range(count)]
