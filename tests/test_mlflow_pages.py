"""MLflow's pages on a sweep, opened in headless Chromium from what `bptt ui` serves."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from bptt.sweeps.description import describe_sweep
from bptt.tracking.store.address import resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.sweep_page import EXPERIMENTS, find_newest_sweep, make_compare_path, publish_view
from tests.empty_store import put_empty_store

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # importing mlflow warns, differently in each version
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]

SWEPT = ["model.hidden_size", "optimizer.alpha", "seed"]
ALPHAS = ("0.125", "0.0625", "0.03125")
CURVES = ["loss/eval", "loss/train", "grad/norm", "accuracy/eval"]
OTHERS = ["grad/decay"]
UPDATES = range(100, 2001, 100)


def name(alpha: str, seed: int) -> str:
    return f"alpha={alpha} seed={seed}"


# From one loss in all runs down to another in each; the smaller alpha, the larger it stays.
LOSSES = {name(alpha, seed): (4 + seed) / 1000 / float(alpha) ** 2 for seed in (0, 1) for alpha in ALPHAS}
BEST_FIRST = sorted(LOSSES, key=LOSSES.__getitem__)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    """Two sweeps, of which the older has no view."""
    store = open_store(put_empty_store(folder), "bptt")
    older = store.client.create_run(store.experiment_id, 1000, {"bptt.sweep": "older"}, "the older sweep").info.run_id
    add_runs(store, older, ["a run of the older sweep"])
    return store


@pytest.fixture(scope="module")
def sweep(store: Store) -> dict[str, str]:
    """The newer sweep: its own run, and the page's path of each kind."""
    parent = store.client.create_run(store.experiment_id, tags={"bptt.sweep": "sizes"}, run_name="the newer sweep")
    run_id = parent.info.run_id
    ids = add_runs(store, run_id, list(LOSSES))
    view = publish_view(store, "sizes", run_id, SWEPT, CURVES + OTHERS)
    assert view is not None
    runs = pd.DataFrame({"name": LOSSES.keys(), "loss/eval": LOSSES.values(), "run_id": ids, "run": range(6)})
    runs = runs.assign(status="FINISHED", outcome="completed", updates=2000)
    command = ["bptt", "train", "-m", "optimizer.alpha=0.125,0.0625", "task.path=it's"]
    text = describe_sweep(
        runs, name="sizes", command=command, swept=[], seconds=1.0, experiment_id=store.experiment_id, view=view
    )
    store.client.set_tag(run_id, "mlflow.note.content", text)
    store.client.set_tag(run_id, "bptt.view", view)
    store.client.set_terminated(run_id)
    # A sweep that took all of its runs from that one, a setting for each alpha.
    taking = store.client.create_run(store.experiment_id, 500, {"bptt.sweep": "taking"}, "a sweep that trained nothing")
    settings = [title.partition(" ")[0] for title in LOSSES]
    store.adopt(taking.info.run_id, dict(zip(ids, settings, strict=True)))
    means = publish_view(store, "taking", taking.info.run_id, SWEPT, CURVES, settings=settings)
    assert means is not None
    return {
        "charts": view,
        "means": means,
        "all": EXPERIMENTS,
        "table": view.replace("=CHART", "=TABLE"),
        "compare": make_compare_path(store, ids),
        "own": f"/#/experiments/{store.experiment_id}/runs/{run_id}?workflowType=machine_learning",
    }


def add_runs(store: Store, parent: str, names: Sequence[str]) -> list[str]:
    from mlflow.entities import Metric, Param

    ids = []
    for title in names:
        values = dict(re.findall(r"(\w+)=(\S+)", title))
        tags = {"bptt.sweep": "sizes", "mlflow.parentRunId": parent, "bptt.outcome": "completed"}
        tags[f"bptt.setting.{parent}"] = title.partition(" ")[0]
        run = store.client.create_run(store.experiment_id, tags=tags, run_name=title).info.run_id
        params = {
            "model.hidden_size": "17",
            "optimizer.alpha": values.get("alpha", "0"),
            "seed": values.get("seed", "0"),
        }
        metrics = [
            Metric(metric, math.exp(math.log(LOSSES.get(title, 1.0) / 5) * update / UPDATES[-1]) * 5, 0, update)
            for metric in CURVES + OTHERS
            for update in UPDATES
        ]
        store.client.log_batch(run, metrics, [Param(key, value) for key, value in params.items()])
        store.client.set_terminated(run)
        ids.append(run)
    return ids


@pytest.fixture(scope="module")
def links(folder: Path, sweep: dict[str, str]) -> Iterator[list[str]]:
    """What `bptt ui` links to."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "bptt", "ui", "--port", "5600"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found: list[str] = []
            while len(found) < 2:
                found += re.findall(r"http://\S+", next(process.stdout))
            yield found
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def pages(links: list[str], sweep: dict[str, str]) -> dict[str, str]:
    """Each page as it is when its scripts have done their work."""
    with ThreadPoolExecutor(2) as threads:
        server = links[0].partition("/#/")[0]
        texts = threads.map(lambda path: opened(server + path), sweep.values())
        return dict(zip(sweep, texts, strict=True))


def opened(url: str) -> str:
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = {
            "headless": "",
            "no-sandbox": "",
            "disable-gpu": "",
            "disable-dev-shm-usage": "",
            "disable-quic": "",
            "disable-background-networking": "",
            "disable-component-update": "",
            "disable-sync": "",
            "no-first-run": "",
            "user-data-dir": f"={profile}",
            "window-size": "=3000,2400",
            "virtual-time-budget": "=60000",  # of the page's own clock, which stands still while it waits for answers
            "dump-dom": "",
        }
        command = [CHROMIUM, *(f"--{option}{value}" for option, value in options.items()), url]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout


def rows(page: str) -> list[str]:
    """The rows of the table of runs, each in one piece of HTML, as they are listed."""
    found: dict[int, str] = {}
    for index, text in re.findall(r'row-index="(\d+)"(.*?)(?=row-index="|$)', page, re.DOTALL):
        found[int(index)] = found.get(int(index), "") + text
    return [found[index] for index in sorted(found)]


def cell(row: str, column: str) -> str:
    (value,) = re.findall(rf'id="cell-{re.escape(column)}-\d+" class="ag-cell-value"[^>]*>(.*?)</', row)
    return value


def test_the_view_lists_the_sweeps_runs_best_first(pages: dict[str, str]) -> None:
    for page in (pages["charts"], pages["table"]):
        listed = rows(page)
        assert len(listed) == len(BEST_FIRST)
        assert all(title in row for title, row in zip(BEST_FIRST, listed, strict=True))
        assert "the newer sweep" not in page
        assert "older sweep" not in page


def test_the_views_table_has_what_was_swept_and_the_final_metrics(pages: dict[str, str]) -> None:
    for title, row in zip(BEST_FIRST, rows(pages["table"]), strict=True):
        alpha, seed = re.findall(r"=(\S+)", title)
        assert cell(row, "params.`model.hidden_size`") == "17"
        assert cell(row, "params.`optimizer.alpha`") == alpha
        assert cell(row, "params.`seed`") == seed
        assert float(cell(row, "metrics.`loss/eval`").rstrip("…")) == pytest.approx(LOSSES[title], rel=0.01)
        assert cell(row, "tags.`bptt.outcome`") == "completed"


def test_the_view_draws_parallel_coordinates_and_curves_on_a_log_axis(pages: dict[str, str]) -> None:
    titles = re.findall(r'<h4[^>]* title="([^"]+)"', pages["charts"])
    assert [title for title in titles if title in {"Parallel Coordinates", *CURVES, *OTHERS}] == [
        "Parallel Coordinates",
        *CURVES,
    ]
    plots = pages["charts"].split("js-plotly-plot")[1:]
    ticks = [set(re.findall(r'class="ytick".*?>([\d.e−-]+)</text>', plot)) for plot in plots]
    assert len(ticks) == len(CURVES)
    for metric, marked in zip(CURVES, ticks, strict=True):
        assert ({"0.5", "1", "2", "5"} <= marked) == (metric != "accuracy/eval"), (metric, marked)
    for plot in plots:
        assert all(f"{title} (" in plot for title in BEST_FIRST[:1])
    (parallel,) = re.findall(r'<div[^>]*class="parcoords".*?</svg>', pages["charts"], re.DOTALL)
    assert re.findall(r'<text[^>]*class="label"[^>]*>([^<]+)<', parallel) == [
        *("model.hidden_size", "optimizer.alpha", "accuracy/eval", "loss/eval"),
    ]


def test_a_page_of_settings_has_a_line_for_each_with_the_mean_over_its_seeds(pages: dict[str, str]) -> None:
    page = pages["means"]
    assert re.search(r"\b6(<[^>]*>|\s)*matching runs", page)
    listed = rows(page)
    groups = [re.findall(r"Group: <!-- -->?([^<]+)|Group: ([^<]+)", row) for row in listed]
    assert ["".join(found[0]) for found in groups] == [f"alpha={alpha}" for alpha in ALPHAS]
    assert not any(title in page for title in LOSSES)
    titles = re.findall(r'<h4[^>]* title="([^"]+)"', page)
    assert titles[:6] == ["loss/eval", "Parallel Coordinates", *CURVES]
    bars, *curves = page.split("js-plotly-plot")[1:]
    shown = [float(text) for text in re.findall(r'class="bartext[^>]*>([\d.]+)<', bars)]
    assert shown == pytest.approx(
        [sum(LOSSES[name(alpha, seed)] for seed in (0, 1)) / 2 for alpha in ALPHAS[::-1]], rel=0.05
    )
    for plot in curves:
        assert all(f"alpha={alpha} (" in plot for alpha in ALPHAS[:1])


def test_all_experiments_are_listed_as_those_of_training(pages: dict[str, str]) -> None:
    assert re.search(r'href="#/experiments/\d+[^"]*"', pages["all"])
    assert "Model training" in pages["all"]


def test_the_compare_page_has_every_run(pages: dict[str, str]) -> None:
    assert "Comparing 6 Runs from 1 Experiment" in pages["compare"]
    assert all(title in pages["compare"] for title in LOSSES)


def test_the_sweeps_own_page_has_its_description(pages: dict[str, str], sweep: dict[str, str]) -> None:
    page = pages["own"].replace("&amp;", "&")
    assert f'href="{sweep["charts"].removeprefix("/")}">The runs: curves and table</a>' in page
    linked = re.findall(
        r'href="#/experiments/\d+/runs/[0-9a-f]{32}\?workflowType=machine_learning">(alpha=[^<]+)</a>', page
    )
    assert linked[:5] == BEST_FIRST[:5]
    shown = "bptt train -m optimizer.alpha=0.125,0.0625 'task.path=it'\"'\"'s'"
    assert f"<pre><code>{shown}" in page


def test_bptt_ui_links_to_the_newest_sweep(links: list[str], sweep: dict[str, str]) -> None:
    newest, every = links
    server, _, rest = newest.partition("/#/")
    assert f"/#/{rest}" == sweep["charts"]
    assert every == server + EXPERIMENTS
    asked = find_newest_sweep(resolve_address(server))
    assert asked is not None
    assert (asked.name, asked.path) == ("sizes", sweep["charts"])
