"""A bit that flips, or a file with the wrong contents, is told of; archives of before there were digests are read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import dump_sealed, load_sealed, read_arrays
from tests.faults.flips import flip_bits, make_run, make_sweep, read_all
from tests.recording import strip_digests

BLOCK = Path("blocks/000000")


@pytest.mark.parametrize("make", [make_sweep, make_run])
def test_a_flipped_bit_is_told(make: Callable[[Path], Path], tmp_path: Path) -> None:
    came = flip_bits(make(tmp_path / "f"), times=24, seed=1)
    assert came.keys() <= {"refused", "same"}
    assert came["refused"] >= 16


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_sweep, make_run])
def test_many_flipped_bits_are_told(make: Callable[[Path], Path], tmp_path: Path) -> None:
    came = flip_bits(make(tmp_path / "f"), times=400, seed=2)
    assert came.keys() <= {"refused", "same"}
    assert came["refused"] >= 300


@pytest.mark.parametrize("make", [make_sweep, make_run])
def test_without_digests_they_were_not_told_of(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    strip_digests(make(tmp_path / "f"))
    assert flip_bits(tmp_path / "f", times=48, seed=1)["silent"] >= 8


def test_a_seal_under_another_name_is_told() -> None:
    text = dump_sealed({"a": 1, "b": "x"})
    assert load_sealed(text) == {"a": 1, "b": "x"}
    with pytest.raises(ValueError, match="not as it was written"):
        load_sealed(text.replace('"sha256"', '"sxa256"'))
    assert load_sealed('{"a": 1}') == {"a": 1}  # as earlier versions wrote it


@pytest.mark.parametrize("make", [make_sweep, make_run])
def test_what_was_written_before_is_read(make: Callable[[Path], Path], tmp_path: Path) -> None:
    whole = read_all(make(tmp_path / "f"))
    strip_digests(tmp_path / "f")
    assert not [path for path in (tmp_path / "f").rglob("*") if "digests" in path.name]
    assert not [path for path in (tmp_path / "f").rglob("*.json") if "sha256" in path.read_text()]
    assert read_all(tmp_path / "f") == whole


def _rows(name: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        path = folder / BLOCK / name
        pq.write_table(change(pq.read_table(path)), path)

    return act


def _take(places: Callable[[int], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.take(places(len(table)))


def _shift(table: pa.Table) -> pa.Table:
    return table.set_column(0, "run", pa.array(np.asarray(table["run"]) + 4))


def _weights(folder: Path) -> None:
    arrays = read_arrays(folder / BLOCK / "weights.npz")
    np.savez(folder / BLOCK / "weights.npz", allow_pickle=False, **{**arrays, "run": arrays["run"][::-1]})


def _jobs(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        table = pq.read_table(folder / "jobs.parquet")
        pq.write_table(change(table), folder / "jobs.parquet")

    return act


#: What was done to the first block, and what is said of it where there are no digests.
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a run's rows missing": (_rows("history.parquet", _take(lambda n: np.arange(n // 4, n))), "its rows are not those"),
    "a row doubled": (
        _rows("history.parquet", _take(lambda n: [0, *range(n)])),
        "rows stand twice, or in another order",
    ),
    "rows in another order": (
        _rows("history.parquet", _take(lambda n: [1, 0, *range(2, n)])),
        "rows stand twice, or in another order",
    ),
    "all doubled": (_rows("history.parquet", _take(lambda n: [*range(n)] * 2)), "its rows are not those"),
    "of other runs": (_rows("history.parquet", _shift), "its rows are not those of the block's runs"),
    "another column": (
        _rows("history.parquet", lambda table: table.rename_columns(["run", "step", *table.column_names[2:]])),
        "update",
    ),
    "a point missing": (_rows("history.parquet", _take(lambda n: np.arange(n - 1))), "its updates are not those"),
    "a lag missing": (_rows("gradient_flow.parquet", _take(lambda n: np.arange(1, n))), "rows are missing"),
    "a lag doubled": (_rows("gradient_flow.parquet", _take(lambda n: [0, *range(n)])), "rows are missing"),
    "a flow of other runs": (_rows("gradient_flow.parquet", _shift), "its rows are not those"),
    "a run missing": (_rows("runs.parquet", _take(lambda n: np.arange(1, n))), "its rows are not those"),
    "a run doubled": (_rows("runs.parquet", _take(lambda n: [0, *range(n)])), "a run stands in it twice"),
    "runs of another block": (_rows("runs.parquet", _shift), "run 4 is in "),
    "runs of no sweep": (_rows("runs.parquet", lambda table: _shift(_shift(table))), "its run 8 is none of this sweep"),
    "no outcomes": (_rows("runs.parquet", lambda table: table.drop(["outcome"])), "it has no column outcome"),
    "weights in another order": (_weights, "its arrays are not those of the block's runs"),
    "a block twice": (lambda folder: shutil.copytree(folder / BLOCK, folder / "blocks" / "000005"), "run 0 is in "),
    "a job missing": (_jobs(lambda table: table.take(np.arange(1, len(table)))), "a run is missing, or stands in it"),
    "a job doubled": (_jobs(lambda table: table.take([0, *range(len(table))])), "a run is missing, or stands in it"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("sealed", [True, False])
def test_wrong_contents_are_refused_in_a_line(kind: str, sealed: bool, tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "f")
    if not sealed:
        strip_digests(folder)
    change, says = WRONG[kind]
    change(folder)
    with pytest.raises(ArchiveError) as told:
        read_all(folder)
    line = str(told.value)
    assert "\n" not in line
    assert str(folder) in line
    assert sealed or says in line
    assert "delete " in line or "has a copy" in line


def test_a_block_of_another_sweep_is_refused(tmp_path: Path) -> None:
    folder, other = make_sweep(tmp_path / "f"), make_sweep(tmp_path / "other", points=30)
    path = other / BLOCK / "digests.json"
    noted = load_sealed(path.read_text())
    path.write_text(dump_sealed(noted | {"runs": {number: f"other{number}" for number in noted["runs"]}}))
    shutil.rmtree(folder / BLOCK)
    shutil.copytree(other / BLOCK, folder / BLOCK)
    with pytest.raises(ArchiveError, match=r"000000/digests\.json: can't be read: its run 0 is none of this sweep"):
        read_all(folder)


def test_a_digest_covers_the_whole_text() -> None:
    text = dump_sealed({"a": [1.5, None, "ü"], "b": {"c": True}})
    assert load_sealed(text) == {"a": [1.5, None, "ü"], "b": {"c": True}}
    for old, new in (("1.5", "1.25"), ("null", "true"), ('"c"', '"d"'), ('"b"', '"a"')):
        assert old in text
        with pytest.raises(ValueError, match="not as it was written"):
            load_sealed(text.replace(old, new))
    assert load_sealed(json.dumps({"a": 1})) == {"a": 1}


def test_an_array_that_tells_less_than_it_holds_is_refused(tmp_path: Path) -> None:
    """NumPy reads as much as the header says, and looks at no checksum then."""
    path = tmp_path / "a.npz"
    np.savez(path, allow_pickle=False, a=np.arange(6000.0).reshape(2000, 3))
    content = path.read_bytes()
    assert content.count(b"'shape': (2000, 3)") == 1
    path.write_bytes(content.replace(b"'shape': (2000, 3)", b"'shape': (1000, 3)"))
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["a"].shape == (1000, 3)
    with pytest.raises(ValueError, match=r"a\.npz: cut off or damaged"):
        read_arrays(path)
