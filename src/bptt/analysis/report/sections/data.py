"""What data of one's own the runs were trained on, how they were split, and what to mind; nothing of other tasks."""

from typing import TYPE_CHECKING

from bptt.analysis.report.document import Element, Paragraph, Strong
from bptt.tasks.own_data.preparation import EVALUATED_ON_TRAINING

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep
    from bptt.tasks.own_data.preparation import Preparation

_MOST_TASKS = 4


def write_data(sweep: "Sweep") -> list[Element]:
    """A paragraph for the data of each task, and above all that runs were evaluated on what they were trained on."""
    preparations = sweep.list_preparations()
    warned = [line for one in preparations for line in one.remarks if line.startswith(EVALUATED_ON_TRAINING)]
    found: list[Element] = [Paragraph((Strong(f"{line}."),)) for line in dict.fromkeys(warned)]
    found += [Paragraph((_describe(one),)) for one in preparations[:_MOST_TASKS]]
    if len(preparations) > _MOST_TASKS:
        found.append(Paragraph((f"{len(preparations) - _MOST_TASKS:,} tasks more have data of their own.",)))
    return found


def _describe(preparation: "Preparation") -> str:
    lines = [line for line in preparation.remarks if not line.startswith(EVALUATED_ON_TRAINING)]
    data = preparation.data
    name = [] if data is None else [f"Data: {data.name} ({data.digest}), {data.profile}"]
    return " ".join(f"{line[:1].upper()}{line[1:]}." for line in [*name, *lines])
