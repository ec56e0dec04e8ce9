"""What is wrong although every value is right by itself: combinations, a user's data, sizes beyond any machine.

Kernels trust shapes, and would read what is not there; sizes are judged before an array is made of them.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from bptt.configuration.components import check_gate_biases
from bptt.configuration.errors import write_problem
from bptt.core.annotations import InvalidValue
from bptt.core.inits.file import File
from bptt.core.kernel import SOLVER
from bptt.core.lanes import recorded_updates
from bptt.core.layout import BIASES
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.cross_entropy import CrossEntropy
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.nesterov import Nesterov
from bptt.core.optimizers.recurrent_constraint import find_unfit_constraint, is_constrained
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import belongs_to, list_parameters
from bptt.core.random import Generator
from bptt.core.run import Run, find_unmeasured
from bptt.core.sequences import Sequences, measure_memory


def find_data_problems(run: Run) -> Iterator[str]:
    """What is wrong with the task's evaluation data, its first training data and its test data, in words."""
    seed = np.random.SeedSequence(0)
    evaluation = run.task.evaluation(Generator(seed))
    training = run.task.training().page(seed, 0, run.train.batch_size).sequences
    test = _make_test(run)
    sets = {"evaluation": evaluation, "training": training, **({} if test is None else {"test": test})}
    for name, sequences in sets.items():
        yield from (f"{name} data: {says}" for says in _find_wrong(sequences, run.task.inputs, run.task.outputs))


def _find_wrong(sequences: Any, inputs: int, outputs: int) -> Iterator[str]:
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


def _make_test(run: Run) -> Any:
    """The test data of a task that has any, else None."""
    make = getattr(run.task, "test", None)
    return None if make is None else make(Generator(np.random.SeedSequence(0)))


_PROBABILITY_TOLERANCE = 1e-9


def check_combinations(run: Run) -> list[str]:
    """A line for each combination of choices that makes no sense.

    It looks at the task, the model, the loss, the initialisation and the early stop: runs that have these in common
    have the same lines.
    """
    found = [
        *_check_run_sizes(run),
        *_check_losses(run),
        *check_gate_biases(run.init.gate_bias, run.model, _name(run.model)),
    ]
    # What follows builds data, which needs the sizes to be right, and trusts it.
    found = found or [*_check_own_data(run)]
    if found:
        return found
    try:
        run.task.training()
        # What kind of data the task has does not depend on the seed.
        evaluation = run.task.evaluation(Generator(np.random.SeedSequence(0)))
        _make_test(run)
    except (MemoryError, OverflowError, ValueError) as error:  # as NumPy says that an array is too large
        return [write_problem("task", type(run.task).__name__.lower(), f"its sequences can't be made ({error})")]
    return [*_check_targets(run, evaluation), *_check_early_stop(run, evaluation), *_check_init_files(run)]


def check_remedies(run: Run) -> list[str]:
    """A line where there is no α that the schedule could scale, where patience never runs out, of what contradicts the
    task, and of what the regularizer, the constraint, `train.only` or `train.measure` lacks.
    """
    found = [*_check_patience(run), *_check_task(run)]
    if run.schedule.kernel is not None and "alpha" not in run.optimizer.kernel.hyper:
        says = f"scales optimizer.alpha, which {_name(run.optimizer)} does not have; use schedule=constant"
        found.append(write_problem("schedule", _name(run.schedule), says))
    decay = getattr(run.optimizer, "weight_decay", 0)
    if decay and "alpha" not in run.optimizer.kernel.hyper:
        says = f"weights decay by α, which {_name(run.optimizer)} does not have; use 0"
        found.append(write_problem("optimizer.weight_decay", decay, says))
    for key in ("optimizer", "regularizer"):
        unfit = getattr(getattr(run, key), "find_unfit", None)
        if unfit is not None and (says := unfit(run)):
            found.append(write_problem(key, _name(getattr(run, key)), says))
    constraint, margin = (getattr(run.model, name, 0) for name in ("recurrent_constraint", "spectral_margin"))
    if says := find_unfit_constraint(run):
        found.append(write_problem("model.recurrent_constraint", constraint, says))
    if margin and not is_constrained(run):
        says = "has no effect with model.recurrent_constraint=none; use 0, or orthogonal"
        found.append(write_problem("model.spectral_margin", margin, says))
    found += [
        write_problem("train.measure", [*run.train.measure], f"{name} {why}")
        for name in run.train.measure
        if (why := find_unmeasured(run, name)) is not None
    ]
    if "sharpness_ratio" in run.train.measure and not isinstance(run.optimizer, Sgd | Momentum | Nesterov):
        says = f"of {_name(run.optimizer)} no largest sharpness is known; use sgd, momentum or nesterov, or sharpness"
        found.append(write_problem("train.measure", [*run.train.measure], f"sharpness_ratio: {says}"))
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    for name in run.train.only or ():
        if not any(belongs_to(block, name) for block in blocks):
            says = f"this network has no {name} (it has {', '.join(dict.fromkeys(block.kind for block in blocks))})"
            found.append(write_problem("train.only", list(run.train.only or ()), says))
    return found


def _check_patience(run: Run) -> Iterator[str]:
    train, patience = run.train, run.train.early_stop.patience
    if patience is not None and patience >= (
        points := len(recorded_updates(train.updates, train.log_points, train.log_spacing))
    ):
        times = "1 update is" if points == 1 else f"{points:,} updates are"
        says = f"never runs out, as {times} recorded; give less, or more of train.log_points"
        yield write_problem("train.early_stop.patience", patience, says)


def _check_task(run: Run) -> Iterator[str]:
    find_misfits = getattr(run.task, "find_misfits", None)
    for misfit in () if find_misfits is None else find_misfits(run):
        yield write_problem(misfit.field, misfit.value, misfit.allowed)


def _name(component: object) -> str:
    """A component as a user chooses it; one of another package by its class."""
    kind = type(component)
    return kind.__module__.rpartition(".")[2] if kind.__module__.startswith("bptt.") else kind.__name__


def _check_run_sizes(run: Run) -> Iterator[str]:
    model, outputs = run.model, run.task.outputs
    if model.readout == "none" and model.hidden_size != outputs:
        says = (
            f"model.readout=none makes the state the output, so model.hidden_size must be {outputs}, the task's outputs"
        )
        yield write_problem("model.hidden_size", model.hidden_size, says)
    if model.readout == "softmax" and outputs == 1:
        yield write_problem("model.readout", "softmax", "is always 1 with a single output; use sigmoid")


def _check_losses(run: Run) -> Iterator[str]:
    needs: dict[type[Any], tuple[str, str]] = {
        BinaryCrossEntropy: ("binary_cross_entropy", "sigmoid"),
        CrossEntropy: ("cross_entropy", "softmax"),
    }
    name, readout = needs.get(type(run.loss), ("", run.model.readout))
    if run.model.readout != readout:
        yield write_problem("model.readout", run.model.readout, f"loss={name} needs model.readout={readout}")


def _check_own_data(run: Run) -> Iterator[str]:
    kind = type(run.task)
    if not kind.__module__.startswith("bptt."):
        for says in find_data_problems(run):
            yield write_problem("task._target_", f"{kind.__module__}.{kind.__qualname__}", says)


def _check_targets(run: Run, evaluation: Sequences) -> Iterator[str]:
    if not isinstance(run.loss, BinaryCrossEntropy | CrossEntropy):
        return
    targets = _select_scored(evaluation)
    if isinstance(run.loss, BinaryCrossEntropy) and not ((targets >= 0) & (targets <= 1)).all():
        says = f"takes targets from 0 to 1, the task has {targets.min():.3g} to {targets.max():.3g}"
        yield write_problem("loss", "binary_cross_entropy", says)
    if isinstance(run.loss, CrossEntropy):
        sums = targets.sum(axis=-1)
        if (targets < 0).any() or np.abs(sums - 1).max(initial=0.0) > _PROBABILITY_TOLERANCE:
            yield write_problem(
                "loss", "cross_entropy", "takes targets that sum to 1 over the outputs, as one-hot ones do"
            )


def _check_early_stop(run: Run, evaluation: Sequences) -> Iterator[str]:
    stop, keys = run.train.early_stop, {"train.early_stop.metric": run.train.early_stop.metric}
    keys["train.keep_by"] = run.train.keep_by
    wanting = [key for key, metric in keys.items() if metric == "accuracy/eval"]
    if wanting and run.task.accuracy(evaluation.y, evaluation) is None:
        for key in wanting:
            yield write_problem(key, keys[key], "the task has no accuracy; use loss/eval")
    elif stop.metric == "accuracy/eval" and stop.threshold == 0 and stop.patience is None:
        says = "every accuracy has reached it; give one above 0, or train.early_stop.patience"
        yield write_problem("train.early_stop.threshold", stop.threshold, says)
    if stop.metric == "accuracy/eval" and stop.threshold > 1:
        yield write_problem("train.early_stop.threshold", stop.threshold, "an accuracy is at most 1")


def _check_init_files(run: Run) -> Iterator[str]:
    rng = Generator(np.random.SeedSequence(0))
    for block in list_parameters(run.model, run.task.inputs, run.task.outputs):
        own = block.kind in run.init.blocks
        scheme = run.init.blocks[block.kind] if own else run.init.default
        if isinstance(scheme, File):
            try:
                scheme.values(rng, block)
            except InvalidValue as error:
                prefix = f"init.{block.kind}" if own else "init"
                yield write_problem(f"{prefix}.{error.field}", error.value, error.allowed)


def _select_scored(sequences: Sequences) -> Any:
    return sequences.y if sequences.last_only else sequences.y[sequences.full_scored]


_WHOLE: Final = 2**63 - 1  # the largest whole number that compiled code counts with


_NUMBER: Final = 8  # bytes


_OF_A_WEIGHT: Final = 3  # numbers: itself, its gradient, and what an optimizer keeps of it; more, where that says so


def check_sizes(run: Run) -> list[str]:
    """A line for each number that can't be counted with, or one for what takes more than this machine's memory."""
    return [*_find_uncountable(run)] or _find_too_large(run)


def _find_uncountable(run: Run) -> Iterator[str]:
    for name in ("updates", "batch_size", "truncation", "log_points", "snapshots"):
        if (value := getattr(run.train, name) or 0) > _WHOLE:
            yield write_problem(f"train.{name}", value, f"must be at most {_WHOLE:,}")


def _find_too_large(run: Run) -> list[str]:
    model, train, task = run.model, run.train, run.task
    units = model.layers * model.hidden_size * (model.cell.gates + model.cell.slots)
    solves = run.optimizer.kernel.kind is SOLVER  # on states of other parameters too
    parts = {
        "the weights": (max(_OF_A_WEIGHT, getattr(run.optimizer, "rows", 0)) + (train.keep == "best"))
        * _count_weights(run),
        "a batch": train.batch_size * task.timesteps * (task.inputs + task.outputs + units) * (2 if solves else 1),
        "the snapshots": _count_snapshots(run) * _count_weights(run),
        "what is recorded": min(train.log_points, train.updates) * task.timesteps,
    }
    part = max(parts, key=lambda name: parts[name])
    needed, there = (size / 2**30 for size in (_NUMBER * parts[part], measure_memory()))
    if needed <= there:
        return []
    sizes = {
        "model.layers": model.layers,
        "model.hidden_size": model.hidden_size,
        "train.batch_size": train.batch_size if part == "a batch" else 0,
        "train.snapshots": train.snapshots if part == "the snapshots" else 0,
        "train.log_points": train.log_points if part == "what is recorded" else 0,
        "task.timesteps": task.timesteps if part in ("a batch", "what is recorded") else 0,
    }
    key = max(sizes, key=lambda name: sizes[name])
    says = f"{part} would take {needed:.3g} GiB of memory, this machine has {there:.3g} GiB"
    if key == "task.timesteps":  # which no key says, but what makes them differs from task to task
        return [write_problem("task", type(task).__name__.lower(), f"with {sizes[key]:.3g} timesteps {says}")]
    return [write_problem(key, sizes[key], says)]


def _count_snapshots(run: Run) -> int:
    """At most, that of the start too."""
    train = run.train
    return min(train.snapshots, train.log_points, train.updates) + 2 if train.snapshots else 0


def _count_weights(run: Run) -> int:
    model, task = run.model, run.task
    columns = model.cell.gates * model.hidden_size
    context = task.outputs if model.cell.feedback else model.hidden_size
    below = task.inputs + (model.layers - 1) * model.hidden_size
    return columns * (below + model.layers * (context + BIASES[model.bias])) + model.hidden_size * task.outputs
