"""A sweep's ready-made page in MLflow, and the links to its runs.

The page is what MLflow's own share button publishes: a tag of the experiment that holds the page's state
(ExperimentPageSearchFacetsState and ExperimentPageUIState in the sources of MLflow's pages, 3.17). MLflow documents
neither, so some version of it may read them otherwise; a sweep then lacks this page and nothing else.
"""

import base64
import json
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from bptt.tracking.store.address import MODEL_TRAINING, Address, StoreError
from bptt.tracking.store.base import Store
from bptt.tracking.store.connecting import explain_refusal
from bptt.tracking.store.opening import open_address
from bptt.tracking.store.tags import OUTCOME_TAG, SETTING_TAG, SHARED_VIEW_TAG

if TYPE_CHECKING:
    import pandas as pd

SORTED_BY: Final = "loss/eval"


ON_A_LOG_AXIS: Final = ("loss/eval", "loss/train", "grad/norm")


ON_A_LINEAR_AXIS: Final = ("accuracy/eval",)


def filter_sweep(parent: str) -> dict[str, str]:
    """Which runs are listed, and in which order, as it stands in a link: all that a sweep has, the best first."""
    # With a filter and sorted by anything but the date, MLflow lists nested runs side by side, without their parent.
    return {
        "searchFilter": f"tags.`{SETTING_TAG}{parent}` != ''",
        "orderByKey": f"metrics.`{SORTED_BY}`",
        "orderByAsc": "true",
    }


_LOADED_AT_ONCE: Final = 100  # runs, by MLflow's pages


_SEED: Final = "seed"


def describe_view(
    name: str,
    parent: str,
    swept: Sequence[str],
    metrics: Sequence[str],
    ranges: Mapping[str, tuple[float, float]],
    without_diverged: bool,
    settings: Sequence[str] = (),
    worded: Collection[str] = (),
) -> dict[str, Any]:
    """A table of what was swept and of the final metrics, and a section of charts, named for the sweep.

    settings          of the runs, one for each. Where several runs share one, and there are several, each is a line
                      with the mean over its runs
    worded            the keys whose values are words
    ranges            metric → lowest and highest value that its curves' axis shows; of the others all is shown
    without_diverged  whether runs that diverged are not listed, and so not drawn

    All fields of the state are there, since older versions put nothing in the place of one that is missing.
    """
    listed = filter_sweep(parent)
    if without_diverged:
        name = f"Without diverged runs: {name}"
        listed["searchFilter"] += f" and tags.`{OUTCOME_TAG}` != 'diverged'"
    groups = dict.fromkeys(settings)
    # Of groups, MLflow draws parallel coordinates of numbers alone.
    axes = [key for key in swept if key not in worded and key != _SEED] if 1 < len(groups) < len(settings) else swept
    grouped = 1 < len(groups) < len(settings)
    if grouped:
        name += ", means over seeds"
        if len(settings) > _LOADED_AT_ONCE:
            # The best hundred alone would make each mean better than it is.
            listed["orderByKey"] = f"params.`{_SEED}`"
            name += f" (MLflow loads {_LOADED_AT_ONCE} of the {len(settings):,} runs at a time, here by seed)"
    main, more = f"{parent}-main", f"{parent}-more"
    drawn = [metric for metric in (*ON_A_LOG_AXIS, *ON_A_LINEAR_AXIS) if metric in metrics]
    others = [metric for metric in metrics if metric not in drawn]
    columns = {
        "attributes.`Run Name`": 280,
        **{f"params.`{key}`": _choose_width(key) for key in swept},
        **{f"metrics.`{metric}`": _choose_width(metric) for metric in drawn},
        f"tags.`{OUTCOME_TAG}`": _choose_width(OUTCOME_TAG),
    }
    return {
        **listed,
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*columns],
        "columnOrder": [*columns],
        "columnWidths": columns,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [
            *([_describe_bars(main)] if grouped else []),
            *([_describe_parallels(axes, metrics, main)] if axes else []),
            *(_describe_curves(metric, main, ranges) for metric in drawn),
            *(_describe_curves(metric, more, ranges) for metric in others),
        ],
        "compareRunSections": [
            _describe_section(main, name, unfolded=True),
            _describe_section(more, "more", unfolded=False),
        ],
        "isAccordionReordered": True,
        "viewMaximized": False,
        "runListHidden": False,
        "groupBy": _group(parent) if grouped else None,
        "groupsExpanded": {f"tag.{SETTING_TAG}{parent}.{setting}": False for setting in groups} if grouped else {},
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _group(parent: str) -> dict[str, Any]:
    by_setting = {"mode": "tag", "groupByData": SETTING_TAG + parent}
    return {"aggregateFunction": "average", "groupByKeys": [by_setting]}


def _choose_width(heading: str) -> int:
    return 8 * len(heading) + 48


def _describe_section(uuid: str, name: str, *, unfolded: bool) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": unfolded,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": 2,
        "cardHeight": 400,
    }


def _describe_chart(kind: str, name: str, section: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{section}-{name}",
        "metricSectionId": section,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
    }


def _describe_bars(section: str) -> dict[str, Any]:
    return {**_describe_chart("BAR", f"bars-{SORTED_BY}", section), "metricKey": SORTED_BY}


def _describe_parallels(swept: Sequence[str], metrics: Sequence[str], section: str) -> dict[str, Any]:
    # Lines have the colour of the last metric. An axis of seeds would only tangle them.
    return {
        **_describe_chart("PARALLEL", "parallel", section),
        "selectedParams": [key for key in swept if key != "seed"] or [*swept],
        "selectedMetrics": [*(metric for metric in ON_A_LINEAR_AXIS if metric in metrics), SORTED_BY],
        "showAllRuns": True,
    }


def _describe_curves(metric: str, section: str, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    chart = {
        **_describe_chart("LINE", metric, section),
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "scaleType": "log" if metric in ON_A_LOG_AXIS else "linear",
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "selectedXAxisMetricKey": "",
        "lineSmoothness": 0,
        "displayPoints": False,
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "ignoreOutliers": False,
    }
    if metric in ranges:
        low, high = (math.log10(value) for value in ranges[metric])
        margin = max(0.05 * (high - low), 0.1)
        chart["range"] = {"yMin": low - margin, "yMax": high + margin}
    return chart


_LONGEST_TAG: Final = 5000  # of an experiment; later versions of MLflow take more


_MOST_COMPARED: Final = 100


def publish_view(
    store: Store,
    sweep_name: str,
    parent: str,
    swept: Sequence[str],
    metrics: Sequence[str],
    history: "pd.DataFrame | None" = None,
    diverged: Collection[int] = (),
    settings: Sequence[str] = (),
    worded: Collection[str] = (),
) -> str | None:
    """Make the page of the sweep whose own run is `parent`: its path in MLflow's pages, or None where that failed.

    It has the sweep's runs alone, the best `loss/eval` first: a table of what was swept and of the final metrics,
    and curves by update, the losses and the gradient's norm on a log axis. Where settings have several runs, it has a
    line in one colour for each setting, the mean over its runs, and bars of `loss/eval`; otherwise a line for each run,
    and parallel coordinates from what was swept to `loss/eval`. MLflow loads 100 runs at a time and draws those that it
    has loaded. Published again it is replaced.

    swept     names of params, in the order of the table's columns
    metrics   that the runs have
    history   columns run, update and the metrics
    diverged  the runs in it that diverged. The axes are chosen for the others; and since MLflow's parallel coordinates
              show nothing but NaN where it is the most frequent value, more diverged runs than others are not listed
    settings, worded  see `describe_view`
    """
    ranges, without_diverged = {}, False
    if history is not None and diverged:
        ranges = find_axis_ranges(history, diverged)
        runs = history["run"].nunique()
        without_diverged = runs / 2 < len(diverged) < runs
    state = describe_view(sweep_name, parent, swept, metrics, ranges, without_diverged, settings, worded)
    value = _pack(state)
    if len(value) > _LONGEST_TAG:
        value = _pack(state | {"groupsExpanded": {}})
    if len(value) > _LONGEST_TAG:
        return None
    try:
        with explain_refusal(store.address):
            store.tag_experiment(SHARED_VIEW_TAG + parent, value)
    except StoreError:
        return None
    return _make_runs_path(store.experiment_id, {"viewStateShareKey": parent})


def _pack(state: Mapping[str, Any]) -> str:
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)
    return "deflate;" + base64.b64encode(packed).decode()


def find_axis_ranges(history: "pd.DataFrame", diverged: Collection[int]) -> dict[str, tuple[float, float]]:
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


#: The path of the page of all experiments.
EXPERIMENTS: Final = f"/#/experiments?{urlencode(MODEL_TRAINING)}"


def make_children_path(experiment_id: str, parent: str) -> str:
    """The experiment's page with the runs of one sweep alone, as MLflow shows them by itself."""
    return _make_runs_path(experiment_id, filter_sweep(parent))


def make_compare_path(store: Store, run_ids: Sequence[str]) -> str:
    """The page on which MLflow compares runs, a column each; of more than 100 the first 100.

    MLflow asks for each run by itself, and offers no more than 100 in a page of runs of its own.
    """
    compared = {"runs": run_ids[:_MOST_COMPARED], "experiments": [store.experiment_id]}
    query = {key: json.dumps([*ids], separators=(",", ":")) for key, ids in compared.items()}
    return f"/#/compare-runs?{urlencode(query | MODEL_TRAINING)}"


def _make_runs_path(experiment_id: str, query: Mapping[str, str]) -> str:
    return f"/#/experiments/{experiment_id}/runs?{urlencode({**MODEL_TRAINING, **query, 'compareRunsMode': 'CHART'})}"


@dataclass(frozen=True, kw_only=True)
class NewestSweep:
    """A sweep, and the path of its page among MLflow's pages."""

    name: str
    path: str


def find_newest_sweep(address: Address) -> NewestSweep | None:
    """The sweep that was begun last; None: there is none, or the store does not say.

    Its page is the one that its tag `bptt.view` names, otherwise the experiment's with its runs alone. A database is
    asked with one query of its tables; a server through MLflow, whose import takes one to two seconds.
    """
    try:
        with closing(open_address(address)) as store:
            found = store.find_newest_sweep()
    except Exception:  # whatever it is: this is one link more, and not what was asked for
        return None
    if found is None:
        return None
    return NewestSweep(name=found.name, path=found.view or make_children_path(found.experiment_id, found.parent))
