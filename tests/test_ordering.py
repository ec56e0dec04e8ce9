"""The tests that take longest begin first, in each of the processes that test side by side."""

import pytest

from tests.ordering import longest_first

SECONDS = {"b": 10, "e": 300, "g": 60, "h": 60}


class Item:
    """What is asked of a test."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        assert name == "slow"
        if self.name in "ab":
            return pytest.mark.slow(seconds=10).mark if self.name == "b" else pytest.mark.slow.mark
        return pytest.mark.slow(seconds=SECONDS[self.name]).mark if self.name in SECONDS else None


def order(names: str, processes: int) -> str:
    return "".join(item.name for item in longest_first([Item(name) for name in names], processes))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("processes", "expected"), [(1, "eghbacdf"), (2, "ehac" + "gbdf"), (3, "eb" + "gac" + "hdf"), (8, "eghbacdf")]
)
def test_each_begins_with_one_of_the_longest(processes: int, expected: str) -> None:
    assert order("abcdefgh", processes) == expected


@pytest.mark.parametrize("names", ["", "a", "e", "eg", "egh", "acdf", "beghacdf"])
def test_none_is_lost_and_none_is_there_twice(names: str) -> None:
    for processes in range(1, 10):
        assert sorted(order(names, processes)) == sorted(names)
