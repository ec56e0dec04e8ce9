"""The command line's front door, from a cold folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bptt
from bptt.cli.main import COMMANDS
from tests.program import Folder


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = Folder.command(*arguments), {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(arguments: list[str], tmp_path: Path) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["--version"], ["train", "optimizer.alpha=-1"]])
def test_the_package_is_a_program(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bptt", *arguments]
    fresh = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    forked = run(*arguments, cwd=tmp_path)
    assert (fresh.returncode, fresh.stdout, fresh.stderr) == (forked.returncode, forked.stdout, forked.stderr)


def test_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"bptt {bptt.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    result = run(command, "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"bptt {command}" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_of_train_lists_choices_and_values(tmp_path: Path) -> None:
    text = run("train", "--help", "model=lstm", cwd=tmp_path).stdout
    assert "\nmodel: elman, gru, jordan, leaky, linear, lstm\n" in text
    assert "\n  _target_: bptt.core.models.lstm.Lstm\n" in text


def test_cfg_prints_the_configuration(tmp_path: Path) -> None:
    result = run("train", "--cfg", "job", "--package", "optimizer", "optimizer=momentum", cwd=tmp_path)
    assert result.returncode == 0
    assert "alpha: 0.1\nepsilon: 0.9\n" in result.stdout


def complete(line: str, cwd: Path) -> list[str]:
    result = run("-sc", "query=bash", cwd=cwd, COMP_LINE=line, COMP_POINT=str(len(line)))
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bptt ", list(COMMANDS)),
        ("bptt tr", ["train"]),
        ("bptt train model=l", ["model=leaky", "model=linear", "model=lstm"]),
        ("bptt train model.hid", ["model.hidden_size="]),
        ("bptt check-gradients experiment=z", ["experiment=zhu_adder", "experiment=zhu_adder_original"]),
    ],
)
def test_tab_completion(line: str, expected: list[str], tmp_path: Path) -> None:
    assert complete(line, tmp_path) == expected


def test_check_gradients(tmp_path: Path) -> None:
    result = run("check-gradients", "task=xor", "task.length=5", "model.hidden_size=2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["block", "relative", "error", "bound"]
    assert [line.split()[0] for line in lines[1:-1]] == [
        "cell.0.input",
        "cell.0.recurrent",
        "cell.0.bias",
        "readout.weight",
        "readout.bias",
    ]
    assert lines[-1] == "all 5 blocks are right"
    assert list(tmp_path.iterdir()) == []


def test_ui_without_a_store(tmp_path: Path) -> None:
    result = run("ui", cwd=tmp_path, MLFLOW_TRACKING_URI="")
    assert result.returncode == 2
    assert result.stderr == f"{tmp_path / 'mlflow.db'}: nothing was recorded here yet; `bptt train` does\n"
    assert list(tmp_path.iterdir()) == []


def test_ui_of_a_server(tmp_path: Path) -> None:
    result = run("ui", cwd=tmp_path, MLFLOW_TRACKING_URI="http://me:secret@example.org:5000")
    assert result.returncode == 0
    pages = "http://example.org:5000/#/experiments?workflowType=machine_learning"
    assert result.stdout == f"Open {pages}\n     all experiments; they are on a server, which goes on\n"


def test_ui_of_an_impossible_store(tmp_path: Path) -> None:
    result = run("ui", "--uri", "some/folder", cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_vector_width_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    result = run("train", cwd=tmp_path, BPTT_SIMD_WIDTH="5")
    assert result.returncode == 2
    assert result.stderr.startswith("BPTT_SIMD_WIDTH=5: this processor allows 2 and 4")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error_worth_a_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = Folder.command("train", "--help")
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_what_matplotlib_logs_is_not_shown(tmp_path: Path) -> None:
    """As that it builds its font cache, which it says after five seconds, or that its folder can't be written."""
    code = (
        "from bptt.cli.main import main; main(['report', './nowhere']);"
        "import matplotlib.font_manager, logging; logging.getLogger('matplotlib.font_manager').warning('building')"
    )
    environment = {**os.environ, "MPLCONFIGDIR": os.devnull}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stderr == "./nowhere: there is no such folder\n"
