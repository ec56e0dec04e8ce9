"""What the root key `tune` may say."""

from typing import Any

import pytest

from bptt.configuration.build import Tuning, read_tuning, write_log_values


def read(node: Any) -> tuple[Tuning | None, list[str]]:
    problems: list[str] = []
    return read_tuning(node, problems), problems


def test_values_on_a_logarithmic_scale_have_three_digits() -> None:
    assert write_log_values(1e-4, 1, 9) == [0.0001, 0.000316, 0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0]
    assert write_log_values(0.003, 0.03, 2) == [0.003, 0.03]


def test_what_is_tuned() -> None:
    assert read(None) == (None, [])
    tuning, problems = read({"optimizer.alpha": {"log": [0.01, 1, 3]}, "clip": ["none", "norm"], "seeds": 4})
    assert problems == []
    assert tuning == Tuning((("optimizer.alpha", (0.01, 0.1, 1.0)), ("clip", ("none", "norm"))), 4)
    assert tuning.keys == ("optimizer.alpha", "clip")
    assert read({"optimizer.alpha": [1, 2]})[0] == Tuning((("optimizer.alpha", (1, 2)),), 5)


@pytest.mark.parametrize(
    ("node", "line"),
    [
        (3, "tune=3: must be a mapping, as {optimizer.alpha: {log: [1e-4, 1, 9]}}"),
        ({"seeds": 3}, "tune={seeds: 3}: names no key; give one, as optimizer.alpha"),
        ({"a": [1, 2], "seeds": 0}, "tune.seeds=0: must be a whole number at least 1 and at most 1,000"),
        ({"a": [1, 2], "seeds": True}, "tune.seeds=true: must be a whole number at least 1 and at most 1,000"),
        ({"a": 3}, "tune.a=3: must be a list of values, or log: [low, high, count]"),
        ({"a": [[1], 2]}, "tune.a=[[1], 2]: must be a list of values, or log: [low, high, count]"),
        ({"a": [1]}, "tune.a=[1]: must hold two different values or more, each once"),
        ({"a": [1, 1]}, "tune.a=[1, 1]: must hold two different values or more, each once"),
        (
            {"a": {"lag": [1, 2, 3]}},
            "tune.a={lag: [1, 2, 3]}: must be log: [low, high, count]; did you mean tune.a.log?",
        ),
        ({"a": {}}, "tune.a={}: must be log: [low, high, count]"),
        ({"a": {"log": [1, 2]}}, "tune.a.log=[1, 2]: must be three numbers: low, high, count"),
        ({"a": {"log": [2, 1, 3]}}, "tune.a.log=[2, 1, 3]: must be 0 < low < high, and a whole count from 2 to 1,000"),
        ({"a": {"log": [0, 1, 3]}}, "tune.a.log=[0, 1, 3]: must be 0 < low < high, and a whole count from 2 to 1,000"),
        (
            {"a": {"log": [1, 2, 2.5]}},
            "tune.a.log=[1, 2, 2.5]: must be 0 < low < high, and a whole count from 2 to 1,000",
        ),
        ({"a": {"log": [1, 1.01, 9]}}, "tune.a.log=[1, 1.01, 9]: holds values that are equal to 3 digits"),
    ],
)
def test_what_is_refused(node: Any, line: str) -> None:
    assert read(node) == (None, [line])
