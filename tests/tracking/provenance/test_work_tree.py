import subprocess
from pathlib import Path

import pytest

from bptt.tracking.provenance.work_tree import read_git_diff, read_git_tags, shorten_diff


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
