import math
import shlex
from typing import Any

import pandas as pd

from bptt.sweeps.description import describe_sweep

KEYS = ["model.hidden_size", "init"]


def runs(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Of runs that completed: hidden size, init, seed, loss, accuracy."""
    table = pd.DataFrame(rows, columns=[*KEYS, "seed", "loss/eval", "accuracy/eval"])
    return table.assign(
        run=range(len(table)),
        name=[f"hidden_size={size} init={init} seed={seed}" for size, init, seed, *_ in rows],
        status="FINISHED",
        outcome="completed",
        updates=10_000,
        run_id=[f"{number:032x}" for number in range(len(table))],
    )


def sections(text: str) -> dict[str, list[str]]:
    """Heading → the lines below it."""
    found: dict[str, list[str]] = {"": []}
    for line in text.splitlines():
        if line.startswith("### "):
            found[line.removeprefix("### ")] = []
        elif line:
            found[list(found)[-1]].append(line)
    return found


def cells(lines: list[str]) -> list[list[str]]:
    """The rows of a Markdown table, with its headings first."""
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines if line.startswith("|")]
    assert rows[1] == ["---"] * len(rows[0])
    assert {len(row) for row in rows} == {len(rows[0])}
    return [rows[0], *rows[2:]]


def test_settings_are_ranked_by_their_median_and_runs_by_their_loss() -> None:
    table = runs(
        (2, "torch", 0, 0.3, 0.8),
        (2, "torch", 1, 0.1, 1.0),
        (2, "torch", 2, 0.2, 0.9),
        (8, "torch", 0, 0.01, 1.0),
        (8, "torch", 1, math.nan, math.nan),
        (8, "torch", 2, math.inf, 0.5),
        (8, "normal", 0, 0.15, 0.9),
        (8, "normal", 1, 0.16, 0.9),
        (8, "normal", 2, math.nan, math.nan),
    )
    table.loc[table["loss/eval"].isna(), "outcome"] = "diverged"
    text = sections(
        describe_sweep(
            table.sample(frac=1.0, random_state=0),
            name="sizes",
            command=["bptt", "train", "-m", "init=torch,normal", "seed=range(3)"],
            swept=[*KEYS, "seed"],
            seconds=92.4,
            question="Which *size*?",
            experiment_id="7",
            view="/#/experiments/7/runs?viewStateShareKey=abc",
            report="/#/experiments/7/runs/8/artifacts/report/report.html",
        )
    )
    assert list(text) == ["", "Best settings", "How it went", "Best runs", "To repeat it"]
    sentence = r"Best: hidden\_size=8 init=normal (`loss/eval` 0.16, the median of 3 runs)."
    assert text[""] == [rf"**Which \*size\*?** {sentence}"]
    assert text["How it went"][:2] == [
        "**sizes**: 9 runs in 1 min 32 s, 2 diverged.",
        "[The report](#/experiments/7/runs/8/artifacts/report/report.html)"
        " · [The runs: curves and table](#/experiments/7/runs?viewStateShareKey=abc)",
    ]
    assert cells(text["How it went"]) == [
        ["swept", "values"],
        ["model.hidden\\_size", "2, 8"],
        ["init", "torch, normal"],
        ["seed", "0, 1, 2"],
    ]
    assert cells(text["Best settings"]) == [
        ["model.hidden\\_size", "init", "runs", "diverged", "loss/eval", "from", "to", "100 % right"],
        ["8", "normal", "3", "1", "0.16", "0.15", "0.16", "0 % [0, 71]"],
        ["2", "torch", "3", "0", "0.2", "0.1", "0.3", "33 % [1, 91]"],
    ]
    best = cells(text["Best runs"])
    assert best[0] == ["run", "loss/eval", "accuracy/eval", "updates"]
    assert best[1] == [
        f"[hidden\\_size=8 init=torch seed=0](#/experiments/7/runs/{3:032x}?workflowType=machine_learning)",
        *("0.01", "1", "10,000"),
    ]
    assert [row[1] for row in best[1:]] == ["0.01", "0.1", "0.15", "0.16", "0.2"]


def test_how_the_runs_went_is_told() -> None:
    table = runs(*((2, "torch", seed, 0.1, 1.0) for seed in range(1200)))
    table.loc[0, "status"] = "FAILED"
    table.loc[[1, 2], "status"] = "KILLED"
    table.loc[3, "outcome"] = "early_stopped"
    text = describe_sweep(
        table, name="*", command=["bptt"], swept=["seed"], seconds=7500, duplicates=3, reused=1000, never_begun=4
    )
    assert text.splitlines()[0] == (
        r"**\***: 1,204 runs in 2 h 5 min, 1 stopped early, 1 failed, 6 killed. 1,000 taken from earlier sweeps,"
        " where the same configuration had been trained. 3 left out as duplicates."
    )
    assert "| seed | 0, 1, 2, 3, 4, 5, …, 1199 (1,200 values) |" in text.splitlines()
    one = describe_sweep(table[4:5], name="one", command=["bptt"], swept=[], seconds=8.34)
    assert one.splitlines()[0] == "**one**: 1 run in 8.3 s, all completed."


def test_the_command_can_be_copied() -> None:
    command = ["bptt", "train", "-m", "optimizer.alpha=0.1,1", "task.path=it's `a` file", "init={x: 1}"]
    text = describe_sweep(runs((2, "torch", 0, 0.1, 1.0)), name="n", command=command, swept=["seed"], seconds=1.0)
    (line,) = [line for line in sections(text)["To repeat it"] if not line.startswith("```")]
    assert shlex.split(line) == command


def test_a_page_that_mlflow_would_cut() -> None:
    command = ["bptt", "train", "-m", f"seed={','.join(map(str, range(2000)))}"]
    text = describe_sweep(runs((2, "torch", 0, 0.1, 1.0)), name="n", command=command, swept=["seed"], seconds=1.0)
    assert len(text) < 8000
    assert text.endswith("`sweep.json` in the sweep's folder has it.\n")


def test_what_markdown_would_take_for_its_own_is_escaped() -> None:
    table = runs((2, "a|b\n<i>c</i> &lt; [d](e) `f` *g* \\h ~i~ #j {k}", 0, 0.1, 1.0))
    text = sections(describe_sweep(table, name="n", command=["bptt"], swept=KEYS, seconds=1.0))
    escaped = r"a\|b &lt;i\>c&lt;/i\> &amp;lt; \[d\]\(e\) \`f\` \*g\* \\h \~i\~ \#j \{k\}"
    assert cells(text[""])[2] == ["init", escaped]
    assert cells(text["Best runs"])[1][0] == rf"hidden\_size=2 init={escaped} seed=0"


def test_tables_that_would_say_nothing_are_left_out() -> None:
    every_loss = runs((2, "torch", 0, 0.1, 1.0), (4, "torch", 0, math.nan, math.nan))
    text = sections(describe_sweep(every_loss, name="n", command=["bptt"], swept=KEYS, seconds=1.0))
    assert list(text) == ["", "Best runs", "To repeat it"]  # as many settings as runs
    assert len(cells(text["Best runs"])) == 2
    seeds = runs((2, "torch", 0, 0.1, 1.0), (2, "torch", 1, 0.1, 1.0)).drop(columns="accuracy/eval")
    text = sections(describe_sweep(seeds, name="n", command=["bptt"], swept=["seed"], seconds=1.0))
    assert list(text) == ["", "Best runs", "To repeat it"]
    assert cells(text["Best runs"])[0] == ["run", "loss/eval", "updates"]
    none = runs((2, "torch", 0, math.nan, math.nan), (2, "torch", 1, math.nan, math.nan))
    assert list(sections(describe_sweep(none, name="n", command=["bptt"], swept=[*KEYS, "seed"], seconds=1.0))) == [
        "",
        "To repeat it",
    ]
    nothing_recorded = none.drop(columns=["loss/eval", "accuracy/eval"]).assign(status="FAILED", outcome=None)
    text = sections(describe_sweep(nothing_recorded, name="n", command=["bptt"], swept=KEYS, seconds=1.0))
    assert list(text) == ["", "To repeat it"]
    empty = describe_sweep(none[:0], name="n", command=["bptt"], swept=KEYS, seconds=1.0, never_begun=2)
    assert empty.startswith("**n**: 2 runs in 1.0 s, 2 killed.")
