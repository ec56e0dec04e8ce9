from copy import deepcopy
from typing import Any

from bptt.tracking.provenance.environment import Change, list_changes

NOW: dict[str, Any] = {
    "python": "3.11.7",
    "platform": "Linux-6",
    "cpu": "One",
    "target": "one",
    "simd": 8,
    "cores": 2,
    "blas": {"name": "openblas", "version": "0.3.31", "architecture": "SkylakeX", "threads": 1},
    "packages": {"bptt": "0.1.0", "mlflow": "3.1", "numpy": "2.4.0"},
    "git_commit": "abc",
    "git_dirty": False,
    "git_diff": None,
    "numerical_version": "1234",
}


def test_nothing_differs() -> None:
    assert list_changes(NOW, deepcopy(NOW)) == []
    assert list_changes({**NOW, "cores": 64}, NOW) == []
    assert list_changes({}, NOW) == []


def test_what_differs_is_said_with_what_decides_most_first() -> None:
    then = {
        **NOW,
        "numerical_version": "0000",
        "simd": 4,
        "blas": {**NOW["blas"], "version": "0.3.30"},
        "packages": {"bptt": "0.0.9", "gone": "1", "numpy": "2.3.0", "mlflow": "3.1"},
        "git_commit": "def",
        "git_dirty": True,
        "git_diff": "fedc",
    }
    assert list_changes(then, NOW) == [
        Change("numerical version", "0000", "1234"),
        Change("vector width", "4", "8"),
        Change("BLAS", "openblas 0.3.30 SkylakeX", "openblas 0.3.31 SkylakeX"),
        Change("numpy", "2.3.0", "2.4.0"),
        Change("bptt", "0.0.9", "0.1.0"),
        Change("gone", "1", "not installed"),
        Change("commit", "def", "abc"),
        Change("uncommitted changes", "some (fedc)", "none"),
    ]


def test_of_what_is_not_noted_nothing_is_said() -> None:
    assert list_changes({"packages": {"numpy": "1"}, "git_commit": None, "blas": None}, NOW) == [
        Change("numpy", "1", "2.4.0")
    ]
    unknown = {**NOW, "git_commit": None, "git_dirty": None}
    assert list_changes(NOW, unknown) == [
        Change("commit", "abc", "unknown"),
        Change("uncommitted changes", "none", "unknown"),
    ]
