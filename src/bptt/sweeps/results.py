"""How the runs of a sweep ended, while it goes on; of a million of them some 20 bytes each, and the last values."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, get_args

from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import Status
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.lazy import Lazy

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_NOTHING: Final = 255


class RunResults(Mapping[int, RunResult]):
    """The results of runs, by job number, without what they recorded; each is made when it is asked for.

    errors  number → traceback, of those that FAILED
    reused  number → id in the store, of those that were taken from there
    """

    def __init__(self) -> None:
        self.errors: dict[int, str] = {}
        self.reused: dict[int, str] = {}
        self._count = 0
        self._status, self._began, self._ended = bytearray(), array("d"), array("d")
        # Of each run which table has its last values, and where.
        self._tables: list[tuple[tuple[str, ...], array[float]]] = []
        self._table_of: dict[tuple[str, ...], int] = {}
        self._table, self._row = array("i"), array("q")

    def add(self, results: Iterable[RunResult]) -> None:
        """Take results, those of runs that are there already in their place."""
        for result in results:
            job = result.job
            self._reach(job)
            self._count += self._status[job] == _NOTHING
            self._status[job] = _STATUSES.index(result.status)
            self._began[job], self._ended[job] = result.began, result.ended
            for kept, value in ((self.errors, result.error), (self.reused, result.reused)):
                kept.pop(job, None)
                if value is not None:
                    kept[job] = value
            if result.record is not None:
                last = {name: float(values[-1]) for name, values in result.record.history.items()}
                self._keep_last(job, last | dict(result.record.once))

    def has(self, status: Status) -> bool:
        """Whether a run ended so."""
        return _STATUSES.index(status) in self._status

    def find_last(self, number: int) -> dict[str, float]:
        """`update` and metrics of a run as they were recorded last; empty where nothing was."""
        if number not in self or self._table[number] < 0:
            return {}
        names, values = self._tables[self._table[number]]
        first = self._row[number] * len(names)
        return dict(zip(names, values[first : first + len(names)], strict=True))

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and 0 <= number < len(self._status) and self._status[number] != _NOTHING

    def __iter__(self) -> Iterator[int]:
        return (number for number, status in enumerate(self._status) if status != _NOTHING)

    def __getitem__(self, number: int) -> RunResult:
        if number not in self:
            raise KeyError(number)
        return RunResult(
            job=number,
            status=_STATUSES[self._status[number]],
            record=None,
            error=self.errors.get(number),
            began=self._began[number],
            ended=self._ended[number],
            reused=self.reused.get(number),
        )

    def _reach(self, number: int) -> None:
        if (more := number + 1 - len(self._status)) > 0:
            self._status.extend([_NOTHING] * more)
            self._table.extend([-1] * more)
            for kept in (self._began, self._ended, self._row):
                kept.frombytes(bytes(8 * more))

    def _keep_last(self, number: int, last: Mapping[str, float]) -> None:
        names = tuple(last)
        table = self._table_of.setdefault(names, len(self._tables))
        if table == len(self._tables):
            self._tables.append((names, array("d")))
        values = self._tables[table][1]
        self._table[number], self._row[number] = table, len(values) // len(names)
        values.extend(last.values())


def make_returns(jobs: Sequence[SweepJob], results: RunResults, chosen: Sequence[RunResult]) -> "Sequence[JobReturn]":
    """A return for each run; its value is the metrics as they were recorded last, and raises where the run FAILED."""
    from hydra.core.utils import JobReturn, JobStatus

    def make(result: RunResult) -> JobReturn:
        failed = result.status == "FAILED"
        told = JobReturn(overrides=jobs[result.job].overrides)
        told.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        told.return_value = RuntimeError(result.error) if failed else results.find_last(result.job)
        return told

    return Lazy(chosen, make)
