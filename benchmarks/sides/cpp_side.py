"""Plain C++'s side: the same equations for one shape, with the compiler's own vectors; `cpp/` has the programs.

It says what the machine can do at least. Where there is no g++, or no program for a workload, it has no forms.
"""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import time_call
from benchmarks.problem import Problem
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.sequences import Floats
from bptt.core.simd import aligned_zeros

_FOLDER = Path(__file__).parent / "cpp"
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wno-psabi")
_MOST_NUMBERS = 1 << 17  # of data, which updates read again and again: 1 MB, so that they are near
_SECONDS = 0.1  # of one measurement
_NAMES = {
    "adder": ("cell.0.input", "cell.0.recurrent", "readout.weight"),
    "leftbit": ("cell.0.input", "cell.0.recurrent", "cell.0.bias", "readout.weight", "readout.bias"),
}


@dataclass(frozen=True)
class Variant:
    """How it is written: vectors of lanes that are interleaved, or partial sums of one network's products."""

    program: str
    several: int = 1

    def __str__(self) -> str:
        return f"{self.program}.cpp" + (f", {self.several} at a time" if self.several > 1 else "")


def is_missing() -> bool:
    return shutil.which("g++") is None


def list_variants(problem: Problem) -> list[Variant]:
    program = None if is_missing() else _find_program(problem)
    if program is None:
        return []
    several = {("adder", True): (1, 4), ("leftbit", False): (1, 2)}.get((program, problem.lanes == 1), (1,))
    return [Variant(program, count) for count in several]


def _find_program(problem: Problem) -> str | None:
    """The program that trains this; None: there is none."""
    run, plain = problem.run, problem.live is None and problem.scored is None
    if not plain or run.train.batch_size != 1 or type(run.model).__name__ != "Elman" or run.task.outputs != 1:
        return None
    if (run.model.activation, run.model.readout) != ("sigmoid", "sigmoid"):
        return None
    everywhere = len(problem.asked) == problem.timesteps
    if isinstance(run.loss, SquaredError) and type(run.optimizer) is Sgd and everywhere:
        return "adder" if run.model.bias == "none" and run.train.truncation is None else None
    later = problem.asked.tolist() == list(range(1, problem.timesteps))
    if isinstance(run.loss, BinaryCrossEntropy) and type(run.optimizer) is Momentum and later:
        small = run.model.bias == "single" and run.task.inputs == 1 and run.model.hidden_size <= 4
        return "leftbit" if small and run.train.truncation == 1 and run.train.carry_state else None
    return None


@cache
def _compile_program(program: str, timesteps: int, inputs: int, hidden: int) -> ctypes.CDLL:
    """Compiled for these sizes, and loaded; raises RuntimeError with what the compiler says."""
    sizes = (f"-DT={timesteps}", f"-DI={inputs}", f"-DH={hidden}")
    with tempfile.TemporaryDirectory(prefix="bptt-bench-") as folder:
        library = Path(folder) / f"{program}.so"
        command = ["g++", *_FLAGS, *sizes, str(_FOLDER / f"{program}.cpp"), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        found = ctypes.CDLL(str(library))
    numbers, pointer, real = ctypes.c_long, ctypes.c_void_p, ctypes.c_double
    for function in (found.train_lanes, found.train_one):
        counts = [numbers] * (3 if function is found.train_lanes else 2)
        function.argtypes = [*counts, pointer, real, real, real, pointer, pointer, ctypes.c_int]
        function.restype = None
    if program == "adder":
        found.evaluate_lanes.argtypes = [numbers, numbers, pointer, real, pointer, pointer, pointer]
        found.evaluate_lanes.restype = None
    return found


def _align(array: Floats) -> Floats:
    found = aligned_zeros(1, array.size).reshape(array.shape)
    found[...] = array
    return found


@dataclass(frozen=True)
class Cpp:
    """All updates of a problem, `passes` times over.

    theta  (blocks, parameters, lanes of a block) or (parameters,)
    data   (blocks, updates, x and y, lanes of a block) or (updates, x and y)
    """

    problem: Problem
    variant: Variant
    theta: Floats
    data: Floats
    passes: int

    @property
    def updates(self) -> int:
        return self.problem.updates * self.passes

    def _train(self, theta: Floats, updates: int, losses: Floats | None) -> None:
        problem: Problem = self.problem
        optimizer: Any = problem.run.optimizer
        sizes = (problem.timesteps, problem.run.task.inputs, problem.run.model.hidden_size)
        library = _compile_program(self.variant.program, *sizes)
        blocks = () if problem.lanes == 1 else (len(theta),)
        call = library.train_one if problem.lanes == 1 else library.train_lanes
        call(
            *blocks,
            updates,
            problem.updates,
            self.data.ctypes.data,
            float(optimizer.alpha),
            float(getattr(optimizer, "epsilon", 0.0)),
            problem.loss_weight,
            theta.ctypes.data,
            None if losses is None else losses.ctypes.data,
            self.variant.several,
        )

    def seconds_per_update(self) -> float:
        theta = _align(self.theta)
        return time_call(lambda: self._train(theta, self.updates, None)) / self.updates

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
        problem, theta, one = self.problem, _align(self.theta), self.problem.lanes == 1
        shape = (problem.updates,) if one else (len(theta), problem.updates, theta.shape[-1])
        losses = _align(np.zeros(shape))
        self._train(theta, problem.updates, losses)
        lanes = theta[None] if one else theta.swapaxes(1, 2).reshape(-1, theta.shape[1])[: problem.lanes]
        named, at = {}, 0
        for name in _NAMES[self.variant.program]:
            kept = problem.parameters[name].shape
            size = int(np.prod(kept[1:]))
            named[name], at = lanes[:, at : at + size].reshape(kept).copy(), at + size
        every = losses[:, None] if one else losses.swapaxes(0, 1).reshape(problem.updates, -1)[:, : problem.lanes]
        return every, named


def prepare(problem: Problem, variant: Variant) -> Cpp:
    """Compiled, with as many passes over the data as take a measurement's time."""
    per_update = problem.x[0].size + problem.y[0].size
    problem = problem.first(max(1, min(problem.updates, max(32, _MOST_NUMBERS // per_update))))
    flat = [problem.parameters[name].reshape(problem.lanes, -1) for name in _NAMES[variant.program]]
    theta = np.concatenate(flat, axis=1)
    rows = (problem.updates, problem.lanes, -1)
    data = np.concatenate([problem.x.reshape(rows), problem.y.reshape(rows)], axis=2)
    if problem.lanes == 1:
        theta, data = theta[0], data[:, 0]
    else:
        sizes = (problem.timesteps, problem.run.task.inputs, problem.run.model.hidden_size)
        width = _compile_program(variant.program, *sizes).width()
        places = _fill_blocks(problem.lanes, width * (variant.several if variant.program == "leftbit" else 1))
        theta = theta[places].swapaxes(1, 2)
        data = data[:, places].transpose(1, 0, 3, 2)
    once = Cpp(problem, variant, _align(theta), _align(data), 1)
    once.seconds_per_update()
    passes = max(1, round(_SECONDS / (once.seconds_per_update() * problem.updates)))
    return Cpp(problem, variant, once.theta, once.data, passes)


def prepare_evaluation(problem: Problem) -> Callable[[], Floats] | None:
    """What evaluates the lanes' networks on all sequences of the problem's one batch, and gives each one's loss.

    None: there is no program for it.
    """
    shape = replace(problem, run=replace(problem.run, train=replace(problem.run.train, batch_size=1)))
    if is_missing() or problem.lanes == 1 or _find_program(shape) != "adder":
        return None
    sizes = (problem.timesteps, problem.run.task.inputs, problem.run.model.hidden_size)
    library, sequences = _compile_program("adder", *sizes), problem.x.shape[3]
    places = _fill_blocks(problem.lanes, library.width())
    flat = [problem.parameters[name].reshape(problem.lanes, -1) for name in _NAMES["adder"]]
    theta = _align(np.concatenate(flat, axis=1)[places].swapaxes(1, 2))
    rows = [array[0].swapaxes(1, 2).reshape(problem.lanes, sequences, -1) for array in (problem.x, problem.y)]
    data = _align(np.concatenate(rows, axis=2)[places].transpose(0, 2, 3, 1))
    outputs = _align(np.zeros((len(theta), sequences, problem.timesteps, places.shape[1])))
    losses = _align(np.zeros(places.shape))

    def evaluate() -> Floats:
        data_at, *others = (array.ctypes.data for array in (data, theta, outputs, losses))
        library.evaluate_lanes(len(theta), sequences, data_at, problem.loss_weight, *others)
        return losses.reshape(-1)[: problem.lanes].copy()

    return evaluate


def _fill_blocks(lanes: int, block: int) -> NDArray[np.int64]:
    """Numbers of lanes (blocks, block); the last block's places that are left train the first lanes once more."""
    return np.arange(-(-lanes // block) * block).reshape(-1, block) % lanes


def describe_compiler() -> Sequence[str]:
    """The compiler's version and flags; nothing where there is none."""
    if is_missing():
        return ()
    version = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    return (f"g++ {version}", *_FLAGS[:3])
