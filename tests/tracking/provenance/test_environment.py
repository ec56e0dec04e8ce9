import json
from pathlib import Path

import numpy as np
import pytest

from bptt.core.simd import WIDTH
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.digests import load_sealed
from bptt.tracking.provenance import environment as module
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.provenance.environment import (
    describe_environment,
    make_provenance_tags,
    note_resumption,
    pack_provenance,
    parse_provenance_tags,
    read_provenance,
    write_provenance,
)


def test_what_is_computed_with() -> None:
    found = describe_environment()
    assert list(found) == [
        "python", "platform", "cpu", "target", "simd", "cores", "blas", "packages", "git_commit", "git_dirty",
        "git_diff", "numerical_version",
    ]  # fmt: skip
    assert found["simd"] == WIDTH
    assert found["numerical_version"] == compute_version()
    assert found["packages"]["numpy"] == np.__version__
    assert {"bptt", "hydra-core", "llvmlite", "numba", "scipy", "threadpoolctl"} <= set(found["packages"])
    assert "optuna" not in found["packages"]  # an extra
    assert found["blas"]["threads"] in (1, None)
    assert found["blas"]["name"]
    assert found["cpu"]
    assert found["target"]
    text = json.dumps(found)
    assert json.loads(text) == found
    assert str(Path.home()) + "/" not in text


@pytest.mark.parametrize("difference", [None, "diff --git a/é b/é\n"])
def test_it_is_noted_in_a_folder(difference: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_own_diff", lambda: difference)
    write_provenance(tmp_path)
    assert read_provenance(tmp_path) == describe_environment()
    files = pack_provenance(tmp_path)
    assert set(files) == {"provenance.json"} | ({"dirty.patch"} if difference else set())
    assert load_sealed(files["provenance.json"].decode()) == describe_environment()
    if difference:
        assert files["dirty.patch"].decode() == difference


def test_where_it_went_on_elsewhere_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note_resumption(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_provenance(tmp_path)
    begun = read_provenance(tmp_path)
    note_resumption(tmp_path)
    assert read_provenance(tmp_path) == begun
    other = {**describe_environment(), "cpu": "Another"}
    monkeypatch.setattr(module, "describe_environment", lambda: other)
    for _ in range(2):
        note_resumption(tmp_path)
        assert read_provenance(tmp_path) == {**begun, "resumed": [other]}


def test_where_nothing_can_be_read_there_is_nothing(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) == {}
    assert pack_provenance(tmp_path) == {}


def test_what_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    write_provenance(tmp_path)
    text = path.read_text()
    for damaged in ("{", "[]", text.replace('"python": "3', '"python": "4')):
        assert damaged != text
        path.write_text(damaged)
        with pytest.raises(ArchiveError, match=r"provenance\.json: can't be read: .*; delete it to do without$"):
            read_provenance(tmp_path)


def test_tags_say_a_part_of_it() -> None:
    found, whole = parse_provenance_tags(make_provenance_tags()), describe_environment()
    assert found["python"] == whole["python"]
    assert found["packages"].items() <= whole["packages"].items()
    assert found.get("git_commit") == whole["git_commit"]
    assert parse_provenance_tags({}) == {}
