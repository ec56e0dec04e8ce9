"""A recorded run, built again to be asked for its task: with the data that it was trained on, or not at all."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from bptt.configuration.build import check_configuration, locate_files
from bptt.configuration.errors import ConfigurationError
from bptt.core.run import Run
from bptt.tracking.provenance.digest import compute_digest

if TYPE_CHECKING:
    from bptt.tasks.own_data.preparation import Preparation
    from bptt.tracking.history.find import PastRun


def build_run(recorded: "PastRun", allow: Collection[str] = ()) -> Run:
    """The run that was recorded, to be asked for its task and model.

    allow  packages whose classes its configuration may name

    Raises ConfigurationError where it can't be built here, or its data are others by now: a scale, and what is held
    out, would be of those.
    """
    # Relative paths in its configuration are meant from where it was trained.
    config = locate_files(recorded.config, recorded.current_folder)
    run, path, same = check_configuration(config, allow).run, config["task"].get("path"), True
    now: Preparation | None = getattr(run.task, "preparation", None)
    if now is not None and (then := recorded.preparation) is not None:
        same = _are_same(then, now)
    elif isinstance(path, str) and recorded.numerical_version is not None:
        same = compute_digest(config, recorded.numerical_version) == recorded.digest
    if not same:
        says = "was changed since the run was trained; `bptt predict RUN FILE` predicts of other data"
        raise ConfigurationError([f"task.path={path}: {says}"])
    return run


def _are_same(then: "Preparation", now: "Preparation") -> bool:
    """Whether data are the same, by their hash where it was noted, else by what was done to them."""
    if then.data is not None and now.data is not None:
        return then.data.digest == now.data.digest
    numbers = ("input_mean", "input_scale", "target_mean", "target_scale")
    pairs = [(getattr(then, name), getattr(now, name)) for name in numbers]
    return then.classes == now.classes and all(len(a) == len(b) and np.allclose(a, b, rtol=1e-12) for a, b in pairs)
