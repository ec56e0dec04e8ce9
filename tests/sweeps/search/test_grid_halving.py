"""Halving of a grid: who is given up and why, the bits of the others, a sweep that was broken off, and its report."""

from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.analysis.report.document import Paragraph
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.search import tabulate_given_up, write_given_up
from bptt.analysis.sweep import Sweep, hash_results, load_sweep
from bptt.cli.main import main
from bptt.configuration.errors import ConfigurationError
from bptt.core.run import TIMED
from bptt.sweeps.session import Session
from bptt.sweeps.workers.training import LaneResult, LaneTask
from bptt.tracking.folder.rungs import RUNGS
from bptt.tracking.folder.sweep import SweepFolder

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ["experiment=roelants_counting", "train.updates=40", "train.log_points=10", "hydra.launcher.workers=1"]
BARE = ["report=false", "tracking.enabled=false"]
SWEPT = ["optimizer.eta_plus=1.01,1.1,1.2,1.3,1.4,1.5", "seed=range(3)"]
HALVING = "hydra.sweeper.halving={eta: 2, min_updates: 10}"
KEY = "optimizer.eta_plus"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Sweep]:
    """A sweep without halving, and with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("both"))
        return bptt.sweep([*SMALL, *SWEPT, *BARE]), bptt.sweep([*SMALL, *SWEPT, *BARE, HALVING])


def expected(whole: Sweep) -> dict[float, int]:
    """Where each setting ends, by hand: at each rung the better half by the median loss goes on."""
    recorded = sorted(whole.history["update"].unique())
    rungs = [min(update for update in recorded if update >= wanted) for wanted in (10, 20)]
    left, ends = sorted(whole.runs[KEY].unique()), dict[float, int]()
    for rung in rungs:
        here = whole.history[whole.history["update"] == rung].merge(whole.runs[["run", KEY]], on="run")
        order = here.groupby(KEY)["loss/eval"].median()[left].sort_values(kind="stable").index.tolist()
        best = max(1, len(order) // 2)
        ends |= dict.fromkeys(order[best:], rung)
        left = order[:best]
    return ends | dict.fromkeys(left, 40)


def test_the_worse_half_is_given_up_at_each_rung(both: tuple[Sweep, Sweep]) -> None:
    whole, halved = both
    ends = expected(whole)
    assert sorted(ends.values())[2] < sorted(ends.values())[3] < 40
    assert halved.runs["updates"].tolist() == [ends[value] for value in halved.runs[KEY]]
    up = halved.runs["updates"] < 40
    assert halved.runs["given_up"].notna().tolist() == up.tolist()
    assert halved.runs.loc[up, "outcome"].isna().all()
    assert halved.runs.loc[~up, "outcome"].eq("completed").all()
    why = halved.runs.loc[up].sort_values("updates")["given_up"].tolist()
    assert any(" 6 of 6 by the median loss/eval of 3 seeds, " in text for text in why)
    assert all(text.startswith("at update ") and text.endswith("went on") for text in why)


def test_bits_are_those_of_a_sweep_that_was_not_halved(both: tuple[Sweep, Sweep]) -> None:
    whole, halved = both
    names = [name for name in whole.history if name not in TIMED]
    for run, updates in zip(halved.runs["run"], halved.runs["updates"], strict=True):
        mine = halved.history.loc[halved.history["run"] == run, names]
        full = whole.history.loc[whole.history["run"].eq(run) & whole.history["update"].le(updates), names]
        assert np.array_equal(mine.to_numpy(), full.to_numpy(), equal_nan=True)
    (left,) = halved.runs.loc[halved.runs["given_up"].isna(), KEY].unique()
    for run in halved.runs.loc[halved.runs[KEY] == left, "run"]:
        ours, theirs = halved.record(run), whole.record(run)
        assert ours is not None
        assert theirs is not None
        assert all(np.array_equal(ours.parameters[name], theirs.parameters[name]) for name in theirs.parameters)


class Broken:
    """Sessions that are interrupted before so manieth a round."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.real, self.left = Session.advance, after
        self.rounds: list[list[int]] = []
        monkeypatch.setattr(Session, "advance", lambda *given, **more: self.advance(*given, **more))

    def advance(self, session: Session, tasks: Sequence[LaneTask], most: int | None = None) -> Generator[LaneResult]:
        self.rounds.append([0 if task.start is None else int(task.start["history.update"][-1]) for task in tasks])
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        yield from self.real(session, tasks, most)


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("seconds", ["1e-9", "null"])
def test_a_sweep_that_was_broken_off_decides_the_same_again(
    both: tuple[Sweep, Sweep], monkeypatch: pytest.MonkeyPatch, after: int, seconds: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Broken(patch, after)
        with suppress(KeyboardInterrupt):
            bptt.sweep([*SMALL, *SWEPT, *BARE, HALVING, "hydra.sweep.dir=s", f"tracking.checkpoint_seconds={seconds}"])
    assert (Path("s") / RUNGS).is_dir() == (seconds == "1e-9")
    assert len([*SweepFolder(Path("s")).ended()]) == {1: 9, 2: 15}[after]
    watched = Broken(monkeypatch, 10**9)
    assert main(["resume", "s"]) == 0
    resumed = load_sweep("s")
    assert not (Path("s") / RUNGS).exists()
    assert resumed.runs["given_up"].tolist() == both[1].runs["given_up"].tolist()
    assert hash_results([resumed]) == hash_results([both[1]])
    begins = [start for starts in watched.rounds for start in starts]
    assert (0 in begins) == (seconds == "null")  # what was kept is not trained again


def test_settings_are_compared_within_a_condition_alone() -> None:
    harder = ["train.batch_size=5,20", "conditions=[train.batch_size]", f"{KEY}=1.1,1.5", "seed=0,1"]
    halved = bptt.sweep([*SMALL, *BARE, *harder, HALVING])
    left = halved.runs[halved.runs["given_up"].isna()]
    assert left.groupby("train.batch_size").size().to_dict() == {5: 2, 20: 2}


def test_a_run_that_diverged_makes_its_setting_the_worst() -> None:
    wild = ["task=counting", "model=linear", "optimizer=sgd", "optimizer.alpha=1e9,1e-6,1e-5,1e8", "seed=0"]
    halved = bptt.sweep([*wild, "train.updates=40", "train.log_points=10", "hydra.launcher.workers=1", *BARE, HALVING])
    by_rate = halved.runs.set_index("optimizer.alpha")
    assert by_rate.loc[[1e9, 1e8], "outcome"].eq("diverged").all()
    assert by_rate.loc[[1e9, 1e8], "given_up"].isna().all()
    assert by_rate.loc[[1e-6, 1e-5], "given_up"].notna().sum() == 1


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([SWEPT[0], "hydra.sweeper.halving={eat: 3}"], "hydra.sweeper.halving.eat=3: unknown key; did you mean hydra"),
        ([SWEPT[0], "hydra.sweeper.halving=3"], "hydra.sweeper.halving=3: must be a mapping, as {eta: 3}"),
        (
            [SWEPT[0], "hydra.sweeper.halving={metric: los}"],
            "hydra.sweeper.halving.metric=los: must be one of loss/eva",
        ),
        (
            [SWEPT[0], "hydra.sweeper.halving={min_updates: 40}"],
            "hydra.sweeper.halving: no update below train.updates=4",
        ),
        (["seed=0,1,2", HALVING], "hydra.sweeper.halving: there are no two settings to compare, in any condition"),
        (
            ["train.log_points=10,20", HALVING],
            "hydra.sweeper.halving: updates that are recorded (train.updates, train.lo",
        ),
        (
            [SWEPT[0], HALVING, "tune={optimizer.delta_zero:[0.1,0.2],seeds:2}"],
            "hydra.sweeper.halving: each setting ch",
        ),
    ],
)
def test_wrong_settings_are_told_before_anything_starts(given: list[str], line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        bptt.sweep([*(text for text in SMALL if "log_points" not in text), *BARE, *given])
    assert [told[: len(line)] for told in caught.value.lines] == [line]
    assert not Path("multirun").exists()


def test_what_was_given_up_enters_no_statistic(both: tuple[Sweep, Sweep]) -> None:
    halved = both[1]
    findings = Findings(halved)
    table = findings.statistics.set_index(KEY)
    ends = expected(both[0])
    assert table["ended"].to_dict() == {value: 3 if ends[value] == 40 else 0 for value in table.index}
    assert table["given_up"].to_dict() == {value: 0 if ends[value] == 40 else 3 for value in table.index}
    assert findings.ranked[KEY].iloc[0] == next(value for value, end in ends.items() if end == 40)
    told = tabulate_given_up(findings)
    assert told["runs"].sum() == sum(end < 40 for end in ends.values()) * 3
    assert told["updates"].is_monotonic_decreasing
    (section,) = write_given_up(findings)
    told_of = section.elements[0]
    assert isinstance(told_of, Paragraph)
    text = "".join(span if isinstance(span, str) else span.text for span in told_of.spans)
    assert "They are compared there alone: nothing follows for how they would have ended" in text
    assert write_given_up(Findings(both[0])) == []


def test_the_store_says_why_a_run_was_given_up() -> None:
    from mlflow import MlflowClient

    few = [f"{KEY}=1.1,1.5", "seed=0", HALVING, "tracking.uri=sqlite:///s.db", "report=false"]
    halved = bptt.sweep([*SMALL, *few])
    client = MlflowClient("sqlite:///s.db")
    experiment = client.get_experiment_by_name("bptt")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`bptt.pruned` = 'true'")
    (why,) = halved.runs["given_up"].dropna()
    assert [run.data.tags["bptt.given_up"] for run in found] == [why]
    stored: pd.DataFrame = load_sweep(halved.name, uri="sqlite:///s.db").runs
    assert stored["given_up"].notna().sum() == 1


def told(*arguments: str) -> Any:
    return main([*arguments])


def test_the_plan_tells_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert told("plan", *SMALL, *SWEPT, HALVING, *BARE) == 0
    assert "of the settings of each condition the best one in 2 goes on, by loss/eval" in capsys.readouterr().out
