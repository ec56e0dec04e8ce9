"""The stages of a sweep that chooses: values tuned on seeds of their own, the result on others, the best one confirmed.

Each setting of a sweep with `tune` is first trained with every combination of the tuned values, on seeds that nothing
else has; the combination that does best by `bptt.analysis.sweep` is what the sweep's own seeds are trained with.
With `confirm` the best setting of each condition is then trained again, on seeds that neither stage had: what was
picked as the best of many owes some of that to its seeds.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from bptt.analysis.tables import SEED
from bptt.configuration.build import (
    Configuration,
    Tuning,
    check_configuration,
    list_keys,
    locate_files,
    read_tuning,
    relate_files,
    resolve_entry,
)
from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.asking import check_asked
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.grammar import expand_values, find_differing, strip_key
from bptt.sweeps.jobs.plan import PlannedRun, arrange, drop_repeated
from bptt.sweeps.session import Session
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import Stage, SweepJob
from bptt.tracking.folder.sweep import SweepJournal, TunedSetting
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.store.address import StoreError

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

#: The first of the seeds that values are tuned on, and of those on which the best setting is confirmed.
TUNING_SEED: Final = 1_000_000
CONFIRMING_SEED: Final = 2_000_000
_SEED: Final = "seed"


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """The first stage of a sweep that tunes.

    jobs      its runs, by their overrides
    settings  for each setting the seeds of its result, and for each combination of values the places of its jobs
    keys      all that is swept: what the settings differ in, what is tuned, the seed
    """

    jobs: list[tuple[str, ...]]
    settings: list[tuple[list[int], list[list[int]]]]
    keys: list[str]

    def list_stand_ins(self) -> list[tuple[str, ...]]:
        """Jobs like those of the second stage, with the first values that are tried."""
        return [(*self.jobs[trials[0][0]][:-1], f"{_SEED}={seed}") for seeds, trials in self.settings for seed in seeds]

    def number_settings(self, numbers: Sequence[int]) -> list[TunedSetting]:
        """What the journal keeps of it; numbers: of the runs that its jobs have become."""
        return [
            TunedSetting(seeds=seeds, trials=[[numbers[place] for place in trial] for trial in trials])
            for seeds, trials in self.settings
        ]


def compose_first(
    jobs: Sequence[Sequence[str]],
    config: DictConfig,
    composition: Composition,
    loader: ConfigLoader,
    keys: Sequence[str] | None = None,
) -> tuple[Sequence[Sequence[str]], list[Configuration], TuningPlan | None]:
    """What a sweep trains first, its jobs and their configurations: its own jobs, or those that tune, of a plan.

    config  the sweep's own
    keys    what a search varies; None: it is none

    Raises ConfigurationError, with a line for everything that is wrong, with conditions and `confirm` too.
    """
    plan = None
    if config.get("tune") is not None:
        if keys is not None:
            raise ConfigurationError(["tune: a search chooses values by itself; use the sweeper grid"])
        problems: list[str] = []
        tuning = read_tuning(resolve_entry(config, "tune", problems).get("tune"), problems)
        if tuning is None:
            raise ConfigurationError(problems)
        plan = plan_tuning(jobs, tuning, composition, loader)
    first = jobs if plan is None else plan.jobs
    configurations = composition.all(first)
    check_asked(jobs, configurations, keys)
    return first, configurations, plan


def plan_tuning(
    jobs: Sequence[Sequence[str]], tuning: Tuning, composition: Composition, loader: ConfigLoader
) -> TuningPlan:
    """What is trained first. jobs: of the sweep, by their overrides. A key that only some settings have, such as a
    first step that one optimizer takes, is tuned for those.

    Raises ConfigurationError, with a line for everything that is wrong.
    """
    problems: list[str] = []
    columns = {key: expand_values(key, list(values), loader, problems) for key, values in tuning.values}
    seeds = [TUNING_SEED + number for number in range(tuning.seeds)]
    keys = [key for key in dict.fromkeys(key for values in find_differing(jobs) for key in values) if key != _SEED]
    given = {strip_key(text) for job in jobs for text in job}
    for key in tuning.keys:
        if key == _SEED:
            problems.append("tune.seed: seeds are not tuned; tune.seeds says with how many a value is tried")
        elif key in keys:
            problems.append(f"tune.{key}: is swept too; a key is swept or tuned")
        elif key in given:
            problems.append(f"tune.{key}: the sweep gives it a value too; a key is given or tuned")
    if problems:
        raise ConfigurationError(problems)
    members: dict[tuple[str, ...], list[int]] = {}
    for place, job in enumerate(jobs):
        members.setdefault(tuple(text for text in job if strip_key(text) != _SEED), []).append(place)
    own = _choose_keys([jobs[places[0]] for places in members.values()], columns, composition)
    axes = [[columns[key] for key in chosen] for chosen in own]
    with_first = {place: [axis[0] for axis in axes[n]] for n, places in enumerate(members.values()) for place in places}
    results = composition.all([[*job, *with_first[place]] for place, job in enumerate(jobs)])
    settings = {setting: [results[place] for place in places] for setting, places in members.items()}
    if any(result.run.seed in seeds for result in results):
        raise ConfigurationError([f"seed: {seeds[0]} to {seeds[-1]} are the seeds that values are tuned on"])
    tried, planned = list[tuple[str, ...]](), list[tuple[list[int], list[list[int]]]]()
    for (setting, found), tunable in zip(settings.items(), axes, strict=True):
        trials = []
        for values in itertools.product(*tunable):
            trials.append(list(range(len(tried), len(tried) + len(seeds))))
            tried += [(*setting, *values, f"{_SEED}={seed}") for seed in seeds]
        planned.append(([result.run.seed for result in found], trials))
    firsts = [tried[trials[0][0]] for _, trials in planned]
    _check_seeds_alone(list(zip(firsts, settings.values(), strict=True)), composition)
    return TuningPlan(jobs=tried, settings=planned, keys=[*keys, *tuning.keys, _SEED])


def _choose_keys(
    firsts: Sequence[Sequence[str]], columns: Mapping[str, Sequence[str]], composition: Composition
) -> list[tuple[str, ...]]:
    """Which of the tuned keys each setting has, given by a job of each: all of them, where no setting is known to have
    less than another one. Raises ConfigurationError where one has none, or is wrong.

    columns  the overrides that are tried, of each key
    """
    found = [_find_keys(first, columns, composition) for first in firsts]
    partial = {key for key in columns if any(key in known for known in found)}
    chosen = [tuple(key for key in columns if key in known or key not in partial) for known in found]
    lines = [
        f"tune: {' '.join(f'{key}={text}' for key, text in setting.items() if key != _SEED)} has none of"
        f" {', '.join(columns)}"
        for setting, own in zip(find_differing(firsts), chosen, strict=True)
        if not own
    ]
    if lines:
        raise ConfigurationError(lines)
    return chosen


def _find_keys(job: Sequence[str], columns: Mapping[str, Sequence[str]], composition: Composition) -> set[str]:
    """All keys of a job's configuration. Raises ConfigurationError where it is wrong, whatever is tuned."""
    try:
        return {*list_keys(composition.all([job])[0].resolved)}
    except ConfigurationError as error:
        try:  # a value that is missing may be tuned
            return {*list_keys(composition.all([[*job, *(texts[0] for texts in columns.values())]])[0].resolved)}
        except ConfigurationError:
            raise error from None


def find_next(journal: SweepJournal, jobs: Sequence[SweepJob], ended: Mapping[int, RunResult]) -> Stage | None:
    """The stage that is to begin, once all runs that were taken on have ended; None: there is none.

    Where no run was trained to its end, none can be confirmed.
    """
    if any(number not in ended for number in range(len(jobs))):
        return None
    if journal.tuning and all(job.stage != "result" for job in jobs):
        return "result"
    wanting = journal.confirm is not None and _count_confirming(jobs) < journal.confirm
    if wanting and any(ended[job.number].status == "FINISHED" for job in jobs if job.stage == "result"):
        return "confirming"
    return None


def plan_results(
    jobs: Sequence[SweepJob],
    journal: SweepJournal,
    chosen: Sequence[int],
    allow: Collection[str],
    home: Path | None = None,
) -> list[PlannedRun]:
    """The second stage: each setting with the combination of values that was chosen, on the sweep's seeds.

    chosen  of each setting, the place of its combination
    home    from which relative paths are meant; None: the current folder
    """
    firsts = [setting.trials[place][0] for setting, place in zip(journal.tuning, chosen, strict=True)]
    seeds = [setting.seeds for setting in journal.tuning]
    return _plan([(jobs[first], own) for first, own in zip(firsts, seeds, strict=True)], allow, home)


def plan_confirmation(
    jobs: Sequence[SweepJob],
    best: Sequence[Sequence[int]],
    confirm: int,
    allow: Collection[str],
    home: Path | None = None,
) -> list[PlannedRun]:
    """The last stage: the best setting of each condition, given by its runs, on so many fresh seeds, but for those that
    it was confirmed on before. home: as of `plan_results`.
    """
    fresh = range(CONFIRMING_SEED + _count_confirming(jobs), CONFIRMING_SEED + confirm)
    return _plan([(jobs[members[0]], list(fresh)) for members in best], allow, home)


def _count_confirming(jobs: Sequence[SweepJob]) -> int:
    """On how many seeds the best settings were confirmed so far."""
    return len({job.config.get(_SEED) for job in jobs if job.stage == "confirming"})


def _plan(
    models: Sequence[tuple[SweepJob, Sequence[int]]], allow: Collection[str], home: Path | None
) -> list[PlannedRun]:
    """Runs like others, but with these seeds."""
    planned: list[tuple[list[str], Configuration]] = []
    for job, seeds in models:
        texts = [text for text in job.overrides if strip_key(text) != _SEED]
        config = locate_files(job.config, home)
        planned += [
            ([*texts, f"{_SEED}={seed}"], check_configuration({**config, _SEED: seed}, allow)) for seed in seeds
        ]
    found, _ = drop_repeated(planned, compute_version())
    return found if home is None else [replace(one, configuration=_relate(one.configuration, home)) for one in found]


def _relate(made: Configuration, home: Path) -> Configuration:
    """The configuration as the sweep's own are recorded, its digest having been computed."""
    return replace(made, resolved=relate_files(made.resolved, home))


def _check_seeds_alone(
    settings: Sequence[tuple[Sequence[str], Sequence[Configuration]]], composition: Composition
) -> None:
    """Raise ConfigurationError where the runs of a result would differ from those that they were tuned on in more than
    the seed. settings: of each the job that it is tuned with first, and its results with the same values.
    """
    tried = composition.all([job for job, _ in settings])
    for first, (_, results) in zip(tried, settings, strict=True):
        if any(_drop_seed(result) != _drop_seed(first) for result in results):
            raise ConfigurationError(["tune: the configuration follows the seed, so values can't be tuned on others"])


def _drop_seed(configuration: Configuration) -> Mapping[str, object]:
    return {key: value for key, value in configuration.resolved.items() if key != _SEED}


_WHAT = {"result": "with the values that were tuned for them", "confirming": "that confirm the best setting"}


def train_following(session: Session, allow: Collection[str] = ()) -> None:
    """Train every stage that is still to come. allow: packages whose classes the configurations may name.

    Raises what `Session.train` does.
    """
    from bptt.analysis.sweep import load_sweep

    while (stage := find_next(session.journal, session.jobs, session.results)) is not None:
        session.wait_for_store()
        planned = _plan_stage(session, stage, load_sweep(session.archive.folder), allow)
        journal = session.journal
        arranging = partial(
            arrange,
            planned,
            first=len(session.jobs),
            next_block=itertools.count(1 + max([*session.archive.blocks(), *(job.block for job in session.jobs)])),
            workers=session.wanted,
            keys=list(dict.fromkeys([*journal.swept, SEED])),
            stage=stage,
        )
        try:
            arranged = arranging(store=session.store if journal.reuse else None)
        except StoreError as error:
            session.reporter.say(f"{error}; what the store has already is not known, and all of these are trained")
            arranged = arranging(store=None)
        session.extend(arranged.jobs)
        for block, results in arranged.list_reused():
            session.keep(block, results)
        session.reporter.say(f"{len(planned):,} runs {_WHAT[stage]}")
        session.train(arranged.runs, arranged.blocks)


def _plan_stage(session: Session, stage: Stage, sweep: "Sweep", allow: Collection[str]) -> list[PlannedRun]:
    if session.journal.solved is None:
        # What chose the values is what the result is measured by.
        session.note(solved=str(sweep.solved))
    if stage == "result":
        return plan_results(session.jobs, session.journal, list_chosen(session, sweep), allow, session.home)
    assert session.journal.confirm is not None
    from bptt.analysis.chosen import list_best

    return plan_confirmation(session.jobs, list_best(sweep), session.journal.confirm, allow, session.home)


def list_chosen(session: Session, sweep: "Sweep") -> list[int]:
    """Of each setting that is tuned, the place of the combination of values that did best."""
    from bptt.analysis.ranking import rank_groups

    chosen = []
    for setting in session.journal.tuning:
        place_of = {number: place for place, trial in enumerate(setting.trials) for number in trial}
        runs = sweep.runs[sweep.runs["run"].isin(list(place_of))].sort_values("run", kind="stable")
        chosen.append(int(rank_groups(runs, [place_of[int(run)] for run in runs["run"]]).index[0]))
    return chosen
