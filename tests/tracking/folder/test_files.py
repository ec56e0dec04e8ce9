import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bptt.core.run import Record
from bptt.tracking.folder.block import RunResult, open_block, read_block, read_table, write_block
from bptt.tracking.folder.files import load_record, read_arrays, read_once, write_arrays, write_record, write_text


def record() -> Record:
    return Record(
        outcome="diverged",
        updates=7,
        history={
            "update": np.array([1, 7]),
            "loss/train": np.array([0.1, np.inf]),
            "loss/eval": np.array([0.3, np.nan]),
        },
        flow=np.array([[1.0, 0.5, 0.25], [2.0, 0.0, np.nan]]),
        parameters={"cell.0.input": np.array([[0.1, 1 / 3]]), "readout.bias": np.zeros(1)},
        state=np.zeros((1, 2)),
    )


def test_the_files_hold_the_record(tmp_path: Path) -> None:
    paths = write_record(tmp_path, record())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    history = pd.read_parquet(tmp_path / "history.parquet")
    assert list(history.columns) == ["update", "loss/train", "loss/eval"]
    assert history["update"].tolist() == [1, 7]
    assert history["loss/train"].tolist() == [0.1, np.inf]
    assert np.isnan(history["loss/eval"][1])
    flow = pd.read_parquet(tmp_path / "gradient_flow.parquet")
    assert flow["update"].tolist() == [1, 1, 1, 7, 7, 7]
    assert flow["lag"].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.array_equal(flow["norm"], [1.0, 0.5, 0.25, 2.0, 0.0, np.nan], equal_nan=True)
    weights = read_arrays(tmp_path / "weights.npz")
    assert sorted(weights) == ["cell.0.input", "readout.bias"]
    assert np.array_equal(weights["cell.0.input"], [[0.1, 1 / 3]])


@pytest.mark.parametrize(
    "once", [{}, {"baseline": 0.1}, {"loss/test": np.inf, "accuracy/test": 1 / 3, "baseline": 2.5}]
)
def test_what_there_is_one_number_of_is_beside_the_history(tmp_path: Path, once: dict[str, float]) -> None:
    written = replace(record(), once=once)
    write_record(tmp_path, written)
    assert list(pd.read_parquet(tmp_path / "history.parquet")) == ["update", "loss/train", "loss/eval"]
    read = load_record("diverged", tmp_path)
    assert read is not None
    assert read.once == once
    assert read_once(read_table(tmp_path / "history.parquet")) == once


def kept(*updates: int) -> dict[int, dict[str, np.ndarray]]:
    return {u: {"cell.0.input": np.array([[u + 0.1, 1 / 3]]), "readout.bias": np.array([float(u)])} for u in updates}


def test_snapshots_are_beside_the_weights(tmp_path: Path) -> None:
    written = replace(record(), snapshots=kept(0, 1, 7))
    write_record(tmp_path, written)
    read = load_record("diverged", tmp_path)
    assert read is not None
    assert sorted(read.parameters) == ["cell.0.input", "readout.bias"]
    assert_same_snapshots(read, written)
    arrays = read_arrays(tmp_path / "weights.npz")
    assert arrays["snapshots/update"].tolist() == [0, 1, 7]
    assert arrays["snapshots/cell.0.input"].shape == (3, 1, 2)


def test_runs_of_a_block_keep_snapshots_of_their_own(tmp_path: Path) -> None:
    """One of three ended early, one has none at all."""
    records = [replace(record(), snapshots=kept(*updates)) for updates in ((0, 1, 7), (0,), ())]
    results = [
        RunResult(job=job, status="FINISHED", record=one, error=None, began=0.0, ended=1.0)
        for job, one in zip((4, 2, 3), records, strict=True)
    ]
    write_block(tmp_path / "000", results)
    for result, expected in zip(read_block(open_block(tmp_path / "000")), records, strict=True):
        assert result.record is not None
        assert sorted(result.record.parameters) == ["cell.0.input", "readout.bias"]
        assert_same_snapshots(result.record, expected)


def test_a_file_whose_snapshots_do_not_fit_is_damaged(tmp_path: Path) -> None:
    write_record(tmp_path, replace(record(), snapshots=kept(0, 1, 7)))
    arrays = read_arrays(tmp_path / "weights.npz")
    write_arrays(tmp_path / "weights.npz", arrays | {"snapshots/update": np.array([0, 1])})
    with pytest.raises(ValueError, match="its snapshots are not of the same updates"):
        load_record("diverged", tmp_path)


def assert_same_snapshots(found: Record, expected: Record) -> None:
    assert list(found.snapshots) == list(expected.snapshots)
    for update, named in expected.snapshots.items():
        assert found.snapshots[update].keys() == named.keys()
        for name, array in named.items():
            np.testing.assert_array_equal(found.snapshots[update][name], array)


def test_an_older_file_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"a": np.arange(3)})
    with pytest.raises(ValueError, match="pickle"):
        write_arrays(path, {"a": np.array([object()])})
    assert np.array_equal(read_arrays(path)["a"], [0, 1, 2])


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_cut_file_is_told(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"a": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"arrays\.npz: cut off or damaged"):
        read_arrays(path)


def test_a_changed_byte_is_told(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"a": np.arange(100.0)})
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_arrays(path)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes the first kilobyte of a file, and no name."""

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)


@pytest.mark.usefixtures("full_disk")
def test_on_a_full_disk_nothing_half_written_stays(tmp_path: Path) -> None:
    for write in (
        lambda: write_record(tmp_path, record()),
        lambda: write_text(tmp_path / "a.json", "{}"),
        lambda: write_arrays(tmp_path / "a.npz", {"a": np.zeros(3)}),
        lambda: write_block(tmp_path / "000000", []),
    ):
        with pytest.raises(OSError, match="No space left on device"):
            write()
        assert list(tmp_path.iterdir()) == []
