"""The state of MLflow's page of runs in which a sweep's runs are looked at.

It is ExperimentPageSearchFacetsState and ExperimentPageUIState in the sources of MLflow's pages (3.17).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

SORTED_BY: Final = "loss/eval"
ON_A_LOG_AXIS: Final = ("loss/eval", "loss/train", "grad/norm")
ON_A_LINEAR_AXIS: Final = ("accuracy/eval",)


def facets(parent: str) -> dict[str, str]:
    """Which runs are listed, and in which order, as it stands in a link: those of one sweep, the best first."""
    # With a filter and sorted by anything but the date, MLflow lists nested runs side by side, without their parent.
    return {
        "searchFilter": f"tags.mlflow.parentRunId = '{parent}'",
        "orderByKey": f"metrics.`{SORTED_BY}`",
        "orderByAsc": "true",
    }


def view_state(
    name: str,
    parent: str,
    swept: Sequence[str],
    metrics: Sequence[str],
    ranges: Mapping[str, tuple[float, float]],
    without_diverged: bool,
) -> dict[str, Any]:
    """A table of what was swept and of the final metrics, and a section of charts, named for the sweep.

    ranges            metric → lowest and highest value that its curves' axis shows; of the others all is shown
    without_diverged  whether runs that diverged are not listed, and so not drawn

    All fields of the state are there, since older versions put nothing in the place of one that is missing.
    """
    listed = facets(parent)
    if without_diverged:
        name = f"Without diverged runs: {name}"
        listed["searchFilter"] += " and tags.`bptt.outcome` != 'diverged'"
    main, more = f"{parent}-main", f"{parent}-more"
    drawn = [metric for metric in (*ON_A_LOG_AXIS, *ON_A_LINEAR_AXIS) if metric in metrics]
    others = [metric for metric in metrics if metric not in drawn]
    columns = {
        "attributes.`Run Name`": 280,
        **{f"params.`{key}`": _width(key) for key in swept},
        **{f"metrics.`{metric}`": _width(metric) for metric in drawn},
        "tags.`bptt.outcome`": _width("bptt.outcome"),
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
            _parallel_coordinates(swept, metrics, main),
            *(_curves(metric, main, ranges) for metric in drawn),
            *(_curves(metric, more, ranges) for metric in others),
        ],
        "compareRunSections": [_section(main, name, unfolded=True), _section(more, "more", unfolded=False)],
        "isAccordionReordered": True,
        "viewMaximized": False,
        "runListHidden": False,
        "groupBy": None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _width(heading: str) -> int:
    return 8 * len(heading) + 48


def _section(uuid: str, name: str, *, unfolded: bool) -> dict[str, Any]:
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


def _chart(kind: str, name: str, section: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{section}-{name}",
        "metricSectionId": section,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
    }


def _parallel_coordinates(swept: Sequence[str], metrics: Sequence[str], section: str) -> dict[str, Any]:
    # Lines have the colour of the last metric. An axis of seeds would only tangle them.
    return {
        **_chart("PARALLEL", "parallel", section),
        "selectedParams": [key for key in swept if key != "seed"] or [*swept],
        "selectedMetrics": [*(metric for metric in ON_A_LINEAR_AXIS if metric in metrics), SORTED_BY],
        "showAllRuns": True,
    }


def _curves(metric: str, section: str, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    chart = {
        **_chart("LINE", metric, section),
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
