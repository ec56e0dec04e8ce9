import re
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SWEEP = ("experiment=roelants_counting", "train.updates=60", "train.log_points=30", "seed=range(10)", "report=false")


def test_a_plan_says_what_a_sweep_would_do_and_does_nothing(cold: Any) -> None:
    done = cold.bptt("plan", *SWEEP, "optimizer.eta_plus=1.2,1.3,1.20", "train.batch_size=1,100")
    assert done.returncode == 0, done.stderr
    out = done.stdout.splitlines()
    assert out[:2] == ["runs    40", "        20 of 60 jobs repeat another one and are left out"]
    assert "runs that fuse" in out[2]
    assert [line.split()[:2] for line in out[3:5]] == [["train.batch_size=1", "20"], ["train.batch_size=100", "20"]]
    assert re.fullmatch(r"time    about \S+ (s|min|h) with \d+ workers?, from a few updates of each group", out[5])
    assert re.fullmatch(r"memory  about \d+\.\d GiB", out[6])
    assert list(cold.path.rglob("*")) == []


def test_a_plan_knows_what_the_store_holds(work: Any, undisturbed: Any) -> None:
    assert work.bptt("train", "-m", *SWEEP).returncode == 0
    done = work.bptt("plan", *SWEEP, "optimizer.eta_plus=1.2,1.3")
    assert done.returncode == 0, done.stderr
    assert "        10 are in the store already (reuse=false trains them again)" in done.stdout.splitlines()


def test_a_search_is_told_of(cold: Any) -> None:
    done = cold.bptt("plan", "sweep=optuna_adder")
    assert done.returncode == 0, done.stderr
    assert re.match(
        r"search  180 trials, 64 at a time, over optimizer.alpha, init.scale, model.hidden_size\n", done.stdout
    )
    assert list(cold.path.rglob("*.db")) == []


def test_a_wrong_plan_is_refused(cold: Any) -> None:
    done = cold.bptt("plan", *SWEEP, "optimizer.eta_plus=0.5")
    assert done.returncode == 2
    assert "optimizer.eta_plus=0.5" in done.stderr
