import json
from pathlib import Path

import numpy as np
import pytest

from bptt.tracking.folder.run import (
    Journal,
    ResumeError,
    check_program,
    forget_checkpoint,
    read_checkpoint,
    read_config,
    read_journal,
    write_checkpoint,
    write_journal,
)

JOURNAL = Journal(
    run_id="abc",
    uri="sqlite:////runs/mlflow.db",
    experiment="bptt",
    name="leftbit elman seed=0",
    digest="d",
    numerical_version="v",
    current_folder="/runs",
)


def test_a_journal_comes_back(tmp_path: Path) -> None:
    write_journal(tmp_path, JOURNAL)
    assert read_journal(tmp_path) == JOURNAL


def test_what_is_no_runs_folder_is_told_in_one_line(tmp_path: Path) -> None:
    for folder, words in ((tmp_path / "none", "no such folder"), (tmp_path, "not the folder of a run")):
        with pytest.raises(ResumeError, match=words) as caught:
            read_journal(folder)
        assert "\n" not in str(caught.value)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ResumeError, match="can't be read"):
        read_journal(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(ResumeError, match="can't be read"):
        read_journal(tmp_path)
    with pytest.raises(ResumeError, match=r"config\.yaml: can't be read"):
        read_config(tmp_path)


def test_a_checkpoint_comes_back_and_goes(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path, JOURNAL) is None
    write_checkpoint(tmp_path, JOURNAL, 5, {"theta": np.array([0.1, np.nan])})
    found = read_checkpoint(tmp_path, JOURNAL)
    assert found is not None
    update, arrays = found
    assert update == 5
    assert list(arrays) == ["theta"]
    assert np.array_equal(arrays["theta"], [0.1, np.nan], equal_nan=True)
    forget_checkpoint(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_or_foreign_checkpoint_is_told(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, JOURNAL, 5, {"theta": np.zeros(9)})
    other = Journal(**{**vars(JOURNAL), "run_id": "other"})
    with pytest.raises(ResumeError, match="belongs to another run"):
        read_checkpoint(tmp_path, other)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ResumeError, match="cut off or damaged; delete it"):
        read_checkpoint(tmp_path, JOURNAL)
    np.savez(path, theta=np.zeros(9))
    with pytest.raises(ResumeError, match="cut off or damaged"):
        read_checkpoint(tmp_path, JOURNAL)


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "checkpoint.npz", theta=np.array([{}], dtype=object))
    with pytest.raises(ResumeError, match="cut off or damaged"):
        read_checkpoint(tmp_path, JOURNAL)


def test_another_numerical_version_is_refused() -> None:
    check_program(JOURNAL, "v")
    with pytest.raises(ResumeError, match="another numerical version"):
        check_program(JOURNAL, "w")
