"""What is left of a training that was broken off."""

from typing import TYPE_CHECKING

from bptt.core.run import Record

if TYPE_CHECKING:
    from bptt.core.training import Training


def recorded(training: "Training | None") -> Record | None:
    """What its first run recorded; None where it is nothing, or where an error left the training without sense."""
    if training is None:
        return None
    try:
        record = training.records()[0]
    except Exception:
        return None
    return record if len(record.history["update"]) else None
