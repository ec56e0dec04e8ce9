"""Samplers by name: the same trials again, whole batches, and a line where one can't search what it is given."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.search import samplers
from bptt.sweeps.search.samplers import enumerate_values, list_remarks
from bptt.sweeps.search.settings import Choices, Numbers
from bptt.sweeps.search.study import Study
from tests.sweeps.search.test_search import SEARCHED, SMALL, Batches, Made

optuna = pytest.importorskip("optuna")


@pytest.fixture
def loader() -> Iterator[ConfigLoader]:
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def unkept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No study is written, which takes longer than to ask for its trials."""
    monkeypatch.setattr(Study, "_keep", lambda *_: None)


def ask(loader: ConfigLoader, folder: Path, *how: str, space: Sequence[str] = SEARCHED) -> Batches:
    launch = Batches()
    Made(loader, folder).search(*SMALL, *space, *how).by_batches(launch)
    return launch


def read(launch: Batches, key: str) -> np.ndarray:
    return np.array([float(dict(text.split("=", 1) for text in job)[key]) for job in launch.all])


GRID = ("optimizer.alpha=0.01,0.1,1", "init.scale=range(0.5,2.0,0.5)")
NAMES = ["cmaes", "gp", "qmc", "grid", "nsgaii"]  # tpe and random: test_search.py


@pytest.mark.usefixtures("unkept")
@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_asks_for_the_same_trials(loader: ConfigLoader, tmp_path: Path, name: str) -> None:
    if name in samplers._NEEDS:
        pytest.importorskip(samplers._NEEDS[name][0])
    space = GRID if name == "grid" else SEARCHED
    how = [f"hydra.sweeper.sampler={name}", "hydra.sweeper.trials=20", "hydra.sweeper.batch=10"]
    first, again = (ask(loader, tmp_path / str(n), *how, space=space) for n in range(2))
    other = ask(loader, tmp_path / "other", *how, "hydra.sweeper.sampler_seed=1", space=space)
    assert first.all == again.all != other.all
    assert len(first.all) == (9 if name == "grid" else 20)
    assert [len(jobs) for jobs in first.jobs] == ([9] if name == "grid" else [10, 10])


@pytest.mark.usefixtures("unkept")
def test_the_evolution_strategy_comes_closer(loader: ConfigLoader, tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    how = ["hydra.sweeper.sampler=cmaes", "hydra.sweeper.trials=120", "hydra.sweeper.batch=12"]
    launch = ask(loader, tmp_path, *how)
    losses = [float(launch.result(job, -1).return_value["loss/eval"]) for job in launch.all]
    assert np.median(losses[-24:]) < 0.1 * np.median(losses[:24])


@pytest.mark.usefixtures("unkept")
def test_sobols_points_stand_once_in_each_stratum_of_a_batch(loader: ConfigLoader, tmp_path: Path) -> None:
    launch = ask(loader, tmp_path, "hydra.sweeper.sampler=qmc", "hydra.sweeper.trials=32", "hydra.sweeper.batch=16")
    alpha, scale = np.log10(read(launch, "optimizer.alpha")), read(launch, "init.scale")
    for values, low, high in ((alpha, -3.0, 0.0), (scale, 0.1, 2.0)):
        for batch in (values[:16], values[16:]):
            assert sorted(np.floor(16 * (batch - low) / (high - low)).astype(int)) == list(range(16))


def test_a_grid_is_asked_for_whole_and_once(loader: ConfigLoader, tmp_path: Path) -> None:
    made = Made(loader, tmp_path)
    how = [*SMALL, *GRID, "hydra.sweeper.sampler=grid", "hydra.sweeper.batch=4"]
    first = Batches(last=5)
    assert made.search(*how).by_batches(first).counts == (5, 0, 0)
    rest = Batches()
    assert made.search(*how).by_batches(rest).counts == (9, 0, 0)
    asked = [tuple(job[len(SMALL) :]) for job in [*first.all[:5], *rest.all]]
    wanted = [
        (f"optimizer.alpha={alpha}", f"init.scale={scale}") for alpha in (0.01, 0.1, 1) for scale in (0.5, 1, 1.5)
    ]
    assert sorted(asked) == sorted(wanted)
    few = Batches()
    Made(loader, tmp_path / "few").search(*how, "hydra.sweeper.trials=4").by_batches(few)
    assert len(few.all) == 4


def test_values_of_a_key() -> None:
    assert enumerate_values(Numbers(low=2, high=9, step=3)) == [2, 5, 8]
    assert enumerate_values(Numbers(low=2, high=4)) == [2, 3, 4]
    assert enumerate_values(Numbers(low=0.8, high=0.95, step=0.05)) == [0.8, 0.85, 0.9, 0.95]
    assert enumerate_values(Numbers(low=0.5, high=1.0)) is None
    assert enumerate_values(Choices(("gru", "lstm"))) == ["gru", "lstm"]


@pytest.mark.parametrize(
    ("name", "space", "line"),
    [
        ("grid", SEARCHED[:1], "hydra.sweeper.sampler=grid: optimizer.alpha has no end of values; give it a list or a"),
        ("cmaes", SEARCHED[:1], "hydra.sweeper.sampler=cmaes: needs two keys or more with numbers, and there is one"),
        (
            "cmaes",
            ["model=gru,lstm"],
            "hydra.sweeper.sampler=cmaes: needs two keys or more with numbers, and there is n",
        ),
    ],
)
def test_what_a_sampler_can_not_search_is_told_in_a_line(
    loader: ConfigLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, space: list[str], line: str
) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda name: name)
    with pytest.raises(ConfigurationError) as caught:
        Made(loader, tmp_path).search(*SMALL, *space, f"hydra.sweeper.sampler={name}", "hydra.sweeper.trials=4")
    assert [told[: len(line)] for told in caught.value.lines] == [line]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "says"), [("cmaes", "cmaes is missing; pip install 'bptt"), ("gp", "torch is missing; pip install torch")]
)
def test_a_missing_package_is_told_with_what_installs_it(
    loader: ConfigLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError) as caught:
        Made(loader, tmp_path).search(*SMALL, *SEARCHED, f"hydra.sweeper.sampler={name}", "hydra.sweeper.trials=4")
    (told,) = caught.value.lines
    assert told.startswith(f"hydra.sweeper.sampler={name}: the package {says}")


def test_what_is_drawn_by_chance_is_told(loader: ConfigLoader, tmp_path: Path) -> None:
    made = Made(loader, tmp_path)
    search = made.search(*SMALL, *SEARCHED, "model=gru,lstm", "hydra.sweeper.trials=4")
    assert search.remarks == []
    from dataclasses import replace

    told = list_remarks(replace(search.settings, sampler="cmaes"), search.space)
    assert told == ["hydra.sweeper.sampler=cmaes: knows numbers alone, so that model is drawn by chance"]


class Weighed(Batches):
    """Jobs that have two objectives, of which one is had at the other's cost; some have none."""

    def __init__(self, nothing: Sequence[int] = ()) -> None:
        super().__init__()
        self.nothing = nothing

    def result(self, job: list[str], number: int) -> JobReturn:
        alpha = float(dict(text.split("=", 1) for text in job)["optimizer.alpha"])
        scale = float(dict(text.split("=", 1) for text in job)["init.scale"])
        values: dict[str, Any] = {"loss/eval": scale, "parameters": 10 / scale + alpha}
        if number in self.nothing:
            values["loss/eval"] = np.nan
        return JobReturn(status=JobStatus.COMPLETED, _return_value=values)


TWO = "hydra.sweeper.objectives={loss/eval: minimize, parameters: null}"


@pytest.mark.parametrize("name", ["tpe", "nsgaii", "random"])
def test_several_objectives_are_kept_with_their_names(loader: ConfigLoader, tmp_path: Path, name: str) -> None:
    made, launch = Made(loader, tmp_path), Weighed(nothing=[3])
    how = [TWO, "hydra.sweeper.trials=40", "hydra.sweeper.batch=20", f"hydra.sweeper.sampler={name}"]
    outcome = made.search(*SMALL, *SEARCHED, *how).by_batches(launch)
    values = np.array([list(launch.result(job, number).return_value.values()) for number, job in enumerate(launch.all)])
    values[3, 0] = np.inf
    beaten = [((values <= own).all(axis=1) & (values < own).any(axis=1)).any() for own in values]
    assert outcome.front == beaten.count(False)
    assert str(outcome).endswith(f"0 failed; {outcome.front} on the Pareto front of loss/eval and parameters")
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert study.metric_names == ["loss/eval", "parameters"]
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert np.array_equal(np.array([trial.values for trial in study.trials]), values)
    again = made.search(*SMALL, *SEARCHED, *how[:1], "hydra.sweeper.trials=44", *how[2:]).by_batches(Weighed())
    assert again.counts == (44, 0, 0)
    with pytest.raises(ConfigurationError, match="its directions are to minimize, minimize"):
        made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=40")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            ["objectives={loss/evl: minimize}"],
            "objectives.loss/evl: must be one of loss/eval, loss/train, accuracy/eval",
        ),
        (["objectives={loss/test: minimize}"], "objectives.loss/test: a test set chooses nothing; must be one of"),
        (["objectives={loss/eval: minimise}"], "objectives.loss/eval=minimise: must be minimize or maximize; did you"),
        (["objectives=[loss/eval]"], "objectives=[loss/eval]: must be a mapping, as {loss/eval: minimize, parameters:"),
        (
            [TWO.partition("sweeper.")[2], "halving={eta: 3}"],
            "halving: compares by one objective, and there are several",
        ),
        (
            ["objectives={parameters: minimize}", "halving={eta: 3}"],
            "halving: compares by what is recorded through trai",
        ),
        ([TWO.partition("sweeper.")[2], "sampler=cmaes"], "sampler=cmaes: knows one objective alone"),
        ([TWO.partition("sweeper.")[2], "direction=maximize"], "direction=maximize: objectives are given too"),
    ],
)
def test_wrong_objectives_are_told_in_a_line(loader: ConfigLoader, tmp_path: Path, given: list[str], line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Made(loader, tmp_path).search(
            *SMALL, *SEARCHED, "hydra.sweeper.trials=4", *(f"hydra.sweeper.{one}" for one in given)
        )
    assert [told[len("hydra.sweeper.") :][: len(line)] for told in caught.value.lines] == [line]


def test_what_is_wanted_of_a_metric_where_nothing_is_said(loader: ConfigLoader, tmp_path: Path) -> None:
    objectives = "hydra.sweeper.objectives={accuracy/eval: null, loss/train: null, work/gradients: null}"
    search = Made(loader, tmp_path).search(*SMALL, *SEARCHED, "hydra.sweeper.trials=4", objectives)
    assert search.describe().objectives == {
        "accuracy/eval": "maximize",
        "loss/train": "minimize",
        "work/gradients": "minimize",
    }
    assert search.describe().space["optimizer.alpha"] == {"low": 0.001, "high": 1.0, "step": None, "log": True}
