"""The sweeper `grid` as Hydra runs it: what it hands to the launcher."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from bptt.cli import hydra_app


class Task(hydra_app.WholeTask):
    """Remembers the jobs of the sweeps that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[list[str]]] = []

    def __call__(self, config: DictConfig, /) -> int:
        raise AssertionError("called for a single job")

    def search(self, config: DictConfig, loader: Any, search: Any) -> None:
        raise AssertionError("called for a search")

    def sweep(self, config: DictConfig, loader: Any, jobs: Sequence[Sequence[str]]) -> Sequence[Any]:
        self.batches.append([list(job) for job in jobs])
        return []


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return Task()


def test_hydra_finds_it() -> None:
    assert "GridSweeper" in {kind.__name__ for kind in Plugins.instance().discover(Sweeper)}


def test_all_jobs_in_one_batch(task: Task) -> None:
    assert hydra_app.run(["-m", "experiment=zhu_adder", "optimizer.alpha=0.1,0.2", "seed=range(2)"], task) == 0
    jobs = [
        ["experiment=zhu_adder", f"optimizer.alpha={alpha}", f"seed={seed}"] for alpha in (0.1, 0.2) for seed in (0, 1)
    ]
    assert task.batches == [jobs]


def test_a_group_s_choices(task: Task) -> None:
    assert hydra_app.run(["-m", "clip=glob(no*)"], task) == 0
    assert task.batches == [[["clip=none"], ["clip=norm"]]]


def test_a_sweep_of_the_users_own(task: Task) -> None:
    Path("own/sweep").mkdir(parents=True)
    Path("own/sweep/mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /model: gru\n"
        "hydra:\n"
        "  sweeper:\n    params: {train.updates: 7}\n    zip: [{optimizer.alpha: [0.1, 0.2], clip: [none, norm]}]\n"
        "    seeds: 2\n",
        encoding="utf-8",
    )
    own = ["--config-dir", "own", "sweep=mine"]
    assert hydra_app.run([*own, "train.updates=8"], task) == 0
    assert task.batches == [
        [
            [f"optimizer.alpha={alpha}", f"clip={clip}", "sweep=mine", "train.updates=8", f"seed={seed}"]
            for alpha, clip in ((0.1, "none"), (0.2, "norm"))
            for seed in (0, 1)
        ]
    ]
    task.batches.clear()
    assert hydra_app.run([*own, "hydra.sweeper.seeds=1", "clip=value"], task) == 0
    assert task.batches == [
        [["train.updates=7", f"optimizer.alpha={alpha}", "sweep=mine", "clip=value", "seed=0"] for alpha in (0.1, 0.2)]
    ]


def test_what_is_wrong_is_told(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert hydra_app.run(["-m", "seed=interval(0,1)", "clip=none,norm", "+hydra.sweeper.parms={seed: 1}"], task) == 2
    assert capsys.readouterr().err.splitlines() == [
        "seed=interval(0,1): neither a list of values nor a range",
        "hydra.sweeper.parms={seed: 1}: unknown key; did you mean hydra.sweeper.params? (allowed: hydra.sweeper.params,"
        " hydra.sweeper.zip, hydra.sweeper.seeds, hydra.sweeper.exclude, hydra.sweeper.unions, hydra.sweeper.halving)",
    ]
    assert task.batches == []
    assert list(Path().iterdir()) == []
