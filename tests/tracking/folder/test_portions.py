"""Rows that are written and read portion by portion, and the texts of JSON columns."""

import json
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bptt.tracking.folder.portions import MappingTexts, read_portions, write_portions

COLUMNS = {"number": "int64", "text": "string"}


def rows(count: int) -> list[dict[str, object]]:
    return [{"number": number, "text": json.dumps({"é": number})} for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 4096, 9000])
def test_rows_come_back(tmp_path: Path, count: int) -> None:
    write_portions(tmp_path / "rows.parquet", COLUMNS, iter(rows(count)))
    assert [*read_portions(tmp_path / "rows.parquet")] == rows(count)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
    noted = pq.ParquetFile(tmp_path / "rows.parquet").metadata.metadata[b"bptt.sha256"]
    assert noted.decode() == sha256(json.dumps(rows(count)).encode()).hexdigest()


def test_a_file_that_was_written_whole_is_read(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows(9000))
    for metadata in ({}, {"bptt.sha256": sha256(json.dumps(rows(9000)).encode()).hexdigest()}):
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "rows.parquet")
        assert [*read_portions(tmp_path / "rows.parquet")] == rows(9000)


def test_other_rows_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_portions(path, COLUMNS, rows(5000))
    metadata = {"bptt.sha256": pq.ParquetFile(path).metadata.metadata[b"bptt.sha256"]}
    for other in (rows(4999), [*rows(4999), {"number": 4999, "text": "{}"}], rows(5000)[::-1]):
        pq.write_table(pa.Table.from_pylist(other).replace_schema_metadata(metadata), path)
        with pytest.raises(ValueError, match="not as it was written"):
            list(read_portions(path))
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="arquet"):
        list(read_portions(path))
    with pytest.raises(FileNotFoundError):
        list(read_portions(tmp_path / "nowhere.parquet"))


def test_mappings_come_back_and_share_what_is_equal() -> None:
    texts, shared = MappingTexts(), {"alpha": 0.1, "ε": None, "text": 'a", {b}: '}
    written = [
        {
            "optimizer": shared if number % 3 else {"alpha": 0.2},
            "x}": [number % 2],
            "seed": number,
            "s": "}, ",
            "n": None,
        }
        for number in range(20000)
    ]
    reader = MappingTexts()
    found = []
    for mapping in written:
        text = texts.write(mapping)
        assert text == json.dumps(mapping)
        found.append(reader.read(text))
    assert found == written
    assert len({id(mapping["optimizer"]) for mapping in found[:6000]}) < 10


@pytest.mark.parametrize(
    "text", ["{}", '{"a":1}', '{"a": 1,"b": 2}', '{ "a": 1}', '{"a": 1 }', '{"a": {"b": 1}, "a": 2}', '{"a": [1]}\n']
)
def test_other_texts_are_read_as_json_is(text: str) -> None:
    reader = MappingTexts()
    reader.read('{"a": 1, "b": {"c": 2}}')
    assert reader.read(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "[1]", "1", '{"a": 1', '{"a": 1, }', '{"a": 1}x', '{"a": 1, ', "null"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    reader = MappingTexts()
    reader.read('{"a": 1, "b": {"c": 2}}')
    with pytest.raises(ValueError, match=r"Expecting|Extra data|holds no mapping"):
        reader.read(text)
