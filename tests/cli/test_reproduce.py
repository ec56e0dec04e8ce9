"""`bptt reproduce`, as whoever was given a run or a sweep sees it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.cli.main import main
from bptt.core.run import TIMED
from bptt.tracking.folder.files import read_arrays
from tests.recording import remove_groups, strip_digests

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

AS_IT_WAS = "all is as it was then: processor, BLAS, packages"
SAID = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def said(work: Any, undisturbed: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> SAID:
    """Runs the command in the folder where the runs are: its exit code, its lines, and what it says on stderr."""
    monkeypatch.chdir(work.path)

    def run(*arguments: str) -> tuple[int, list[str], str]:
        try:
            code = main(["reproduce", *arguments])
        except SystemExit as end:
            code = int(str(end.code))
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


@pytest.fixture
def copied(undisturbed: Any, tmp_path: Path) -> Path:
    """A copy of a single run's folder, to be changed: as of before there were digests, which would tell of that."""
    _, run = undisturbed
    folder = Path(shutil.copytree(run.folder, tmp_path / "copied"))
    strip_digests(folder)
    return folder


def test_a_run_gives_the_same_bits(said: SAID, undisturbed: Any) -> None:
    _, run = undisturbed
    code, lines, err = said(str(run.folder))
    assert (code, err) == (0, "training 1 run\n")
    assert lines[0] == f"counting linear seed=0, trained again from the record alone, {run.folder}"
    version = run.journal["numerical_version"]
    # Where the sources are being edited, something differs that decides no bit.
    assert any(
        line in (f"{what} (numerical version {version})" for what in ("of what computes nothing differs", AS_IT_WAS))
        for line in lines
    )
    history = pd.read_parquet(run.folder / "history.parquet")
    for name in history.columns.drop(["update", *TIMED]):
        assert f"  {name:<23}  same bits (30 values)" in lines
    flow = pd.read_parquet(run.folder / "gradient_flow.parquet")
    assert f"  {'gradient flow':<23}  same bits ({len(flow)} values)" in lines
    assert {"  cell.0.input             same", "  outcome                  same"} <= set(lines)
    assert re.fullmatch(r"1 of 1 run: same bits \(\d+ numbers\)", lines[-1])


def test_a_run_of_the_store(said: SAID, undisturbed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, run = undisturbed
    monkeypatch.chdir(tmp_path)  # where its folder is not known
    code, lines, _ = said(run.journal["run_id"], "--uri", run.address.uri)
    assert code == 0
    assert lines[0] == "counting linear seed=0, trained again from the record alone, in the store"
    assert "same bits" in lines[-1]


def test_an_artifact_of_which_a_bit_was_changed(
    said: SAID, undisturbed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, run = undisturbed
    monkeypatch.chdir(tmp_path)
    path = run.artifacts["weights.npz"]
    whole = path.read_bytes()
    arrays = read_arrays(path)
    now = float(arrays["cell.0.recurrent"][0, 0])
    arrays["cell.0.recurrent"].view(np.int64)[0, 0] ^= 1
    then = float(arrays["cell.0.recurrent"][0, 0])
    try:
        np.savez(path, allow_pickle=False, **arrays)
        code, lines, _ = said(run.journal["run_id"], "--uri", run.address.uri)
    finally:
        path.write_bytes(whole)
    assert code == 1
    (place,) = [number for number, line in enumerate(lines) if "differ" in line and "cell.0.recurrent" in line]
    assert lines[place].endswith("; first [0, 0]")
    assert [line.split() for line in lines[place + 1 : place + 3]] == [
        ["then", repr(then), then.hex()],
        ["now", repr(now), now.hex()],
    ]
    assert lines[-1] == "1 of 1 run: NOT the same"


def test_a_metric_of_which_a_bit_was_changed(said: SAID, copied: Path) -> None:
    path = copied / "history.parquet"
    history = pd.read_parquet(path)
    loss = history["loss/train"].to_numpy(copy=True)
    now = float(loss[3])
    loss.view(np.int64)[3] ^= 1
    history["loss/train"] = loss
    history.to_parquet(path)
    code, lines, _ = said(str(copied))
    assert code == 1
    (line,) = [line for line in lines if line.startswith("  loss/train ")]
    assert "1 of 30 values differ" in line
    assert line.endswith(f"; first at update {history['update'][3]}")
    assert f"then {float(loss[3])!r}  {float(loss[3]).hex()}" in "\n".join(lines)
    assert f"now  {now!r}  {now.hex()}" in "\n".join(lines)
    code, lines, _ = said(str(copied), "--tolerance", "1e-12")
    assert code == 0
    assert lines[-1] == "1 of 1 run: other bits, within a tolerance of 1e-12"
    assert any(line.startswith("  loss/train ") and "within 1e-12: 1 of 30 values differ" in line for line in lines)


def test_what_differs_from_then_is_said_first(said: SAID, copied: Path) -> None:
    noted = json.loads((copied / "provenance.json").read_text())
    noted["packages"]["numpy"] = "2.0.0"
    noted["cpu"] = "A processor"
    noted["resumed"] = [{**noted, "cpu": "Another one"}]
    (copied / "provenance.json").write_text(json.dumps(noted))
    code, lines, _ = said(str(copied))
    assert code == 0
    assert lines[1] == "what differs between then and now"
    assert re.fullmatch(r"  processor +then A processor +now \S.*", lines[2])
    assert re.fullmatch(rf"  numpy +then 2\.0\.0 +now {re.escape(np.__version__)}", lines[3])
    assert "  processor: begun with A processor, gone on with Another one" in lines
    assert "the same bits are expected: the same program computes, with another processor and numpy" in lines
    (copied / "provenance.json").unlink()
    (copied / "dirty.patch").unlink(missing_ok=True)
    assert said(str(copied))[1][1] == ("the record does not say what it was made with (it holds no provenance.json)")
    journal = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps({**journal, "numerical_version": "0123"}))
    code, lines, _ = said(str(copied))
    assert f"  numerical version  then 0123  now {journal['numerical_version']}" in lines
    assert any("other bits are to be expected" in line for line in lines)


def test_a_record_of_before_there_were_schedules_and_regularizers(said: SAID, copied: Path) -> None:
    assert remove_groups(copied / "config.yaml") == ["schedule", "regularizer"]
    code, lines, err = said(str(copied))
    assert (code, err) == (0, "training 1 run\n")
    assert re.fullmatch(r"1 of 1 run: same bits \(\d+ numbers\)", lines[-1])


def test_a_damaged_record(said: SAID, copied: Path) -> None:
    path = copied / "weights.npz"
    path.write_bytes(path.read_bytes()[:-100])
    code, lines, _ = said(str(copied))
    assert code == 1
    assert lines[-2].startswith("not compared: counting linear seed=0: ")
    assert "damaged" in lines[-2]
    assert lines[-1] == "1 of 1 run: NOT reproduced, since it could not be compared"
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0", "seed: 1"))
    code, lines, err = said(str(copied))
    assert (code, err) == (1, "")
    assert "its configuration in the record was changed" in lines[-2]


def test_wrong_requests_are_one_line(said: SAID, work: Any, undisturbed: Any) -> None:
    _, run = undisturbed
    for arguments in (["nowhere/at/all"], [str(work.path)], [f"{run.folder}:7"]):
        code, lines, err = said(*arguments)
        assert (code, lines, err.count("\n")) == (2, [], 1), arguments
    for arguments, told in (
        (["--tolerance", "x"], "x: a number above 0 and below 1 is needed"),
        (["--tolerance", "0"], "0: a number above 0"),
        (["--runs", "0"], "0: a number of runs is needed"),
        (["--runs", "few"], "few: a number of runs is needed"),
    ):
        code, lines, err = said(str(run.folder), *arguments)
        assert (code, lines) == (2, [])
        assert told in err


def test_a_sweep(work: Any, said: SAID, tmp_path: Path) -> None:
    sweep = ("experiment=outlace_leftbit", "train.updates=60", "train.log_points=6", "optimizer.alpha=0.5,1e300")
    several = ("seed=range(7)", "hydra.launcher.workers=2")  # blocks
    done = work.bptt("train", "-m", *sweep, *several, "tracking.enabled=false", "report=false")
    assert done.returncode == 0, done.stderr
    found = max(path for path in (work.path / "multirun").iterdir() if path.name != "runs")
    assert json.loads((found / "provenance.json").read_text())["simd"] in (4, 8)
    code, lines, err = said(found.name)
    assert code == 0
    where = f"trained again from the record alone, {found.relative_to(work.path)}"
    assert lines[0] == f"{found.name}: 14 runs, {where}"
    assert re.fullmatch(r"14 of 14 runs: same bits \([\d,]+ numbers\)", lines[-1])
    assert "training 14 runs" in err
    code, lines, _ = said(f"{found.name}:alpha=0.5", "--runs", "2")
    assert code == 0
    assert lines[0] == f"{found.name}: 2 of 7 runs, {where}"
    assert lines[-1].startswith("2 of 2 runs: same bits")
    # A block is gone, and all runs of the others are changed; how many blocks there are depends on the machine.
    strip_digests(found)
    *others, last = sorted((found / "blocks").iterdir())
    changed = 0
    for block in others:
        history = pd.read_parquet(block / "history.parquet")
        changed += history["run"].nunique()
        history["grad/norm"] = np.nextafter(history["grad/norm"], np.inf)
        history.to_parquet(block / "history.parquet")
    gone = pd.read_parquet(last / "runs.parquet")["run"].nunique()
    shutil.rmtree(last)
    code, lines, _ = said(str(found))
    assert code == 1
    assert changed + gone == 14
    assert lines[-2:] == [
        f"{changed} of 14 runs: NOT the same",
        f"{gone} of 14 runs: NOT reproduced, since they could not be compared",
    ]
    assert any(re.match(rf"  grad/norm +differs in {changed} of {changed} runs, by up to", line) for line in lines)
    assert any(re.match(r"  loss/eval +same bits", line) for line in lines)
    firsts = [line for line in lines if "first in grad/norm at update 1" in line]
    assert len(firsts) == min(changed, 5)
    assert any(line.startswith("not compared: ") and "no longer there" in line for line in lines)
