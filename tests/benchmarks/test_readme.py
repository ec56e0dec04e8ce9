"""README's table is what the results say."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme
from benchmarks.readme import (
    README,
    find_beside,
    find_best,
    find_newest,
    place_table,
    write_beside,
    write_block,
    write_table,
)

MEASURED = {"date": "2026-11-01", "method": {"clock": "wall", "rounds": 7}, "machine": {"processor": "some"}}


def _spread(value: float) -> dict[str, float]:
    return {"median": value, "lowest": value, "highest": value}


def _row(name: str, lanes: int, micros: dict[str, float], **more: Any) -> dict[str, Any]:
    ratios = {side: _spread(value / micros["ours"]) for side, value in micros.items() if side != "ours"}
    spreads = {side: _spread(value) for side, value in micros.items()}
    row = {"name": name, "lanes": lanes, "targets": {}, "micros": spreads, "ratios": ratios, "share": _spread(0.5)}
    return row | {"core_share": 1.0, "forms": {}} | more


def test_rows_have_the_best_of_the_others_and_what_is_aimed_at() -> None:
    rows = [
        _row("adder", 1, {"ours": 0.5, "torch": 200.0, "jax": 2.0, "cpp": 0.4}, targets={"micros": 0.52, "best": 5.0}),
        _row("adder", 256, {"ours": 0.2, "torch": 8.0, "jax": 1.0, "cpp": 0.18}),
        _row("lstm, sine", 64, {"ours": 100.0, "torch": 150.0, "jax": 300.0}, targets={"limit": 0.7}),
    ]
    table = write_table({"results": rows, "method": {"clock": "wall"}})
    assert table.splitlines()[2:] == [
        "| adder: T 8, H 16, one addition per update | 1 | 0.5 (≤ 0.52 ✓) | JAX, 4 (≥ 5 ✗) | 400 | 0.8 | 50 % |",
        "|  | 256 | 0.2 | JAX, 5 | 40 | 0.9 | 50 % |",
        "| LSTM, sine: H 32 | 64 | 100 | PyTorch, 1.5 | 1.5 |  | 50.0 % (≥ 70 ✗) |",
    ]
    assert find_best(rows[2]) == "torch"
    other = write_table(
        {"results": rows, "method": {"clock": "wall"}, "machine": {"generation": "family 25, model 17"}}
    )
    assert other.splitlines()[2].split(" | ")[2:4] == ["0.5 (≤ 0.52)", "JAX, 4 (≥ 5 ✗)"]
    assert "for a newer processor" in other


def test_what_is_done_beside_training_has_rows_of_its_own() -> None:
    micros = {side: _spread(value) for side, value in {"ours": 0.25, "torch": 5.0, "jax": 0.5}.items()}
    ratios = {"torch": _spread(20.0), "jax": _spread(2.0)}
    evaluated = {"name": "adder", "lanes": 256, "target": 0.1, "micros": micros, "ratios": ratios}
    beside_cpp = evaluated | {"ratios": ratios | {"cpp": _spread(0.7)}, "target": None}
    recorded = {"name": "adder", "lanes": 256, "sequences": 16, "micros": _spread(22.7)}
    of_adder = "adder | 256 |"
    assert write_beside({"evaluations": [evaluated, beside_cpp], "records": [recorded]}).splitlines()[2:] == [
        f"| evaluating a sequence: {of_adder} 0.25 (≤ 0.1 ✗) | JAX, 2 | 20 |  |",
        f"| evaluating a sequence: {of_adder} 0.25 | JAX, 2 | 20 | 0.7 |",
        f"| recording an update, 16 sequences evaluated: {of_adder} 22.7 |  |  |  |",
    ]
    assert write_beside({"results": []}) == ""


def test_a_disturbed_measurement_is_told() -> None:
    row = _row("sine", 1, {"ours": 1.0, "torch": 2.0, "jax": 2.0}, core_share=0.6)
    told = "Disturbed by other programs, and to be measured again: sine: T 20, H 32, batches of 32, Adam."
    assert write_table({"results": [row], "method": {"clock": "wall"}}).endswith(f"\n\n{told}\n")
    before = {key: value for key, value in row.items() if key != "forms"}
    assert "faster forms: to be measured again" in write_table({"results": [before], "method": {}})
    shared = write_table({"results": [row], "method": {"clock": "processor"}})
    assert shared.endswith("to be measured again on a quiet one.\n")


def test_the_table_stands_between_its_marks_alone() -> None:
    page = "a\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nb\n"
    placed = place_table(page, "new\n")
    assert placed == "a\n<!-- benchmarks: begin -->\n\nnew\n\n<!-- benchmarks: end -->\nb\n"
    assert place_table(placed, "new\n") == placed
    with pytest.raises(ValueError, match="benchmarks: begin"):
        place_table("a", "new\n")


def test_readme_has_the_newest_table() -> None:
    page = README.read_text(encoding="utf-8")
    newest = find_newest()
    assert place_table(page, write_block(newest, find_beside(newest))) == page


def test_a_file_of_what_is_beside_training_stands_beside_the_newest_table(monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[str]()
    monkeypatch.setattr(Path, "write_text", lambda _, text, **__: written.append(text))
    newest = find_newest()
    beside = find_beside(newest)
    assert beside is not None
    assert readme.main([str(beside)]) == 0
    assert written == [README.read_text(encoding="utf-8")]


def test_what_was_measured_apart_says_where(tmp_path: Path) -> None:
    def write(name: str, found: dict[str, Any]) -> Path:
        (path := tmp_path / name).write_text(json.dumps(MEASURED | found))
        return path

    micros = {side: _spread(value) for side, value in {"ours": 0.25, "torch": 5.0, "jax": 0.5}.items()}
    ratios = {"torch": _spread(20.0), "jax": _spread(2.0), "cpp": _spread(0.7)}
    evaluated = {"name": "adder", "lanes": 256, "target": None, "micros": micros, "ratios": ratios}
    whole = write("whole.json", {"results": [_row("adder", 1, {"ours": 0.5, "torch": 200.0, "jax": 2.0})]})
    beside = write("beside.json", {"evaluations": [evaluated], "records": []})
    lines = write_block(whole, beside).splitlines()
    assert [line.partition("](")[0] for line in lines if line.startswith(("|", "["))] == [
        "| training | runs | bptt, µs | best of the others ÷ bptt | PyTorch ÷ bptt | C++ ÷ bptt | limit |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| adder: T 8, H 16, one addition per update | 1 | 0.5 | JAX, 4 | 400 |  | 50 % |",
        "[Measured",
        "| beside training | runs | bptt, µs | best of the others ÷ bptt | PyTorch ÷ bptt | C++ ÷ bptt |",
        "|---|---:|---:|---:|---:|---:|",
        "| evaluating a sequence: adder | 256 | 0.25 | JAX, 2 | 20 | 0.7 |",
        "[Measured",
    ]
    sources = [line for line in lines if line.startswith("[Measured")]
    assert all(name in line for name, line in zip(("whole.json", "beside.json"), sources, strict=True))
    both = write("both.json", {"results": [], "evaluations": [], "records": []})
    assert find_beside(both) is None
