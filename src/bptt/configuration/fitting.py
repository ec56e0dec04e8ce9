"""A loss and a read-out that are `auto` become those that fit the task's targets, before anything is built of them.

What is recorded, hashed and reported names what was chosen. What a user says stands, and what is left to the targets
goes with it: `loss=cross_entropy` brings softmax, `model.readout=sigmoid` the binary cross-entropy.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bptt.configuration.errors import write_problem

_AUTO: Final = "auto"
_AUTO_LOSS: Final = "bptt.core.losses.auto.AutoLoss"
_LOSSES: Final = {
    "squared_error": "bptt.core.losses.squared_error.SquaredError",
    "binary_cross_entropy": "bptt.core.losses.binary_cross_entropy.BinaryCrossEntropy",
    "cross_entropy": "bptt.core.losses.cross_entropy.CrossEntropy",
}
#: The loss that goes with a read-out, as all probabilities have one; with any other it is the squared error.
_GOING_WITH: Final = {"sigmoid": "binary_cross_entropy", "softmax": "cross_entropy"}
#: What targets are → the read-out that fits them.
_FITTING: Final = {"numbers": "identity", "two_classes": "sigmoid", "classes": "softmax"}


def fit_to_targets(
    values: Mapping[str, Any], build_task: Callable[[Any], Any], problems: list[str]
) -> tuple[Mapping[str, Any], str | None]:
    """A configuration's values with each `auto` replaced, and a line that says what was chosen; None: nothing was.

    build_task  makes the task of its node, or None where it can't be had; what is wrong with it is told elsewhere
    """
    task, model, loss = (node if isinstance(node := values.get(part), dict) else {} for part in _PARTS)
    is_auto = {"task": task.get("readout") == _AUTO, "model": model.get("readout") == _AUTO}
    is_auto["loss"] = loss.get("_target_") == _AUTO_LOSS
    if not any(is_auto.values()):
        return values, None
    made = build_task(values.get("task"))
    target = getattr(made, "target", None)
    own = None if is_auto["loss"] else _name_loss(loss)
    readout = _choose_readout(model.get("readout"), own, target)
    if readout is None:
        says = "the task does not say what its targets are; give identity, sigmoid or softmax"
        if made is not None:
            problems.append(write_problem("task.readout" if is_auto["task"] else "model.readout", _AUTO, says))
        readout = "identity"  # so that nothing else is said of it
    name = "squared_error" if target == "numbers" else _GOING_WITH.get(readout, "squared_error")
    chosen = {"task": {"readout": readout}, "model": {"readout": readout}, "loss": {"_target_": _LOSSES[name]}}
    fitted = {
        part: node | chosen[part] for part, node in zip(_PARTS, (task, model, loss), strict=True) if is_auto[part]
    }
    if made is None:
        return {**values, **fitted}, None
    if is_auto["model"]:
        why = f"loss={own}" if own in _GOING_WITH.values() else _describe(target, made)
    else:
        why = f"model.readout={readout}"
    told = [f"model.readout={readout}"] * is_auto["model"] + [f"loss={name}"] * is_auto["loss"]
    return {**values, **fitted}, f"{why}: {' and '.join(told)}" if told else None


_PARTS: Final = ("task", "model", "loss")


def _name_loss(node: Mapping[str, Any]) -> str | None:
    """Of a shipped loss, as it is chosen."""
    return next((name for name, target in _LOSSES.items() if target == node.get("_target_")), None)


def _choose_readout(said: Any, loss: str | None, target: str | None) -> Any:
    """The one that was said, that the loss needs, or that fits the targets; None: nothing tells."""
    if said not in (_AUTO, None):  # without any the model lacks one, which is told elsewhere
        return said
    needed = {loss: readout for readout, loss in _GOING_WITH.items()}
    return needed.get(loss) or _FITTING.get(target or "")


def _describe(target: Any, task: Any) -> str:
    classes = {
        "two_classes": "two classes" if task.outputs == 1 else "zeros and ones",
        "classes": f"{task.outputs} classes",
    }
    return f"the targets are {classes.get(target, target)}"
