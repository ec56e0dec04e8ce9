"""Dataclasses from mappings, with values that the hints refuse."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from bptt.configuration.errors import quote
from bptt.configuration.fields import construct, describe_type, make_plain
from bptt.core.annotations import InvalidValue, PerLane, Range


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: Annotated[PerLane, Range(at_least=0)] = 0.5
    metric: Literal["loss", "accuracy"] | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    size: Annotated[int, Range(at_least=1)]
    share: Annotated[float, Range(above=0, below=1)] = 0.5
    name: str = ""
    on: bool = False
    steps: Annotated[int, Range(at_least=1, at_most=9)] | None = None
    kind: Literal["tanh", "relu"] = "tanh"
    widths: tuple[Annotated[int, Range(at_least=1)], ...] = ()
    file: Path | None = None
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.size == 13:
            raise InvalidValue("size", self.size, "no thirteen")


def refused(**values: Any) -> list[str]:
    problems: list[str] = []
    assert construct("it", {"size": 1} | values, Outer, problems) is None
    return problems


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"size": 2}, Outer(size=2)),
        ({"size": 1e3}, Outer(size=1000)),
        ({"size": 1, "share": 0.25}, Outer(size=1, share=0.25)),
        ({"size": 1, "steps": None}, Outer(size=1)),
        ({"size": 1, "steps": 9}, Outer(size=1, steps=9)),
        ({"size": 1, "on": True, "name": "3"}, Outer(size=1, on=True, name="3")),
        ({"size": 1, "widths": [1, 2.0]}, Outer(size=1, widths=(1, 2))),
        ({"size": 1, "file": "a/b"}, Outer(size=1, file=Path("a/b"))),
        ({"size": 1, "inner": {"rate": 1}}, Outer(size=1, inner=Inner(rate=1.0))),
        ({"size": 1, "inner": {"metric": "loss"}}, Outer(size=1, inner=Inner(metric="loss"))),
    ],
)
def test_values_that_fit(values: dict[str, Any], expected: Outer) -> None:
    problems: list[str] = []
    built = construct("it", values, Outer, problems)
    assert problems == []
    assert built == expected
    assert [type(item) for item in make_plain(built).values()] == [
        type(item) for item in make_plain(construct("it", make_plain(built), Outer, problems)).values()
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"size": 0}, "it.size=0: must be a whole number at least 1"),
        ({"size": True}, "it.size=true: must be a whole number at least 1"),
        ({"size": 1.5}, "it.size=1.5: must be a whole number at least 1"),
        ({"size": "3"}, "it.size='3': must be a whole number at least 1"),
        ({"size": None}, "it.size=null: must be a whole number at least 1"),
        ({"size": float("inf")}, "it.size=inf: must be a whole number at least 1"),
        ({"size": [1]}, "it.size=[1]: must be a whole number at least 1"),
        ({"size": {"a": 1}}, "it.size={a: 1}: must be a whole number at least 1"),
        ({"size": 13}, "it.size=13: no thirteen"),
        ({"share": 0}, "it.share=0: must be a number above 0 and below 1"),
        ({"share": 1.0}, "it.share=1.0: must be a number above 0 and below 1"),
        ({"share": float("nan")}, "it.share=nan: must be a number above 0 and below 1"),
        ({"share": False}, "it.share=false: must be a number above 0 and below 1"),
        ({"share": 10**400}, f"it.share={'1' + '0' * 78}…: must be a number above 0 and below 1"),
        ({"steps": 10}, "it.steps=10: must be a whole number at least 1 and at most 9, or null"),
        ({"name": 3}, "it.name=3: must be text"),
        ({"on": 1}, "it.on=1: must be true or false"),
        ({"on": "yes"}, "it.on=yes: must be true or false"),
        ({"kind": "tnah"}, "it.kind=tnah: must be one of tanh, relu; did you mean tanh?"),
        ({"kind": 1}, "it.kind=1: must be one of tanh, relu"),
        ({"widths": [1, 0]}, "it.widths=[1, 0]: must be a list, each item a whole number at least 1"),
        ({"file": ""}, "it.file='': must be a file's path, or null"),
        ({"inner": 3}, "it.inner=3: must be a group of values (rate, metric)"),
        ({"inner": {"rate": -1}}, "it.inner.rate=-1: must be a number at least 0"),
        (
            {"inner": {"metric": "los"}},
            "it.inner.metric=los: must be one of loss, accuracy, or null; did you mean loss?",
        ),
        (
            {"inner": {"rat": 1}},
            "it.inner.rat=1: unknown key; did you mean it.inner.rate? (allowed: it.inner.rate, it.inner.metric)",
        ),
    ],
)
def test_values_that_do_not(values: dict[str, Any], line: str) -> None:
    assert refused(**values) == [line]


def test_every_problem_is_told() -> None:
    assert len(refused(size=0, share=2, on=3, nonsense=4)) == 4


def test_missing_field() -> None:
    problems: list[str] = []
    construct("it", {}, Outer, problems)
    assert problems == ["it.size: missing; must be a whole number at least 1"]


def test_words_of_an_open_range() -> None:
    assert describe_type(Annotated[PerLane, Range()]) == "a number"


@pytest.mark.parametrize("text", ["{name: chrono, t_max: 20}", "[1, 2]", "1e-3", "true", ""])
def test_a_text_that_reads_as_something_else_is_shown_as_a_text(text: str) -> None:
    assert quote(text) == f"'{text}'"


def test_a_mapping_is_shown_without_quotes() -> None:
    assert quote({"name": "chrono", "t_max": 20}) == "{name: chrono, t_max: 20}"
