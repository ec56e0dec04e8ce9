"""Which tests begin first where several processes test side by side: those that take longest.

xdist gives each process an equal share of the tests in their order, and one that has done its own takes from the end of
another's. A long test that began last would be waited for by all.
"""

import itertools
from collections.abc import Sequence

import pytest


def longest_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """The tests, with those that are declared to take long, `slow(seconds=…)`, dealt out to the begin of each share."""
    long = sorted((item for item in items if _seconds(item)), key=lambda item: -_seconds(item))
    others = iter([item for item in items if not _seconds(item)])
    found: list[pytest.Item] = []
    for number in range(processes):
        size = (len(items) - len(found)) // (processes - number)
        begin = long[number::processes][:size]
        found += [*begin, *itertools.islice(others, size - len(begin))]
    left = {*items} - {*found}
    return [*found, *(item for item in items if item in left)]


def _seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("slow")
    return 0.0 if mark is None else float(mark.kwargs.get("seconds", 0.0))
