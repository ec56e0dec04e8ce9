"""The configurations of all jobs of a sweep, quickly: Hydra composes once per choice of groups, not once per job.

What a job adds to that are plain values, which Hydra's own code sets in the composed configuration. Where this might
differ from composing the job by itself, Hydra does that; and one job of each choice, drawn at random, is composed by
Hydra too: if it differs, so may the others of its choice, and Hydra composes them all.
"""

import copy
import functools
import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from bptt.configuration.build import Checker, Configuration, list_conf_folders, resolve_config, resolve_entry
from bptt.configuration.compose import Composer
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import find_other_setting
from bptt.configuration.trust import read_allowed
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.jobs.grammar import Job, expand, expand_override, strip_key


def expand_sweep(config: DictConfig, overrides: Sequence[str], loader: ConfigLoader) -> list[Job]:
    """The overrides of each run of a sweep, as `expand` has them.

    Where the command sweeps choices, `experiment=a,b`, and a file varies something, each choice is expanded by itself:
    with what its own files vary, and without what others would vary and it does not have.

    config     of the sweep
    overrides  of the command line, without Hydra's own

    Raises ConfigurationError with a line for everything that is wrong.
    """
    composer = Composer(loader, config.hydra.job.config_name)
    node = _read_sweeper(config)
    columns = _list_choices_swept(overrides, composer)
    if not columns or not (_varies(node) or composer.asks_hydra(itertools.chain(*columns.values()))):
        return expand(node, overrides, loader)
    found: list[tuple[dict[str, Any], list[str]]] = []
    for chosen in itertools.product(*columns.values()):
        own = [*(dict(zip(columns, chosen, strict=True)).get(text, text) for text in overrides)]
        try:
            alone = composer.compose([*config.hydra.overrides.hydra, *own], RunMode.MULTIRUN)
        except ConfigurationError:  # which is told of with all that is wrong with the jobs
            return expand(node, overrides, loader)
        _refuse_own_settings(config.hydra, alone.hydra, chosen, sweeper=False)
        found.append((_read_sweeper(alone), own))
    if all(theirs == node for theirs, _ in found):
        return expand(node, overrides, loader)
    return list(dict.fromkeys(job for theirs, own in found for job in expand(theirs, own, loader)))


def _read_sweeper(config: DictConfig) -> dict[str, Any]:
    # Interpolations stay: each job follows them in its own configuration.
    node = OmegaConf.to_container(config.hydra.sweeper)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def _varies(node: Mapping[str, Any]) -> bool:
    return any(value for name, value in node.items() if name not in ("_target_", "seeds", "halving"))


def _list_choices_swept(overrides: Sequence[str], composer: Composer) -> dict[str, list[str]]:
    """The overrides that sweep choices of a group, each with those of one choice that it stands for."""
    problems: list[str] = []
    parsed, _ = composer.parse(overrides)
    found = {
        str(override.input_line): expand_override(override, problems)
        for override in parsed
        if override.is_sweep_override() and composer.is_group(override.key_or_group)
    }
    return {} if problems else found


def _refuse_own_settings(sweep: DictConfig, job: DictConfig, choices: Iterable[str], sweeper: bool = True) -> None:
    """Raise ConfigurationError where choices that are swept ask Hydra for something that a whole sweep shares."""
    if (key := find_other_setting(sweep, job, sweeper)) is not None:
        says = f"sets {key}, which holds for a whole sweep; give one at a time"
        raise ConfigurationError([f"{' '.join(choices)}: {says}"])


@dataclass(frozen=True)
class SplitJob:
    """A job by its overrides.

    given      all, as they were given
    structure  those that choose what is composed
    plain      the others, which set values in what is composed
    shape      of each of `plain` its key where it sets a scalar, else its text: jobs of equal shapes differ in scalars
    """

    given: tuple[str, ...]
    structure: tuple[str, ...]
    plain: tuple[Override, ...]
    shape: tuple[str, ...]


def read_jobs(jobs: Sequence[Sequence[str]], composer: Composer) -> list[SplitJob]:
    """Jobs from the texts of their overrides. Raises ConfigurationError with a line for each that can't be read."""
    parsed, lines = composer.parse(dict.fromkeys(itertools.chain(*jobs)))
    if lines:
        raise ConfigurationError(lines)
    known = {str(override.input_line): _part(override, composer) for override in parsed}
    return [_job(given, known) for given in jobs]


@dataclass(frozen=True)
class _Part:
    override: Override
    is_structure: bool
    shape: str


def _part(override: Override, composer: Composer) -> _Part:
    is_structure = (
        (composer.is_group(override.key_or_group) and not isinstance(override.value(), dict))
        or override.package is not None
        or override.is_hydra_override()
        or override.is_sweep_override()
    )
    return _Part(override, is_structure, override.key_or_group if _is_scalar(override) else str(override.input_line))


def _is_scalar(override: Override) -> bool:
    """Whether the override sets an existing key to a value that replaces whatever stood there."""
    value = override.value()
    plain = value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and "${" not in value)
    return plain and override.type is OverrideType.CHANGE and "[" not in override.key_or_group


def _job(given: Sequence[str], known: Mapping[str, _Part]) -> SplitJob:
    if len({strip_key(text) for text in given}) < len(given):  # which Hydra's composer refuses
        return SplitJob(given=tuple(given), structure=tuple(given), plain=(), shape=())
    plain = [known[text] for text in given if not known[text].is_structure]
    keys = tuple(part.override.key_or_group for part in plain)
    # Where one override sets what lies under another, their order matters.
    shape = [str(part.override.input_line) for part in plain] if _overlap(keys) else [part.shape for part in plain]
    return SplitJob(
        given=tuple(given),
        structure=tuple(text for text in given if known[text].is_structure),
        plain=tuple(part.override for part in plain),
        shape=tuple(shape),
    )


@functools.cache
def _overlap(keys: tuple[str, ...]) -> bool:
    return any(other.startswith(f"{key}.") for key, other in itertools.permutations(keys, 2))


# Hydra's node, and resolvers other than OmegaConf's own and `now`, which a sweep asks once, may differ between jobs.
_OF_THE_JOB = re.compile(r"\$\{.*hydra|\$\{\s*(?!oc\.|now:)[A-Za-z_][\w.]*\s*:")


def depends_on_the_job(text: str) -> bool:
    """Whether an interpolation may have another value in each job although no override says so."""
    return "${" in text and _OF_THE_JOB.search(text) is not None


def texts(values: Any) -> Iterator[str]:
    """Every text in nested plain values."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping | list):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from texts(value)


class Variant:
    """A composed configuration to which Hydra's code applies the overrides of one job after the other.

    The first job's overrides are applied to a copy, in their order. Another job may follow when it has scalars for the
    same keys and all its other overrides in common; those of its scalars are applied that are not there already. Then
    only what lies under the same entries of the configuration's top is resolved again, and what follows interpolations.

    Raises what Hydra raises.
    """

    def __init__(self, base: DictConfig, overrides: Sequence[Override]) -> None:
        self._config = copy.deepcopy(base)
        _apply(overrides, self._config)
        self._applied = {override.key_or_group: override for override in overrides}
        raw = OmegaConf.to_container(self._config)
        assert isinstance(raw, dict)
        self._follow = {name for name, value in raw.items() if any("${" in text for text in texts(value))}
        self._entries: dict[Any, tuple[dict[str, Any], list[str]]] = {}
        self._resolve(raw)

    def values(self, overrides: Sequence[Override]) -> tuple[dict[str, Any], list[str]]:
        """The job's configuration as `resolve_config` gives it, and what is wrong with it."""
        changed = [override for override in overrides if self._applied[override.key_or_group] is not override]
        if changed:
            _apply(changed, self._config)
            self._applied |= {override.key_or_group: override for override in changed}
            self._resolve({override.key_or_group.partition(".")[0] for override in changed} | self._follow)
        found: dict[str, Any] = {}
        problems: list[str] = []
        for entry, lines in self._entries.values():
            found |= entry
            problems += lines
        return found, problems

    def _resolve(self, names: Any) -> None:
        for name in names:
            lines: list[str] = []
            self._entries[name] = resolve_entry(self._config, name, lines), lines


def _apply(overrides: Sequence[Override], config: DictConfig) -> None:
    ConfigLoaderImpl._apply_overrides_to_config([*overrides], config)


_MOST_LINES = 20


_Outcome = Configuration | ConfigurationError


@dataclass
class _Base:
    """What Hydra composes of a structure, without its node `hydra`.

    quick   whether values may be set in it
    agrees  whether Hydra made the same of a job; None: not known yet
    seeded  whether nothing in it may follow the seed
    """

    config: DictConfig
    checker: Checker
    quick: bool
    agrees: bool | None = None
    seeded: bool = False


class Composition:
    """Composes and checks jobs, all at once or in batches. What is equal in several of their configurations is the same
    object in all of them.

    sweep  the sweep's own configuration: its overrides of Hydra's settings, and its time, are those of every job
    """

    def __init__(self, composer: Composer, sweep: DictConfig | None = None) -> None:
        self._composer, self._sweep = composer, sweep
        self._common: list[str] = [] if sweep is None else [*sweep.hydra.overrides.hydra]
        if sweep is not None:
            resolve_config(sweep, [])  # asks for the time
        self._checkers: dict[tuple[Path, ...], Checker] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}

    def all(self, jobs: Sequence[Sequence[str]]) -> list[Configuration]:
        """The configurations of jobs, each given by its overrides.

        Raises ConfigurationError with what is wrong with any of them, each line once.
        """
        groups: dict[tuple[str, ...], dict[int, SplitJob]] = {}
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

    @property
    def ignores_seeds(self) -> bool:
        """Whether no job so far would be composed to anything else with another seed, but for that."""
        return all(base.quick and base.seeded and base.agrees for base in self._bases.values())

    def _group(self, structure: tuple[str, ...], members: Mapping[int, SplitJob]) -> dict[int, _Outcome]:
        """The outcomes of jobs of one structure; of those that can't be composed for one reason, that of the first."""
        try:
            base = self._base(structure, next(iter(members.values())))
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

    def _base(self, structure: tuple[str, ...], first: SplitJob) -> _Base:
        if structure not in self._bases:
            config = self._compose(structure, given=(override.key_or_group for override in first.plain))
            checker = self._checker(config)
            with flag_override(config, ["struct", "readonly"], False):
                hydra = config.pop("hydra")
            self._check_settings(structure, hydra)
            written = [*texts(OmegaConf.to_container(config))]
            quick = not hydra.searchpath and not any(map(depends_on_the_job, written))
            self._bases[structure] = _Base(config, checker, quick, seeded=not any(map(_may_follow_seed, written)))
        return self._bases[structure]

    def _quick(self, base: _Base, members: Mapping[int, SplitJob]) -> dict[int, _Outcome] | None:
        """The outcomes by way of variants; None where Hydra composes a job to which its overrides can't be applied."""
        outcomes: dict[int, _Outcome] = {}
        shapes: dict[tuple[str, ...], dict[int, SplitJob]] = {}
        for number, job in members.items():
            shapes.setdefault(job.shape, {})[number] = job
        for alike in shapes.values():
            variant: Variant | None = None
            refused = False
            known: dict[tuple[int, ...], Configuration] = {}
            for number, job in alike.items():
                rest, seed = _split_seed(job) if base.seeded else ((), None)
                if seed is not None and rest in known:
                    outcomes[number] = known[rest].with_seed(seed)
                    continue
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
                    outcomes[number] = outcome = _outcome(base.checker, values, problems)
                    if isinstance(outcome, Configuration) and outcome.run.seed == seed:
                        known[rest] = outcome
        return outcomes

    def _agrees(self, outcomes: Mapping[int, _Outcome], members: Mapping[int, SplitJob]) -> bool:
        """Whether Hydra makes the same of a job drawn at random, the same one for the same sweep."""
        drawn = random.Random(repr([job.given for job in members.values()])).choice([*outcomes])
        return _key(outcomes[drawn]) == _key(self._by_hydra(members[drawn]))

    def _by_hydra(self, job: SplitJob) -> _Outcome:
        try:
            config = self._compose(job.given)
        except ConfigurationError as error:
            return error
        problems: list[str] = []
        values = resolve_config(config, problems)
        return _outcome(self._checker(config), values, problems)

    def _check_settings(self, structure: Sequence[str], hydra: DictConfig) -> None:
        if self._sweep is None:
            return
        typed = {strip_key(text) for text in self._sweep.hydra.overrides.task}  # of which `expand_sweep` has seen to it
        swept = [text for text in structure if strip_key(text) not in typed and self._composer.asks_hydra([text])]
        if swept:
            _refuse_own_settings(self._sweep.hydra, hydra, swept)

    def _compose(self, overrides: Sequence[str], given: Iterable[str] = ()) -> DictConfig:
        """given: keys that are set later."""
        config = self._composer.compose([*self._common, *overrides], given=given)
        if self._sweep is not None:
            OmegaConf.copy_cache(self._sweep, config)
        return config

    def _checker(self, config: DictConfig) -> Checker:
        folders = tuple(list_conf_folders(config) or [find_conf_folder()])
        # What a file sweeps can't allow more than the command did.
        allow = None if self._sweep is None else read_allowed(self._sweep)
        return self._checkers.setdefault(folders, Checker(folders, allow))


def _split_seed(job: SplitJob) -> tuple[tuple[int, ...], int | None]:
    """Which overrides a job has beside that of its seed, and the seed; None: it is given as no plain number.

    Equal overrides of jobs are the same objects. No check looks at the seed but for its range.
    """
    own = [override.value() for override in job.plain if override.key_or_group == _SEED]
    if len(own) != 1 or type(own[0]) is not int or own[0] < 0 or any("$" in text for text in job.shape):
        return (), None
    return tuple(id(override) for override in job.plain if override.key_or_group != _SEED), own[0]


_SEED: Final = "seed"


def _may_follow_seed(text: str) -> bool:
    """Whether a value of a configuration may come to something else with another seed: one that names it, or one that
    names what is not written out.
    """
    hidden = text.count("${") > 1 or "oc." in text or _NAMELESS.search(text) is not None
    return "${" in text and (_SEED in text or hidden)


_NAMELESS: Final = re.compile(r"\$\{[.\s]*\}")


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
