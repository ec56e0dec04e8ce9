"""What a sweep would do, in lines: how many runs, what fuses, how long it takes and how much memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from bptt.analysis.tables import SEED
from bptt.configuration.compose import Composer
from bptt.core.kernel import compiling_notice
from bptt.core.training import needs_compiling
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.pace import estimate_memory, estimate_seconds, measure_pace
from bptt.sweeps.jobs.plan import (
    PlannedRun,
    count_planned,
    cut_blocks,
    drop_repeated,
    find_groups,
    find_swept,
    is_little,
    number_blocks,
)
from bptt.sweeps.jobs.seeded import SeededJobs, SeededRuns
from bptt.sweeps.search.grid_halving import check_halving, choose_halving
from bptt.sweeps.stages import compose_first
from bptt.sweeps.workers.pool import read_worker_settings
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.store.address import StoreError, refuse_unnamed, resolve_address
from bptt.tracking.store.opening import choose_experiment, open_store

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

    from bptt.sweeps.jobs.plan import Group
    from bptt.sweeps.search.search import Search


def plan_sweep(
    config: "DictConfig",
    loader: "ConfigLoader",
    jobs: Sequence[Sequence[str]],
    tell: Callable[[str], None],
    say: Callable[[str], None],
    *,
    reuses: bool = True,
) -> None:
    """Tell what training jobs, given by their overrides, would take.

    config  of the sweep, with its node `hydra`
    tell    gets the plan, line by line
    say     gets what else there is to be said
    reuses  whether runs that the store has are not trained again

    Raises ConfigurationError and StoreError.
    """
    composer = Composer(loader, config.hydra.job.config_name)
    composition = Composition(composer, config)
    seeded = SeededJobs.of(jobs) if config.get("tune") is None else None
    every, configurations, plan = compose_first(jobs if seeded is None else seeded.firsts, config, composition, loader)
    if plan is not None:
        every = [*plan.jobs, *plan.list_stand_ins()]
        configurations = composition.all(every)
    elif seeded is not None and not composition.ignores_seeds:
        every, configurations, seeded = jobs, composition.all(jobs), None
    fitted = dict.fromkeys(made.told for made in configurations if made.told is not None)
    for line in (*composer.take_told(), *fitted):
        say(line)
    halving = choose_halving(config)
    if halving is not None:
        check_halving(halving, configurations)
    runs: Sequence[PlannedRun]
    if seeded is None:
        runs, _ = drop_repeated(list(zip(every, configurations, strict=True)), compute_version())
    else:
        every = jobs
        settings = [
            PlannedRun(overrides=job, configuration=configuration, digest="")
            for job, configuration in zip(seeded.firsts, configurations, strict=True)
        ]
        runs = SeededRuns.of(settings, seeded, compute_version())
    repeated = len(every) - len(runs)
    held = _find_held(runs, [*config.hydra.overrides.task], say) if reuses else set()
    tell(f"runs    {len(runs):,}")
    if plan is not None:
        tuned = configurations[0].sweep.tune
        assert tuned is not None
        tell(f"        {len(plan.jobs):,} tune {', '.join(tuned.keys)} for {_count(len(plan.settings), 'setting')}")
        tell(f"        {len(every) - len(plan.jobs):,} train the settings with what they choose")
    if (confirm := configurations[0].sweep.confirm) is not None:
        tell(f"        and {_count(confirm, 'run')} more for the best setting of each condition")
    if halving is not None:
        told = f"the best one in {halving.eta} goes on, by {halving.metric}"
        tell(f"        of the settings of each condition {told}; times are those of all")
    if repeated:
        tell(f"        {repeated:,} of {len(every):,} jobs repeat another one and are left out")
    if held:
        tell(f"        {len(held):,} are in the store already (reuse=false trains them again)")
    if isinstance(runs, SeededRuns):
        runs = runs.without(held)
    else:
        runs = [planned for planned in runs if planned.digest not in held]
    if len(runs):
        _tell_plan(config, runs, tell, say)


def plan_search(search: "Search", tell: Callable[[str], None]) -> None:
    """Tell what a search would do."""
    settings = search.settings
    tell(f"search  {settings.trials:,} trials, {settings.batch:,} at a time, over {', '.join(search.space.varied)}")
    for line in search.remarks:
        tell(f"        {line}")
    goals = [f"{goal.direction} {goal.metric}" for goal in settings.goals]
    tell(f"        chosen by {settings.sampler}, to {' and '.join(goals)}")
    if settings.halving is not None:
        tell(f"        of which one in {settings.halving.eta:g} goes on at each rung")
    tell("        what they train, and for how long, is decided while it goes on")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _find_held(runs: "Sequence[PlannedRun]", arguments: Sequence[str], say: Callable[[str], None]) -> set[str]:
    """The digests of the runs that the sweep would take from the store, if there is one that answers."""
    first = runs[0].configuration
    if not (first.tracking.enabled and first.sweep.reuse):
        return set()
    address = resolve_address(first.tracking.uri)
    if address.is_missing:
        return set()
    refuse_unnamed(first.tracking.uri, arguments)
    try:
        store = open_store(first.tracking.uri, choose_experiment(first.tracking.experiment))
        return set(store.find_finished([*_list_digests(runs)]))
    except StoreError as error:
        if not error.passing:
            raise
        say(f"{error}; what it has already is not known")
        return set()


def _list_digests(runs: "Sequence[PlannedRun]") -> Iterable[str]:
    return runs.digests() if isinstance(runs, SeededRuns) else (planned.digest for planned in runs)


def _tell_plan(
    config: "DictConfig", runs: "Sequence[PlannedRun]", tell: Callable[[str], None], say: Callable[[str], None]
) -> None:
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert isinstance(launcher, dict)
    settings = read_worker_settings({str(key): value for key, value in launcher.items()}, config.allow)
    found = runs.groups() if isinstance(runs, SeededRuns) else find_groups([planned.run for planned in runs])
    timed = [[runs[place].run for place in group.places[: group.lanes_per_vector]] for group in found]
    stays = settings.may_stay and is_little(found) and not needs_compiling(timed)
    workers = 1 if stays else settings.wanted
    cut = cut_blocks(found, 0 if stays else workers)
    planned = count_planned(found, cut)
    if any(needs_compiling([lanes], updates) for lanes, updates in zip(timed, planned, strict=True)):
        say(compiling_notice())
    paces = [measure_pace(lanes, updates) for lanes, updates in zip(timed, planned, strict=True)]
    for line in _write_table(
        runs, found, cut, [pace.seconds(group.first) for group, pace in zip(found, paces, strict=True)]
    ):
        tell(f"        {line}")
    total = estimate_seconds(found, paces, workers)
    size = estimate_memory(found, cut, workers, bool(config.report))
    some = f"{workers} worker{'s'[: workers > 1]}"
    tell(f"time    about {_write_duration(total)} with {some}, from a few updates of each group")
    tell(f"memory  about {size / 2**30:.1f} GiB")


def _write_table(
    runs: "Sequence[PlannedRun]", groups: "Sequence[Group]", blocks: Sequence[Sequence[int]], seconds: Sequence[float]
) -> list[str]:
    import pandas as pd

    cut = Counter(number_blocks(groups, blocks))
    labels = [" ".join(f"{key}={text}" for key, text in values.items()) for values in _label_groups(runs, groups)]
    rows = [
        {
            "runs that fuse": label or "all",
            "runs": len(group.places),
            "blocks": cut[number],
            "s per block of " + str(group.lanes_per_vector): f"{taken:.2g}",
        }
        for number, (label, group, taken) in enumerate(zip(labels, groups, seconds, strict=True))
    ]
    return str(pd.DataFrame(rows).to_string(index=False)).splitlines()


def _label_groups(runs: "Sequence[PlannedRun]", groups: "Sequence[Group]") -> list[dict[str, str]]:
    """What tells the runs of each group from those of the others: of what was swept, all but what varies inside one."""
    places: list[Sequence[int]] = [group.places for group in groups]
    if isinstance(runs, SeededRuns):
        places = [[*dict.fromkeys(map(runs.find_setting, group.places))] for group in groups]
        runs, inside = runs.settings, {SEED}
    else:
        inside = set()
    values = find_swept(runs)
    inside |= {key for own in places for key in values[own[0]] if len({values[at].get(key) for at in own}) > 1}
    return [{key: text for key, text in values[own[0]].items() if key not in inside} for own in places]


def _write_duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"
