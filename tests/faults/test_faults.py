"""Some faults once, of those that no other test has; `make faults` has all of them, many times."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.faults import changing, full_disks, interrupting, killing, memory, page, stores, together
from tests.faults.contents import Contents
from tests.faults.outcomes import Tally, as_json, as_markdown, from_json
from tests.faults.programs import end_all
from tests.faults.sweep import contents_of, undisturbed
from tests.faults.trial import Blow, Scenario, Trial

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

needs_root = pytest.mark.skipif(not full_disks.AVAILABLE, reason="only root can mount a small file system")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """Made once for all processes that test side by side."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, ready = root / "undisturbed", root / "undisturbed.ready"
    with FileLock(root / "undisturbed.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            undisturbed(folder)
            ready.touch()
    return contents_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [
        killing.during_sync,
        interrupting.hangup,
        together.same_sweep_twice,
        together.resumed_while_it_runs,
        changing.flipped,
        changing.hostile_names,
        stores.unruly_server,
        memory.little,
        pytest.param(full_disks.database, marks=needs_root),
        pytest.param(full_disks.resumed_without_inodes, marks=needs_root),
        pytest.param(full_disks.read_only, marks=needs_root),
    ],
)
def test_nothing_comes_of_it(scenario: Scenario, reference: Contents, tmp_path: Path) -> None:
    trial = Trial(tmp_path, np.random.Generator(np.random.PCG64(1)), reference, most_blows=1)
    try:
        scenario(trial)
    finally:
        end_all(tmp_path)
    assert trial.recoveries


def counted() -> list[Tally]:
    """Two faults: one that was survived, one that was not."""
    trial = Trial(Path(), np.random.Generator(np.random.PCG64(1)), None)  # type: ignore[arg-type]
    first, second = Tally("first"), Tally("second")
    first.add(trial, None)
    assert first.trials == 0
    trial.blows += [Blow("training", 4, 1), Blow("storing", 8, 1), Blow("training", 8, 0)]
    trial.recoveries += [2.0, 4.0]
    first.add(trial, None)
    second.add(trial, "one run is missing")
    return [first, second]


def test_trials_are_counted() -> None:
    first, second = counted()
    assert first.row == ("first", "3", "2", "1 of 1", "training 2, storing 1", "3.0 s")
    assert (second.trials, second.survived, second.problems) == (1, 0, ["one run is missing"])
    about = {"date": "2001-02-03", "machine": "a machine", "command": "a command", "minutes": 5}
    assert as_markdown([first, second], about).splitlines() == [
        "| fault | times | kills | trials survived | hit while | goes on in |",
        "| --- | ---: | ---: | ---: | --- | ---: |",
        "| first | 3 | 2 | 1 of 1 | training 2, storing 1 | 3.0 s |",
        "| second | 3 | 2 | 0 of 1 | training 2, storing 1 | 3.0 s |",
        "| all | 6 | 4 | 1 of 2 | training 4, storing 2 | 3.0 s |",
        "",
        "2001-02-03, a machine; `a command`, 5 minutes.",
    ]
    assert from_json(as_json([first, second], about)) == ([first, second], about)
    assert from_json(as_json([first], about))[0][0].phases == Counter(training=2, storing=1)


def test_the_page_has_the_table_that_was_counted() -> None:
    if not page.COUNTED.exists():
        pytest.skip("no full run was written into the page yet: make faults ARGS=--write")
    tallies, about = from_json(page.COUNTED.read_text())
    assert page.table_of(page.PAGE.read_text()) == as_markdown(tallies, about)
    assert [tally.fault for tally in tallies if tally.survived < tally.trials] == []
