"""What is recorded of a sweep, or of runs, wherever it is kept: the one shape in which it is read back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.block import Tables
from bptt.tracking.folder.measures import tabulate_measures

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record
    from bptt.tasks.own_data.preparation import Preparation
    from bptt.tracking.folder.jobs import Stage
    from bptt.tracking.folder.sweep import Searched, SweepJournal


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is known of all runs together.

    folder          of the archive, or of the single run; None where it is read from a store
    run_id          of the sweep's own run, or of the single run, in the store; None unknown
    swept           the keys whose values differ between runs
    command         that repeats it, as words; empty unknown
    began, ended    seconds since 1970; None unknown
    seconds         how long commands have worked on it; None unknown
    question        what the sweep asks; None: nothing was said
    solved          the criterion by which its runs count as solved, as text; None: none was given
    conditions      the swept keys that make the question harder; None: none were named
    published       what it is held against, as configured; None: nothing
    tuned           the keys of which each setting chose values
    current_folder  from which the configurations' relative paths are meant; None unknown
    uri             of its store, as its folder notes it, to be resolved from there; None unknown
    files           that configurations name: path → SHA-256 of their content when the sweep began
    choices         files of choices that don't come with bptt: path → text
    searched        what a search asked for, and what halving compared by; None: neither
    """

    name: str
    folder: Path | None
    run_id: str | None
    swept: list[str]
    status: str
    command: list[str] = field(default_factory=list)
    began: float | None = None
    ended: float | None = None
    seconds: float | None = None
    question: str | None = None
    solved: str | None = None
    conditions: list[str] | None = None
    published: Mapping[str, Any] | None = None
    tuned: list[str] = field(default_factory=list)
    duplicates: int = 0
    numerical_version: str | None = None
    current_folder: Path | None = None
    uri: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    searched: "Searched | None" = None

    @classmethod
    def of(
        cls,
        journal: "SweepJournal",
        *,
        folder: Path | None,
        run_id: str | None,
        status: str,
        ended: float | None,
        current_folder: Path | None,
        uri: str | None = None,
    ) -> "Head":
        """What a sweep's journal says of it, wherever that is kept."""
        return cls(
            name=journal.name,
            folder=folder,
            run_id=run_id,
            swept=journal.swept,
            status=status,
            command=journal.command,
            began=journal.began,
            ended=ended,
            seconds=journal.seconds or None,
            question=journal.question,
            solved=journal.solved,
            conditions=journal.conditions,
            published=journal.published,
            tuned=journal.tuned,
            files=journal.files,
            choices=journal.choices,
            searched=journal.searched,
            duplicates=journal.duplicates,
            numerical_version=journal.numerical_version,
            current_folder=current_folder,
            uri=uri,
        )


@dataclass(frozen=True, kw_only=True)
class Member:
    """A run of a recording, before what it came to.

    number   its place, from 0
    swept    what tells it from the other runs: key → value, as text
    updates  how many it was to be trained for; None unknown
    stage    what it was trained for
    tags     that a user gave it
    """

    number: int
    name: str
    digest: str
    swept: dict[str, str]
    updates: int | None
    stage: "Stage" = "result"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberColumns:
    """Runs of a recording, a column for each thing: a million of them as objects would fill the memory.

    swept, tags  key → the text of each run, None where it has none; in the order in which the runs name keys
    named, tagged  the keys of both that each run names, in its order; equal ones are one object
    """

    numbers: NDArray[np.int64]
    names: list[str]
    digests: list[str]
    updates: list[int | None]
    stages: list["Stage"]
    swept: dict[str, list[str | None]]
    tags: dict[str, list[str | None]]
    named: list[tuple[str, ...]]
    tagged: list[tuple[str, ...]]

    @classmethod
    def of(cls, members: Iterable[Member]) -> Self:
        """The columns of these runs."""
        numbers, found = list[int](), cls(np.empty(0, np.int64), [], [], [], [], {}, {}, [], [])
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for member in members:
            parts = (found.swept, found.named, member.swept), (found.tags, found.tagged, member.tags)
            for texts, keys, own in parts:
                keys.append(known.setdefault(form := tuple(own), form))
                for key in own:
                    if key not in texts:
                        texts[key] = [None] * len(numbers)
                for key, column in texts.items():
                    column.append(own.get(key))
            numbers.append(member.number)
            found.names.append(member.name)
            found.digests.append(member.digest)
            found.updates.append(member.updates)
            found.stages.append(member.stage)
        return replace(found, numbers=np.array(numbers, np.int64))

    def __len__(self) -> int:
        return len(self.numbers)

    def pick(self, which: NDArray[np.bool_]) -> Self:
        """Some of them, which[i] of run i."""
        if which.all():
            return self
        places = np.flatnonzero(which).tolist()

        def take(column: list[Any]) -> list[Any]:
            return [column[place] for place in places]

        return replace(
            self,
            numbers=self.numbers[which],
            **{name: take(getattr(self, name)) for name in ("names", "digests", "updates", "stages")},
            named=(named := take(self.named)),
            tagged=(tagged := take(self.tagged)),
            swept={key: take(self.swept[key]) for key in in_order_of_mention(named)},
            tags={key: take(self.tags[key]) for key in in_order_of_mention(tagged)},
        )


def in_order_of_mention(named: Iterable[tuple[str, ...]]) -> list[str]:
    """The keys that some runs name, in the order in which they do."""
    return list(dict.fromkeys(key for keys in dict.fromkeys(named) for key in keys))


class History(ABC):
    """Runs that were recorded together. Methods raise ArchiveError or StoreError where something can't be read."""

    @property
    @abstractmethod
    def head(self) -> Head:
        """What is known of all runs together."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """All runs, by number."""

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of all runs."""
        return [member.number for member in self.members]

    @abstractmethod
    def tables(self, numbers: Sequence[int]) -> Tables:
        """What these runs came to: `runs` (run, status, outcome, updates, error, run_id, seconds, ONCE), `history`.

        A run that has not ended may be missing from `runs`.
        """

    @abstractmethod
    def gradient_flow(self, numbers: Sequence[int], ends_only: bool = False) -> "pd.DataFrame":
        """How gradients flowed in these runs: run, update, lag, norm; ends_only: first and last recorded updates."""

    @abstractmethod
    def config(self, number: int) -> dict[str, Any]:
        """The whole resolved configuration of a run."""

    @abstractmethod
    def overrides(self, number: int) -> list[str]:
        """As for `bptt train`; empty unknown."""

    @abstractmethod
    def record(self, number: int) -> "Record | None":
        """What a run recorded; None: nothing. Its `state` is (0, 0) where it was not kept."""

    def preparation(self, number: int) -> "Preparation | None":  # noqa: ARG002 (most runs have none)
        """How a run's own data were prepared; None: it was trained on a task that makes them."""
        return None

    def preparations(self) -> "list[Preparation]":
        """Those of all runs, each once."""
        first = [self.preparation(member.number) for member in self.members[:1]]
        return [one for one in first if one is not None]

    def records(self, numbers: Sequence[int]) -> "list[Record | None]":
        """What each of these runs recorded."""
        return [self.record(number) for number in numbers]

    def measures(self) -> "pd.DataFrame":
        """What was measured of the runs' weights after the fact: run, update, `dynamics/…`; empty where nothing was."""
        return tabulate_measures({})

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """What the runs were made with; empty unknown."""
