"""Every shipped sweep is as large as its file says, all of its runs are sound, and some show what its file says."""

import re
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bptt.analysis.solved import Solved
from bptt.configuration.build import Configuration
from bptt.configuration.compose import Composer
from bptt.configuration.hydra import asks_for_sweep, version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.lanes import fusing_key
from bptt.core.run import Run
from bptt.core.training import train
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.grammar import expand
from bptt.sweeps.stages import compose_first

FILES = {path.stem: path for path in sorted((find_conf_folder() / "sweep").glob("*.yaml"))}
#: A search asks for its runs while it goes on.
SEARCHES = {name for name, path in FILES.items() if "_target_:" in path.read_text(encoding="utf-8")}
SWEEPS = sorted(FILES.keys() - SEARCHES)
LENGTHS = [name for name in SWEEPS if name.startswith("length_")]
LARGE = {"remedies", "single_changes"}  # whose runs take seconds to compose
ARTICLES = [name for name in SWEEPS if name not in (*LENGTHS, "remedies")]


@cache
def composed_sweep(name: str) -> DictConfig:
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        return Composer(GlobalHydra.instance().config_loader(), "config").compose([f"sweep={name}"], RunMode.MULTIRUN)


@cache
def sweep(name: str) -> tuple[DictConfig, list[tuple[str, ...]], list[Configuration], int]:
    """The sweep's own configuration, its runs' overrides and configurations, and how many runs it tunes with."""
    config = composed_sweep(name)
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        composer = Composer(GlobalHydra.instance().config_loader(), "config")
        sweeper = OmegaConf.to_container(config.hydra.sweeper)
        assert isinstance(sweeper, dict)
        jobs = expand({str(key): value for key, value in sweeper.items()}, [f"sweep={name}"])
        composition = Composition(composer)
        configurations = composition.all(jobs)
        if config.get("tune") is None:
            return config, jobs, configurations, 0
        _, _, plan = compose_first(jobs, config, composition, composer.loader)
        assert plan is not None
        return config, jobs, configurations, len(plan.jobs)


def comment(name: str) -> str:
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))


def runs(name: str, seeds: int, *overrides: str, alpha: float | None = None) -> list[Run]:
    """The runs of a sweep that have these overrides, with the first seeds; alpha: instead of a tuned one."""
    _, jobs, configurations, _ = sweep(name)
    wanted = set(overrides)
    return [
        _choose(configuration.run, alpha)
        for job, configuration in zip(jobs, configurations, strict=True)
        if wanted <= set(job) and configuration.run.seed < seeds
    ]


def _choose(run: Run, alpha: float | None) -> Run:
    return run if alpha is None else replace(run, optimizer=replace(run.optimizer, alpha=alpha))  # type: ignore[type-var]


def right(name: str, seeds: int, *overrides: str) -> float:
    """The share of these runs that end with an accuracy of 100 %."""
    found = runs(name, seeds, *overrides)
    assert len(found) == seeds
    return float(np.mean([record.history["accuracy/eval"][-1] == 1 for record in train(found)]))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in SWEEPS]
)
def test_it_is_a_sweep_of_as_many_runs_as_its_file_says(name: str) -> None:
    config, jobs, configurations, tuning = sweep(name)
    assert config.hydra.mode is None
    assert asks_for_sweep(config, [])
    (said,) = re.findall(r"([\d,]+) runs, some \d+ s on two cores\.", comment(name))
    assert len(jobs) == len(configurations)
    assert int(said.replace(",", "")) == len(jobs) + tuning


@pytest.mark.parametrize("name", SWEEPS)
def test_no_run_is_there_twice(name: str) -> None:
    configurations = sweep(name)[2]
    assert len({repr(configuration.resolved) for configuration in configurations}) == len(configurations)


@pytest.mark.parametrize("name", sorted(FILES))
def test_it_says_what_it_asks(name: str) -> None:
    assert str(composed_sweep(name).question).endswith(("?", ".")), name


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_run_that_stops_early_has_solved_its_task(name: str) -> None:
    config = composed_sweep(name)
    early = config.train.early_stop
    if early.metric is None:
        return
    solved = Solved.parse(config.solved)
    assert (solved.metric, solved.threshold) == (early.metric, early.threshold)


@pytest.mark.parametrize("name", ARTICLES)
def test_what_an_article_claims_is_asked_of_fifty_seeds_or_more(name: str) -> None:
    seeds = [configuration.run.seed for configuration in sweep(name)[2]]
    assert {seeds.count(seed) for seed in seeds} == {len(seeds) // (max(seeds) + 1)}
    assert max(seeds) + 1 >= 50


@pytest.mark.parametrize("name", ["alpha_epsilon", "eta", "init_scale_spectral_radius", "leftbit_momentum"])
def test_values_that_may_vary_by_lane_fuse_into_one_group(name: str) -> None:
    assert len({repr(fusing_key(configuration.run)) for configuration in sweep(name)[2]}) == 1


@pytest.mark.parametrize("name", LENGTHS)
def test_each_start_of_an_ungated_cell_is_trained_with_and_without_clipping(name: str) -> None:
    found: dict[str, set[str]] = {}
    for job in sweep(name)[1]:
        if {"model=gru", "model=lstm"} & {*job} or (name == "length_copying" and "model=elman" in job):
            assert "clip=norm" in job  # beside which the others are shown
            continue
        rest = " ".join(part for part in job if not part.startswith("clip"))
        found.setdefault(rest, set()).add(next(part for part in job if part.startswith("clip=")))
    assert found
    assert all(clips == {"clip=none", "clip=norm"} for clips in found.values())


def test_each_remedy_has_a_partner_that_lacks_nothing_but_it() -> None:
    _, jobs, *_ = sweep("remedies")
    settings = {frozenset(job) - {f"seed={seed}" for seed in range(10)} for job in jobs}
    for job in settings:
        if "clip=norm" in job and "model=elman" in job:
            assert job - {"clip=norm"} | {"clip=none"} in settings
        for more, without in (("optimizer=momentum", "optimizer=sgd"), ("regularizer=omega", "regularizer=none")):
            assert more not in job or job - {more} | {without} in settings
        assert "init.recurrent=orthogonal" not in job or job - {"init.recurrent=orthogonal"} in settings
        opened = {text for text in job if text.startswith("init.gate_bias.")}
        assert job - opened in settings
    assert len(settings) == 90
    tasks = [(cast(Any, run.task), run.loss) for run in runs("remedies", 1)]
    assert [task.baseline(loss) for task, loss in tasks] == pytest.approx([1.0] * 90, rel=1e-8)


def test_one_change_is_one_change() -> None:
    _, jobs, *_ = sweep("single_changes")
    base = {"schedule=constant", "regularizer=none", "optimizer=sgd"}
    changed = {
        frozenset(job) - base - {f"seed={seed}" for seed in range(50)} - {"sweep=single_changes"} for job in jobs
    }
    assert len(changed) == 21
    assert {len(one) for one in changed} == {0, 1}


def test_momentum_has_a_partner_that_moves_as_far_without() -> None:
    rates = {(vars(run.optimizer)["alpha"], vars(run.optimizer)["epsilon"]) for run in runs("leftbit_momentum", 1)}
    with_momentum = {rate for rate in rates if rate[1]}
    assert with_momentum == {(0.1, 0.3), (0.1, 0.9)}
    without = sorted(alpha for alpha, epsilon in rates - with_momentum)
    assert without == pytest.approx(
        [0.1, *sorted(alpha / (1 - epsilon) for alpha, epsilon in with_momentum)], rel=1e-12
    )
    assert len(rates) == 5


def test_the_sweep_of_make_sweep_has_at_least_200_runs() -> None:
    assert len(sweep("leftbit_hidden_size")[1]) >= 200


def test_rprop_starts_each_seed_elsewhere() -> None:
    starts = {run.init.default for run in runs("eta", 10, "optimizer.eta_plus=1.2", "optimizer.eta_minus=0.5")}
    assert [type(start).__name__ for start in starts] == ["Uniform"]
    assert not any(configuration.run.init.blocks for configuration in sweep("eta")[2])


def test_the_recurrent_matrix_starts_orthogonal() -> None:
    scales = {
        (type(scheme).__name__, vars(scheme)["scale"])
        for configuration in sweep("init_scale_spectral_radius")[2]
        for scheme in [configuration.run.init.blocks["recurrent"]]
    }
    assert scales == {("Orthogonal", scale) for scale in (0.5, 0.9, 1.0, 1.25, 2.0)}


@pytest.mark.slow
def test_more_hidden_units_get_more_of_leftbit_right_but_seldom_all() -> None:
    """Of fresh bits; the article's six are right in most runs of 4 and more units."""
    accuracies = {
        size: np.array([record.history["accuracy/eval"][-1] for record in train(found)])
        for size in (1, 2, 4, 8)
        for found in [runs("leftbit_hidden_size", 32, f"model.hidden_size={size}")]
    }
    medians = [float(np.median(accuracy)) for accuracy in accuracies.values()]
    assert 0.5 < medians[0] < medians[1] < medians[2] < medians[3] < 1
    whole = {size: float((accuracy == 1).mean()) for size, accuracy in accuracies.items()}
    assert whole[1] == 0
    assert all(0 < whole[size] < 0.5 for size in (2, 4, 8))


@pytest.mark.slow
def test_addition_takes_more_than_four_hidden_units() -> None:
    shares = [right("hidden_size", 8, f"model.hidden_size={size}") for size in (4, 8, 24)]
    assert shares[0] == 0
    assert 0 < shares[1] < shares[2] == 1


@pytest.mark.slow
def test_momentum_stands_in_for_a_larger_learning_rate() -> None:
    shares = {
        (alpha, epsilon): right("alpha_epsilon", 4, f"optimizer.alpha={alpha}", f"optimizer.epsilon={epsilon}")
        for alpha in (0.01, 0.1, 1)
        for epsilon in (0, 0.99)
    }
    assert shares == {(0.01, 0): 0, (0.01, 0.99): 1, (0.1, 0): 1, (0.1, 0.99): 0, (1, 0): 1, (1, 0.99): 0}


@pytest.mark.slow
def test_rprop_needs_steps_that_shrink_more_than_they_grow() -> None:
    def share(eta_plus: float, eta_minus: float) -> float:
        return right("eta", 10, f"optimizer.eta_plus={eta_plus}", f"optimizer.eta_minus={eta_minus}")

    assert share(1.2, 0.8) >= 0.8
    assert share(1.3, 0.8) == 0
    assert share(1.01, 0.1) <= 0.2


@pytest.mark.slow
def test_only_with_clipping_is_temporal_order_learned() -> None:
    assert right("clip_threshold", 4, "clip=none", "optimizer.alpha=0.1") == 0
    assert right("clip_threshold", 4, "clip.threshold=1", "optimizer.alpha=0.1") == 1
    assert right("clip_threshold", 4, "clip.threshold=10", "optimizer.alpha=0.1") == 0


@pytest.mark.slow
def test_a_spectral_radius_near_one_is_learned_from() -> None:
    seeds = {0.5: 4, 1: 4, 1.25: 4, 2: 12}  # with a radius of 2 about a third learn it
    shares = [
        right("init_scale_spectral_radius", count, "init.scale=0.1", f"init.recurrent.scale={radius}")
        for radius, count in seeds.items()
    ]
    assert shares[0] == 0
    assert shares[1:3] == [1, 1]
    assert shares[3] < 0.5


def solved(name: str, alpha: float, seeds: int, *overrides: str) -> float:
    """The share of these runs that stop early, since they have solved their task."""
    found = runs(name, seeds, *overrides, alpha=alpha)
    assert len(found) == seeds
    return float(np.mean([record.outcome == "early_stopped" for record in train(found)]))


@pytest.mark.slow
def test_over_twenty_timesteps_clipping_helps() -> None:
    orthogonal = ("task.length=20", "init.recurrent={name:orthogonal,scale:0.95}")
    assert solved("length_temporal_order", 0.1, 4, *orthogonal, "clip=norm") == 1
    assert solved("length_temporal_order", 0.1, 4, *orthogonal, "clip=none") <= 0.5
    assert solved("length_temporal_order", 0.1, 4, "task.length=10", "model.activation=sigmoid", "clip=norm") == 0


@pytest.mark.slow
def test_rectified_linear_units_from_the_identity_add_over_fifty_timesteps() -> None:
    assert solved("length_adding", 0.002, 8, "task.length=50", "init=identity", "clip=norm") >= 0.75
    assert solved("length_adding", 0.01, 8, "task.length=50", "model=gru", "clip=norm") >= 0.75
    assert solved("length_adding", 0.003, 8, "task.length=50", "init=orthogonal", "clip=norm") == 0


@pytest.mark.slow
def test_remedies_part_over_twenty_timesteps_of_temporal_order() -> None:
    over = ("task=temporal_order", "task.length=20", "regularizer=none")
    plain = runs("remedies", 4, *over, "optimizer=sgd", "clip=norm", "model=elman")
    weak = [_choose(run, 0.3) for run in plain if run.init.blocks.get("recurrent") is None]
    assert [record.outcome for record in train(weak[:2])] != ["early_stopped"] * 2
    orthogonal = ("optimizer=sgd", "clip=norm", "init.recurrent=orthogonal")
    assert solved("remedies", 0.07, 4, *over, *orthogonal) == 1
    free = runs("remedies", 2, *over, "optimizer=hessian_free")
    assert [record.outcome for record in train(free)] == ["early_stopped"] * 2


@pytest.mark.slow
def test_an_orthogonal_linear_network_remembers() -> None:
    assert solved("length_copying", 0.003, 3, "task.length=5", "model=linear", "init=orthogonal", "clip=norm") == 1
    assert solved("length_copying", 0.003, 3, "task.length=5", "model=elman", "clip=norm") == 0


@pytest.mark.slow
def test_the_sentiment_network_needs_no_clipping_at_the_article_s_learning_rate() -> None:
    assert right("sentiment_clip", 4, "clip=none", "optimizer.alpha=0.02") == 1
    assert right("sentiment_clip", 4, "clip=none", "optimizer.alpha=0.1") < 1
