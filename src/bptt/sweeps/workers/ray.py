"""A Ray cluster: the one at an address, or one of processes of this machine that ends with the sweep."""

import copy
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import ray

from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.sweeps.workers.clusters import ClusterPool, count_workers
from bptt.sweeps.workers.processes import interrupts_held

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported


_RETRIES: Final = 2


_SECONDS_TO_ANSWER: Final = 5


def open_ray(address: str | None, workers: int | None, most: int | None) -> ClusterPool:
    """See `backends.Backend`."""
    return ClusterPool(RayCluster(address, count_workers(address, workers, most)))


class RayCluster:
    """See `clusters.Cluster`. A task whose worker dies is given to another one by Ray itself."""

    def __init__(self, address: str | None, workers: int | None) -> None:
        self._running: dict[Future[Any], Any] = {}  # and Ray's references to what they will be
        self._ours = not ray.is_initialized()
        if address is not None:
            _knock(address)
        if self._ours:
            _connect(address, workers)
        self._aside = ThreadPoolExecutor(1)
        self._call = ray.remote(num_cpus=1, max_retries=_RETRIES)(_call)
        cpus = int(ray.cluster_resources().get("CPU", 0))
        self.count = workers or max(cpus, 1)
        self.at_a_time = workers or 2 * self.count

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        self._running[future] = reference = self._call.remote(call)
        reference.future().add_done_callback(lambda done: self._pass_on(future, done))
        return future

    def _pass_on(self, future: "Future[Any]", done: "Future[Any]") -> None:
        """Leave Ray's own thread, which must not submit a call; joblib does with every result."""
        with suppress(RuntimeError):  # nobody waits for what comes after the end
            self._aside.submit(self._settle, future, done)

    def _settle(self, future: "Future[Any]", done: "Future[Any]") -> None:
        del self._running[future]
        try:
            future.set_result(copy.deepcopy(done.result()))  # whose arrays lie in memory of Ray's
        except Exception as error:
            future.set_exception(error)

    def gone(self, error: Exception, /) -> str | None:
        if isinstance(error, ConnectionError | ray.exceptions.RaySystemError) or not ray.is_initialized():
            return "ray: the cluster does not answer any more"
        return None

    def cancel(self) -> None:
        for reference in list(self._running.values()):
            ray.cancel(reference)  # by force, Ray would print that a worker has died

    def close(self) -> None:
        if self._ours:
            ray.shutdown()
        self._aside.shutdown(wait=False, cancel_futures=True)


def _call(call: Callable[[], Any]) -> Any:
    return call()


def _connect(address: str | None, cpus: int | None) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        settings |= {"num_cpus": cpus, "include_dashboard": False}
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with interrupts_held(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address or "local", **settings)
    except (OSError, RuntimeError, ValueError) as error:
        says = str(error).splitlines()[0]
        if address is None:
            raise ConfigurationError(
                [write_problem("hydra.launcher.backend", "ray", f"Ray does not start ({says})")]
            ) from error
        says = f"no Ray cluster answers there ({says}); one that is protected by a token needs RAY_AUTH_MODE=token"
        raise ConfigurationError([write_problem("hydra.launcher.address", address, says)]) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)  # Ray puts an immediate exit there


def _knock(address: str) -> None:
    """Raise ConfigurationError where nobody listens, which Ray takes minutes to find out."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=_SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        says = f"no Ray cluster answers there ({error})"
        raise ConfigurationError([write_problem("hydra.launcher.address", address, says)]) from error
