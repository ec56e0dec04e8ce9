"""A command that is called in a process of somebody's, as tests and notebooks do, leaves that process as it was."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from bptt.cli.main import main
from tests.program import Folder

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ("experiment=roelants_counting", "train.updates=4", "train.log_points=2", "report=false")


def state() -> dict[str, Any]:
    """What a command could leave behind, outside its folder and its store."""
    import mlflow

    return {
        "folder": Path.cwd(),
        # What is imported sets some variables of OpenMP.
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("KMP_")},
        "arguments": [*sys.argv],
        "hydra": GlobalHydra.instance().is_initialized(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "store": mlflow.get_tracking_uri(),
        "experiment": mlflow.tracking.fluent._active_experiment_id,
        "streams": (sys.stdout, sys.stderr),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", *SMALL),
        ("train", "-m", *SMALL, "seed=0,1", "reuse=false", "hydra.launcher.workers=1"),
        ("plan", *SMALL, "seed=0,1"),
        ("train", "optimizer.alpha=-1"),
    ],
)
def test_nothing_is_left(arguments: tuple[str, ...], empty: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = state()
    assert main(arguments) == (2 if "optimizer.alpha=-1" in arguments else 0)
    assert state() == before
