"""A sweep's ready-made page in MLflow, and the links to its runs.

The page is what MLflow's own share button publishes: a tag of the experiment that holds the page's state. MLflow
documents neither, so some version of it may read them otherwise; a sweep then lacks this page and nothing else.
"""

import base64
import json
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from bptt.tracking.access import asking
from bptt.tracking.address import StoreError
from bptt.tracking.store import Store
from bptt.tracking.view_state import ON_A_LOG_AXIS, facets, view_state

if TYPE_CHECKING:
    import pandas as pd

_TAG: Final = "mlflow.sharedViewState."
_LONGEST_TAG: Final = 5000  # of an experiment; later versions of MLflow take more
_MOST_COMPARED: Final = 100
# Without it MLflow's pages turn to what it offers for language models.
_MODEL_TRAINING: Final = {"workflowType": "machine_learning"}


def publish_view(
    store: Store,
    sweep_name: str,
    parent: str,
    swept: Sequence[str],
    metrics: Sequence[str],
    history: "pd.DataFrame | None" = None,
    diverged: Collection[int] = (),
) -> str | None:
    """Make the page of the sweep whose own run is `parent`: its path in MLflow's pages, or None where that failed.

    It has the sweep's runs alone, the best `loss/eval` first: a table of what was swept and of the final metrics,
    parallel coordinates from what was swept to `loss/eval`, and curves by update, the losses and the gradient's norm on
    a log axis. MLflow loads 100 runs at a time and draws those that it has loaded. Published again it is replaced.

    swept     names of params, in the order of the table's columns
    metrics   that the runs have
    history   columns run, update and the metrics
    diverged  the runs in it that diverged. The axes are chosen for the others; and since MLflow's parallel coordinates
              show nothing but NaN where it is the most frequent value, more diverged runs than others are not listed
    """
    ranges, without_diverged = {}, False
    if history is not None and diverged:
        ranges = axis_ranges(history, diverged)
        runs = history["run"].nunique()
        without_diverged = runs / 2 < len(diverged) < runs
    state = view_state(sweep_name, parent, swept, metrics, ranges, without_diverged)
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)
    value = "deflate;" + base64.b64encode(packed).decode()
    if len(value) > _LONGEST_TAG:
        return None
    try:
        with asking(store.address):
            store.client.set_experiment_tag(store.experiment_id, _TAG + parent, value)
    except StoreError:
        return None
    return _runs_path(store.experiment_id, {"viewStateShareKey": parent})


def axis_ranges(history: "pd.DataFrame", diverged: Collection[int]) -> dict[str, tuple[float, float]]:
    """Metric → lowest and highest value of the runs that did not diverge, where the axis is logarithmic.

    One that did may have reached 1e300 before, which would flatten the others.
    """
    kept = history[~history["run"].isin([*diverged])]
    ranges = {}
    for name in [name for name in ON_A_LOG_AXIS if name in kept]:
        values = kept[name][(kept[name] > 0) & (kept[name] < math.inf)]
        if len(values):
            ranges[name] = (float(values.min()), float(values.max()))
    return ranges


def children_path(experiment_id: str, parent: str) -> str:
    """The experiment's page with the runs of one sweep alone, as MLflow shows them by itself."""
    return _runs_path(experiment_id, facets(parent))


def compare_path(store: Store, run_ids: Sequence[str]) -> str:
    """The page on which MLflow compares runs, a column each; of more than 100 the first 100.

    MLflow asks for each run by itself, and offers no more than 100 in a page of runs of its own.
    """
    compared = {"runs": run_ids[:_MOST_COMPARED], "experiments": [store.experiment_id]}
    query = {key: json.dumps([*ids], separators=(",", ":")) for key, ids in compared.items()}
    return f"/#/compare-runs?{urlencode(query | _MODEL_TRAINING)}"


def _runs_path(experiment_id: str, query: Mapping[str, str]) -> str:
    return f"/#/experiments/{experiment_id}/runs?{urlencode({**_MODEL_TRAINING, **query, 'compareRunsMode': 'CHART'})}"
