"""Hydra's application as our commands use it: what runs, and with which exit code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode

from bptt.cli import hydra_app, plan
from bptt.configuration.build import Configuration, check_configuration
from bptt.configuration.replaced import Loader


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.chdir(tmp_path)
    return []


def remember(
    seeds: list[int], fails: int | None = None, code: int | None = None
) -> Callable[[Configuration], int | None]:
    def task(configuration: Configuration) -> int | None:
        seeds.append(configuration.run.seed)
        if configuration.run.seed == fails:
            raise RuntimeError(f"seed {fails} fails")
        return code

    return task


def test_one_run(seeds: list[int]) -> None:
    assert hydra_app.run(["seed=3"], remember(seeds)) == 0
    assert seeds == [3]
    (folder,) = Path("multirun/runs").iterdir()
    assert "seed: 3" in (folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")


def test_one_run_is_composed_and_checked_once(seeds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            return real(*args, **kwargs)

        return counted

    monkeypatch.setattr("bptt.sweeps.composing.check_configuration", counting("checked", check_configuration))
    composed = counting("composed", ConfigLoaderImpl.load_configuration)
    monkeypatch.delattr(Loader, "load_configuration")  # which gives copies of what was composed before
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", composed)
    assert hydra_app.run(["seed=3"], remember(seeds)) == 0
    assert (seeds, done) == ([3], ["composed", "checked"])


def test_what_a_sweep_asks_for_is_composed_once(seeds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """And its runs twice: as one, from which the others are made, and a random one of them alone, to compare."""
    modes: list[RunMode] = []
    load = ConfigLoaderImpl.load_configuration

    def counted(self: ConfigLoaderImpl, **asked: Any) -> Any:
        modes.append(asked["run_mode"])
        return load(self, **asked)

    monkeypatch.delattr(Loader, "load_configuration")
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    assert plan.main(["-m", "seed=range(4)", "train.updates=5", "tracking.enabled=false"]) == 0
    assert modes == [RunMode.MULTIRUN, RunMode.RUN, RunMode.RUN]


@pytest.mark.parametrize("arguments", [["-m", "seed=range(1,4)"], ["hydra.mode=MULTIRUN", "seed=1,2,3"]])
def test_a_run_for_each_value(seeds: list[int], arguments: list[str]) -> None:
    assert hydra_app.run(arguments, remember(seeds)) == 0
    assert seeds == [1, 2, 3]


def test_the_task_s_exit_code(seeds: list[int]) -> None:
    assert hydra_app.run(["-m", "seed=1,2"], remember(seeds, code=1)) == 1
    assert seeds == [1, 2]


def test_an_exception_fails_the_command_after_the_other_runs(
    seeds: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert hydra_app.run(["-m", "seed=1,2,3"], remember(seeds, fails=2)) == 1
    assert seeds == [1, 2, 3]
    assert "RuntimeError: seed 2 fails" in capsys.readouterr().err


def test_nothing_starts_when_one_run_of_a_sweep_is_wrong(seeds: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert hydra_app.run(["-m", "seed=1,2,-3"], remember(seeds)) == 2
    assert seeds == []
    assert capsys.readouterr().err == "seed=-3: must be a whole number at least 0\n"
    assert list(Path().iterdir()) == []


def test_choices_of_the_users_own(seeds: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text("# @package _global_\nseed: 11\n", encoding="utf-8")
    assert hydra_app.run(["--config-dir", "own", "experiment=mine"], remember(seeds)) == 0
    assert seeds == [11]
    assert hydra_app.run(["--config-dir", "own", "experiment=mien"], remember(seeds)) == 2
    assert "did you mean mine?" in capsys.readouterr().err


def test_no_pickle_is_read(seeds: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert hydra_app.run(["--experimental-rerun", "config.pickle"], remember(seeds)) == 2
    assert capsys.readouterr().err == "--experimental-rerun: reads a pickle, which bptt does not\n"


def test_a_sweeper_that_is_no_mapping_is_told(seeds: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    Path("own/sweep").mkdir(parents=True)
    Path("own/sweep/mine.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: 3}\n", encoding="utf-8"
    )
    assert hydra_app.run(["--config-dir", "own", "sweep=mine"], remember(seeds)) == 2
    assert (seeds, capsys.readouterr().err) == ([], "hydra.sweeper=3: must be a mapping\n")
