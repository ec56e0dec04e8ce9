"""What is held out: how much, drawn by a seed of its own, of each class its share, of a series the end."""

import numpy as np
import pytest

from bptt.tasks.own_data.splitting import Partition, count_parts, split_places, split_rows


def whole(split: Partition) -> list[int]:
    return sorted([*split.training.tolist(), *split.evaluation.tolist(), *split.test.tolist()])


@pytest.mark.parametrize(
    ("count", "shares", "parts"),
    [(10, (0.2, 0.2), (2, 2)), (7, (0.2, 0.0), (1, 0)), (3, (0.01, 0.01), (1, 1)), (100, (0.0, 0.333), (0, 33))],
)
def test_shares_are_rounded_and_never_nothing(count: int, shares: tuple[float, float], parts: tuple[int, int]) -> None:
    assert count_parts(count, *shares) == parts


def test_something_is_left_to_train_on() -> None:
    with pytest.raises(ValueError, match="of 10 nothing is left to train on: 5 evaluate, 5 test"):
        count_parts(10, 0.5, 0.5)


def test_every_place_is_in_one_part_and_the_seed_alone_decides() -> None:
    one, again, other = (split_places(50, 0.2, 0.1, seed=seed) for seed in (3, 3, 4))
    assert (len(one.training), len(one.evaluation), len(one.test)) == (35, 10, 5)
    for split in (one, other):
        assert whole(split) == list(range(50))
        assert all(np.array_equal(part, np.sort(part)) for part in (split.training, split.evaluation, split.test))
    assert np.array_equal(one.test, again.test)
    assert not np.array_equal(one.test, other.test)


def test_without_a_seed_the_last_test_and_those_before_evaluate() -> None:
    split = split_places(10, 0.2, 0.1, seed=None)
    assert split.test.tolist() == [9]
    assert split.evaluation.tolist() == [7, 8]
    assert split.training.tolist() == list(range(7))


@pytest.mark.parametrize("sizes", [(60, 30, 10), (97, 2, 1), (34, 33, 33)])
def test_each_part_has_of_each_class_its_share_within_one(sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(3), sizes)
    split = split_places(100, 0.2, 0.2, seed=0, labels=labels)
    assert whole(split) == list(range(100))
    for part in (split.evaluation, split.test):
        assert len(part) == 20
        for label, size in enumerate(sizes):
            assert abs((labels[part] == label).sum() - 0.2 * size) <= 1
    assert not np.array_equal(split.test, split_places(100, 0.2, 0.2, seed=1, labels=labels).test)


def test_rows_of_series_are_parted_in_order() -> None:
    groups = [np.arange(10), np.arange(100, 105)]
    training, evaluation, test = split_rows(groups, 0.2, 0.2)
    assert [part.tolist() for part in training] == [[0, 1, 2, 3, 4, 5], [100, 101, 102]]
    assert [part.tolist() for part in evaluation] == [[6, 7], [103]]
    assert [part.tolist() for part in test] == [[8, 9], [104]]
    assert [len(part) for part in split_rows(groups, 0.0, 0.2)] == [2, 0, 2]
