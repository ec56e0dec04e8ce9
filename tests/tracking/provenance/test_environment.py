import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.simd import WIDTH
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import load_sealed
from bptt.tracking.provenance import environment as module
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.provenance.environment import (
    Change,
    describe_environment,
    find_version,
    list_changes,
    make_provenance_tags,
    note_resumption,
    pack_provenance,
    parse_provenance_tags,
    read_git_diff,
    read_git_tags,
    read_provenance,
    shorten_diff,
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


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree with one commit."""
    top = tmp_path / "a tree"
    for name, text in {"src/code.py": "a = 1\n", "conf/a.yaml": "a: 1\n", "notes.txt": "as it was\n"}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    git(tmp_path, "init", "-q", str(top))
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    return top


def tags(tree: Path, dirty: str) -> dict[str, str]:
    return {"mlflow.source.git.commit": git(tree, "rev-parse", "HEAD"), "bptt.git.dirty": dirty}


def test_commit_and_whether_it_was_changed(tree: Path) -> None:
    source = tree / "src"
    assert read_git_tags(source) == tags(tree, "false")
    assert read_git_diff(source) is None
    (tree / "new.txt").touch()
    (tree / "elsewhere.py").touch()
    assert read_git_tags(source) == tags(tree, "false")
    assert read_git_diff(source) is None
    (tree / "notes.txt").write_text("changed")
    assert read_git_tags(source) == tags(tree, "true")


@pytest.mark.parametrize("name", ["src/new.py", "conf/new.yaml"])
def test_a_new_source_or_choice_counts(tree: Path, name: str) -> None:
    (tree / name).write_text("b = 2\n")
    assert read_git_tags(tree / "src") == tags(tree, "true")
    found = read_git_diff(tree / "src")
    assert found is not None
    assert f"+++ b/{name}" in found


def test_the_difference_applied_to_the_commit_gives_the_work_tree(tree: Path, tmp_path: Path) -> None:
    changed = {
        "src/code.py": b"a = 2\n",
        "src/new one.py": "b = 'é'\n".encode(),
        "conf/b.yaml": b"b: 1",
        "x.bin": b"\0\1",
    }
    for name, content in changed.items():
        (tree / name).write_bytes(content)
    (tree / "notes.txt").unlink()
    git(tree, "add", "x.bin")
    git(tree, "config", "diff.noprefix", "true")
    found = read_git_diff(tree / "src")
    assert found is not None
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(tree), str(other))
    (tmp_path / "dirty.patch").write_text(found)
    git(other, "apply", str(tmp_path / "dirty.patch"))
    assert {name: (other / name).read_bytes() for name in changed} == changed
    assert not (other / "notes.txt").exists()


def test_a_password_in_the_difference_is_blotted_out(tree: Path) -> None:
    (tree / "conf" / "a.yaml").write_text("uri: postgresql://me:secret@host/db\n")
    found = read_git_diff(tree / "src")
    assert found is not None
    assert "+uri: postgresql://me:***@host/db\n" in found


def test_without_a_work_tree_of_its_own_there_is_no_commit(tmp_path: Path, tree: Path) -> None:
    assert read_git_tags(tmp_path) == {}
    assert read_git_diff(tmp_path) is None
    environment = tree / ".venv" / "lib"
    environment.mkdir(parents=True)
    (environment / "code.py").touch()
    assert read_git_tags(environment) == {}


def test_a_difference_has_a_name() -> None:
    assert shorten_diff(None) is None
    assert shorten_diff("a") != shorten_diff("b")
    assert shorten_diff("a") == shorten_diff("a") == "ca978112ca1bbdca"


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


def test_versions_are_named() -> None:
    assert make_provenance_tags()["bptt.version.numpy"] == np.__version__
    assert find_version("numpy") == np.__version__
    assert find_version("no-such-package") is None


def test_a_password_on_the_command_line_is_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bin/bptt", "train", "tracking.uri=postgresql://me:hidden@host/db"])
    assert make_provenance_tags()["mlflow.source.name"] == "bptt train tracking.uri=postgresql://me:***@host/db"
