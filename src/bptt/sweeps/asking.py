"""What a sweep is asked beside its runs, held against what they will record before one is trained.

Conditions, when a run has solved its task, what was published, and how often the best setting is confirmed.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from bptt.analysis.solved import Solved
from bptt.analysis.tables import ACCURACY, FIRST, KEPT_UPDATE, LOSS, SEED
from bptt.configuration.build import Configuration, list_keys
from bptt.configuration.errors import ConfigurationError, suggest, write_problem
from bptt.configuration.measuring import Kind
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.published import Published, is_same_value
from bptt.core.records.fits import list_fits
from bptt.core.records.sets import list_sets, name_in
from bptt.core.run import Run
from bptt.core.training import Training
from bptt.sweeps.jobs.grammar import check_conditions
from bptt.sweeps.workers.measurements import choose_measurements

_PLAIN: Final = re.compile(r"[\w.+-]+")  # a number, or a word
_DYNAMICS: Final = "dynamics/"  # before what `bptt measure` measures
_EVALUATION: Final = "/eval"
_UPDATE: Final = "update"


def check_asked(swept: Sequence[Mapping[str, str]], configurations: Sequence[Configuration], *, searched: bool) -> None:
    """Raise ConfigurationError, with a line for each thing that the runs can't answer.

    swept           of each job, key → text; of a search its keys
    configurations  what is trained first
    searched        whether values are still to be chosen
    """
    settings = configurations[0].sweep
    if settings.conditions:
        check_conditions(settings.conditions, swept)
    if settings.solved is not None:
        _check_solved(settings.solved, configurations)
    if settings.published is not None:
        _check_published(settings.published, swept, configurations, searched=searched)
    if settings.confirm is not None and not searched:
        _check_confirmation(swept, settings.confirm, settings.conditions)


def list_recorded(run: Run) -> tuple[str, ...]:
    """What such a run records at its recorded updates."""
    check_kernel_folder()
    history = Training([run], measurements=choose_measurements(run)).records()[0].history
    return tuple(name for name in history if name != _UPDATE)


def _list_all_recorded(configurations: Sequence[Configuration]) -> tuple[str, ...]:
    """What some of the runs record, in the order in which they do."""
    kinds: dict[object, Run] = {}
    for run in (made.run for made in configurations):
        parts = run.task, run.loss, run.model, run.regularizer
        kinds.setdefault((*map(type, parts), run.train.measure), run)
    return tuple(dict.fromkeys(name for run in kinds.values() for name in list_recorded(run)))


def _check_solved(text: str, configurations: Sequence[Configuration]) -> None:
    try:
        Solved.parse(text, _list_all_recorded(configurations))
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None


def _check_published(
    published: Published,
    swept: Sequence[Mapping[str, str]],
    configurations: Sequence[Configuration],
    *,
    searched: bool,
) -> None:
    """Raise ConfigurationError, with a line for each, where a row's runs are told by a key that is none, or by a value
    that no run has, or a row is of what nothing measures or records.
    """
    first = configurations[0]
    keys = dict.fromkeys(key for values in swept for key in values)
    known = {*keys, *list_keys(first.resolved)}
    lines = [
        write_problem(f"published.rows[{place}].{side}.{key}", value, f"must be a swept key{suggest(key, known)}")
        for place, row in enumerate(published.rows)
        for side, selected in (("where", row.where), ("against", row.against or ()))
        for key, value in selected
        if key not in known
    ]
    if not searched:
        lines += _find_absent(published, swept)
    if any(_DYNAMICS in row.measure for row in published.rows):
        lines += _find_unmeasured(published, [kind for kind, _ in first.sweep.measure], first.run.train.measure)
    lines += _find_unrecorded(published, configurations, keys)
    if lines:
        raise ConfigurationError(lines)


def _find_absent(published: Published, swept: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A line for each number or word that a row's runs are told by, of a key that all runs give, and no run has."""
    named = {key for row in published.rows for key, _ in (*row.where, *(row.against or ()))} - {SEED}
    # Of seeds some alone are composed; what is no plain word may be written in several ways, or is a default.
    given = {key: [*dict.fromkeys(values.get(key, "") for values in swept)] for key in named}
    told = {key: texts for key, texts in given.items() if all(map(_PLAIN.fullmatch, texts))}
    for place, row in enumerate(published.rows):
        for side, selected in (("where", row.where), ("against", row.against or ())):
            for key, value in selected:
                if (
                    key in told
                    and _PLAIN.fullmatch(str(value))
                    and not any(is_same_value(text, value) for text in told[key])
                ):
                    says = f"no run has this value of what is swept ({', '.join(told[key])})"
                    yield write_problem(f"published.rows[{place}].{side}.{key}", value, says)


def _find_unmeasured(published: Published, kinds: Sequence[Kind], live: Sequence[str]) -> Iterator[str]:
    """A line for each row of a number of the networks' dynamics that neither `measure` nor `train.measure` takes."""
    from bptt.dynamics.measures import NAMES

    measured = {*live, *(name for kind in kinds for name in NAMES[kind])}
    every = {name: kind for kind, names in NAMES.items() for name in names}
    for place, row in enumerate(published.rows):
        name = row.measure.removeprefix(FIRST).removeprefix(_DYNAMICS)
        if _DYNAMICS in row.measure and name not in measured:
            says = f"is not measured; measure={{{every[name]}: last}} does" if name in every else "no such number"
            yield write_problem(
                f"published.rows[{place}].measure", row.measure, says + ("" if name in every else suggest(name, every))
            )


def _find_unrecorded(
    published: Published, configurations: Sequence[Configuration], swept: Collection[str]
) -> Iterator[str]:
    """A line for each row of a number that no run will have."""
    from bptt.analysis.capacity import STORED
    from bptt.analysis.foretelling import AREA
    from bptt.analysis.published import SOLVED, UPDATES
    from bptt.analysis.stability import EDGE

    made = FIRST, _DYNAMICS, AREA, STORED, EDGE, "tags."
    asked = {row.measure for row in published.rows if not row.measure.startswith(made)} - {SOLVED, UPDATES, *swept}
    if not asked:
        return
    known = _list_numbers(configurations)
    for place, row in enumerate(published.rows):
        if row.measure in asked and row.measure not in known:
            says = f"no run records this{suggest(row.measure, (SOLVED, UPDATES, *known))}"
            yield write_problem(f"published.rows[{place}].measure", row.measure, says)


def _list_numbers(configurations: Sequence[Configuration]) -> dict[str, None]:
    """The columns of numbers that `Sweep.runs` will have of some of the runs, but for what was swept."""
    recorded = _list_all_recorded(configurations)
    fits = [name for made in configurations for name in list_fits(made.run)]
    evaluated = [name for name in recorded if name.endswith(_EVALUATION)] + fits
    parts = {own.part for made in configurations for own in list_sets(made.run.task)}
    return dict.fromkeys(
        [
            *recorded,
            *fits,
            *(name_in(name, part) for part in sorted(parts) for name in evaluated),
            *(f"{which}/{name}" for which in ("best", "kept") for name in (LOSS, ACCURACY)),
            *(KEPT_UPDATE, "baseline", "seconds", "solved_update", "solved_after", "observed"),
        ]
    )


def _check_confirmation(swept: Sequence[Mapping[str, str]], confirm: int, conditions: Collection[str] | None) -> None:
    """Raise ConfigurationError where no setting is picked as the best of several."""
    from bptt.analysis.tables import choose_conditions

    harder = choose_conditions(dict.fromkeys(key for values in swept for key in values), conditions)
    found: dict[tuple[str | None, ...], set[tuple[tuple[str, str], ...]]] = {}
    for values in swept:
        own = tuple((key, text) for key, text in values.items() if key != SEED and key not in harder)
        found.setdefault(tuple(values.get(key) for key in harder), set()).add(own)
    if all(len(settings) < 2 for settings in found.values()):
        where = " in any condition" if harder else ""
        raise ConfigurationError(
            [write_problem("confirm", confirm, f"there are no two settings{where} of which one is picked as the best")]
        )
