"""The runs of a sweep, before they are trained; a million of them in some 30 bytes each.

A run stands as its setting, its seed, its digest and its block, and is made when it is asked for: what the runs of a
setting have in common is held once.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, overload

Stage = Literal["tuning", "result", "confirming"]

_SEED: Final = "seed"
_LARGEST: Final = 2**63  # of a seed that an array holds
_DIGEST: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """A run of a sweep, before it is trained.

    number     its place in the sweep, from 0
    digest     of its configuration and the numerical version
    block      the number of the block that it is trained in
    swept      what tells it from the other runs: key → value, as text
    overrides  as for `bptt train`
    config     its whole resolved configuration
    stage      what it is trained for: to choose a value, for the sweep's result, or to confirm the best setting
    """

    number: int
    name: str
    digest: str
    block: int
    swept: dict[str, str]
    overrides: list[str]
    config: dict[str, Any]
    stage: Stage = "result"

    def with_seed(self, seed: int, number: int, digest: str, block: int) -> "SweepJob":
        """A run of the same setting with another seed, which its name and its overrides say as they say this one."""
        before, now = f"{_SEED}={self.config[_SEED]}", f"{_SEED}={seed}"
        return SweepJob(  # `replace` takes three times as long
            number=number,
            name=self.name.removesuffix(before) + now if self.name.endswith(before) else self.name,
            digest=digest,
            block=block,
            swept=self.swept | {_SEED: str(seed)} if _SEED in self.swept else self.swept,
            overrides=[now if text == before else text for text in self.overrides],
            config=self.config | {_SEED: seed},
            stage=self.stage,
        )


class SweepJobs(Sequence[SweepJob]):
    """The runs of a sweep, by number. Those whose digests, or seeds, are of no usual form are held as they are."""

    def __init__(self, jobs: Iterable[SweepJob] = ()) -> None:
        self._settings: list[SweepJob] = []  # a run of each
        self._known: dict[tuple[object, ...], int] = {}
        self._which, self._seeds, self._blocks = array("i"), array("q"), array("q")
        self._digests, self._others = array("Q"), dict[int, str]()
        self.extend(jobs)

    @classmethod
    def of(cls, settings: Sequence[SweepJob], which: Iterable[int], seeds: Iterable[int]) -> Self:
        """Runs by settings and seeds, of which neither digest nor block is known yet: see `set_digests`, `set_block`.

        settings  a run of each, whose number means nothing
        """
        found = cls()
        found._settings = [*settings]
        found._which, found._seeds = array("i", which), array("q", seeds)
        found._digests = array("Q", bytes(8 * len(found._which)))
        found._blocks = array("q", bytes(8 * len(found._which)))
        return found

    def set_digests(self, digests: Iterable[str]) -> None:
        """Give all runs their digests, in their order."""
        for number, digest in enumerate(digests):
            self._digests[number] = self._pack_digest(number, digest)

    def set_block(self, block: int, numbers: Iterable[int]) -> None:
        """Have runs belong to a block."""
        for number in numbers:
            self._blocks[number] = block

    def extend(self, jobs: Iterable[SweepJob]) -> None:
        """Add runs; their numbers go on where these end."""
        for job in jobs:
            self._append(job)

    def __iadd__(self, jobs: Iterable[SweepJob]) -> Self:
        self.extend(jobs)
        return self

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, place: int) -> SweepJob: ...

    @overload
    def __getitem__(self, place: slice) -> list[SweepJob]: ...

    def __getitem__(self, place: int | slice) -> SweepJob | list[SweepJob]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        setting, seed = self._settings[self._which[number]], self._seeds[number]
        digest, block = self.find_digest(number), self._blocks[number]
        if seed < 0:
            return replace(setting, number=number, digest=digest, block=block)
        return setting.with_seed(seed, number, digest, block)

    def find_digest(self, number: int) -> str:
        """The digest of a run."""
        return self._others[number] if number in self._others else f"{self._digests[number]:016x}"

    @property
    def settings(self) -> Sequence[SweepJob]:
        """A run of each setting, in the order of their first runs: they differ in all but the seed."""
        return self._settings

    def count_stages(self) -> Counter[Stage]:
        """How many runs each stage has."""
        found: Counter[Stage] = Counter()
        for setting, count in Counter(self._which).items():
            found[self._settings[setting].stage] += count
        return found

    @property
    def digests(self) -> Mapping[int, str]:
        """Number → digest of each run, as they are now."""
        return _Digests(self)

    def _append(self, job: SweepJob) -> None:
        number, seed = len(self), job.config.get(_SEED)
        if type(seed) is not int or not 0 <= seed < _LARGEST:
            setting, seed = self._add_setting(job), -1
        else:
            text = f"{_SEED}={seed}"
            overrides = tuple(_SEED if one == text else one for one in job.overrides)
            key = job.stage, job.name.removesuffix(text), overrides, *job.swept, *_without_seed(job.swept).values()
            known = self._known.get(key)
            if known is not None and _is_same(
                self._settings[known].with_seed(seed, number, job.digest, job.block), job
            ):
                setting = known
            else:
                setting = self._known[key] = self._add_setting(job)
        self._which.append(setting)
        self._seeds.append(seed)
        self._blocks.append(job.block)
        self._digests.append(self._pack_digest(number, job.digest))

    def _add_setting(self, job: SweepJob) -> int:
        self._settings.append(job)
        return len(self._settings) - 1

    def _pack_digest(self, number: int, digest: str) -> int:
        if _DIGEST.fullmatch(digest):
            return int(digest, 16)
        self._others[number] = digest
        return 0


class _Digests(Mapping[int, str]):
    def __init__(self, jobs: SweepJobs) -> None:
        self._jobs = jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._jobs)))

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self._jobs):
            raise KeyError(number)
        return self._jobs.find_digest(number)


def _without_seed(swept: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in swept.items() if key != _SEED}


def _is_same(made: SweepJob, job: SweepJob) -> bool:
    """Whether a run that was made of its setting is this one, to the order of keys."""
    alike = (made.name, made.swept, made.overrides, [*made.config]) == (
        job.name,
        job.swept,
        job.overrides,
        [*job.config],
    )
    return alike and all(
        part is value or (not isinstance(value, Mapping) and repr(part) == repr(value))
        for part, value in zip(made.config.values(), job.config.values(), strict=True)
    )
