"""Workers in this process and in others: the same results, whoever computes them, and whatever becomes of them."""

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bptt.configuration.fields import construct
from bptt.sweeps.workers.pool import Lost, Workers, WorkerSettings
from bptt.sweeps.workers.training import train_lanes
from tests.sweeps.working import (
    Mortal,
    assert_as_alone,
    blocks,
    double,
    fail_for_three,
    live,
    total,
    wait,
    where,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def here() -> Iterator[Workers]:
    """This process."""
    with Workers(WorkerSettings(workers=1)) as workers:
        yield workers


@pytest.fixture(scope="module")
def processes() -> Iterator[Workers]:
    """Two worker processes, which the tests share."""
    with Workers(WorkerSettings(workers=2)) as workers:
        workers.warm()
        yield workers


@pytest.fixture(params=["here", "processes"])
def workers(request: pytest.FixtureRequest) -> Workers:
    return request.getfixturevalue(request.param)


def test_settings_are_checked() -> None:
    problems: list[str] = []
    assert construct("hydra.launcher", {"workers": 0}, WorkerSettings, problems) is None
    assert construct("hydra.launcher", {"backend": "spark"}, WorkerSettings, problems) is None
    assert construct("hydra.launcher", {"address": "tcp://localhost:8786"}, WorkerSettings, problems) is None
    assert problems == [
        "hydra.launcher.workers=0: must be a whole number at least 1, or null",
        "hydra.launcher.backend=spark: must be one of loky, dask, ray, slurm",
        "hydra.launcher.address=tcp://localhost:8786: needs backend=dask or backend=ray; loky has no address",
    ]


def test_how_many_there_are() -> None:
    cores = len(os.sched_getaffinity(0))
    assert 1 <= WorkerSettings().wanted <= cores
    for settings, tasks, expected in (
        (WorkerSettings(workers=5), None, 5),
        (WorkerSettings(workers=5), 3, 3),
        (WorkerSettings(), None, WorkerSettings().wanted),
        (WorkerSettings(), 1, 1),
    ):
        with Workers(settings, tasks) as workers:
            assert workers.count == expected


def test_every_task_is_computed_once(workers: Workers) -> None:
    assert set(workers.run(double, range(40))) == set(range(0, 80, 2))
    assert list(workers.run(double, [])) == []


def test_one_worker_is_this_process_and_several_are_others(here: Workers, processes: Workers) -> None:
    assert set(here.run(where, range(3))) == {os.getpid()}
    others = set(processes.run(where, range(20)))
    assert len(others) == 2
    assert os.getpid() not in others


def test_results_come_as_they_are_done(processes: Workers) -> None:
    assert list(processes.run(wait, [0.6, 0.0, 0.1])) == [0.0, 0.1, 0.6]


def test_blocks_have_the_bits_of_their_runs_alone(workers: Workers) -> None:
    tasks = blocks()
    assert_as_alone(tasks, list(workers.run(train_lanes, tasks)))


def test_a_task_that_raises_is_lost_alone(workers: Workers) -> None:
    found = list(workers.run(fail_for_three, range(6)))
    assert sorted(task for task in found if isinstance(task, int)) == [0, 1, 2, 4, 5]
    (lost,) = [task for task in found if isinstance(task, Lost)]
    assert lost.task == 3
    assert lost.reason.startswith("Traceback (most recent call last):\n")
    assert lost.reason.endswith("ValueError: three is not allowed\n")


def test_large_arrays_travel(processes: Workers) -> None:
    large = np.arange(500_000.0)
    assert list(processes.run(total, [large, large])) == [float(large.sum())] * 2


def test_a_killed_worker_loses_nothing(processes: Workers, tmp_path: Path) -> None:
    tasks = [Mortal(number, tmp_path, deaths=2 if number == 4 else 0) for number in range(12)]
    assert sorted(number for number in processes.run(live, tasks) if isinstance(number, int)) == list(range(12))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_task_that_kills_every_worker_is_lost_alone(processes: Workers, tmp_path: Path) -> None:
    tasks = [Mortal(number, tmp_path, deaths=9 if number == 4 else 0) for number in range(8)]
    found = list(processes.run(live, tasks))
    assert sorted(task for task in found if isinstance(task, int)) == [0, 1, 2, 3, 5, 6, 7]
    (lost,) = [task for task in found if isinstance(task, Lost)]
    assert lost.task == tasks[4]
    assert lost.reason.startswith("its worker process died, 3 times, at last by SIGKILL(-9)")
    assert lost.reason.endswith(", as the system ends what takes too much memory")
    assert len(list(tmp_path.iterdir())) == 3  # and no innocent one died with it for good


def pids(folder: Path, count: int) -> list[int]:
    """The processes that compute `busy`, once there are so many."""
    deadline = time.monotonic() + 60
    while len(found := [int(path.name) for path in folder.iterdir()]) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone_within(seconds: float, processes: list[int]) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_alive, processes))


def test_leaving_stops_what_runs(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as warned, Workers(WorkerSettings(workers=2)) as workers:
        outcomes = workers.run(wait, [0.0, 60.0, 60.0, 60.0])
        assert next(outcomes) == 0.0
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert list(map(str, warned)) == []


def test_closing_the_iterator_stops_what_runs(tmp_path: Path) -> None:
    with Workers(WorkerSettings(workers=2)) as workers:
        computing = workers.run(live, [Mortal(0, tmp_path, 0)])
        assert next(computing) == 0
        outcomes = workers.run(wait, [0.0, 60.0, 60.0])
        assert next(outcomes) == 0.0
        began = time.monotonic()
        outcomes.close()
        assert time.monotonic() - began < 2
        assert set(workers.run(double, [1, 2])) == {2, 4}


def sweep(folder: Path) -> subprocess.Popen[str]:
    """A program of its own whose workers are busy for ever; the head of a process group, like a shell's command."""
    code = f"""
from pathlib import Path
from bptt.sweeps.workers.pool import WorkerSettings, Workers
from tests.sweeps.working import busy
with Workers(WorkerSettings(workers=2)) as workers:
    try:
        list(workers.run(busy, [Path({str(folder)!r})] * 4))
    except KeyboardInterrupt:
        print("interrupted")
"""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop_with(how: Callable[[subprocess.Popen[str]], None], folder: Path) -> tuple[str, str]:
    """What a sweep that is stopped says, when its workers have ended with it."""
    program = sweep(folder)
    computing = pids(folder, 2)
    how(program)
    assert gone_within(5, [*computing, program.pid])
    return program.communicate(timeout=10)


def test_an_interrupt_ends_all_and_no_worker_speaks(tmp_path: Path) -> None:
    said = stop_with(lambda program: os.killpg(program.pid, signal.SIGINT), tmp_path)
    assert said == ("interrupted\n", "")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal is held there")
def test_no_worker_hears_an_interrupt_while_it_starts() -> None:
    code = """
from bptt.sweeps.workers.pool import WorkerSettings, Workers
from tests.sweeps.working import holds_interrupts
with Workers(WorkerSettings(workers=2)) as workers:
    print(list(workers.run(holds_interrupts, [1, 2, 3, 4])))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[True, True, True, True]\n"


def test_workers_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    stop_with(lambda program: program.kill(), tmp_path)
