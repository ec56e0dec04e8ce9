"""The machine's limit: how fast one core multiplies and adds, and squashes, and how long an update needs at least."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numba

from benchmarks.measure import time_call
from bptt.core.run import Run
from bptt.core.simd import WIDTH, aligned_zeros, exp, fma, load, pointer_to, sigmoid, store, tanh

_TRIES = 15
_VECTORS = 64  # in and out of the first cache


@dataclass(frozen=True)
class Rates:
    """Nanoseconds of one float64 number, in vectors: the fastest of several tries.

    fma: a multiply-add between registers, twelve sums at a time; a function: from the first cache and back into it.
    """

    fma: float
    functions: Mapping[str, float]

    @property
    def gflops(self) -> float:
        return 2.0 / self.fma


def measure_rates() -> Rates:
    memory = aligned_zeros(2 * _VECTORS, WIDTH)
    memory[:_VECTORS] = 0.5
    functions = {"exp": _compile_loop(exp), "sigmoid": _compile_loop(sigmoid), "tanh": _compile_loop(tanh)}
    return Rates(
        fma=_time_nanoseconds(lambda: _multiply(memory, 200_000), 200_000 * 12 * WIDTH),
        functions={
            name: _time_nanoseconds(lambda loop=loop: loop(memory, 500), 500 * _VECTORS * WIDTH)  # type: ignore[misc]
            for name, loop in functions.items()
        },
    )


@dataclass(frozen=True)
class Work:
    """What an update of one lane asks for: multiply-adds, and functions by name."""

    fmas: float
    functions: Mapping[str, float]

    def micros(self, found: Rates) -> float:
        """µs that the machine needs for it at least, one thing after the other."""
        squashing = sum(count * found.functions[name] for name, count in self.functions.items())
        return 1e-3 * (self.fmas * found.fma + squashing)


def count_work(run: Run) -> Work:
    """Counted from the equations: products forward, backward and for the gradient, and the squashing functions.

    Not counted is what comes once for each unit or weight: slopes, the optimizer's step, the loss.
    """
    model, task = run.model, run.task
    steps, rows, hidden, outputs = task.timesteps, run.train.batch_size, model.hidden_size, task.outputs
    columns, context = model.cell.gates * hidden, outputs if model.cell.feedback else hidden
    page = task.training().page(_make_seed(), 0, rows).sequences
    asked = 1 if page.last_only else float(page.full_scored.sum(axis=1).mean())
    flows = 0 if run.train.truncation == 1 else steps - 1
    read = 0 if model.readout == "none" else hidden * outputs
    arriving, recurrent = steps * task.inputs * columns, steps * context * columns
    fmas = rows * (2 * arriving + 2 * recurrent + flows * context * columns + 3 * asked * read)
    units = rows * steps * hidden
    kinds = {"Lstm": {"sigmoid": 3, "tanh": 2}, "Gru": {"sigmoid": 2, "tanh": 1}}
    functions: dict[str, float] = {name: count * units for name, count in kinds.get(type(model).__name__, {}).items()}
    if type(model).__name__ in ("Elman", "Jordan") and model.activation in ("sigmoid", "tanh"):
        functions[model.activation] = units
    read_out = {"sigmoid": "sigmoid", "softmax": "exp"}.get(model.readout)
    if read_out is not None:
        functions[read_out] = functions.get(read_out, 0) + rows * asked * outputs
    return Work(float(fmas), functions)


def _make_seed() -> Any:
    import numpy as np

    return np.random.SeedSequence(0)


def _time_nanoseconds(work: Callable[[], object], count: int) -> float:
    work()
    return min(time_call(work) for _ in range(_TRIES)) / count * 1e9


def _compile_loop(function: Any) -> Any:
    @numba.njit(error_model="numpy")
    def loop(array: Any, times: int) -> None:
        memory = pointer_to(array)
        for _ in range(times):
            for i in range(_VECTORS):
                store(memory, _VECTORS + i, function(load(memory, i)))

    return loop


@numba.njit(error_model="numpy")
def _multiply(array: Any, times: int) -> None:
    memory = pointer_to(array)
    x = load(memory, 0)
    a0, a1, a2, a3 = load(memory, 1), load(memory, 2), load(memory, 3), load(memory, 4)
    b0, b1, b2, b3 = load(memory, 5), load(memory, 6), load(memory, 7), load(memory, 8)
    c0, c1, c2, c3 = load(memory, 9), load(memory, 10), load(memory, 11), load(memory, 12)
    for _ in range(times):
        a0, a1, a2, a3 = fma(x, x, a0), fma(x, x, a1), fma(x, x, a2), fma(x, x, a3)
        b0, b1, b2, b3 = fma(x, x, b0), fma(x, x, b1), fma(x, x, b2), fma(x, x, b3)
        c0, c1, c2, c3 = fma(x, x, c0), fma(x, x, c1), fma(x, x, c2), fma(x, x, c3)
    store(memory, _VECTORS, a0 + a1 + a2 + a3 + b0 + b1 + b2 + b3 + c0 + c1 + c2 + c3)
