from collections.abc import Sequence

import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.run import Run
from bptt.core.simd import WIDTH
from bptt.sweeps.jobs.plan import cut_blocks, drop_repeated, find_groups


def run(*overrides: str) -> Run:
    return check_configuration(compose(overrides)).run


def cut(runs: Sequence[Run], workers: int) -> list[tuple[int, ...]]:
    return cut_blocks(find_groups(runs), workers)


def test_equal_jobs_run_once() -> None:
    jobs = [[f"optimizer.alpha={alpha}", f"seed={seed}"] for alpha in ("1", "1.0", "0.5") for seed in (0, 1)]
    runs, duplicates = drop_repeated([(job, check_configuration(compose(job))) for job in jobs], "version")
    assert [planned.overrides for planned in runs] == [tuple(job) for job in (*jobs[:2], *jobs[4:])]
    assert [(overrides, planned.overrides) for overrides, planned in duplicates] == [
        (jobs[2], tuple(jobs[0])),
        (jobs[3], tuple(jobs[1])),
    ]
    assert len({planned.digest for planned in runs}) == 4


def test_runs_fuse_whatever_their_order() -> None:
    small, large = run("model.hidden_size=3"), run("model.hidden_size=5")
    faster = run("model.hidden_size=3", "optimizer.alpha=0.5", "seed=7", "init.scale=2")
    assert [group.places for group in find_groups([small, large, faster, large])] == [(0, 2), (1, 3)]


def test_blocks_hold_each_run_once_and_fill_their_vectors() -> None:
    runs = [run("model.hidden_size=3"), run("model.hidden_size=4")] * 50
    found = cut(runs, workers=2)
    assert sorted(place for block in found for place in block) == list(range(100))
    for block in found:
        assert len({place % 2 for place in block}) == 1  # one group alone
    # All but the last block of a group fill whole vectors.
    assert sum(len(block) % WIDTH != 0 for block in found) <= 2


def test_there_is_work_for_every_worker() -> None:
    runs = [run("train.updates=100000")] * 128
    assert len(cut(runs, workers=2)) == 16
    assert len(cut(runs, workers=8)) == 128 // WIDTH
    assert len(cut(runs[:WIDTH], workers=8)) == 1  # a vector costs the same however many of its lanes are used


def test_the_longest_come_first() -> None:
    runs = [run("train.updates=10")] * 20 + [run("train.updates=1000000")] * 20
    assert cut(runs, workers=2)[0][0] == 20


def test_a_block_of_long_sequences_fits_the_memory() -> None:
    long = run("task=adding", "task.length=5000", "train.log_points=1000", "train.batch_size=1")
    (group,) = find_groups([long] * 64)
    assert group.bytes > 1000 * 5000 * 8
    assert {len(block) for block in cut([long] * 64, workers=1)} == {WIDTH}


@pytest.mark.parametrize("hidden_size", [3, 128])
def test_units_that_fill_the_vectors_need_no_company(hidden_size: int) -> None:
    (group,) = find_groups([run(f"model.hidden_size={hidden_size}")])
    assert group.lanes_per_vector == (WIDTH if hidden_size == 3 else 1)
