"""What the network of a sweep's best run says of its evaluation and test sets, of a sweep over the user's own data."""

from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.sweep import pick_best
from bptt.configuration.errors import ConfigurationError
from bptt.predictions.building import build_run
from bptt.predictions.sets import predict_sets
from bptt.tracking.history.find import Source, SourceError, list_past_runs

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep
    from bptt.predictions.tables import Predictions


def predict_best(sweep: "Sweep") -> "tuple[str, Predictions] | None":
    """The name of the run that did best, and its predictions; None: the data are not the user's own, or no more what
    and where they were, or no run ended.
    """
    recording = sweep.recording
    if recording is None or sweep.runs.empty or not sweep.list_preparations():
        return None
    try:
        best = pick_best(recording, [int(run) for run in sweep.runs["run"]])[0]
        (past,) = list_past_runs(Source(recording, None, frozenset([best])))
        run = build_run(past)
    except (SourceError, ConfigurationError):  # of data that were moved or changed, or a package that is not imported
        return None
    record = sweep.record(best)
    if record is None or not all(np.isfinite(array).all() for array in record.parameters.values()):
        return None
    made = predict_sets(run, record)
    return None if made is None else (str(sweep.runs.set_index("run")["name"][best]), made)
