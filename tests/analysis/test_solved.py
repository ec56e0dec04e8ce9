import numpy as np
import pandas as pd
import pytest

from bptt.analysis.solved import Solved


def history(*rows: tuple[int, int, float], metric: str = "loss/eval") -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["run", "update", metric])


@pytest.mark.parametrize(
    ("text", "metric", "op", "threshold"),
    [
        ("accuracy/eval>=1", "accuracy/eval", ">=", 1.0),
        (" loss/eval <= 1e-3 ", "loss/eval", "<=", 0.001),
        ("grad/norm<=inf", "grad/norm", "<=", np.inf),
    ],
)
def test_a_criterion_is_read(text: str, metric: str, op: str, threshold: float) -> None:
    solved = Solved.parse(text)
    assert (solved.metric, solved.op, solved.threshold) == (metric, op, threshold)
    assert Solved.parse(str(solved)) == solved


@pytest.mark.parametrize("text", ["", "loss/eval", "loss/eval<1", "loss/eval<=", "loss/eval<=x", "<=1", "loss<=1 2"])
def test_what_is_no_criterion_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a criterion; give METRIC>=NUMBER or METRIC<=NUMBER") as caught:
        Solved.parse(text)
    assert str(caught.value).startswith(f"solved={text}: ")


def test_a_metric_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean accuracy/eval"):
        Solved.parse("acuracy/eval>=1", ["loss/eval", "accuracy/eval"])
    with pytest.raises(ValueError, match="the threshold is no number"):
        Solved.parse("loss/eval<=nan")


def test_the_first_recorded_update_that_meets_it() -> None:
    rows = [(0, 1, 3.0), (0, 5, 1.0), (0, 9, 0.5), (1, 1, 2.0), (1, 9, np.nan), (2, 1, 1.0), (2, 5, 9.0)]
    assert Solved("loss/eval", "<=", 1.0).first(history(*rows)).to_dict() == {0: 5.0, 2: 1.0}
    assert Solved("loss/eval", ">=", 2.5).first(history(*rows)).to_dict() == {0: 1.0, 2: 5.0}
    assert Solved("accuracy/eval", ">=", 1.0).first(history(*rows)).empty


def test_by_default_all_is_right_where_there_is_an_accuracy() -> None:
    table = history((0, 1, 0.5)).assign(**{"accuracy/eval": [0.25]})
    assert Solved.default(table) == Solved("accuracy/eval", ">=", 1.0)
    assert Solved.default(table.assign(**{"accuracy/eval": np.nan})).metric == "loss/eval"


def test_else_a_hundredth_of_the_first_loss() -> None:
    # The first losses are 3, 123.456 and 500; a run that diverged at once has none.
    rows = [(0, 1, 3.0), (0, 2, 0.0), (1, 1, 123.456), (2, 1, 500.0), (3, 1, np.inf)]
    solved = Solved.default(history(*rows))
    assert solved == Solved("loss/eval", "<=", 1.23)
    assert str(solved) == "loss/eval<=1.23"


def test_of_targets_that_are_numbers_nothing_is_to_be_solved() -> None:
    table, runs = history((0, 1, 3.0), (0, 2, 0.0)), pd.DataFrame({"run": [0], "rmse/eval": [0.0]})
    never = Solved.default(table, runs)
    assert not never.is_possible
    assert never.first(table).empty
    assert Solved.parse(str(never)) == never
    with_accuracy = table.assign(**{"accuracy/eval": 0.5})
    assert Solved.default(with_accuracy, runs) == Solved("accuracy/eval", ">=", 1.0)
    assert Solved.default(table, runs.assign(**{"rmse/eval": np.nan})).is_possible


def test_where_nothing_was_recorded_nothing_is_solved() -> None:
    solved = Solved.default(history())
    assert solved.first(history()).empty
