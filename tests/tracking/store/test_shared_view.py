import base64
import json
import math
import zlib
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from bptt.tracking.store.address import make_run_path
from bptt.tracking.store.base import Store
from bptt.tracking.store.sweep_page import (
    EXPERIMENTS,
    find_axis_ranges,
    make_children_path,
    make_compare_path,
    publish_view,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SWEPT = ["model.hidden_size", "optimizer.alpha", "seed"]
METRICS = ["loss/train", "loss/eval", "accuracy/eval", "grad/norm", "grad/decay"]

# ExperimentPageSearchFacetsState and ExperimentPageUIState of MLflow 3.17.
FACETS = {
    "searchFilter", "orderByKey", "orderByAsc", "startTime", "lifecycleFilter", "datasetsFilter", "modelVersionFilter",
}  # fmt: skip
UI_STATE = {
    "selectedColumns", "columnOrder", "columnWidths", "runsExpanded", "runsPinned", "runsHidden", "runsHiddenMode",
    "runsVisibilityMap", "viewMaximized", "runListHidden", "groupBy", "useGroupedValuesInCharts", "groupsExpanded",
    "hideEmptyCharts", "compareRunCharts", "compareRunSections", "isAccordionReordered", "autoRefreshEnabled",
    "globalLineChartConfig",
}  # fmt: skip


def tags(store: Store) -> dict[str, str]:
    return store.client.get_experiment(store.experiment_id).tags


def state(store: Store, parent: str) -> dict[str, Any]:
    kind, _, value = tags(store)[f"mlflow.sharedViewState.{parent}"].partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(value)))


def query(path: str) -> dict[str, str]:
    """What stands behind the ? of a path in MLflow's pages."""
    fragment = urlsplit(path).fragment
    return {key: values[0] for key, values in parse_qs(urlsplit(fragment).query, strict_parsing=True).items()}


def test_a_view_lists_the_runs_of_its_sweep_best_first(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    parents = [store.client.create_run(store.experiment_id, run_name="sweep").info.run_id for _ in range(2)]
    losses = {"middling": 0.5, "diverged": math.nan, "best": 0.1, "never evaluated": None, "worst": 2.0}
    for name, loss in losses.items():
        for parent in parents:
            run = store.client.create_run(
                store.experiment_id, run_name=name, tags={f"bptt.setting.{parent}": "a setting"}
            )
            if loss is not None:
                store.client.log_metric(run.info.run_id, "loss/eval", loss)
    assert publish_view(store, "sizes", parents[0], SWEPT, METRICS) is not None
    view = state(store, parents[0])
    direction = {True: "ASC", False: "DESC"}[view["orderByAsc"]]
    order = [f"{view['orderByKey']} {direction}"]
    listed = store.client.search_runs([store.experiment_id], view["searchFilter"], order_by=order)
    assert [run.info.run_name for run in listed] == ["best", "middling", "worst", "diverged", "never evaluated"]
    assert {key for run in listed for key in run.data.tags if "setting" in key} == {f"bptt.setting.{parents[0]}"}


def test_a_view_is_made_of_what_mlflows_page_knows(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    history = pd.DataFrame({"run": [0, 0, 1, 2], "loss/eval": [1e-3, 10.0, 1.0, 1e200]})
    path = publish_view(store, "sizes", "f" * 32, SWEPT, METRICS, history, {2})
    assert path == (
        f"/#/experiments/{store.experiment_id}/runs"
        f"?workflowType=machine_learning&viewStateShareKey={'f' * 32}&compareRunsMode=CHART"
    )
    view = state(store, "f" * 32)
    assert set(view) == FACETS | UI_STATE
    assert view["selectedColumns"] == [
        "attributes.`Run Name`",
        *("params.`model.hidden_size`", "params.`optimizer.alpha`", "params.`seed`"),
        *("metrics.`loss/eval`", "metrics.`loss/train`", "metrics.`grad/norm`", "metrics.`accuracy/eval`"),
        "tags.`bptt.outcome`",
    ]
    parallel, *curves = view["compareRunCharts"]
    assert parallel["type"] == "PARALLEL"
    assert parallel["selectedParams"] == ["model.hidden_size", "optimizer.alpha"]
    assert parallel["selectedMetrics"] == ["accuracy/eval", "loss/eval"]
    sections = {section["uuid"]: (section["name"], section["display"]) for section in view["compareRunSections"]}
    assert [(*sections[chart["metricSectionId"]], chart["metricKey"], chart["scaleType"]) for chart in curves] == [
        ("sizes", True, "loss/eval", "log"),
        ("sizes", True, "loss/train", "log"),
        ("sizes", True, "grad/norm", "log"),
        ("sizes", True, "accuracy/eval", "linear"),
        ("more", False, "grad/decay", "linear"),
    ]
    assert len({chart["uuid"] for chart in view["compareRunCharts"]}) == 6
    assert curves[0]["range"] == {"yMin": pytest.approx(-3.2), "yMax": pytest.approx(1.2)}  # powers of ten
    assert "range" not in curves[1]


def test_a_view_of_seeds_alone_has_an_axis_for_them(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    publish_view(store, "seeds", "f" * 32, ["seed"], ["loss/eval"])
    parallel = state(store, "f" * 32)["compareRunCharts"][0]
    assert (parallel["selectedParams"], parallel["selectedMetrics"]) == (["seed"], ["loss/eval"])


def test_settings_with_several_runs_have_a_line_each(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    parent, key = "f" * 32, f"bptt.setting.{'f' * 32}"

    def shown(settings: list[str], worded: tuple[str, ...] = ()) -> dict[str, Any]:
        publish_view(store, "sizes", parent, SWEPT, ["loss/eval"], settings=settings, worded=worded)
        return state(store, parent)

    view = shown(["size=2", "size=8"] * 20)
    assert view["groupBy"] == {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": key}]}
    assert view["groupsExpanded"] == {f"tag.{key}.size=2": False, f"tag.{key}.size=8": False}
    bars, parallel, *_ = view["compareRunCharts"]
    assert (bars["type"], bars["metricKey"]) == ("BAR", "loss/eval")
    assert parallel["selectedParams"] == ["model.hidden_size", "optimizer.alpha"]
    assert view["compareRunSections"][0]["name"] == "sizes, means over seeds"
    assert view["orderByKey"] == "metrics.`loss/eval`"
    # Of words MLflow draws no parallel coordinates where runs are grouped.
    charts = shown(["size=2", "size=8"] * 20, ("model.hidden_size",))["compareRunCharts"]
    assert charts[1]["selectedParams"] == ["optimizer.alpha"]
    charts = shown(["size=2", "size=8"] * 20, ("model.hidden_size", "optimizer.alpha"))["compareRunCharts"]
    assert [chart["type"] for chart in charts] == ["BAR", "LINE"]
    # The best hundred of more would make means that are too good.
    many = shown(["size=2", "size=8"] * 51)
    assert many["orderByKey"] == "params.`seed`"
    assert "100 of the 102 runs at a time, here by seed" in many["compareRunSections"][0]["name"]
    # Runs of one setting, and runs that are each a setting, are a line each.
    for settings in (["size=2"] * 3, ["size=2", "size=4", "size=8"]):
        view = shown(settings)
        assert (view["groupBy"], view["groupsExpanded"]) == (None, {})
        assert [chart["type"] for chart in view["compareRunCharts"]] == ["PARALLEL", "LINE"]


def test_a_view_of_many_settings_gives_up_folding_them(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    settings = [f"alpha={Random(number).getrandbits(64)}" for number in range(300)] * 2
    assert publish_view(store, "sizes", "f" * 32, SWEPT, METRICS, settings=settings) is not None
    view = state(store, "f" * 32)
    assert view["groupsExpanded"] == {}
    assert view["groupBy"] is not None


def test_a_view_is_replaced(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    before = tags(store)
    publish_view(store, "first", "f" * 32, SWEPT, METRICS)
    publish_view(store, "second", "f" * 32, SWEPT, METRICS)
    assert len(tags(store)) == len(before) + 1
    assert state(store, "f" * 32)["compareRunSections"][0]["name"] == "second"


def test_a_view_that_cant_be_published_is_none(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    long = [f"{Random(number).getrandbits(64)}" for number in range(500)]
    assert publish_view(store, "sizes", "f" * 32, long, METRICS) is None
    store.client.delete_experiment(store.experiment_id)
    assert publish_view(store, "sizes", "f" * 32, SWEPT, METRICS) is None


def test_ranges_leave_diverged_runs_out() -> None:
    history = pd.DataFrame(
        {
            "run": [0, 0, 1, 1, 2, 2],
            "update": [1, 2, 1, 2, 1, 2],
            "loss/eval": [3.0, 0.5, 2.0, 0.0, 1e99, math.nan],
            "loss/train": [4.0, math.inf, 2.0, 1.0, 1e99, 1e-9],
            "accuracy/eval": [0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        }
    )
    assert find_axis_ranges(history, {2}) == {"loss/eval": (0.5, 3.0), "loss/train": (1.0, 4.0)}
    assert find_axis_ranges(history, {0, 1, 2}) == {}


def test_where_most_runs_diverged_the_others_are_shown(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    parent = store.client.create_run(store.experiment_id).info.run_id
    for number, outcome in enumerate(("completed", "diverged", "diverged", "early_stopped", "diverged")):
        tags = {f"bptt.setting.{parent}": "a setting", "bptt.outcome": outcome}
        store.client.create_run(store.experiment_id, tags=tags, run_name=str(number))
    history = pd.DataFrame({"run": range(5), "loss/eval": 1.0})

    def listed(*diverged: int) -> tuple[str, set[str]]:
        publish_view(store, "sizes", parent, SWEPT, METRICS, history, diverged)
        view = state(store, parent)
        runs = store.client.search_runs([store.experiment_id], view["searchFilter"])
        return view["compareRunSections"][0]["name"], {run.info.run_name for run in runs}

    assert listed(1, 2) == ("sizes", set("01234"))
    assert listed(1, 2, 4) == ("Without diverged runs: sizes", set("03"))
    assert listed(0, 1, 2, 3, 4) == ("sizes", set("01234"))


def test_links(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    assert query(make_children_path("7", "f" * 32)) == {
        "workflowType": "machine_learning",
        "searchFilter": f"tags.`bptt.setting.{'f' * 32}` != ''",
        "orderByKey": "metrics.`loss/eval`",
        "orderByAsc": "true",
        "compareRunsMode": "CHART",
    }
    compare = make_compare_path(store, ["a", "b"])
    assert make_run_path("7", "a") == "/#/experiments/7/runs/a?workflowType=machine_learning"
    assert (
        make_run_path("7", "a", "b/c.html")
        == "/#/experiments/7/runs/a/artifacts/b/c.html?workflowType=machine_learning"
    )
    assert EXPERIMENTS == "/#/experiments?workflowType=machine_learning"
    assert compare.startswith("/#/compare-runs?runs=")  # MLflow looks for them in the first place
    assert query(compare) == {
        "runs": '["a","b"]',
        "experiments": json.dumps([store.experiment_id]),
        "workflowType": "machine_learning",
    }
    many = [f"{number:032x}" for number in range(101)]
    assert json.loads(query(make_compare_path(store, many))["runs"]) == many[:100]
