"""What a sweep is asked beside its runs, held against what they will record before one is trained.

Conditions, when a run has solved its task, what was published, and how often the best setting is confirmed.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from bptt.analysis.solved import Solved
from bptt.analysis.tables import ACCURACY, FIRST, LOSS, SEED
from bptt.configuration.build import Configuration, list_keys
from bptt.configuration.errors import ConfigurationError, suggest, write_problem
from bptt.configuration.measuring import Kind
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.published import Published, is_same_value
from bptt.core.evaluation import list_scores, list_sets, name_in
from bptt.core.measurements.measurement import shipped_measurements
from bptt.core.random import Generator
from bptt.core.records.fits import list_fits
from bptt.core.regularizers.omega import OMEGA_METRIC, find_measured_omega
from bptt.core.run import Run, seed_of
from bptt.core.training import METRICS, WORK
from bptt.sweeps.jobs.grammar import check_conditions, find_differing
from bptt.sweeps.workers.measurements import choose_measurements
from bptt.tracking.folder.files import ONCE

_PLAIN: Final = re.compile(r"[\w.+-]+")  # a number, or a word
_DYNAMICS: Final = "dynamics/"  # before what `bptt measure` measures
_EVALUATION: Final = "/eval"
_EVALUATION_STREAM: Final = 2  # see `seed_of`
#: Keys, and what is below them, by which runs record different things.
_DECIDING: Final = ("task", "model", "loss", "regularizer", "train.measure", "train.keep")
#: Columns of numbers of `Sweep.runs` beside metrics and what was swept.
_ALWAYS: Final = (f"best/{LOSS}", f"best/{ACCURACY}", "seconds", "solved_update", "solved_after", "observed")


def check_asked(
    jobs: Sequence[Sequence[str]], configurations: Sequence[Configuration], searched: Sequence[str] | None = None
) -> None:
    """Raise ConfigurationError, with a line for each thing that the runs can't answer.

    jobs            of the sweep, by their overrides
    configurations  what is trained first
    searched        the keys that a search chooses values of; None: it is none
    """
    first = configurations[0]
    settings = first.sweep
    if not any((settings.conditions, settings.solved, settings.published, settings.confirm)):
        return  # there may be a million jobs
    swept, recorded = find_differing(jobs, searched), _Recorded(configurations)
    keys = dict.fromkeys(key for values in swept for key in values)
    # What a search has yet to choose may record what its first runs do not.
    decided = not (searched is not None and any(f"{key}.".startswith(f"{one}.") for key in keys for one in _DECIDING))
    lines: list[str] = []
    conditions = settings.conditions
    if conditions:
        try:
            check_conditions(conditions, swept)
        except ConfigurationError as error:
            lines += error.lines
            conditions = None
    if settings.solved is not None:
        lines += _check_solved(settings.solved, recorded if decided else None)
    if (published := settings.published) is not None:
        lines += _find_unknown(published, {*keys, *list_keys(first.resolved)})
        if searched is None:
            lines += _find_absent(published, swept)
        lines += _find_unmeasured(published, [kind for kind, _ in settings.measure], first.run.train.measure)
        if decided:
            tuned = () if settings.tune is None else settings.tune.keys
            lines += _find_unrecorded(published, recorded, {*keys, *tuned, *(f"tags.{tag}" for tag in first.tags)})
    if settings.confirm is not None and searched is None:
        lines += _check_confirmation(swept, settings.confirm, conditions)
    if lines:
        raise ConfigurationError(lines)


def list_recorded(run: Run) -> list[str]:
    """What such a run records at its recorded updates: the columns of `Record.history`, but for `update`.

    Raises what the task's own scores raise.
    """
    check_kernel_folder()
    scores = list_scores(run.task, run.task.evaluation(Generator(seed_of(run, _EVALUATION_STREAM))))
    *names, last = [name for name in METRICS if name in scores or not name.startswith("accuracy/")]
    measured = [name for one in choose_measurements(run) or shipped_measurements() for name in one.names]
    said = [run.regularizer.metric] if hasattr(run.regularizer, "metric") else []
    omega = [OMEGA_METRIC] if find_measured_omega(run) is not None else []
    return [*names, *measured, last, *said, *omega, *WORK]


class _Recorded:
    """What runs will record, found out of one kind of them after the other, until what is asked for was found.

    names    of metrics at recorded updates
    numbers  these, and what there is one number of: the columns of numbers of `Sweep.runs`, but for what was swept
    """

    def __init__(self, configurations: Sequence[Configuration]) -> None:
        kinds: dict[object, Run] = {}
        for run in (made.run for made in configurations):
            kinds.setdefault((run.task, type(run.loss), type(run.model), type(run.regularizer), run.train.measure), run)
        self._left = iter(kinds.values())
        self.names: dict[str, None] = {}
        self.numbers: dict[str, None] = {}

    def lacks(self, name: str, among: Mapping[str, None]) -> bool:
        """Whether no run has it among these names, or among these numbers."""
        while name not in among:
            run = next(self._left, None)
            if run is None:
                return True
            try:
                self._add(run)
            except Exception:  # of a user's own class, of which nothing is known: its runs will fail
                return False
        return False

    def _add(self, run: Run) -> None:
        names, fits = list_recorded(run), [*list_fits(run)]
        evaluated = [name for name in names if name.endswith(_EVALUATION)] + fits
        seen = [name_in(name, own.part) for own in list_sets(run.task) for name in evaluated]
        kept = [name for name in ONCE if name.startswith("kept/")]
        self.names |= dict.fromkeys(names)
        self.numbers |= dict.fromkeys([*names, *fits, *seen, "baseline", *kept, *_ALWAYS])


def _check_solved(text: str, recorded: _Recorded | None) -> list[str]:
    try:
        metric = Solved.parse(text).metric
        if recorded is not None and recorded.lacks(metric, recorded.names):
            Solved.parse(text, recorded.names)
    except ValueError as error:
        return [str(error)]
    return []


def _find_unknown(published: Published, known: Collection[str]) -> Iterator[str]:
    """A line for each key that a row's runs are told by, and that is none."""
    for place, row in enumerate(published.rows):
        for side, selected in (("where", row.where), ("against", row.against or ())):
            for key, value in selected:
                if key not in known:
                    says = f"must be a swept key{suggest(key, known)}"
                    yield write_problem(f"published.rows[{place}].{side}.{key}", value, says)


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
    if not any(_DYNAMICS in row.measure for row in published.rows):
        return
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


def _find_unrecorded(published: Published, recorded: _Recorded, others: Collection[str]) -> Iterator[str]:
    """A line for each row of a number that no run will have. others: columns beside what is recorded."""
    from bptt.analysis.capacity import STORED
    from bptt.analysis.foretelling import AREA
    from bptt.analysis.published import SOLVED, UPDATES
    from bptt.analysis.stability import EDGE

    made = [f"{STORED}{name}" for name in ("bits", "per_parameter", "most")] + [f"{EDGE}start", f"{EDGE}rest"]
    others = [SOLVED, UPDATES, *made, *others]
    for place, row in enumerate(published.rows):
        name = row.measure
        if name in others or name.removeprefix(FIRST).startswith(_DYNAMICS) or name.startswith(AREA):
            continue
        if recorded.lacks(name, recorded.numbers):
            says = f"no run records this{suggest(name, [*others, *recorded.numbers])}"
            yield write_problem(f"published.rows[{place}].measure", name, says)


def _check_confirmation(
    swept: Sequence[Mapping[str, str]], confirm: int, conditions: Collection[str] | None
) -> Iterator[str]:
    """A line where no setting is picked as the best of several."""
    from bptt.analysis.tables import choose_conditions

    harder = choose_conditions(dict.fromkeys(key for values in swept for key in values), conditions)
    found: dict[tuple[str | None, ...], set[tuple[tuple[str, str], ...]]] = {}
    for values in swept:
        own = tuple((key, text) for key, text in values.items() if key != SEED and key not in harder)
        found.setdefault(tuple(values.get(key) for key in harder), set()).add(own)
    if all(len(settings) < 2 for settings in found.values()):
        where = " in any condition" if harder else ""
        says = f"there are no two settings{where} of which one is picked as the best"
        yield write_problem("confirm", confirm, says)
