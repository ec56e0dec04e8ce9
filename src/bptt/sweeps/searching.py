"""A search in a sweep: trials become runs of the sweep, and its workers and archive serve them."""

from collections.abc import Iterator, Sequence

from bptt.core.run import Run
from bptt.sweeps.launch import Launch
from bptt.sweeps.returns import job_returns
from bptt.sweeps.search import Prepared, Search
from bptt.sweeps.search_stage import StageResult, StageTask, advance_stage
from bptt.sweeps.search_study import Outcome
from bptt.sweeps.session import Session
from bptt.sweeps.workers import Lost
from bptt.tracking.block_files import RunResult


def searched(launch: Launch, search: Search) -> Outcome:
    """Search until no trial remains. Raises what `Launch.launch` does."""
    if search.settings.halving is not None:
        return search.by_halving(_Runs(launch, search.settings.trials))

    def trained(jobs: list[list[str]], _first: int) -> Sequence:
        results = launch.launch(jobs)
        assert launch.session is not None
        return job_returns(launch.session, results)

    return search.by_batches(trained)


class _Runs:
    """The sweep as a search with halving sees it."""

    def __init__(self, launch: Launch, trials: int) -> None:
        self.workers = launch.settings.wanted
        self._launch, self._trials = launch, trials
        self._runs: dict[int, Run] = {}

    @property
    def _session(self) -> Session:
        assert self._launch.session is not None
        return self._launch.session

    def prepare(self, jobs: Sequence[Sequence[str]]) -> list[Prepared]:
        """Add jobs to the sweep."""
        begins = self._launch.session is None
        added = self._launch.add(jobs)
        self._runs |= added.runs
        if begins:
            self._session.begin(self._trials)
        return [Prepared(number, self._runs[number], added.records.get(number)) for number in added.numbers]

    def advance(self, tasks: Sequence[StageTask]) -> Iterator[StageResult | Lost[StageTask]]:
        """Train stages; Ctrl-C raises KeyboardInterrupt while it waits for one."""
        return self._session.computed(advance_stage, tasks)

    def ended(self, results: Sequence[RunResult]) -> None:
        """Record runs of the same shape, as one block."""
        self._session.take(next(self._launch.next_block), results)
