"""Clusters with futures, as Dask's and Ray's, behind joblib.

joblib's own Dask backend waits for ever for a task whose workers died, and Ray's gives all results at once, at the end.
Both have futures, though, and that is all that joblib needs of a backend.
"""

import logging
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from joblib import Parallel, cpu_count, delayed
from joblib.parallel import ParallelBackendBase, SequentialBackend

from bptt.sweeps.workers.calls import Answer, Retry, WorkersError, answer, quietly_closed

_log = logging.getLogger(__name__)


def count_workers(address: str | None, workers: int | None, most: int | None) -> int | None:
    """How many workers a cluster is to have: where it is started on this machine, one per core, at most so many."""
    return workers if address is not None else min(workers or cpu_count(), most or sys.maxsize)


class Cluster(Protocol):
    """A cluster that this process is connected to.

    count      how many tasks are computed at a time
    at_a_time  how many are handed out at a time
    """

    count: int
    at_a_time: int

    def submit(self, call: Callable[[], Any]) -> Any:
        """The future of call(), computed by a worker."""
        ...

    def gone(self, error: Exception, /) -> str | None:
        """Why no task can be computed any more, where that is what a future's error means."""
        ...

    def cancel(self) -> None:
        """Give up all that was submitted."""
        ...

    def close(self) -> None:
        """Let go of the cluster; end it where it was started here."""
        ...


class ClusterPool:
    """The `backends.WorkerPool` of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self.count = cluster, cluster.count

    def warm(self) -> None:
        """Nothing to do: the workers of a cluster are there."""

    def answers(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[Answer | Retry]:
        """See `backends.WorkerPool`. Tasks whose workers died are computed again at the end, each by itself."""
        from bptt.tracking.provenance.digest import compute_version

        calls = [delayed(answer)(place, function, task, compute_version()) for place, task in enumerate(tasks)]
        suspects = []
        for found in self._outputs(calls):
            if found.died:
                _log.warning("a task %s", str(found.lost).removeprefix("its "))
                yield Retry(found.place, str(found.lost))
                suspects.append(found.place)
            else:
                yield found
        for place in suspects:
            yield from self._outputs([calls[place]])

    def _outputs(self, calls: Sequence[tuple[Any, ...]]) -> Generator[Answer]:
        parallel = Parallel(
            n_jobs=self.count,
            backend=_Backend(self._cluster),
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=self._cluster.at_a_time,
        )
        with quietly_closed(parallel(calls)) as outputs:
            for found in outputs:
                if found.refused is not None:
                    raise WorkersError(found.refused)
                yield found

    def close(self) -> None:
        """See `Cluster.close`."""
        self._cluster.close()


class _Backend(ParallelBackendBase):
    """joblib's view of a cluster."""

    supports_retrieve_callback = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(nesting_level=0)
        self._cluster = cluster

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int) -> int:
        return max(2, n_jobs)  # with 1, joblib would compute here rather than there

    def get_nested_backend(self) -> tuple[Any, None]:
        return SequentialBackend(nesting_level=1), None

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
        place = func.items[0][1][0]  # of the one call of `answer` in joblib's batch
        future = self._cluster.submit(func)
        future.add_done_callback(lambda done: callback((place, done)))
        return future

    def retrieve_result_callback(self, out: tuple[int, Any]) -> list[Answer]:
        place, done = out
        try:
            return done.result()
        except Exception as error:
            gone = self._cluster.gone(error)
            if gone is not None:
                raise WorkersError(gone) from error
            return [Answer(place, lost=f"its worker died or could not take it: {error}", died=True)]

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002 (joblib's signature)
        self._cluster.cancel()
