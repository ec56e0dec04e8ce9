"""The notebooks: stored without outputs, and executed on small sweeps that are made here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

import bptt

FOLDER = Path(__file__).parents[1] / "analysis"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))

LEFTBIT = ["experiment=outlace_leftbit", "clip=norm", "clip.threshold=0.05,1", "model.hidden_size=2,3", "seed=range(3)"]
LEFTBIT += ["train.updates=300", "train.log_points=10", "tracking.enabled=false", "hydra.launcher.workers=1"]
COUNTING = ["experiment=roelants_counting", "optimizer.eta_plus=1.1,1.2", "optimizer.eta_minus=0.4,0.5"]
COUNTING += ["train.updates=60", "train.log_points=20", "tracking.enabled=false", "hydra.launcher.workers=1"]

#: How many figures each shows, and what stands in which of its cells.
FIGURES = {"convergence": 7, "counting_surface": 10, "dynamics": 4, "from_python": 4, "from_sklearn": 3}
FIGURES |= {"gradient_stability": 6, "hyperparameters": 6, "your_own_data": 3}
#: Those that train what they show, and open no sweep.
TRAINING = {"from_python", "from_sklearn", "your_own_data"}
SHOWN = {
    "convergence": {"open": "12: 12 ended", "statistics": "threshold=0.05 hidden_size=2"},
    "counting_surface": {
        "settings": "1.001355547, 0.999674474",
        "gradients-table": "905523.2",
        "sweep-open": "eta_plus",
    },
    "dynamics": {"measure": "24 networks of 12 runs: 24 measured", "table": "first/dynamics/lyapunov_max"},
    "from_python": {"one": "completed", "sweep": "135: 135 ended", "compare": "epsilon", "names": "final_loss_epsilon"},
    "from_sklearn": {"data": "1347, 8, 8", "fit": "kept update", "search": "rank_test_score"},
    "gradient_stability": {"open": "12: 12 ended", "table": "grad/decay"},
    "hyperparameters": {"shares": "interactions", "against": "is better", "command": "bptt train experiment="},
    "your_own_data": {
        "room": "36 sequences train, 12 evaluate, 12 test",
        "regression": "completed",
        "digits": "balanced_accuracy/test",
        "confusion": "predicted",
    },
}


NEVER_BEGAN = "Kernel died before replying to kernel_info"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each notebook after it was executed: one on a sweep that is named, the others, below multirun/, on the newest."""
    root = tmp_path_factory.mktemp("notebooks")
    below = root / "analysis"
    below.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        named, _ = bptt.sweep(COUNTING), bptt.sweep(LEFTBIT)
    environment = os.environ | {"IPYTHONDIR": str(root / "ipython"), "PYTHONWARNINGS": "default"}
    commands = {}
    for name in NAMES:
        words = [str(FOLDER / f"{name}.ipynb"), str(root / f"{name}.ipynb"), "--no-progress-bar", "--cwd"]
        words += [str(root), "-p", "sweep", named.name] if name == "counting_surface" else [str(below)]
        commands[name] = [sys.executable, "-m", "papermill", *words]
    started = {name: start(command, environment) for name, command in commands.items()}
    for name, process in started.items():
        printed, _ = process.communicate(timeout=300)
        # A kernel chooses its ports before it takes them: another one, or a server, may be there first. Then it ends
        # before it has run a cell, and is started again.
        for _ in range(2):
            if process.returncode and NEVER_BEGAN in printed:
                process = start(commands[name], environment)
                printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, f"{name}: {printed}"
    return {name: read(root / f"{name}.ipynb") for name in NAMES}


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def outputs(notebook: Any, cell: str | None = None) -> list[Any]:
    code = [each for each in notebook["cells"] if each["cell_type"] == "code" and cell in (None, each["id"])]
    assert code
    return [output for each in code for output in each["outputs"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_without_a_warning(executed: dict[str, Any], name: str) -> None:
    for output in outputs(executed[name]):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", output.get("text")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_its_figures_and_tables(executed: dict[str, Any], name: str) -> None:
    figures = [output for output in outputs(executed[name]) if "image/png" in output.get("data", {})]
    assert len(figures) == FIGURES[name]
    for cell, text in SHOWN[name].items():
        assert text in json.dumps([output.get("data") for output in outputs(executed[name], cell)], ensure_ascii=False)


def test_there_are_eight_notebooks() -> None:
    assert [*FIGURES] == [*SHOWN] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    notebook = read(FOLDER / f"{name}.ipynb")
    nbformat.validate(notebook)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    assert notebook["metadata"]["kernelspec"]["language"] == "python"  # papermill asks for it
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    (parameters,) = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    assert name in TRAINING or 'sweep = "latest"' in "".join(parameters["source"])
    assert sum(cell["cell_type"] == "markdown" for cell in cells) >= 5
