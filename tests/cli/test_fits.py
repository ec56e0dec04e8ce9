"""What is said at the end of a run about the network that it leaves."""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bptt.cli.common import explain_network
from bptt.cli.summary import describe_fits, describe_kept, describe_result, show_confusions
from bptt.core.evaluation import predict
from bptt.core.random import Generator
from bptt.core.records.fits import count_classes
from bptt.core.run import seed_of
from bptt.sweeps.execution import Ended
from bptt.tracking.folder.run import Journal
from tests.core.comparing import finished
from tests.core.making import make_run
from tests.core.test_fits import make
from tests.core.test_keeping import diverging, plain

JOURNAL = Journal(
    run_id=None, uri=None, experiment=None, name="a run", digest="", numerical_version="", current_folder=str(Path())
)


def tell(run, record) -> list[str]:  # type: ignore[no-untyped-def]
    ended = Ended(status="FINISHED", record=record, error=None, unwritten=None, unstored=None, seconds=1.0)
    return describe_result(run, JOURNAL, ended)


def test_numbers_lead_where_nothing_is_right_or_wrong() -> None:
    run = make("numbers", keep="best", updates=12)
    (record,) = finished([run])
    found = {name: record.once[f"{name}/test"] for name in ("rmse", "mae", "r2")}
    _, evaluation, test, losses, kept = tell(run, record)
    assert evaluation.startswith("  evaluation: RMSE ")
    assert test == f"  test: RMSE {found['rmse']:.4g}, MAE {found['mae']:.4g}, R² {found['r2']:.4g}"
    assert losses.startswith("  loss ")
    values = f"{record.once['kept/loss/eval']:.4g}, at the end {record.history['loss/eval'][-1]:.4g}"
    assert kept == f"  the network of update {record.kept_update} is kept, the best by loss/eval: {values}"


def test_a_table_of_classes_says_what_was_taken_for_what() -> None:
    run = make("classes", updates=9)
    (record,) = finished([run])
    test = run.task.test(Generator(seed_of(run, 3)))  # type: ignore[attr-defined]
    counts = count_classes(predict(run, record.parameters, test), test)
    title, heading, *rows = show_confusions(run, record)
    assert title.startswith("test set by class")
    assert heading.split() == ["0", "1", "2"]
    assert [[int(cell) for cell in row.split()[1:]] for row in rows] == counts.tolist()
    assert {len(line) for line in (heading, *rows)} == {len(heading)}
    assert any(re.match(r"  evaluation: balanced accuracy .* %, log loss ", line) for line in tell(run, record))


def test_of_two_classes_in_one_output_there_are_two() -> None:
    run = make("two_classes", updates=9, tests=False)
    (record,) = finished([run])
    title, heading, *rows = show_confusions(run, record)
    assert title.startswith("evaluation set by class")
    assert (heading.split(), len(rows)) == (["0", "1"], 2)


def test_of_other_runs_nothing_more_is_said() -> None:
    run = make_run()
    (record,) = finished([run])
    assert describe_fits(record) == describe_kept(run, record) == show_confusions(run, record) == []
    assert len(tell(run, record)) == 2


def test_where_no_update_had_a_number_the_last_network_is_said_to_be_kept() -> None:
    run = make_run(keep="best")
    (record,) = finished([run])
    told = describe_kept(run, dataclasses.replace(record, once={}))
    assert told == ["the network of the last update is kept: no recorded one had a number for loss/eval"]


def test_a_run_says_which_network_it_left_and_from_where_that_starts() -> None:
    kept, last = (finished([run])[0] for run in (diverging(1), plain(diverging(1))))

    def explain(outcome: str, record: Any, **train: bool) -> list[str]:
        known = SimpleNamespace(outcome=outcome, record=record, config={"train": train})
        return explain_network(known)  # type: ignore[arg-type]

    own = f"outcome  diverged at update {kept.updates}: these are the weights of its best, of {kept.kept_update}"
    assert explain("diverged", kept) == [own]
    assert explain("diverged", last) == ["outcome  diverged: these are the weights of the update at which it did"]
    assert explain("completed", kept) == []
    stateless = dataclasses.replace(kept, state=np.empty((0, 0)))
    start = "start    zero: the state with which training ended was not recorded where this run was read"
    assert explain("completed", stateless, carry_state=True) == [start]
    assert explain("diverged", stateless, carry_state=True) == [own, start]
    assert explain("completed", stateless) == explain("completed", kept, carry_state=True) == []
