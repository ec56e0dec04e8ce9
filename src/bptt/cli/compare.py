"""`bptt compare A B …`: what tells sets of runs apart, which does better, and how sure that is."""

import difflib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.comparison import (
    SOLVED,
    UPDATES,
    KeyDifference,
    SideEstimate,
    choose_asked,
    compare_sides,
    estimate_sides,
    find_differences,
    name_better,
    rank_answer,
    split_settings,
    take_metric,
)
from bptt.analysis.tables import LOSS, NOTHING, drop_seed, is_smaller_better
from bptt.cli.common import Parser, add_store, print_lines, refuse
from bptt.printable import make_printable

if TYPE_CHECKING:
    from bptt.analysis.statistics.conclusions import Comparison
    from bptt.analysis.statistics.intervals import Interval
    from bptt.analysis.sweep import Sweep


def write_interval(interval: "Interval", form: str = "{:.3g}") -> str:
    """`0.12 [0.1, 0.15]`; an end that is not known is –, and without both there are no brackets."""
    return _bracket(*(_write(value, form) for value in (interval.value, interval.low, interval.high)))


def write_share_interval(interval: "Interval", signed: bool = False) -> str:
    """A share, or with a sign the difference of two, in percent: `70 % [55, 82]`."""
    form = "{:+.0f}" if signed else "{:.0f}"
    value, low, high = (_write(100 * value, form) for value in (interval.value, interval.low, interval.high))
    return _bracket(value if value == NOTHING else f"{value} %", low, high)


def align_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns below each other."""
    rows = [[make_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _write(value: float, form: str) -> str:
    return NOTHING if value != value else form.format(value).replace("-", "−")


def _bracket(value: str, low: str, high: str) -> str:
    return value if low == high == NOTHING else f"{value} [{low}, {high}]"


_MOST_VALUES: Final = 6  # of a key, on a side


_TARGET: Final = "._target_"


def find_configuration_differences(sides: "Sequence[Sweep]") -> tuple[list[KeyDifference], list[KeyDifference]]:
    """Of all but where runs are recorded."""
    from bptt.tracking.store.tags import flatten_config

    def flat(side: "Sweep") -> list[dict[str, str]]:
        return [
            flatten_config({key: value for key, value in config.items() if key != "tracking"})
            for config in side.configs.values()
        ]

    return find_differences([flat(side) for side in sides])


def write_differences(
    letters: Sequence[str], found: Sequence[KeyDifference], alike: Sequence[KeyDifference]
) -> list[str]:
    """The keys that differ, with their values on each side, and those that vary on all alike."""
    rows = [["differ", *letters], *([f"  {_write_key(one.key)}", *map(_write_values, one.sides)] for one in found)]
    told = align_rows(rows) if found else ["nothing differs in the configurations"]
    if alike:
        values = "; ".join(f"{_write_key(one.key)} {_write_values(one.sides[0])}" for one in alike)
        told.append(f"{'both' if len(letters) == 2 else 'all'} vary  {values}")
    return told


def _write_key(key: str) -> str:
    return key.removesuffix(_TARGET)


def _write_values(values: frozenset[str | None]) -> str:
    """The values of a key, numbers ascending; a class by its name."""
    shown = sorted((NOTHING if value is None else _write_text(value) for value in values), key=_rank)
    if len(shown) <= _MOST_VALUES:
        return ", ".join(shown)
    return f"{shown[0]} … {shown[-1]} ({len(shown):,} values)"


def _write_text(value: str) -> str:
    return value.rpartition(".")[2] if value.startswith("bptt.") else value


def _rank(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


_MOST_SETTINGS: Final = 40


_MOST_SENTENCES: Final = 10


_OWN: Final = ("task", "loss")  # groups whose change makes losses incomparable


def write_comparison(
    sides: "Sequence[Sweep]", metrics: Sequence[str], asked: Sequence[str] | None, by_criterion: bool
) -> list[str]:
    """The whole of it.

    metrics       that all sides have recorded
    asked         those that the user asked for; None: none in particular
    by_criterion  whether the same criterion says of all when a run has solved its task
    """
    letters = ascii_uppercase[: len(sides)]
    found, alike = find_configuration_differences(sides)
    listed, results = _write_sides(sides), []
    if all(len(side.runs) == 1 for side in sides):
        results = _compare_single_runs(sides, metrics, by_criterion)
    elif len(sides) == 2:
        results = _compare_two(sides[0], sides[1], metrics, by_criterion)
    else:
        listed, results = _compare_each(sides, asked or [choose_asked(sides, metrics, by_criterion)])
    return [
        *listed,
        "",
        *write_differences(letters, found, alike),
        "",
        *results,
        *_write_notes(sides, found, by_criterion),
    ]


def _compare_single_runs(sides: "Sequence[Sweep]", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    every = [side.runs.iloc[0].to_dict() for side in sides]
    rows = [["", *ascii_uppercase[: len(sides)]], ["outcome", *map(_tell_outcome, every)]]
    if by_criterion:
        rows.append([f"solved: {sides[0].solved}", *map(_tell_solved, every)])
    for metric in metrics:
        values = (take_metric(side.runs, metric) for side in sides)
        rows.append([metric, *(_write(value[0], "{:.6g}") if len(value) else NOTHING for value in values)])
    return [*align_rows(rows), "", "one run each gives no interval: what other seeds would say is not known"]


def _tell_outcome(run: dict[str, Any]) -> str:
    """Its outcome; FAILED or KILLED where it has none."""
    known = (run[name] for name in ("outcome", "status") if isinstance(run[name], str))
    return next(known, "not ended")


def _tell_solved(run: dict[str, Any]) -> str:
    if run["solved"]:
        return f"after {run['solved_update']:,.0f} updates"
    return "never" if isinstance(run["outcome"], str) else NOTHING


def _compare_two(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    asked = [*((SOLVED, UPDATES) if by_criterion else ()), *metrics]
    (found,), estimates = compare_sides([(a, b)], asked), estimate_sides([a, b], metrics)
    solved = _write_solved(a, estimates, found) if by_criterion else []
    return [
        *align_rows([*_write_counts(a, b), *solved, *_write_measured(metrics, estimates, found)]),
        "",
        *(_write_answer(what, answer) for what, answer in found.items() if not _is_neither(what)),
        *_write_settings(a, b, metrics, by_criterion),
        "[95 % intervals]; P(A better) of one run of each, those that are alike counting half; pairs have equal seeds",
    ]


def _compare_each(sides: "Sequence[Sweep]", asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """The sides with what each came to; and what follows for each two of them, the most important first."""
    estimates = estimate_sides(sides, [what for what in asked if what not in (SOLVED, UPDATES)])
    columns = {_head_column(what, sides[0]): [_write_estimate(what, one) for one in estimates] for what in asked}
    pairs = [*combinations(sides, 2)]
    found = compare_sides(pairs, asked, [*combinations(ascii_uppercase[: len(sides)], 2)])
    answers = sorted(((what, one) for each in found for what, one in each.items()), key=lambda one: rank_answer(one[1]))
    lines = [_write_answer(what, answer) for what, answer in answers[:_MOST_SENTENCES]]
    if left := answers[_MOST_SENTENCES:]:
        sure = sum(name_better(answer) is not None for _, answer in left)
        lines.append(f"and {len(left):,} more comparisons, {sure or 'none'} of them sure of a difference")
    note = "[95 % intervals]; pairs have equal seeds"
    return _write_sides(sides, _add_counts(sides) | columns), [*lines, "", note]


def _head_column(what: str, side: "Sweep") -> str:
    return {SOLVED: f"solved: {side.solved}", UPDATES: f"updates until {side.solved}, median"}.get(
        what, f"{what}, median"
    )


def _write_estimate(what: str, found: SideEstimate) -> str:
    if what == SOLVED:
        return write_share_interval(found.share)
    return write_interval(found.updates, "{:,.0f}") if what == UPDATES else write_interval(found.metrics[what].median)


def _is_neither(what: str) -> bool:
    """Whether neither less nor more of it is better."""
    return what not in (SOLVED, UPDATES) and is_smaller_better(what) is None


def _write_answer(what: str, answer: "Comparison") -> str:
    """A sentence; what it is about stands before it, where that is a metric."""
    from bptt.analysis.statistics.words import write_conclusion

    if _is_neither(what):
        a, b = answer.question.a, answer.question.b
        return f"{what}: P({a} larger than {b}){_write_probability(answer)}"
    return write_conclusion(answer) if what in (SOLVED, UPDATES) else f"{what}: {write_conclusion(answer)}"


def _write_sides(sides: "Sequence[Sweep]", columns: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """A row for each side; columns: what stands behind its runs, by its heading."""
    rows = [["", "", "runs", *columns]] if columns else []
    for place, side in enumerate(sides):
        runs, settings = len(side.runs), len(side.runs[drop_seed(side.swept)].drop_duplicates())
        told = f", {settings:,} settings" if settings > 1 and drop_seed(side.swept) else ""
        behind = [] if columns is None else [column[place] for column in columns.values()]
        rows.append([ascii_uppercase[place], side.name, f"{runs:,} run{'s'[: runs != 1]}{told}", *behind])
    return align_rows(rows)


def _count_outcomes(sides: "Iterable[Sweep]") -> list[Counter[str]]:
    return [Counter(side.runs["outcome"].dropna()) for side in sides]


def _add_counts(sides: "Sequence[Sweep]") -> dict[str, list[str]]:
    """Columns of how many runs did not go well, where some did not."""
    counts = _count_outcomes(sides)
    found = {
        "not ended": [len(side.runs) - count.total() for side, count in zip(sides, counts, strict=True)],
        "diverged": [count["diverged"] for count in counts],
    }
    return {name: [f"{count:,}" for count in column] for name, column in found.items() if any(column)}


def _write_counts(a: "Sweep", b: "Sweep") -> list[list[str]]:
    counts = _count_outcomes((a, b))
    ended = [f"{count.total():,} of {len(side.runs):,}" for count, side in zip(counts, (a, b), strict=True)]
    rows = [["", "A", "B", "A against B"], ["runs that ended", *ended, ""]]
    if any(count["diverged"] for count in counts):
        rows.append(["diverged", *(f"{count['diverged']:,}" for count in counts), ""])
    return rows


def _write_solved(a: "Sweep", estimates: Sequence[SideEstimate], found: "Mapping[str, Comparison]") -> list[list[str]]:
    apart = write_share_interval(found[SOLVED].difference, True)
    sooner = f"P(A sooner){_write_probability(found[UPDATES])}" if UPDATES in found else ""
    return [
        [
            _head_column(SOLVED, a),
            *(_write_estimate(SOLVED, one) for one in estimates),
            f"A − B{_name_pairs(found[SOLVED])}  {apart}",
        ],
        ["updates until then, median", *(_write_estimate(UPDATES, one) for one in estimates), sooner],
    ]


def _write_measured(
    metrics: Sequence[str], estimates: Sequence[SideEstimate], found: "Mapping[str, Comparison]"
) -> list[list[str]]:
    rows = []
    for metric in metrics:
        sure = f"P(A {_write_word(metric)}){_write_probability(found[metric])}"
        rows.append([f"{metric}, median", *(_write_estimate(metric, one) for one in estimates), sure])
        rows.append(["  interquartile mean", *(write_interval(one.metrics[metric].iqm) for one in estimates), ""])
    return rows


def _write_probability(answer: "Comparison") -> str:
    return f"{_name_pairs(answer)}  {write_interval(answer.difference)}"


def _name_pairs(answer: "Comparison") -> str:
    return " on pairs" if answer.paired else ""


def _write_word(metric: str) -> str:
    return "larger" if _is_neither(metric) else "better"


def _write_notes(sides: "Sequence[Sweep]", found: Sequence[KeyDifference], by_criterion: bool) -> list[str]:
    notes, where = [], "both" if len(sides) == 2 else "all"
    if groups := [group for group in _OWN if any(one.key.startswith(f"{group}.") for one in found)]:
        notes.append(f"the {' and the '.join(groups)} differ{'s'[: len(groups) == 1]}: losses may not compare")
    if not by_criterion and any(side.solved.is_possible for side in sides):
        criteria = ", ".join(
            f"{letter}'s{'' if place else ' runs'} by {side.solved}"
            for place, (letter, side) in enumerate(zip(ascii_uppercase, sides, strict=False))
        )
        notes.append(f"solved: {criteria}; --solved gives one for {where}")
    counts = Counter(digest for side in sides for digest in set(side.runs["digest"]))
    if shared := sum(count > 1 for count in counts.values()):
        on = "both sides" if len(sides) == 2 else "several sides"
        notes.append(f"{shared:,} run{'s'[: shared != 1]} stand on {on}, which intervals know nothing of")
    return notes


def _write_settings(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    """Setting by setting, where both vary the same and more than the seed; all of them are asked about together."""
    parts = split_settings(a, b)
    if not parts:
        return []
    metric = metrics[0] if metrics else LOSS
    asked = [SOLVED, metric] if by_criterion else [metric]
    found = compare_sides([(one, other) for _, one, other in parts], asked)
    estimates = estimate_sides([side for part in parts for side in part[1:]], [metric])
    solved = ["solved A", "B", "A − B"] if by_criterion else []
    rows = [["setting", *solved, f"{metric} A", "B", f"P(A {_write_word(metric)})"]]
    for place, ((setting, _, _), answers) in enumerate(zip(parts, found, strict=True)):
        both = estimates[2 * place : 2 * place + 2]
        shares = [write_share_interval(one.share) for one in both] if by_criterion else []
        if by_criterion:
            shares.append(write_share_interval(answers[SOLVED].difference, True))
        values = [write_interval(one.metrics[metric].median) for one in both]
        rows.append([setting, *shares, *values, write_interval(answers[metric].difference)])
    lines = ["", *align_rows(rows[: _MOST_SETTINGS + 1])]
    if len(found) > _MOST_SETTINGS:
        lines.append(f"and {len(found) - _MOST_SETTINGS:,} more settings")
    if not _is_neither(metric):
        counts = Counter(name_better(answers[metric]) for answers in found)
        lines.append(
            f"of {len(found):,} settings A is better in {counts['A']:,}, B in {counts['B']:,}, not settled in"
            f" {counts[None]:,}; intervals allow for all of them"
        )
    return [*lines, ""]


def main(argv: Sequence[str]) -> int:
    """Print the comparison. 2: a source can't be found, stands there twice, or a metric was not recorded."""
    parser = Parser(
        prog="bptt compare",
        description="Compares sweeps, parts of them, or runs, two or more: the parameters that differ, then the metrics"
        " with 95 % intervals, and which is better and how sure that is. Where two have the same settings, also setting"
        " by setting. Of three or more each is compared with each: by the share that solved the task where some runs"
        " did and some did not, by the updates until then where all did, else by accuracy or loss; or by --metric.",
        epilog="SOURCE:12 is one run of a sweep, SOURCE:model=lstm,alpha=0.1 those with these values, so"
        " `bptt compare latest:model=gru latest:model=lstm` compares within the newest sweep.",
    )
    for side in ("A", "B"):
        parser.add_argument(side.lower(), metavar=side, help="a folder, a sweep's name, a run's id, `latest`, a query")
    parser.add_argument(
        "more", metavar="C", nargs="*", default=[], help=f"more of them, up to {len(ascii_uppercase)} in all"
    )
    add_store(parser, "that of `bptt train`")
    parser.add_argument("--solved", metavar="CRITERION", help="when a run has solved its task, as 'loss/eval<=0.01'")
    parser.add_argument(
        "--metric", action="append", help="compare this one, not the losses and the accuracy; repeatable"
    )
    args = parser.parse_intermixed_args(argv)
    sources = [args.a, args.b, *args.more]
    if len(sources) > len(ascii_uppercase):
        refuse("bptt compare", f"{len(sources)} sources, and at most {len(ascii_uppercase)} can be compared")

    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        sides, alike = _load_sides(sources, args.uri, args.solved)
        metrics = _choose_metrics(args.metric, sides)
    except (SourceError, ArchiveError, StoreError) as error:
        print(error, file=sys.stderr)
        return 2

    print_lines(write_comparison(sides, metrics, args.metric, by_criterion=alike))
    return 0


def _load_sides(sources: Sequence[str], uri: str | None, solved: str | None) -> "tuple[list[Sweep], bool]":
    """What is to be compared, and whether one criterion says of all when a run has solved its task.

    Raises SourceError where two of them are the same runs.
    """
    from bptt.analysis.sweep import load_sweep
    from bptt.tracking.history.find import SourceError

    sides = [load_sweep(source, uri=uri, solved=solved) for source in sources]
    seen: dict[frozenset[str], str] = {}
    for source, side in zip(sources, sides, strict=True):
        digests = frozenset(side.runs["digest"])
        if digests in seen:
            raise SourceError(f"{source}: the same runs as {seen[digests]}, of which there is nothing to compare")
        seen[digests] = source
    criterion = sides[0].solved
    if all(side.solved == criterion for side in sides):
        return sides, criterion.is_possible
    try:
        return [
            side if side.solved == criterion else load_sweep(source, uri=uri, solved=str(criterion))
            for source, side in zip(sources, sides, strict=True)
        ], criterion.is_possible
    except SourceError:  # the runs of one have another metric
        return sides, False


def _choose_metrics(asked: Sequence[str] | None, sides: "Sequence[Sweep]") -> list[str]:
    from bptt.analysis.comparison import METRICS
    from bptt.tracking.folder.files import list_once
    from bptt.tracking.history.find import SourceError

    names = [*METRICS, *list_once(sides[0].runs.columns), *sides[0].history.columns.drop(["run", "update"])]
    recorded = [name for name in dict.fromkeys(names) if all(_is_known(side, name) for side in sides)]
    for metric in asked or ():
        if metric not in recorded:
            near = difflib.get_close_matches(metric, recorded, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            where = "both" if len(sides) == 2 else "all"
            raise SourceError(f"{metric}: not recorded on {where} sides; {meant}there are {', '.join(recorded)}")
    return [*dict.fromkeys(asked)] if asked else [metric for metric in METRICS if metric in recorded]


def _is_known(side: "Sweep", metric: str) -> bool:
    """Whether something can be said of it: of a run that diverged, that its loss is infinite."""
    return metric in side.runs and bool((side.runs[metric].notna() | side.runs["outcome"].eq("diverged")).any())
