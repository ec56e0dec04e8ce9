"""Whether a user's task gives what it says: kernels trust shapes, and would read what is not there."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bptt.core.run import Run
from bptt.core.sequences import Sequences


def data_problems(run: Run) -> Iterator[str]:
    """What is wrong with the task's evaluation data and with its first training data, in words."""
    seed = np.random.SeedSequence(0)
    evaluation = run.task.evaluation(np.random.Generator(np.random.PCG64(seed)))
    training = run.task.training().page(seed, 0, run.train.batch_size).sequences
    for name, sequences in (("evaluation", evaluation), ("training", training)):
        yield from (f"{name} data: {says}" for says in _wrong(sequences, run.task.inputs, run.task.outputs))


def _wrong(sequences: Any, inputs: int, outputs: int) -> Iterator[str]:
    if not isinstance(sequences, Sequences):
        yield f"must be bptt.core.sequences.Sequences, are {type(sequences).__name__}"
        return
    x, y, lengths, scored = sequences.x, sequences.y, sequences.lengths, sequences.scored
    for name, array in (("x", x), ("y", y)):
        if array.dtype != np.float64:
            yield f"{name} must be float64, is {array.dtype}"
    if x.ndim != 3 or x.shape[2] != inputs or 0 in x.shape:
        yield f"x must be (N, T, {inputs}), the task's inputs, is {x.shape}"
    elif y.shape not in {(*x.shape[:2], outputs), (x.shape[0], outputs)}:
        yield f"y must be (N, T, {outputs}) or (N, {outputs}), the task's outputs, for x {x.shape}; is {y.shape}"
    elif lengths is not None and (lengths.shape != x.shape[:1] or lengths.min() < 1 or lengths.max() > x.shape[1]):
        yield f"lengths must be (N,), of 1 to {x.shape[1]} timesteps"
    elif scored is not None and (scored.dtype != np.bool_ or scored.shape not in {x.shape[1:2], x.shape[:2]}):
        yield "scored must be bool, (T,) or (N, T)"
