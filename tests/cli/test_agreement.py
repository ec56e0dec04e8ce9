"""`bptt plan` tells of the runs that `bptt train` would train, or says what it would say, whatever is typed."""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bptt.cli import hydra_app, plan, train
from bptt.configuration.build import Configuration
from bptt.sweeps import single
from bptt.sweeps.launch import Launch
from bptt.tracking.provenance.digest import compute_digest, compute_version

SMALL = ("task=leftbit", "train.updates=5", "train.log_points=2", "tracking.enabled=false")
#: What may be typed, one of each line.
PIECES = (
    ("-m", "--run", "", "", ""),
    ("seed=range(3)", "seed=1", "seed=2,1", "", ""),
    ("model=gru", "model=elman,lstm", "model=glob(l*)", "model.hidden_size=2,3", "", ""),
    ("optimizer=momentum", "optimizer=sgd,adam", "optimizer.alpha=0.1,1e-1,0.2", "optimizer.alpha=0.5", ""),
    ("experiment=varied", "experiment=plain", "experiment=plain,varied", "experiment=gru,sgd", "", "", ""),
    ("sweep=mine", "sweep=unions", "sweep=mine", "", "", ""),
    ("hydra.sweeper.seeds=2", "+hydra.sweeper.params.seed=[7,8]", "hydra.sweeper.seeds=null", "", ""),
    ("hydra.mode=RUN", "hydra.mode=MULTIRUN", "", "", "", ""),
    ("hydra.run.dir=one", "hydra.sweep.dir=several", "hydra.launcher.workers=1", "", "", "", "", ""),
    ("tune={optimizer.alpha:[0.1,0.2],seeds:1}", "question=why", "hydra.sweep.subdir=x", *[""] * 8),
)
FILES = {
    "experiment/varied": "hydra: {sweeper: {params: {train.batch_size: [1, 2]}, seeds: 2}}\n",
    "experiment/plain": "train: {batch_size: 3}\n",
    "experiment/gru": "defaults: [override /model: gru]\nmodel: {hidden_size: 3}\n",
    "experiment/sgd": "defaults: [override /optimizer: sgd]\noptimizer: {alpha: 0.25}\n",
    "sweep/mine": "defaults: [override /experiment: gru]\nhydra: {sweeper: {params: {clip: [none, value]}}}\n",
    "sweep/unions": "hydra:\n  sweeper:\n    unions:\n      - params: {model: elman, model.activation: [tanh, relu]}\n"
    "      - params: {model: [gru, lstm]}\n",
}


class Stop(Exception):
    """Ends a command where it would begin to train."""


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[list[str] | None, list[str]]]:
    """What `train` or `plan` comes to: the digests of its runs, None where it is refused, and what it says."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        path = tmp_path / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# @package _global_\n{text}", encoding="utf-8")
    found: list[list[str]] = []

    def launch(self: Launch, jobs: Sequence[Sequence[str]]) -> Any:
        self.add(jobs)
        assert self.session is not None
        found.append([job.digest for job in self.session.jobs])
        self.close()
        raise Stop

    def train_single(configuration: Configuration, _folder: Path, _reporter: Any) -> Any:
        found.append([compute_digest(configuration.resolved, compute_version())])
        raise Stop

    def tell(_config: Any, runs: Sequence[Any], *_told: Any) -> None:
        found.append([planned.digest for planned in runs])

    monkeypatch.setattr(Launch, "launch", launch)
    monkeypatch.setattr(single, "train_single", train_single)
    monkeypatch.setattr("bptt.sweeps.planning._tell_plan", tell)
    monkeypatch.setattr("bptt.sweeps.launch.write_provenance", lambda _folder: None)

    def run(command: str, typed: Sequence[str]) -> tuple[list[str] | None, list[str]]:
        found.clear()
        shutil.rmtree("several", ignore_errors=True)  # which the command before may have begun
        argv = ["--config-dir", "mine", *typed]
        task = plan._Plan() if command == "plan" else train._Training(argv)
        code = hydra_app.run(argv, task)
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if not line.startswith((" ", "Traceback", "Error executing"))]
        if code == 2:
            assert found == []
            return None, lines
        (digests,) = found
        if command == "plan":
            assert said.out.startswith(f"runs    {len(digests)}\n")
        return digests, [line for line in lines if "fall" in line]

    return run


def agrees(ask: Callable[..., tuple[list[str] | None, list[str]]], typed: list[str]) -> tuple[str, list[str] | None]:
    """How a command ends, both commands end alike, and the digests of what `train` would train."""
    trained, planned = ask("train", typed), ask("plan", typed)
    digests = trained[0]
    asked = trained[0] is None and all("needs -m" in line or "takes -m" in line for line in trained[1])
    wants_flag = trained[0] is None and (planned[0] is not None or (asked and planned != trained))
    if wants_flag:
        assert all("needs -m" in line or "takes -m" in line for line in trained[1]), trained[1]
        trained = ask("train", ["-m", *typed])
    if trained[0] is not None and planned[0] is not None and any(text.startswith("tune=") for text in typed):
        planned = planned[0][: len(trained[0])], planned[1]  # the result's runs are of values that were not chosen yet
    assert planned == trained, typed
    if wants_flag or trained[0] is None:
        return "needs -m" if wants_flag else "refused", digests
    return "one run" if len(trained[0]) == 1 else "several", digests


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        ("", 1),
        ("-m", 1),
        ("hydra.sweeper.seeds=5", 5),
        ("hydra.sweeper.seeds=5 hydra.mode=RUN", None),
        ("sweep=mine", 2),
        ("sweep=mine hydra.mode=RUN", 1),
        ("sweep=mine --run", 1),
        ("sweep=mine seed=1,2 model=lstm", 4),
        ("experiment=varied", 4),
        ("-m experiment=plain,varied", 5),
        ("-m experiment=plain,varied seed=3", 3),
        ("-m sweep=unions model=elman,gru", 3),
        ("-m hydra.mode=RUN", None),
        ("-m hydra.run.dir=x", None),
        ("hydra.sweep.dir=x", None),
    ],
)
def test_as_many_runs_as_were_asked_for(ask: Any, typed: str, count: int | None) -> None:
    _, digests = agrees(ask, [*SMALL, *typed.split()])
    assert (None if digests is None else len(digests)) == count


def draw(seed: int) -> list[str]:
    rng = random.Random(seed)
    return [*SMALL, *filter(None, (rng.choice(choices) for choices in PIECES))]


def test_whatever_is_typed(ask: Any) -> None:
    agrees(ask, draw(0))


@pytest.mark.slow
def test_whatever_is_typed_often(ask: Any) -> None:
    ends = [agrees(ask, draw(seed))[0] for seed in range(1, 24)]
    assert {*ends} >= {"refused", "one run", "several"}
