"""A sweep that is trained sooner than workers start is trained by the command itself, to the same bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bptt.cli.main import main
from bptt.sweeps import launch
from bptt.sweeps.jobs.plan import cut_blocks, find_groups, is_little, seem_little
from bptt.sweeps.stages import compose_first
from bptt.sweeps.workers import processes
from bptt.tracking.folder.sweep import SweepFolder
from tests.sweeps.jobs.test_plan import run

SMALL = (
    "train", "-m", "task=leftbit", "train.updates=20", "train.log_points=5", "task.eval_size=32", "report=false",
    "tracking.enabled=false", "hydra.sweep.dir=s",
)  # fmt: skip


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How many workers were asked for, each time; there are none, whatever is asked."""
    monkeypatch.chdir(tmp_path)
    seen: list[int | None] = []

    def open_none(_address: str | None, workers: int | None, _most: int | None) -> processes.Processes:
        seen.append(workers)
        return processes.Processes(1)

    monkeypatch.setattr(processes, "open_processes", open_none)
    monkeypatch.setattr(launch, "needs_compiling", lambda _: False)
    return seen


def blocks() -> list[int]:
    return [len(SweepFolder.open(Path("s")).results(number)) for number in sorted(SweepFolder.open(Path("s")).blocks())]


def test_a_little_sweep_stays_here_in_one_block(asked: list[int | None]) -> None:
    assert main([*SMALL, "seed=range(20)"]) == 0
    assert (asked, blocks()) == ([1], [20])


def test_with_more_runs_than_a_block_has_no_workers_are_warmed(asked: list[int | None]) -> None:
    assert main([*SMALL, "seed=range(70)"]) == 0
    assert asked == [1]
    assert sorted(blocks()) == [6, 64]


def test_as_many_workers_as_are_asked_for(asked: list[int | None]) -> None:
    assert main([*SMALL, "seed=range(4)", "hydra.launcher.workers=2"]) == 0
    assert asked == [2]


def test_workers_share_what_is_to_be_compiled(asked: list[int | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "needs_compiling", lambda _: True)
    assert main([*SMALL, "seed=range(4)"]) == 0
    assert asked == [None]


def test_a_long_sweep_takes_workers(asked: list[int | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "is_little", lambda _: False)
    assert main([*SMALL, "seed=range(4)"]) == 0
    assert asked == [None]


def test_a_long_sweep_of_many_runs_warms_its_workers_before_it_is_composed(
    asked: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def composing(*arguments: Any) -> Any:
        order.extend(["workers"] * len(asked))
        return compose_first(*arguments)

    monkeypatch.setattr("bptt.sweeps.launch.compose_first", composing)
    monkeypatch.setattr(launch, "seem_little", lambda _run, _count: False)
    assert main([*SMALL, "seed=range(70)"]) == 0
    assert (order, asked) == (["workers"], [None])


@pytest.mark.parametrize(
    ("overrides", "count", "little"),
    [
        (("train.updates=20",), 20, True),
        (("train.updates=2000",), 20, True),
        (("train.updates=1000000",), 200, False),
        (("train.updates=1000", "train.log_points=1000"), 200, False),
        (("train.updates=10000", "model.hidden_size=200"), 20, False),
    ],
)
def test_what_is_little(overrides: Sequence[str], count: int, little: bool) -> None:
    one = run("task=leftbit", "task.eval_size=32", *overrides)
    assert is_little(find_groups([one] * count)) is little
    assert seem_little(one, count) is little


def test_many_groups_take_long_however_small_they_are() -> None:
    small = ("task=leftbit", "train.updates=100", "task.eval_size=32")
    groups = find_groups([run(*small, f"model.hidden_size={size}") for size in range(2, 42)])
    assert len(groups) == 40
    assert not is_little(groups)


def test_what_is_trained_here_fills_its_blocks() -> None:
    runs = [run("train.updates=100000")] * 100
    assert [len(block) for block in cut_blocks(find_groups(runs), 0)] == [64, 36]


def test_here_and_in_workers_it_has_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for workers in ("null", "2"):
        more = (f"hydra.launcher.workers={workers}", f"hydra.sweep.dir=s{workers}")
        assert main([*SMALL[:-1], "seed=range(20)", *more]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("results sha256 ")]
        found.append(line)
    assert found[0] == found[1]
