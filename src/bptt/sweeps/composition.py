"""The configurations of all jobs of a sweep, quickly: Hydra composes once per choice of groups, not once per job.

What a job adds to that are plain values, which Hydra's own code sets in the composed configuration. Where this might
differ from composing the job by itself, Hydra does that; and one job of each choice, drawn at random, is composed by
Hydra too: if it differs, so may the others of its choice, and Hydra composes them all.
"""

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, flag_override

from bptt.configuration.build import Checker, Configuration
from bptt.configuration.composing import Composer
from bptt.configuration.paths import conf_folder
from bptt.configuration.problems import ConfigurationError
from bptt.configuration.resolving import conf_folders, resolve
from bptt.configuration.trust import allowed
from bptt.sweeps.jobs import Job, read_jobs
from bptt.sweeps.variant import Variant, depends_on_the_job, texts

_MOST_LINES = 20

_Outcome = Configuration | ConfigurationError


@dataclass
class _Base:
    """What Hydra composes of a structure, without its node `hydra`.

    quick   whether values may be set in it
    agrees  whether Hydra made the same of a job; None: not known yet
    """

    config: DictConfig
    checker: Checker
    quick: bool
    agrees: bool | None = None


class Composition:
    """Composes and checks jobs, all at once or in batches. What is equal in several of their configurations is the same
    object in all of them.

    sweep  the sweep's own configuration: its overrides of Hydra's settings, and its time, are those of every job
    """

    def __init__(self, composer: Composer, sweep: DictConfig | None = None) -> None:
        self._composer, self._sweep = composer, sweep
        self._common: list[str] = [] if sweep is None else [*sweep.hydra.overrides.hydra]
        if sweep is not None:
            resolve(sweep, [])  # asks for the time
        self._checkers: dict[tuple[Path, ...], Checker] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}

    def all(self, jobs: Sequence[Sequence[str]]) -> list[Configuration]:
        """The configurations of jobs, each given by its overrides.

        Raises ConfigurationError with what is wrong with any of them, each line once.
        """
        groups: dict[tuple[str, ...], dict[int, Job]] = {}
        for number, job in enumerate(read_jobs(jobs, self._composer)):
            groups.setdefault(job.structure, {})[number] = job
        outcomes: dict[int, _Outcome] = {}
        for structure, members in groups.items():
            outcomes |= self._group(structure, members)
        found: list[Configuration] = []
        lines: list[str] = []
        for _, outcome in sorted(outcomes.items()):
            if isinstance(outcome, ConfigurationError):
                lines += outcome.lines
            else:
                found.append(outcome)
        if lines:
            raise _refusal(lines)
        return found

    @property
    def structures(self) -> list[tuple[str, ...]]:
        """The choices of all jobs so far, as overrides."""
        return list(self._bases)

    def _group(self, structure: tuple[str, ...], members: Mapping[int, Job]) -> dict[int, _Outcome]:
        """The outcomes of jobs of one structure; of those that can't be composed for one reason, that of the first."""
        try:
            base = self._base(structure)
        except ConfigurationError as error:
            number, first = next(iter(members.items()))
            outcome = self._by_hydra(first)  # which tells of its values too
            return {number: outcome if isinstance(outcome, ConfigurationError) else error}
        given = dict.fromkeys(itertools.chain(*(job.given for job in members.values())))
        if base.quick and not any(map(depends_on_the_job, given)):
            outcomes = self._quick(base, members)
            if outcomes is not None and base.agrees is None:
                base.agrees = self._agrees(outcomes, members)
            if outcomes is not None and base.agrees:
                return outcomes
        return {number: self._by_hydra(job) for number, job in members.items()}

    def _base(self, structure: tuple[str, ...]) -> _Base:
        if structure not in self._bases:
            config = self._compose(structure)
            checker = self._checker(config)
            with flag_override(config, ["struct", "readonly"], False):
                hydra = config.pop("hydra")
            written = texts(OmegaConf.to_container(config))
            quick = not hydra.searchpath and not any(map(depends_on_the_job, written))
            self._bases[structure] = _Base(config, checker, quick)
        return self._bases[structure]

    def _quick(self, base: _Base, members: Mapping[int, Job]) -> dict[int, _Outcome] | None:
        """The outcomes by way of variants; None where Hydra composes a job to which its overrides can't be applied."""
        outcomes: dict[int, _Outcome] = {}
        shapes: dict[tuple[str, ...], dict[int, Job]] = {}
        for number, job in members.items():
            shapes.setdefault(job.shape, {})[number] = job
        for alike in shapes.values():
            variant: Variant | None = None
            refused = False
            for number, job in alike.items():
                try:
                    if variant is None:
                        variant = Variant(base.config, job.plain)
                    values, problems = variant.values(job.plain)
                except Exception:  # of Hydra's and OmegaConf's many kinds
                    variant = None
                    if not refused:
                        refused = True
                        outcomes[number] = self._by_hydra(job)
                        if isinstance(outcomes[number], Configuration):
                            return None
                else:
                    outcomes[number] = _outcome(base.checker, values, problems)
        return outcomes

    def _agrees(self, outcomes: Mapping[int, _Outcome], members: Mapping[int, Job]) -> bool:
        """Whether Hydra makes the same of a job drawn at random, the same one for the same sweep."""
        drawn = random.Random(repr([job.given for job in members.values()])).choice([*outcomes])
        return _key(outcomes[drawn]) == _key(self._by_hydra(members[drawn]))

    def _by_hydra(self, job: Job) -> _Outcome:
        try:
            config = self._compose(job.given)
        except ConfigurationError as error:
            return error
        problems: list[str] = []
        values = resolve(config, problems)
        return _outcome(self._checker(config), values, problems)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        config = self._composer.compose([*self._common, *overrides])
        if self._sweep is not None:
            OmegaConf.copy_cache(self._sweep, config)
        return config

    def _checker(self, config: DictConfig) -> Checker:
        folders = tuple(conf_folders(config) or [conf_folder()])
        # What a file sweeps can't allow more than the command did.
        allow = None if self._sweep is None else allowed(self._sweep)
        return self._checkers.setdefault(folders, Checker(folders, allow))


def _outcome(checker: Checker, values: Mapping[str, object], problems: Iterable[str]) -> _Outcome:
    try:
        return checker.check(values, problems)
    except ConfigurationError as error:
        return error


def _key(outcome: _Outcome) -> object:
    """What is equal for equal outcomes."""
    if isinstance(outcome, ConfigurationError):
        return outcome.lines
    return outcome.resolved, outcome.tracking, outcome.sweep


def _refusal(lines: Sequence[str]) -> ConfigurationError:
    told = [*dict.fromkeys(lines)]
    more = len(told) - _MOST_LINES
    return ConfigurationError(told[:_MOST_LINES] + ([f"and {more} more"] if more > 0 else []))
