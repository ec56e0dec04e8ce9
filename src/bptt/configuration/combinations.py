"""What is wrong although every value is right by itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bptt.configuration.data import data_problems
from bptt.configuration.problems import problem
from bptt.core.annotations import InvalidValue
from bptt.core.blocks import parameter_blocks
from bptt.core.inits.file import File
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.cross_entropy import CrossEntropy
from bptt.core.run import Run
from bptt.core.sequences import Sequences

_PROBABILITY_TOLERANCE = 1e-9


def check_combinations(run: Run) -> list[str]:
    """A line for each combination of choices that makes no sense.

    It looks at the task, the model, the loss, the initialisation and the early stop: runs that have these in common
    have the same lines.
    """
    found = [*_sizes(run), *_losses(run)]
    # What follows builds data, which needs the sizes to be right, and trusts it.
    found = found or [*_own_data(run)]
    if found:
        return found
    try:
        run.task.training()
        # What kind of data the task has does not depend on the seed.
        evaluation = run.task.evaluation(np.random.Generator(np.random.PCG64(0)))
    except (MemoryError, OverflowError, ValueError) as error:  # as NumPy says that an array is too large
        return [problem("task", type(run.task).__name__.lower(), f"its sequences can't be made ({error})")]
    return [*_targets(run, evaluation), *_early_stop(run, evaluation), *_init_files(run)]


def check_schedule(run: Run) -> list[str]:
    """A line where there is no learning rate that the schedule could scale."""
    if run.schedule.kernel is None or "alpha" in run.optimizer.kernel.hyper:
        return []
    says = f"scales optimizer.alpha, which {_name(run.optimizer)} does not have; use schedule=constant"
    return [problem("schedule", _name(run.schedule), says)]


def _name(component: object) -> str:
    """A component as a user chooses it; one of another package by its class."""
    kind = type(component)
    return kind.__module__.rpartition(".")[2] if kind.__module__.startswith("bptt.") else kind.__name__


def _sizes(run: Run) -> Iterator[str]:
    model, outputs = run.model, run.task.outputs
    if model.readout == "none" and model.hidden_size != outputs:
        says = (
            f"model.readout=none makes the state the output, so model.hidden_size must be {outputs}, the task's outputs"
        )
        yield problem("model.hidden_size", model.hidden_size, says)
    if model.readout == "softmax" and outputs == 1:
        yield problem("model.readout", "softmax", "is always 1 with a single output; use sigmoid")


def _losses(run: Run) -> Iterator[str]:
    needs: dict[type[Any], tuple[str, str]] = {
        BinaryCrossEntropy: ("binary_cross_entropy", "sigmoid"),
        CrossEntropy: ("cross_entropy", "softmax"),
    }
    name, readout = needs.get(type(run.loss), ("", run.model.readout))
    if run.model.readout != readout:
        yield problem("model.readout", run.model.readout, f"loss={name} needs model.readout={readout}")


def _own_data(run: Run) -> Iterator[str]:
    kind = type(run.task)
    if not kind.__module__.startswith("bptt."):
        for says in data_problems(run):
            yield problem("task._target_", f"{kind.__module__}.{kind.__qualname__}", says)


def _targets(run: Run, evaluation: Sequences) -> Iterator[str]:
    if not isinstance(run.loss, BinaryCrossEntropy | CrossEntropy):
        return
    targets = _scored_targets(evaluation)
    if isinstance(run.loss, BinaryCrossEntropy) and not ((targets >= 0) & (targets <= 1)).all():
        says = f"takes targets from 0 to 1, the task has {targets.min():.3g} to {targets.max():.3g}"
        yield problem("loss", "binary_cross_entropy", says)
    if isinstance(run.loss, CrossEntropy):
        sums = targets.sum(axis=-1)
        if (targets < 0).any() or np.abs(sums - 1).max(initial=0.0) > _PROBABILITY_TOLERANCE:
            yield problem("loss", "cross_entropy", "takes targets that sum to 1 over the outputs, as one-hot ones do")


def _early_stop(run: Run, evaluation: Sequences) -> Iterator[str]:
    stop = run.train.early_stop
    if stop.metric != "accuracy/eval":
        return
    if stop.threshold > 1:
        yield problem("train.early_stop.threshold", stop.threshold, "an accuracy is at most 1")
    if run.task.accuracy(evaluation.y, evaluation) is None:
        yield problem("train.early_stop.metric", stop.metric, "the task has no accuracy; use loss/eval")


def _init_files(run: Run) -> Iterator[str]:
    rng = np.random.Generator(np.random.PCG64(0))
    for block in parameter_blocks(run.model, run.task.inputs, run.task.outputs):
        own = block.kind in run.init.blocks
        scheme = run.init.blocks[block.kind] if own else run.init.default
        if isinstance(scheme, File):
            try:
                scheme.values(rng, block)
            except InvalidValue as error:
                prefix = f"init.{block.kind}" if own else "init"
                yield problem(f"{prefix}.{error.field}", error.value, error.allowed)


def _scored_targets(sequences: Sequences) -> Any:
    return sequences.y if sequences.last_only else sequences.y[sequences.full_scored]
