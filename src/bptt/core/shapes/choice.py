"""Whether a kernel is made for a shape: where there is one for it, and where it pays."""

from typing import Any

from bptt.core.clips.none import no_clip
from bptt.core.layout import Net
from bptt.core.run import Run
from bptt.core.shapes.shape import Shape
from bptt.core.shapes.training import ShapeKernel, kernel_for

#: Updates times lanes from which on compiling a kernel, once per machine, costs less than what it saves.
_WORTH = 1_000_000
#: Of larger layers, and of several sequences, products take nearly all of the time, which `core.products` has at least
#: as fast.
_MOST_UNITS, _MOST_ROWS = 32, 1


def find_kernel(run: Run, net: Net, updates: int) -> ShapeKernel | None:
    """The kernel for the shape of such runs in this layout, if `updates`, those of all lanes, are worth it.

    One that is kept on disk costs nothing, and is taken in any case. None: there is none, or it does not pay.
    """
    if not _can_be_made(run, net):
        return None
    settings = run.train
    onward, carry = settings.truncation is None, settings.carry_state
    parts = {"model": type(run.model), "loss": type(run.loss), "optimizer": type(run.optimizer)}
    shape = Shape(net, **parts, onward=onward, carry=carry)
    kernel = kernel_for(shape)
    return kernel if updates >= _WORTH or kernel.is_ready(shape.mode) else None


def may_have_kernel(run: Run) -> bool:
    """Whether there are shapes of such runs for which there is a kernel; what hangs on the layout is not asked."""
    parts: tuple[Any, ...] = (run.model, run.loss, run.optimizer)
    return (
        run.model.cell.unit is not None
        and run.model.readout in ("identity", "sigmoid")
        and hasattr(run.loss, "slope")
        and hasattr(run.optimizer, "step")
        and all(type(part).__module__.startswith("bptt.") for part in parts)  # others' edits would go unnoticed
        and run.clip.kernel is no_clip
        and run.schedule.kernel is None
        and run.regularizer.kernel is None
        and run.train.truncation in (None, 1)
    )


def _can_be_made(run: Run, net: Net) -> bool:
    return (
        may_have_kernel(run)
        and net.feedback == 0
        and net.layers == 1
        and net.hidden <= _MOST_UNITS
        and net.rows <= _MOST_ROWS
        and (net.per == 1 or net.outputs == 1)
    )
