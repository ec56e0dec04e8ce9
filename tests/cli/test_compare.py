"""`bptt compare`, as whoever has two sweeps sees it; nothing is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.analysis.statistics.differences import PairCounts, count_pairs, paired_difference, probability_on_pairs
from bptt.analysis.statistics.intervals import (
    clopper_pearson,
    iqm_interval,
    median_interval,
)
from bptt.cli.main import main
from bptt.core.run import Record
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal

SAID = Callable[..., tuple[int, list[str], str]]
SEEDS = 8


def sweep(folder: Path, target: str, alphas: list[float], losses: list[list[float]], **changes: Any) -> None:
    """A sweep over alpha and the seed. A run with a loss below 0.5 is right at its second and last update, 100."""
    jobs, results = [], []
    for number in range(len(alphas) * SEEDS):
        place, seed = divmod(number, SEEDS)
        loss = losses[place][seed]
        config = {
            "model": {"_target_": target},
            "optimizer": {"alpha": alphas[place]},
            "tracking": {"experiment": folder.name},
            "train": {"updates": 100},
            "seed": seed,
        } | changes
        swept = {"optimizer.alpha": str(alphas[place]), "seed": str(seed)}
        digest = f"{folder.name} {number}"
        jobs.append(
            SweepJob(number=number, name=str(swept), digest=digest, block=0, swept=swept, overrides=[], config=config)
        )
        history = {"loss/eval": [2.0, loss], "accuracy/eval": [0.5, float(loss < 0.5)], "grad/decay": [0.0, -loss]}
        record = Record(
            outcome="completed" if np.isfinite(loss) else "diverged",
            updates=100,
            history={"update": np.array([1, 100])} | {name: np.array(values) for name, values in history.items()},
            flow=np.ones((2, 1)),
            parameters={"readout.bias": np.zeros(1)},
            state=np.empty((0, 0)),
        )
        results.append(RunResult(job=number, status="FINISHED", record=record, error=None, began=0.0, ended=1.0))
    journal = SweepJournal(
        name=folder.name, command=[], began=0.0, uri=None, experiment=None, parent=None, numerical_version="v",
        current_folder="/nowhere", swept=["optimizer.alpha", "seed"], duplicates=0, status="FINISHED",
    )  # fmt: skip
    SweepFolder.create(folder, journal, jobs).write_block(0, results)


GOOD, FAIR, BAD = ([start + 0.01 * seed for seed in range(SEEDS)] for start in (0.1, 0.45, 0.8))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    gru, elman = "bptt.core.models.gru.GRU", "bptt.core.models.elman.Elman"
    sweep(folder / "gated", gru, [0.1, 0.2], [GOOD, FAIR], loss={"weight": 0.5})
    sweep(folder / "plain", elman, [0.1, 0.2, 0.3], [FAIR, [*BAD[:-1], np.inf], BAD])
    return folder


@pytest.fixture
def said(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> SAID:
    monkeypatch.chdir(place)

    def run(*arguments: str) -> tuple[int, list[str], str]:
        try:
            code = main(["compare", *arguments])
        except SystemExit as end:
            code = int(str(end.code))
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


def columns(lines: list[str], first: str) -> list[str]:
    """The cells of the row that begins with this."""
    (line,) = [line for line in lines if line.startswith(first)]
    return [cell.strip() for cell in line.removeprefix(first).split("  ") if cell.strip()]


def shown(interval: Any, form: str = "{:.3g}") -> str:
    return "{} [{}, {}]".format(*(form.format(part) for part in (interval.value, interval.low, interval.high)))


def percent(interval: Any, form: str = "{:.0f}") -> str:
    value, low, high = (
        form.format(100 * part).replace("-", "−") for part in (interval.value, interval.low, interval.high)
    )
    return f"{value} % [{low}, {high}]"


def test_two_sweeps(said: SAID) -> None:
    code, lines, err = said("gated", "plain")
    assert (code, err) == (0, "")
    assert lines[0].split() == ["A", "gated", "16", "runs,", "2", "settings"]
    assert lines[1].split() == ["B", "plain", "24", "runs,", "3", "settings"]
    # Where it is recorded makes no difference.
    assert not [line for line in lines if "experiment" in line]
    assert columns(lines, "  model ") == ["GRU", "Elman"]
    assert columns(lines, "  loss.weight ") == ["0.5", "–"]
    assert columns(lines, "  optimizer.alpha ") == ["0.1, 0.2", "0.1, 0.2, 0.3"]
    assert "both vary  seed 0 … 7 (8 values)" in lines
    assert columns(lines, "diverged") == ["0", "1"]
    a, b = [*GOOD, *FAIR], [*FAIR, *BAD[:-1], np.inf, *BAD]
    solved = columns(lines, "solved: accuracy/eval>=1")
    assert solved[:2] == [percent(clopper_pearson(13, 16)), percent(clopper_pearson(5, 24))]
    # 16 pairs have the learning rates 0.1 and 0.2; the interval is that of five questions asked together.
    pairs = count_pairs([True] * 13 + [False] * 3, [True] * 5 + [False] * 11)
    assert solved[2:] == ["A − B on pairs", percent(paired_difference(pairs, 1 - 0.05 / 5), "{:+.0f}")]
    better = probability_on_pairs(PairCounts(16, 0, 0), 1 - 0.05 / 5)
    assert columns(lines, "loss/eval, median") == [
        shown(median_interval(a)), shown(median_interval(b)), "P(A better) on pairs", shown(better)
    ]  # fmt: skip
    assert [line for line in lines if shown(iqm_interval(a)) in line]
    (sentence,) = [line for line in lines if line.startswith("A solves the task more often than B: 81 % against 31 %")]
    assert "16 pairs of equal seeds, 8 runs without a partner left out, exact McNemar p = 0.0" in sentence
    assert [line for line in lines if line.startswith("loss/eval: A does better than B: on 100 % of the pairs")]
    assert "the loss differs: losses may not compare" in lines


def test_setting_by_setting(said: SAID) -> None:
    _, lines, _ = said("gated:alpha=0.1,0.2", "plain:alpha=0.1,0.2")
    cells = columns(lines, "alpha=0.1 ")
    assert cells[:3] == [
        percent(clopper_pearson(8, 8)),
        percent(clopper_pearson(5, 8)),
        percent(paired_difference(PairCounts(3, 0, 5), 1 - 0.05 / 4), "{:+.0f}"),
    ]
    # A is better on all eight pairs; two questions are asked of each of two settings.
    better = probability_on_pairs(PairCounts(8, 0, 0), 1 - 0.05 / 4)
    assert cells[3:] == [shown(median_interval(GOOD)), shown(median_interval(FAIR)), shown(better)]
    told = "of 2 settings A is better in 2, B in 0, not settled in 0; intervals allow for all of them"
    assert told in lines


def test_two_single_runs_have_values_alone(said: SAID) -> None:
    code, lines, _ = said("gated:0", "plain:15")
    assert code == 0
    assert columns(lines, "outcome") == ["completed", "diverged"]
    assert columns(lines, "solved: accuracy/eval>=1") == ["after 100 updates", "never"]
    assert columns(lines, "loss/eval") == ["0.1", "inf"]
    assert "one run each gives no interval: what other seeds would say is not known" in lines
    assert not [line for line in lines if "[" in line or "better" in line]


def test_a_sweep_and_a_part_of_it_have_runs_in_common(said: SAID) -> None:
    code, lines, _ = said("gated", "gated:alpha=0.1")
    assert code == 0
    assert columns(lines, "  optimizer.alpha ") == ["0.1, 0.2", "0.1"]
    assert "8 runs stand on both sides, which intervals know nothing of" in lines
    (sentence,) = [line for line in lines if line.startswith("loss/eval: ")]
    assert "Whether A or B does better is not settled by these runs: on 50 % of the pairs" in sentence
    _, lines, _ = said("gated", "gated:alpha=0.1", "gated:alpha=0.2")
    assert "16 runs stand on several sides, which intervals know nothing of" in lines


def test_three_are_compared_each_with_each(said: SAID) -> None:
    code, lines, err = said("plain:alpha=0.1", "plain:alpha=0.2", "gated:alpha=0.1")
    assert (code, err) == (0, "")
    assert lines[0].split() == ["runs", "diverged", "solved:", "accuracy/eval>=1"]
    shares = [percent(clopper_pearson(solved, 8)) for solved in (5, 0, 8)]
    sides = ["plain:alpha=0.1", "plain:alpha=0.2", "gated:alpha=0.1"]
    assert [columns(lines, f"{letter}  {name}") for letter, name in zip("ABC", sides, strict=True)] == [
        ["8 runs", diverged, share] for diverged, share in zip("010", shares, strict=True)
    ]
    assert columns(lines, "  model ") == ["Elman", "Elman", "GRU"]
    assert columns(lines, "  optimizer.alpha ") == ["0.1", "0.2", "0.1"]
    assert columns(lines, "  loss.weight ") == ["–", "–", "0.5"]
    assert "all vary  seed 0 … 7 (8 values)" in lines
    # Eight, five and three discordant pairs of eight: McNemar's p of 2/256, 2/32 and 2/8, and Holm's of three of them.
    apart = paired_difference(PairCounts(0, 8, 0), 1 - 0.05 / 3)
    sentences = [line for line in lines if "of equal seeds," in line]
    assert sentences[0] == (
        "B solves the task less often than C: 0 % against 100 %, a difference of −100 percentage points (95 % interval "
        f"{100 * apart.low:.0f} to {100 * apart.high:.0f}, 8 pairs of equal seeds, exact McNemar p = 0.023, corrected "
        "for 3 comparisons)."
    ).replace("-", "−")
    assert [line.partition(" solves")[0] for line in sentences[1:]] == ["Whether A or B", "Whether A or C"]
    assert "exact McNemar p = 0.12, corrected for 3 comparisons" in sentences[1]
    assert "exact McNemar p = 0.25, corrected for 3 comparisons" in sentences[2]
    assert "the loss differs: losses may not compare" in lines


def test_the_metrics_that_are_asked_for_of_three(said: SAID) -> None:
    sides = ("plain:alpha=0.1", "plain:alpha=0.3", "gated:alpha=0.1")
    _, lines, _ = said(sides[0], "--metric", "loss/eval", *sides[1:], "--metric", "grad/decay")
    assert columns(lines[:1], "") == ["runs", "loss/eval, median", "grad/decay, median"]
    assert columns(lines, "B  plain:alpha=0.3")[1:] == [
        shown(median_interval(BAD)),
        shown(median_interval([-loss for loss in BAD])).replace("-", "−"),
    ]
    # Six questions, each of eight pairs of which one side wins all.
    better = probability_on_pairs(PairCounts(8, 0, 0), 1 - 0.05 / 6)
    assert f"grad/decay: P(A larger than B) on pairs  {shown(better)}" in lines
    sentences = [line for line in lines if line.startswith("loss/eval: ")]
    assert len(sentences) == 3
    assert all("exact sign test p = 0.047, corrected for 6 comparisons" in line for line in sentences)


def test_many_comparisons_are_cut_off(said: SAID) -> None:
    _, lines, _ = said(*(f"gated:{number}" for number in range(4)), "plain:alpha=0.3", "plain:alpha=0.1")
    # 15 pairs; those of seed 0 to 3 alone share no seed.
    assert "and 5 more comparisons, none of them sure of a difference" in lines
    assert len([line for line in lines if line.startswith(tuple("ABCDEFW")) and "the task" in line]) == 10


def test_three_single_runs_have_values_alone(said: SAID) -> None:
    _, lines, _ = said("gated:0", "gated:1", "plain:15")
    assert columns(lines, "outcome") == ["completed", "completed", "diverged"]
    assert columns(lines, "loss/eval") == ["0.1", "0.11", "inf"]


def test_one_run_against_many_has_no_probability_that_is_sure(said: SAID) -> None:
    _, lines, _ = said("gated:0", "plain:alpha=0.3")
    cells = columns(lines, "loss/eval, median")
    assert cells[:3] == ["0.1", shown(median_interval(BAD)), "P(A better) on pairs"]
    assert cells[3].startswith("1 [0.00")
    assert [line for line in lines if line.startswith("loss/eval: Whether A or B does better is not settled")]


def test_the_metrics_and_the_criterion_that_are_asked_for(said: SAID) -> None:
    _, lines, _ = said("gated", "plain", "--metric", "grad/decay", "--solved", "loss/eval<=0.16")
    assert columns(lines, "solved: loss/eval<=0.16")[0] == percent(clopper_pearson(7, 16))
    assert columns(lines, "grad/decay, median")[2] == "P(A larger) on pairs"
    assert not [line for line in lines if line.startswith(("loss/eval,", "grad/decay:"))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gated", "nowhere/at/all"], "nowhere/at/all"),
        (
            ["gated", "plain", "--metric", "grad/deca"],
            "grad/deca: not recorded on both sides; did you mean grad/decay?",
        ),
        (["gated", "plain", "--solved", "los/eval<=1"], "did you mean loss/eval?"),
        (["gated", "plain:alpha=7"], "no run has this value"),
        (["gated", "plain", "gated:alpha=0.1", "--metric", "x/y"], "x/y: not recorded on all sides; there are "),
        (["gated", "gated"], "gated: the same runs as gated, of which there is nothing to compare"),
        (["gated", "plain", "gated:alpha=0.1,0.2"], "gated:alpha=0.1,0.2: the same runs as gated"),
        (["gated"], "bptt compare: the following arguments are required: B; "),
        (["gated"] * 27, "bptt compare: 27 sources, and at most 26 can be compared"),
    ],
)
def test_wrong_requests(said: SAID, arguments: list[str], message: str) -> None:
    code, lines, err = said(*arguments)
    assert (code, lines) == (2, [])
    assert message in err
    assert err.count("\n") == 1
