"""Jobs that differ in the seed alone, together: what is composed and checked of a million runs is each setting, once.

Nothing in a configuration that follows no seed looks at it, and no check does but for its range; `Composition` says
where that is so. A run stands as two numbers, its setting's and its seed, and is made when it is asked for.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self, overload

import numpy as np
from numpy.typing import NDArray

from bptt.core.run import Run
from bptt.sweeps.jobs.grammar import Job, strip_key
from bptt.sweeps.jobs.plan import Arrangement, Group, PlannedRun, cut_blocks, find_groups, find_held, make_jobs
from bptt.tracking.folder.jobs import SweepJobs
from bptt.tracking.provenance.digest import Digester, SplitDigest
from bptt.tracking.store.base import Store

_SEED: Final = "seed"
_MOST_KEPT: Final = 4096  # settings, of whose digest all but the seed is kept
_PLAIN: Final = re.compile(r"seed=(0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True)
class SeededJobs:
    """The jobs of a sweep by settings and seeds.

    firsts  of each setting its first job
    which   (jobs,) the setting of each
    seeds   (jobs,)
    """

    firsts: list[Job]
    which: NDArray[np.int32]
    seeds: NDArray[np.int64]

    @classmethod
    def of(cls, jobs: Sequence[Sequence[str]]) -> Self | None:
        """None where some job has its seed otherwise than as a plain number, at the place where the first has it, or
        a value that may follow it.
        """
        places = [place for place, text in enumerate(jobs[0]) if _PLAIN.fullmatch(text)] if jobs else []
        if len(places) != 1:
            return None
        (place,) = places
        settings: dict[Job, int] = {}
        firsts = list[Job]()
        which, seeds = np.empty(len(jobs), np.int32), np.empty(len(jobs), np.int64)
        for number, job in enumerate(jobs):
            found = _PLAIN.fullmatch(job[place]) if place < len(job) else None
            if found is None:
                return None
            setting = (*job[:place], *job[place + 1 :])
            at = settings.setdefault(setting, len(firsts))
            if at == len(firsts):
                if any(strip_key(text) == _SEED or "$" in text for text in setting):
                    return None
                firsts.append(tuple(job))
            which[number], seeds[number] = at, int(found[1])
        return cls(firsts, which, seeds)


class SeededRuns(Sequence[PlannedRun]):
    """Runs by settings and seeds, none of which repeats another one.

    settings  a run of each
    alike     whether two settings are the same
    places    of each job that it was made of, its run's place
    """

    def __init__(
        self,
        settings: Sequence[PlannedRun],
        which: NDArray[np.int32],
        seeds: NDArray[np.int64],
        version: str,
        alike: bool = False,
        places: NDArray[np.int64] | None = None,
    ) -> None:
        self.settings, self._which, self._seeds, self._version = settings, which, seeds, version
        self.alike, self.places = alike, np.arange(len(which)) if places is None else places
        self._digester = Digester(version)

    @classmethod
    def of(cls, settings: Sequence[PlannedRun], jobs: SeededJobs, version: str) -> Self:
        """The different runs among jobs, in their order; settings: the run of each setting's first job."""
        digester, same = Digester(version), dict[str, int]()
        alike = [
            same.setdefault(digester.compute(setting.configuration.with_seed(0).resolved), number)
            for number, setting in enumerate(settings)
        ]
        which = np.array(alike, np.int32)[jobs.which] if alike else jobs.which
        order = np.lexsort((jobs.seeds, which))  # of equal ones the first comes first
        new = (np.diff(which[order], prepend=-1) != 0) | (np.diff(jobs.seeds[order], prepend=-1) != 0)
        kept = order[new]
        firsts = np.sort(kept)
        places = np.empty(len(order), np.int64)
        places[order] = np.searchsorted(firsts, kept)[np.cumsum(new) - 1]
        return cls(settings, which[firsts], jobs.seeds[firsts], version, len({*alike}) < len(alike), places)

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, place: int) -> PlannedRun: ...

    @overload
    def __getitem__(self, place: slice) -> Self: ...

    def __getitem__(self, place: int | slice) -> PlannedRun | Self:
        if isinstance(place, slice):
            return self._of(self._which[place], self._seeds[place])
        setting, seed = self.settings[self._which[place]], int(self._seeds[place])
        configuration = setting.configuration.with_seed(seed)
        overrides = tuple(f"{_SEED}={seed}" if _PLAIN.fullmatch(text) else text for text in setting.overrides)
        digest = self._digester.compute(configuration.resolved)
        return PlannedRun(overrides=overrides, configuration=configuration, digest=digest)

    def get_run(self, place: int) -> Run:
        """A run as it is trained."""
        return dataclasses.replace(self.settings[self._which[place]].run, seed=int(self._seeds[place]))

    def digests(self) -> Iterator[str]:
        """Of all runs, in their order."""

        @lru_cache(_MOST_KEPT)
        def split(which: int) -> SplitDigest:
            return self._digester.split(self.settings[which].configuration.resolved, _SEED)

        for which, seed in zip(self._which.tolist(), self._seeds.tolist(), strict=True):
            yield split(which).compute(seed)

    def without(self, digests: set[str]) -> Self:
        """The runs that have none of these digests."""
        if not digests:
            return self
        kept = np.array([digest not in digests for digest in self.digests()], np.bool_)
        return self._of(self._which[kept], self._seeds[kept])

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Those of the runs that are chosen."""
        return self if chosen.all() else self._of(self._which[chosen], self._seeds[chosen])

    def list_jobs(self) -> SweepJobs:
        """The jobs of a sweep that has these runs; their blocks are not known yet."""
        there, at = np.unique(self._which, return_index=True)
        order = np.argsort(at)
        firsts = at[order].tolist()
        # What tells runs apart is told by one of each setting, and one with another seed where there is any.
        other = np.flatnonzero(self._seeds != self._seeds[firsts[0]])[:1].tolist()
        shown = [self[place] for place in (*firsts, *other)]
        settings = make_jobs(dict(enumerate(shown)), dict.fromkeys(range(len(shown)), 0), None, "result")
        number_of = np.empty(len(self.settings), np.int32)
        number_of[there[order]] = np.arange(len(there))
        jobs = SweepJobs.of(settings[: len(firsts)], number_of[self._which].tolist(), self._seeds.tolist())
        jobs.set_digests(self.digests())
        return jobs

    def groups(self) -> list[Group]:
        """The runs that fuse, as `find_groups` finds them."""
        if not len(self):
            return []
        there, at = np.unique(self._which, return_index=True)
        numbers = there[np.argsort(at)]  # of settings, by their first runs
        found = find_groups([self.get_run(int(place)) for place in np.sort(at)])
        return [
            dataclasses.replace(
                group, places=tuple(np.flatnonzero(np.isin(self._which, numbers[[*group.places]])).tolist())
            )
            for group in found
        ]

    def find_setting(self, place: int) -> int:
        """The setting of a run."""
        return int(self._which[place])

    def as_mapping(self) -> Mapping[int, Run]:
        """Place → the run as it is trained, made when it is asked for."""
        return _Runs(self)

    def _of(self, which: NDArray[np.int32], seeds: NDArray[np.int64]) -> Self:
        return type(self)(self.settings, which, seeds, self._version)


class _Runs(Mapping[int, Run]):
    def __init__(self, runs: SeededRuns) -> None:
        self._runs = runs

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._runs)))

    def __getitem__(self, number: int) -> Run:
        if not 0 <= number < len(self._runs):
            raise KeyError(number)
        return self._runs.get_run(number)


def arrange_seeded(
    runs: SeededRuns, *, next_block: "itertools.count[int]", workers: int, store: Store | None
) -> Arrangement:
    """`plan.arrange` for the first runs of a sweep that is no search."""
    jobs = runs.list_jobs()
    held = {} if store is None else find_held(store, jobs.digests)
    taken = np.zeros(len(runs), np.bool_)
    taken[[*held]] = True
    cut = []
    for chosen in (~taken, taken):
        numbers = np.flatnonzero(chosen)
        parts = cut_blocks(runs.select(chosen).groups(), workers)
        cut.append([(next(next_block), numbers[[*part]].tolist()) for part in parts])
    blocks, reused = cut
    for block, members in (*blocks, *reused):
        jobs.set_block(block, members)
    return Arrangement(jobs=jobs, runs=runs.as_mapping(), held=held, blocks=blocks, reused=reused)
