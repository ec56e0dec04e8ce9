"""A Dask cluster: the one at an address, or one of processes of this machine that ends with the sweep."""

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Final
from uuid import uuid4

import dask
from distributed import Client, LocalCluster, Nanny, Security, rpc
from distributed.protocol.pickle import dumps, loads
from distributed.utils import silence_logging_cmgr

from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.sweeps.workers.clusters import ClusterPool, count_workers
from bptt.sweeps.workers.processes import interrupts_held
from bptt.sweeps.workers.relay import TOPIC, fetch_kept, forget_kept

_SECONDS_TO_ANSWER: Final = 5


_SECONDS_FOR_A_WORKER: Final = 10


_SECONDS_TO_END: Final = 0.5


_SILENT: Final = logging.CRITICAL + 1


def open_dask(address: str | None, workers: int | None, most: int | None) -> ClusterPool:
    """See `backends.Backend`."""
    wanted = count_workers(address, workers, most)
    if address is None:
        return DaskPool(DaskCluster(_local(wanted), wanted))
    _knock(address)
    return DaskPool(DaskCluster(address, wanted))


class DaskCluster:
    """See `clusters.Cluster`. A task whose worker dies is given to another one by Dask itself, three times."""

    def __init__(self, where: str | AbstractContextManager[Any], workers: int | None) -> None:
        """where: the address of a scheduler, or a cluster that ends when this is closed."""
        self._running: set[Any] = set()
        self._kept: set[str] = set()
        with ExitStack() as stack:
            stack.enter_context(_silence())
            stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}))
            with interrupts_held(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about versions that differ: those that matter are compared elsewhere
                cluster = where if isinstance(where, str) else stack.enter_context(where)
                self._client = stack.enter_context(Client(cluster, timeout=_SECONDS_TO_ANSWER, set_as_default=False))
            threads = _threads(self._client, where) if isinstance(where, str) else workers or 1
            self._stack = stack.pop_all()
        self.count = workers or threads
        self.at_a_time = workers or 2 * threads

    def submit(self, call: Callable[[], Any]) -> Any:
        # Packed, because the scheduler would unpack it too, and it need not have all that a worker has.
        future = self._client.submit(_unpacked, dumps(call), key=f"bptt-{uuid4().hex}", pure=False)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def gone(self, _error: Exception, /) -> str | None:
        if self._client.status == "running":
            return None
        return "dask: the scheduler does not answer any more"

    def cancel(self) -> None:
        if self._client.status == "running":
            self._client.cancel(list(self._running), force=True)

    def listen(self, hear: Callable[[str, Any], None]) -> None:
        """See `backends.HearingPool`."""

        async def receive(event: tuple[float, dict[str, Any]]) -> None:
            told = event[1]
            name = told["block"]
            if "sign" in told:
                await asyncio.to_thread(hear, name, told["sign"])
                return
            self.note_progress(told["task"])
            if told["kept"]:
                self._kept.add(name)
                await asyncio.to_thread(fetch, name)

        def fetch(name: str) -> None:
            with suppress(TimeoutError, OSError):  # of a scheduler that is no more
                if (content := fetch_kept(self._client, name)) is not None:
                    hear(name, content)

        self._client.subscribe_topic(TOPIC, receive)

    def note_progress(self, task: str) -> None:
        """A task can go on from here, should its worker die."""

    def close(self) -> None:
        if self._client.status == "running":
            with suppress(TimeoutError, OSError):
                for name in self._kept:
                    forget_kept(self._client, name)
        self._stack.close()


class DaskPool(ClusterPool):
    """See `backends.HearingPool`."""

    def __init__(self, cluster: DaskCluster) -> None:
        super().__init__(cluster)
        self.listen = cluster.listen


def _unpacked(call: bytes) -> Any:
    return loads(call)()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Dask tells of itself from its own handlers, and from those that Hydra gives to all loggers."""
    logger = logging.getLogger("distributed")
    propagate = logger.propagate
    logger.propagate = False
    try:
        with silence_logging_cmgr(_SILENT):
            yield
    finally:
        logger.propagate = propagate


def _knock(address: str) -> None:
    """Raise ConfigurationError where no scheduler answers, which a Client would wait for without end."""
    try:
        with ThreadPoolExecutor(1) as aside:  # a notebook's own thread has a loop that runs already
            aside.submit(asyncio.run, _identity(address)).result()
    except (OSError, ValueError) as error:
        says = f"no Dask scheduler answers there ({str(error) or 'a timeout'})"
        raise ConfigurationError([write_problem("hydra.launcher.address", address, says)]) from error


async def _identity(address: str) -> None:
    security = Security().get_connection_args("client")
    async with rpc(address, timeout=_SECONDS_TO_ANSWER, connection_args=security) as scheduler:
        await asyncio.wait_for(scheduler.identity(), _SECONDS_TO_ANSWER)


def _threads(client: Client, address: str) -> int:
    try:
        client.wait_for_workers(1, timeout=_SECONDS_FOR_A_WORKER)
    except TimeoutError as error:
        says = f"this Dask scheduler has no workers; start some: dask worker {address} --nthreads 1 --nworkers 4"
        raise ConfigurationError([write_problem("hydra.launcher.address", address, says)]) from error
    return sum(client.ncores().values())


@contextmanager
def _local(workers: int | None) -> Iterator[LocalCluster]:
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        silence_logs=_SILENT,
    )
    try:
        yield cluster
    finally:
        with suppress(TimeoutError):
            cluster.sync(_end, cluster.workers.values())
        cluster.close()


async def _end(nannies: Iterable[Nanny]) -> None:
    """End worker processes sooner than Dask would, which waits for what they compute."""
    await asyncio.gather(*(nanny.close(timeout=_SECONDS_TO_END) for nanny in nannies))
