"""A grid that was broken off goes on with what its file lacks."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.grid import Cell, read_measured
from benchmarks.report import write_json

_CELL = Cell(task="xor", cell="gru", lanes=1, micros={"ours": 1.0, "jax": 2.0}, variants={"jax": "unroll 8, matmul"})


def _describe(**more: Any) -> dict[str, Any]:
    return {"machine": {"versions": {"jax": "1"}}, "at_a_time": 1, "clock": "wall"} | more


def test_what_was_measured_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    assert read_measured(path, _describe()) == []
    write_json(path, _describe() | {"grid": [_CELL]})
    assert read_measured(path, _describe()) == [_CELL]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"clock": "processor"}, "clock was wall, is processor; name another --out"),
        ({"at_a_time": 2}, "at_a_time was 1, is 2; name another --out"),
        ({"machine": {"versions": {"jax": "2"}}}, "other versions; name another --out"),
    ],
)
def test_what_was_measured_in_another_way_is_not_mixed_in(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    path = tmp_path / "grid.json"
    write_json(path, _describe() | {"grid": [_CELL]})
    with pytest.raises(ValueError, match=told):
        read_measured(path, _describe(**other))
