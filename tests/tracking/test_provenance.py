import subprocess
from pathlib import Path

from bptt.tracking.provenance import git, provenance


def commit(folder: Path) -> str:
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def test_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("1")
    expected = commit(tmp_path)
    assert git(tmp_path) == {"mlflow.source.git.commit": expected, "bptt.git.dirty": "false"}
    (tmp_path / "new.txt").touch()
    assert git(tmp_path)["bptt.git.dirty"] == "false"
    (tmp_path / "code.py").write_text("2")
    assert git(tmp_path) == {"mlflow.source.git.commit": expected, "bptt.git.dirty": "true"}


def test_without_a_work_tree_there_is_no_commit(tmp_path: Path) -> None:
    assert git(tmp_path) == {}


def test_versions_are_named() -> None:
    import numpy as np

    assert provenance()["bptt.version.numpy"] == np.__version__
