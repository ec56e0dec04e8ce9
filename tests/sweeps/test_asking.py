"""What a sweep is asked beside its runs, before one of them is trained."""

from collections.abc import Iterator

import pytest

from bptt.configuration.build import Configuration, check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.core.training import Training
from bptt.sweeps.asking import check_asked, list_recorded
from bptt.sweeps.workers.measurements import choose_measurements
from bptt.tracking.folder.files import ONCE


def compose_asking(*overrides: str, measure: str = "solved", **asked: str) -> Configuration:
    rows = f"published={{source: x, rows: [{{what: y, measure: {measure}}}]}}"
    return check_configuration(compose([*overrides, rows, *(f"{key}={value}" for key, value in asked.items())]))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("task=sine",),
        ("task=copying", "model=lstm"),
        ("task=parity", "model=jordan", "train.keep=best"),
        ("task=temporal_order", "regularizer=omega"),
        ("task=adding", "regularizer=l2_activity", "train.measure=[lyapunov_max]"),
        ("task=narma", "model=gru", "task.eval_lengths=[200]"),
    ],
)
def test_what_is_recorded_is_what_a_training_records(overrides: tuple[str, ...]) -> None:
    run = check_configuration(compose(overrides)).run
    history = Training([run], measurements=choose_measurements(run)).records()[0].history
    assert ["update", *list_recorded(run)] == [*history]


@pytest.mark.parametrize("name", [name for name in ONCE if name.startswith("kept/")])
def test_what_is_kept_may_be_asked_for(name: str) -> None:
    check_asked([[]], [compose_asking("task=parity", "train.keep=best", measure=name)])


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("adding", "loss/test"),
        ("adding", "accuracy/eval_200"),
        ("sine", "best/loss/eval"),
        ("sine", "baseline"),
        ("random_labels", "stored/most"),
        ("sine", "edge/rest"),
        ("sine", "optimizer.alpha"),
    ],
)
def test_a_number_that_some_run_will_have_may_be_asked_for(task: str, name: str) -> None:
    lengths = ["task.eval_lengths=[200]"] if task == "adding" else []
    made = compose_asking(f"task={task}", *lengths, measure=name)
    check_asked([["optimizer.alpha=1"], ["optimizer.alpha=2"]], [made])


@pytest.mark.parametrize("name", ["rmse/eval", "r2/test"])
def test_how_well_own_data_are_fitted_may_be_asked_for(name: str, files: dict[tuple[str, str], list[str]]) -> None:
    made = compose_asking("task=arrays", *files["task", "arrays"], "task.test_size=0.2", measure=name)
    check_asked([[]], [made])


@pytest.mark.parametrize("name", ["accuracy/eval", "loss/tets", "edge/rset", "first/loss/eval", "loss/eval_200"])
def test_a_number_that_no_run_will_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"published.rows\[0\].measure={name}: no run records this"):
        check_asked([[]], [compose_asking("task=sine", measure=name)])


def test_one_setting_of_a_task_that_has_it_is_enough() -> None:
    tasks = [compose_asking(f"task={task}", measure="accuracy/eval") for task in ("sine", "copying")]
    for configurations in (tasks, tasks[::-1]):
        check_asked([["task=sine"], ["task=copying"]], configurations)


def test_what_a_search_has_yet_to_choose_may_have_it() -> None:
    first = compose_asking("task=sine", measure="accuracy/eval", solved="'accuracy/eval>=1'")
    check_asked([["task=sine"]], [first], ["task"])
    with pytest.raises(ConfigurationError, match="accuracy/eval is not recorded"):
        check_asked([["optimizer.alpha=1"]], [first], ["optimizer.alpha"])


def test_everything_that_is_wrong_is_said_at_once() -> None:
    made = compose_asking("task=sine", measure="loss/tets", solved="'los/eval<=1'", conditions="[modle]", confirm="3")
    with pytest.raises(ConfigurationError) as found:
        check_asked([["model=gru"], ["model=lstm"]], [made])
    assert [line.partition("=")[0] for line in found.value.lines] == [
        "conditions",
        "solved",
        "published.rows[0].measure",
    ]


def test_jobs_that_nothing_is_asked_of_are_not_looked_at() -> None:
    class Jobs(list[list[str]]):
        def __iter__(self) -> Iterator[list[str]]:
            raise AssertionError("a million jobs")

    check_asked(Jobs(), [check_configuration(compose())])
