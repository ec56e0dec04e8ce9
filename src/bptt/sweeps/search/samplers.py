"""Optuna's samplers by name: what each needs, what it can't do; the same seed asks for the same trials again.

tpe     tree-structured Parzen estimators (Bergstra et al. 2011); knows all kinds of values, and several objectives
nsgaii  a genetic algorithm for several objectives (Deb et al. 2002)
cmaes   the evolution strategy with adapted covariances (Hansen 2016), for two or more keys with numbers
gp      a Gaussian process and its expected improvement; each trial is asked for with those under way in mind
qmc     Sobol's sequence, scrambled: fills the space evenly, whatever is found
random  by chance alone
grid    every combination of values, in an order by chance

Trials are asked for many at once. What a sampler learns from is known when it asks for the next ones.
"""

import itertools
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.sweeps.jobs.grammar import MOST
from bptt.sweeps.search.settings import Choices, Numbers, SearchSettings, Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

#: Sampler → the package that it needs beside Optuna, and how that is installed.
_NEEDS: Final = {"cmaes": ("cmaes", "'bptt[optuna]'"), "gp": ("torch", "torch")}
_TRIES: Final = 10  # that the Gaussian process begins with; Optuna's own default


def list_sampler_problems(settings: SearchSettings, space: Space) -> list[str]:
    """What keeps a sampler from searching this space, a line each."""
    name, found = settings.sampler, []
    key = f"hydra.sweeper.sampler={name}"
    package, install = _NEEDS.get(name, ("optuna", ""))
    if find_spec(package) is None:
        found.append(f"{key}: the package {package} is missing; pip install {install}")
    numbers = [of for of in space.varied.values() if isinstance(of, Numbers)]
    if name == "cmaes" and len(numbers) < 2:
        found.append(f"{key}: needs two keys or more with numbers, and there {'is one' if numbers else 'is none'}")
    if name == "grid":
        endless = [key for key, of in space.varied.items() if enumerate_values(of) is None]
        found += [f"{key}: {one} has no end of values; give it a list or a range, or take qmc" for one in endless]
        if not endless and count_grid(space) > MOST:
            found.append(f"{key}: has {count_grid(space):,} combinations; it may have {MOST:,}")
    return found


def list_remarks(settings: SearchSettings, space: Space) -> list[str]:
    """What is to be known about how a sampler searches this space."""
    by_chance = [key for key, of in space.varied.items() if isinstance(of, Choices)]
    if settings.sampler == "cmaes" and by_chance:
        keys = ", ".join(by_chance)
        return [f"hydra.sweeper.sampler=cmaes: knows numbers alone, so that {keys} is drawn by chance"]
    return []


def count_grid(space: Space) -> int:
    """How many combinations a space of values has."""
    return int(np.prod([len(enumerate_values(of) or ()) for of in space.varied.values()], dtype=object))


def enumerate_values(of: Numbers | Choices) -> list[float | int | str] | None:
    """All values of a key; None: they have no end."""
    if isinstance(of, Choices):
        return [*of.texts]
    step = of.step or (1 if isinstance(of.low, int) and isinstance(of.high, int) else None)
    if step is None:
        return None
    count = int(np.floor((of.high - of.low) / step + 1e-9)) + 1
    values = [of.low + number * step for number in range(count)]
    whole = isinstance(of.low, int) and isinstance(of.high, int)
    return [int(value) if whole else float(f"{value:.12g}") for value in values]


def shuffle_grid(settings: SearchSettings, space: Space) -> list[dict[str, Any]]:
    """Every combination of values, in an order by the sampler's seed."""
    columns = [enumerate_values(of) or [] for of in space.varied.values()]
    every = [dict(zip(space.varied, values, strict=True)) for values in itertools.product(*columns)]
    words = np.random.SeedSequence(settings.sampler_seed).generate_state(len(every), np.uint64)
    return [every[place] for place in np.argsort(words, kind="stable")]


def make_sampler(settings: SearchSettings, distributions: Mapping[str, Any], begun: int) -> "BaseSampler":
    """The sampler of a search, or of its rest.

    distributions  Optuna's, of all that is varied
    begun          the trials of an interrupted search, which goes on with others than it began with
    """
    import optuna
    from optuna import samplers

    seed = int(np.random.SeedSequence([settings.sampler_seed, begun]).generate_state(1)[0])
    # Their own idea of what is varied comes from trials that have ended, of which a first batch has none.
    numbers = {key: of for key, of in distributions.items() if hasattr(of, "low") and not of.single()}
    all_kinds = {key: of for key, of in distributions.items() if not of.single()}
    match settings.sampler:
        case "random" | "grid":  # the grid is asked for value by value, see `shuffle_grid`
            return samplers.RandomSampler(seed)
        case "qmc":
            # Before Optuna 5 it knew numbers alone, and drew choices by chance.
            known = all_kinds if int(optuna.__version__.partition(".")[0]) > 4 else numbers
            return _told_of(samplers.QMCSampler, known)(seed=seed, scramble=True, warn_independent_sampling=False)
        case "gp":
            return _told_of(samplers.GPSampler, all_kinds)(seed=seed, n_startup_trials=_TRIES)
        case "nsgaii":
            return samplers.NSGAIISampler(seed=seed, population_size=max(2, min(settings.batch, settings.trials)))
        case "cmaes":
            usual = 4 + int(3 * np.log(len(numbers)))
            # A batch is a generation, unless it is smaller than one: what is beyond would teach nothing.
            generation = max(usual, 0 if settings.halving else min(settings.batch, settings.trials))
            return _told_of(samplers.CmaEsSampler, numbers)(
                seed=seed,
                n_startup_trials=0,
                popsize=generation,
                consider_pruned_trials=settings.halving is not None,
                warn_independent_sampling=False,
            )
        case _:
            # With its constant liar the trials of a batch keep away from each other.
            return samplers.TPESampler(seed=seed, constant_liar=True)


def _told_of(kind: Any, space: Mapping[str, Any]) -> Any:
    """The kind of sampler, told what is varied."""

    class _Told(kind):
        def infer_relative_search_space(self, _study: Any, _trial: Any) -> dict[str, Any]:
            return dict(space)

    return _Told
