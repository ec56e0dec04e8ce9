"""Jobs by settings and seeds come to the runs, the groups and the digests that they come to one by one."""

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra

from bptt.configuration.compose import Composer, add_folder
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.plan import PlannedRun, arrange, cut_blocks, drop_repeated, find_groups
from bptt.sweeps.jobs.seeded import SeededJobs, SeededRuns, arrange_seeded

Jobs = Sequence[tuple[str, ...]]


@pytest.fixture
def composition() -> Iterator[Composition]:
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        yield Composition(Composer(GlobalHydra.instance().config_loader(), "config"))


def plan_each(jobs: Jobs, composition: Composition) -> list[PlannedRun]:
    return drop_repeated(list(zip(jobs, composition.all(jobs), strict=True)), "version")[0]


def plan_together(jobs: Jobs, composition: Composition) -> SeededRuns:
    found = SeededJobs.of(jobs)
    assert found is not None
    settings = [
        PlannedRun(overrides=job, configuration=made, digest="")
        for job, made in zip(found.firsts, composition.all(found.firsts), strict=True)
    ]
    assert composition.ignores_seeds
    return SeededRuns.of(settings, found, "version")


GRID = [
    ("optimizer=sgd", f"model.hidden_size={size}", f"optimizer.alpha={alpha}", f"seed={seed}")
    for size in (2, 3) for alpha in ("0.1", "1e-1", "0.2") for seed in range(20)
]  # fmt: skip
MIXED = random.Random(0).sample([*GRID, *GRID[:30]], 150)
NESTED = [(f"seed={seed}", f"model={model}") for seed in (3, 1, 2, 1) for model in ("gru", "elman")]


@pytest.mark.parametrize("jobs", [GRID, MIXED, NESTED], ids=["grid", "mixed", "nested"])
def test_runs_are_as_one_by_one(jobs: Jobs, composition: Composition) -> None:
    each, together = plan_each(jobs, composition), plan_together(jobs, composition)
    assert [run.digest for run in together] == [run.digest for run in each] == [*together.digests()]
    assert [run.configuration for run in together] == [run.configuration for run in each]
    assert [together.get_run(place) for place in range(len(together))] == [run.run for run in each]
    if jobs is not MIXED:  # where what is repeated is named by the first of all that are alike
        names = [{*run.overrides} - {"optimizer.alpha=0.1", "optimizer.alpha=1e-1"} for run in together]
        assert names == [{*run.overrides} - {"optimizer.alpha=0.1", "optimizer.alpha=1e-1"} for run in each]
    groups = find_groups([run.run for run in each])
    assert together.groups() == groups
    assert cut_blocks(together.groups(), 2) == cut_blocks(groups, 2)
    held = {run.digest for run in each[::3]}
    left = together.without(held)
    assert [run.digest for run in left] == [run.digest for run in each if run.digest not in held]
    assert left.groups() == find_groups([run.run for run in each if run.digest not in held])
    assert together.without(set()) is together
    assert len(together.without({run.digest for run in each})) == 0
    assert together.without({run.digest for run in each}).groups() == []


@pytest.mark.parametrize(
    "jobs",
    [
        [job for job in GRID if "optimizer.alpha=1e-1" not in job],
        [job for job in MIXED if "optimizer.alpha=1e-1" not in job],
        NESTED,
        [("model=gru", "seed=3")],
        [("model=gru", "seed=3"), ("model=elman", "seed=3")],
    ],
    ids=["grid", "mixed", "nested", "one", "one seed"],
)
def test_jobs_and_blocks_are_as_one_by_one(jobs: Jobs, composition: Composition) -> None:
    each, together = plan_each(jobs, composition), plan_together(jobs, composition)
    assert not together.alike
    mine = arrange_seeded(together, next_block=itertools.count(), workers=2, store=None)
    theirs = arrange(each, first=0, next_block=itertools.count(), workers=2, store=None, keys=None, stage="result")
    assert [*map(vars, mine.jobs)] == [*map(vars, theirs.jobs)]
    assert [[*job.config] for job in mine.jobs] == [[*job.config] for job in theirs.jobs]
    assert (mine.blocks, mine.reused, mine.held) == (theirs.blocks, theirs.reused, theirs.held)
    assert dict(mine.runs) == dict(theirs.runs)
    numbers = {(run.overrides): number for number, run in enumerate(each)}
    assert together.places.tolist() == [numbers[tuple(job)] for job in jobs]


def test_settings_that_are_the_same_are_seen(composition: Composition) -> None:
    assert plan_together(GRID, composition).alike


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [("model=gru",)],
        [("seed=1",), ("seed=-1",)],
        [("seed=1",), ("seed=1_0",)],
        [("seed=1",), ("seed=${train.updates}",)],
        [("seed=1", "model=gru"), ("model=gru", "seed=1")],
        [("seed=1", "seed=2")],
        [("seed=1", "++seed=2")],
        [("seed=1", "~seed")],
        [("seed=1", "model=gru"), ()],
        [("seed=1", "train.updates=${seed}"), ("seed=2", "train.updates=${seed}")],
    ],
    ids=str,
)
def test_other_seeds_are_looked_at_one_by_one(jobs: Jobs) -> None:
    assert SeededJobs.of(jobs) is None


def test_a_file_that_follows_the_seed_is_composed_for_each(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\ntrain:\n  updates: ${seed}\n", "utf-8")
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        path = GlobalHydra.instance().config_loader().get_search_path()
        add_folder(path, tmp_path)
        composition = Composition(Composer(ConfigLoaderImpl(path), "config"))
    composition.all([("experiment=mine", "seed=1")])
    assert not composition.ignores_seeds
