"""What `bptt measure` measures of a sweep: the numbers of `bptt.dynamics`, whoever computes them and however often."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.analysis.notebook import rebuild_run
from bptt.analysis.sweep import Sweep, hash_results
from bptt.cli.main import main
from bptt.dynamics import jacobian_singular_values, lyapunov_spectrum, sharpness
from bptt.dynamics.measures import SPECTRUM, draw_batch
from bptt.sweeps import measuring
from bptt.tracking.folder.measures import MEASURES

SMALL = ["experiment=zhu_adder", "train.updates=40", "train.log_points=5", "hydra.launcher.workers=1", "report=false"]
SMALL += ["tracking.enabled=false", "optimizer=momentum", "optimizer.alpha=0.05", "optimizer.epsilon=0.5"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four networks of two shapes, which keep the start and three updates; its folder."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        swept = bptt.sweep([*SMALL, "model.hidden_size=3,5", "seed=0,1", "train.snapshots=3"])
    assert swept.folder is not None
    return folder / swept.folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which nothing was measured."""
    shutil.copytree(trained, tmp_path / "multirun" / "own")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "multirun" / "own"


def measure(folder: Path, *options: str) -> bytes:
    assert main(["measure", str(folder), "--workers", "1", *options]) == 0
    return (folder / MEASURES).read_bytes()


def of_shape(hidden: int) -> Sweep:
    return bptt.load(f"own:hidden_size={hidden}")


def test_columns_are_what_functions_give(folder: Path) -> None:
    measure(folder, "--at", "all")
    for hidden in (3, 5):
        sweep = of_shape(hidden)
        runs = [rebuild_run(sweep, number) for number in sweep.runs["run"]]
        batches = [draw_batch(run) for run in runs]
        x = np.stack([batch.x for batch in batches])
        assert sweep.snapshots == [0, 1, 20, 40]
        for update in sweep.snapshots:
            weights = sweep.parameters(update)
            table = sweep.measures[sweep.measures["update"] == update]
            spectrum = lyapunov_spectrum(runs[0].model, weights, x)
            values = jacobian_singular_values(runs[0].model, weights, x)
            assert np.array_equal(table["dynamics/lyapunov_max"], spectrum.largest)
            assert np.array_equal(np.stack(list(table[SPECTRUM])), spectrum.exponents)
            assert np.array_equal(table["dynamics/kaplan_yorke"], spectrum.dimension)
            np.testing.assert_allclose(
                table["dynamics/singular_max"], np.exp(np.log(values.largest).mean(axis=1)), rtol=1e-12
            )
            sharp = sharpness(runs[0], weights, batches)
            assert np.array_equal(table["dynamics/sharpness"], sharp)
            alpha = runs[0].optimizer.alpha  # type: ignore[attr-defined]
            epsilon = runs[0].optimizer.epsilon  # type: ignore[attr-defined]
            np.testing.assert_allclose(table["dynamics/sharpness_ratio"], sharp * alpha / (2 * (1 + epsilon)))
        for prefix, update in (("first/", 0), ("", 40)):
            table = sweep.measures[sweep.measures["update"] == update]
            assert np.array_equal(sweep.runs[f"{prefix}dynamics/sharpness"], table["dynamics/sharpness"])


def test_a_start_that_was_not_kept_is_drawn_again(folder: Path, tmp_path: Path) -> None:
    measure(folder, "--lyapunov")
    without = bptt.sweep([*SMALL, "model.hidden_size=3,5", "seed=0,1"])
    assert without.folder is not None
    measure(without.folder, "--lyapunov")
    kept, drawn = bptt.load("own").measures, bptt.load(without.folder).measures
    assert kept["update"].tolist() == drawn["update"].tolist() == [0, 40] * 4
    assert np.array_equal(kept["dynamics/lyapunov_max"], drawn["dynamics/lyapunov_max"])


@pytest.mark.parametrize(
    "words",
    [["model=elman", "model.recurrent_constraint=orthogonal"], ["model=leaky", "model.dale=0.6"]],
    ids=["constrained", "signs"],
)
def test_the_start_is_the_one_that_was_trained(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for snapshots in (0, 2):
        swept = bptt.sweep(["task=adder", *SMALL[1:], *words, f"train.snapshots={snapshots}", "seed=0,1"])
        assert swept.folder is not None
        measure(swept.folder, "--lyapunov", "--at", "first")
        found.append(bptt.load(swept.folder).measures["dynamics/lyapunov_max"].to_numpy())
    assert np.array_equal(*found)


@pytest.mark.slow
def test_the_file_is_the_same_whoever_measures_and_in_which_order(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = measure(folder, "--at", "all", "--lyapunov", "--sharpness")
    capsys.readouterr()
    assert measure(folder, "--at", "all", "--lyapunov", "--sharpness") == whole
    assert "16 networks of 4 runs: all were there" in capsys.readouterr().out
    (folder / MEASURES).unlink()
    assert main(["measure", f"{folder}:hidden_size=5", "--at", "40,1", "--sharpness"]) == 0
    measure(folder, "--sharpness")
    assert main(["measure", "own", "--at", "all", "--lyapunov", "--sharpness", "--workers", "2"]) == 0
    assert (folder / MEASURES).read_bytes() == whole


def test_broken_off_it_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, asked = measure(folder, "--lyapunov"), list[Any]()
    (folder / MEASURES).unlink()
    computed = measuring.measure_weights

    def interrupted(task: measuring.MeasureTask) -> Any:
        asked.append(task.places)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return computed(task)

    monkeypatch.setattr(measuring, "measure_weights", interrupted)
    assert main(["measure", "own", "--lyapunov", "--workers", "1"]) == 130
    assert "go on with: bptt measure own" in capsys.readouterr().err
    first = bptt.load("own").measures
    assert 0 < len(first) < 8
    assert main(["measure", "own", "--lyapunov", "--workers", "1"]) == 0
    assert sum(map(len, asked[2:])) == 8 - len(first)
    assert (folder / MEASURES).read_bytes() == whole


def test_what_was_recorded_keeps_its_hash(folder: Path) -> None:
    before = hash_results([bptt.load("own")])
    measure(folder)
    assert hash_results([bptt.load("own")]) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--at", "7"], "--at 7: no run has weights after this update; there are 0, 1, 20, 40"),
        (["--at", "lst"], "argument --at: lst: must be first, last, all, or an update's number; did you mean last?"),
        (["--truncation-bias"], ": --truncation-bias: it is of a gradient that is cut"),
        (["--workers", "0"], "argument --workers: 0: must be a whole number from 1 on"),
        (["--lyapunow"], "unrecognized arguments: --lyapunow"),
    ],
)
def test_a_wrong_request_is_refused(
    folder: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["measure", "own", *words])
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 2
    told = capsys.readouterr().err
    assert says in told
    assert len(told.splitlines()) == 1
    assert not (folder / MEASURES).exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "of another sweep"])
def test_a_damaged_file_is_told_in_a_line(folder: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(measure(folder, "--lyapunov"))
    if damage == "of another sweep":
        other = bptt.sweep([*SMALL, "seed=5"])
        assert other.folder is not None
        content = bytearray(measure(other.folder, "--lyapunov"))
    elif damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[200] ^= 1
    (folder / MEASURES).write_bytes(content)
    capsys.readouterr()
    for command in (["measure", "own"], ["report", "own", "-o", "report"]):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert f"{MEASURES}: can't be read: " in told
        assert "delete it, and `bptt measure` makes it again" in told


def test_the_store_has_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As metrics of the runs at their updates; read back without the folder, and nothing recorded is another."""
    monkeypatch.chdir(tmp_path)
    words = [word for word in SMALL if word != "tracking.enabled=false"]
    swept = bptt.sweep([*words, "seed=0,1", "train.measure=[sharpness]"])
    assert swept.folder is not None
    before = hash_results([bptt.load(swept.folder)])
    measure(swept.folder)
    here = bptt.load(swept.folder)
    assert main(["sync", "--check", str(swept.folder)]) == 0
    with closing(sqlite3.connect("mlflow.db")) as store:
        wanted = "SELECT run_uuid, step, value FROM metrics WHERE key = ?"
        rows = {(run, step): value for run, step, value in store.execute(wanted, ["dynamics/lyapunov_max"])}
        live = {(run, step): value for run, step, value in store.execute(wanted, ["dynamics/sharpness"])}
    ids = dict(zip(here.runs["run"], here.runs["run_id"], strict=True))
    table = here.measures
    assert rows == {
        (ids[run], update): value
        for run, update, value in zip(table["run"], table["update"], table["dynamics/lyapunov_max"], strict=True)
    }
    recorded = here.history["update"].unique().tolist()
    assert sorted(step for run, step in live if run == ids[0]) == [0, *recorded]
    shutil.rmtree(swept.folder)
    there = bptt.load(swept.name)
    assert there.folder is None
    pd.testing.assert_frame_equal(there.measures, table)
    assert hash_results([there]) == before
    (one,) = [bptt.load(ids[0])]
    assert "dynamics/lyapunov_max" not in one.history
    assert one.history["update"].tolist() == recorded
    assert np.array_equal(one.history["dynamics/sharpness"], here.history["dynamics/sharpness"][: len(recorded)])


def test_the_report_has_a_section_with_figures_and_medians(folder: Path, tmp_path: Path) -> None:
    main(["report", "own", "-o", "before"])
    assert "Dynamics" not in (tmp_path / "before" / "report.md").read_text()
    measure(folder, "--at", "all", "--lyapunov", "--jacobian", "--sharpness", "--fixed-points")
    assert main(["report", "own", "-o", "report"]) == 0
    page = (tmp_path / "report" / "report.md").read_text()
    section = page[page.index("## Dynamics") :].partition("\n## ")[0]
    names = ("spectra", "exponents", "singular_values", "sharpness", "sharpness_along", "solved_map", "portrait")
    for name in names:
        assert f"figures/dynamics_{name}.svg" in section
        assert (tmp_path / "report" / "figures" / f"dynamics_{name}.svg").is_file()
    table = pd.read_csv(tmp_path / "report" / "tables" / "dynamics.csv")
    runs = bptt.load("own").runs
    for column in ("dynamics/lyapunov_max", "first/dynamics/lyapunov_max"):
        expected = runs.groupby("model.hidden_size")[column].median()
        np.testing.assert_allclose(table[column], expected, rtol=1e-5)
