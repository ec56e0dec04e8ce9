"""What there is one number of comes back from a block and from a run's folder, and takes no room where it is not."""

import dataclasses
from pathlib import Path

import pytest

from bptt.core.records.fits import list_fits
from bptt.core.run import Record
from bptt.tracking.folder.block import RunResult, join_runs, list_ended, open_block, read_block, write_block
from bptt.tracking.folder.files import HISTORY, ONCE, list_once, load_record, write_record
from tests.core.comparing import finished
from tests.core.test_fits import make


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return finished([make("numbers", seed=seed, keep="best", updates=12) for seed in range(2)])


def result(number: int, record: Record | None) -> RunResult:
    return RunResult(job=number, status="FINISHED", record=record, error=None, began=0.0, ended=1.0, reused=None)


def test_all_that_a_run_can_have_is_known_by_name(records: list[Record]) -> None:
    (sorts,) = finished([make("classes", keep="best", updates=3)])
    assert {*sorts.once, *records[0].once} <= {*ONCE}
    assert {name for target in ("numbers", "classes") for name in list_fits(make(target))} <= {*ONCE}


def test_a_block_gives_back_what_was_kept(tmp_path: Path, records: list[Record]) -> None:
    write_block(tmp_path / "0", [result(0, records[0]), result(1, None), result(2, records[1])])
    block = open_block(tmp_path / "0")
    first, none, second = read_block(block)
    assert none.record is None
    for found, record in ((first.record, records[0]), (second.record, records[1])):
        assert found is not None
        assert (found.once, found.kept_update) == (record.once, record.kept_update)
    table = join_runs([block])
    assert table["kept/update"].to_pylist() == [records[0].kept_update, None, records[1].kept_update]
    assert "balanced_accuracy/eval" not in table.column_names
    plain = dataclasses.replace(records[0], once={"baseline": 2.0})
    write_block(tmp_path / "1", [result(3, plain)])
    other = open_block(tmp_path / "1")
    assert [name for name in ONCE if name in other.runs.column_names] == ["loss/test", "accuracy/test", "baseline"]
    joined = join_runs([block, other])
    assert joined["rmse/eval"].to_pylist()[-1] is None
    assert read_block(other)[0].record.once == {"baseline": 2.0}  # type: ignore[union-attr]


def test_a_folder_gives_back_what_was_kept(tmp_path: Path, records: list[Record]) -> None:
    write_record(tmp_path, records[0])
    assert (tmp_path / HISTORY).exists()
    found = load_record("completed", tmp_path)
    assert found is not None
    assert (found.once, found.kept_update) == (records[0].once, records[0].kept_update)


def test_other_lengths_come_back_too_and_stand_behind_the_rest_by_length(tmp_path: Path, records: list[Record]) -> None:
    added = {"loss/eval_200": 2.0, "accuracy/eval_200": 0.5, "loss/eval_30": 1.0}
    record = dataclasses.replace(records[0], once={**added, **records[0].once})
    names = [*list_once(records[0].once), "loss/eval_30", "accuracy/eval_200", "loss/eval_200"]
    assert list_once(["update", "loss/eval", "loss/eval_03", "own/eval_3", *record.once]) == names
    write_block(tmp_path / "0", [result(0, record), result(1, None), result(2, records[1])])
    block = open_block(tmp_path / "0")
    first, _, other = read_block(block)
    assert first.record is not None
    assert other.record is not None
    assert (first.record.once, other.record.once) == (record.once, records[1].once)
    assert join_runs([block])["accuracy/eval_200"].to_pylist() == [0.5, None, None]
    assert [ended.job for ended in list_ended(block)] == [0, 1, 2]
    (tmp_path / "run").mkdir()
    write_record(tmp_path / "run", record)
    found = load_record("completed", tmp_path / "run")
    assert found is not None
    assert found.once == record.once
