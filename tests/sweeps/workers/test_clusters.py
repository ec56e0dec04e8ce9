"""Real clusters on this machine: the same bits, and an end to everything, whoever began it."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.workers.calls import WorkersError, answer
from bptt.sweeps.workers.pool import Lost, Workers, WorkerSettings
from bptt.sweeps.workers.training import train_lanes
from tests.dask_programs import await_listener, program
from tests.serving import free_port
from tests.sweeps.working import (
    Mortal,
    assert_as_alone,
    block,
    blocks,
    double,
    fail_for_three,
    lane,
    live,
    wait,
    where,
)

ROOT = Path(__file__).parents[3]
pytest.importorskip("distributed", reason="Dask is not installed: pip install 'bptt[dask]'")


@pytest.fixture(scope="module")
def dask() -> Iterator[Workers]:
    """A Dask cluster of two processes."""
    with Workers(WorkerSettings(backend="dask", workers=2)) as workers:
        yield workers


@pytest.fixture(scope="module")
def ray() -> Iterator[Workers]:
    """A Ray cluster of two processes."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'bptt[ray]'")
    with Workers(WorkerSettings(backend="ray", workers=2)) as workers:
        yield workers


@pytest.fixture(params=["dask", pytest.param("ray", marks=pytest.mark.slow)])
def workers(request: pytest.FixtureRequest) -> Workers:
    return request.getfixturevalue(request.param)


def test_blocks_have_the_bits_of_their_runs_alone(workers: Workers) -> None:
    tasks = blocks()
    assert_as_alone(tasks, list(workers.run(train_lanes, tasks)))


def test_results_are_arrays_of_our_own(workers: Workers) -> None:
    (result,) = workers.run(train_lanes, [block(0, [lane(0)])])
    assert not isinstance(result, Lost)
    record = result.lanes[0].record
    assert record is not None
    assert record.flow.flags.writeable


def test_every_task_is_computed_once_by_others(workers: Workers) -> None:
    assert workers.count == 2
    assert set(workers.run(double, range(20))) == set(range(0, 40, 2))
    assert list(workers.run(double, [])) == []
    assert os.getpid() not in workers.run(where, range(6))


def test_a_task_that_raises_is_lost_alone(workers: Workers) -> None:
    found = list(workers.run(fail_for_three, range(6)))
    assert sorted(task for task in found if isinstance(task, int)) == [0, 1, 2, 4, 5]
    (lost,) = [task for task in found if isinstance(task, Lost)]
    assert lost.task == 3
    assert lost.reason.endswith("ValueError: three is not allowed\n")


@pytest.mark.slow
def test_killed_workers_lose_only_what_always_kills_them(workers: Workers, tmp_path: Path) -> None:
    deaths = {2: 1, 5: 9}
    tasks = [Mortal(number, tmp_path, deaths.get(number, 0)) for number in range(8)]
    found = list(workers.run(live, tasks))
    assert sorted(task for task in found if isinstance(task, int)) == [0, 1, 2, 3, 4, 6, 7]
    (lost,) = [task for task in found if isinstance(task, Lost)]
    assert lost.task == tasks[5]
    assert lost.reason.startswith("its worker died or could not take it: ")


def test_leaving_stops_what_runs() -> None:
    with Workers(WorkerSettings(backend="dask", workers=2)) as workers:
        outcomes = workers.run(wait, [0.0, 60.0, 60.0, 60.0])
        assert next(outcomes) == 0.0
        began = time.monotonic()
    assert time.monotonic() - began < 3


def test_a_single_worker_of_a_cluster_is_not_this_process() -> None:
    with Workers(WorkerSettings(backend="dask"), tasks=1) as workers:
        assert workers.count == 1
        (other,) = workers.run(where, [0])
    assert other != os.getpid()


def refusal(backend: Literal["dask", "ray"], address: str | None) -> str:
    """The one line for a cluster that can't be had."""
    with pytest.raises(ConfigurationError) as error, Workers(WorkerSettings(backend=backend, address=address)):
        pass
    (line,) = error.value.lines
    return line


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_missing_package_is_named(backend: Literal["dask", "ray"], monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"dask": "distributed", "ray": "ray"}[backend]
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"bptt.sweeps.workers.{backend}", raising=False)
    expected = f"hydra.launcher.backend={backend}: a package is missing ({module}): pip install 'bptt[{backend}]'"
    assert refusal(backend, None) == expected


def test_an_address_that_makes_no_sense_is_refused() -> None:
    for address, why in (
        ("nonsense", "missing port number in address 'nonsense'"),
        ("tcp://localhost", "missing port number in address 'localhost'"),
    ):
        assert refusal("dask", address) == f"hydra.launcher.address={address}: no Dask scheduler answers there ({why})"


def test_silence_is_refused_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bptt.sweeps.workers.dask._SECONDS_TO_ANSWER", 0.5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        assert refusal("dask", address).startswith(
            f"hydra.launcher.address={address}: no Dask scheduler answers there ("
        )
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_ray_cluster_that_is_not_there_is_refused_at_once() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'bptt[ray]'")
    expected = "hydra.launcher.address=127.0.0.1:9: no Ray cluster answers there ([Errno 111] Connection refused)"
    assert refusal("ray", "127.0.0.1:9") == expected


def test_a_worker_with_other_kernels_is_refused() -> None:
    refused = answer(0, double, 1, "another").refused
    assert refused is not None
    assert refused.startswith(f"{socket.gethostname()} has numerical version ")
    assert ", this program another: install the same versions of bptt" in refused


@pytest.mark.slow
def test_a_cluster_at_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler and workers that others have started, as one does it on several machines."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    settings = WorkerSettings(backend="dask", address=address)
    with program("scheduler", "--host", "127.0.0.1", "--port", str(port)) as scheduler:
        await_listener(port)
        with monkeypatch.context() as patch:
            patch.setattr("bptt.sweeps.workers.dask._SECONDS_FOR_A_WORKER", 0.1)
            expected = (
                f"hydra.launcher.address={address}: this Dask scheduler has no workers;"
                f" start some: dask worker {address} --nthreads 1 --nworkers 4"
            )
            assert refusal("dask", address) == expected
        with program("worker", address, "--nthreads", "1", "--nworkers", "2"), Workers(settings) as workers:
            tasks = blocks()
            assert_as_alone(tasks, list(workers.run(train_lanes, tasks)))

            endless = [block(number, [lane(number, updates=10**9, log_points=10**5)]) for number in range(8, 12)]
            computing = workers.run(train_lanes, [block(0, [lane(0)]), *endless])
            next(computing)
            computing.close()
            began = time.monotonic()
            assert set(workers.run(double, range(4))) == {0, 2, 4, 6}
            assert time.monotonic() - began < 5  # so the workers have given up what nobody wants

            outcomes = workers.run(wait, [0.0, 2.0, 2.0])
            assert next(outcomes) == 0.0
            scheduler.kill()
            with pytest.raises(WorkersError, match=r"^dask: the scheduler does not answer any more$"):
                list(outcomes)
