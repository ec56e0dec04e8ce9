"""`bptt compare A B`: what tells two sets of runs apart, which does better, and how sure that is."""

import difflib
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.comparison import (
    KeyDifference,
    MetricComparison,
    SideComparison,
    compare_sides,
    find_differences,
    name_better,
    split_settings,
)
from bptt.analysis.questions import take_metric
from bptt.analysis.tables import LOSS, drop_seed
from bptt.cli.common import Parser

if TYPE_CHECKING:
    from bptt.analysis.statistics.conclusions import Comparison
    from bptt.analysis.statistics.intervals import Interval
    from bptt.analysis.sweep import Sweep

NOTHING: Final = "–"


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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _write(value: float, form: str) -> str:
    return NOTHING if value != value else form.format(value).replace("-", "−")


def _bracket(value: str, low: str, high: str) -> str:
    return value if low == high == NOTHING else f"{value} [{low}, {high}]"


_MOST_VALUES: Final = 6  # of a key, on a side


_TARGET: Final = "._target_"


def find_configuration_differences(a: "Sweep", b: "Sweep") -> tuple[list[KeyDifference], list[KeyDifference]]:
    """Of all but where runs are recorded."""
    from bptt.tracking.store.params import flatten_config

    def flat(side: "Sweep") -> list[dict[str, str]]:
        return [
            flatten_config({key: value for key, value in config.items() if key != "tracking"})
            for config in side.configs.values()
        ]

    return find_differences(flat(a), flat(b))


def write_differences(found: Sequence[KeyDifference], alike: Sequence[KeyDifference]) -> list[str]:
    """The keys that differ, with their values on each side, and those that vary on both alike."""
    rows = [
        ["differ", "A", "B"],
        *([f"  {_write_key(one.key)}", _write_values(one.a), _write_values(one.b)] for one in found),
    ]
    told = align_rows(rows) if found else ["nothing differs in the configurations"]
    if alike:
        told.append(f"both vary  {'; '.join(f'{_write_key(one.key)} {_write_values(one.a)}' for one in alike)}")
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


_OWN: Final = ("task", "loss")  # groups whose change makes losses incomparable


def write_comparison(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    """The whole of it. by_criterion: whether the same criterion says of both when a run has solved its task."""
    found, alike = find_configuration_differences(a, b)
    single = len(a.runs) == len(b.runs) == 1
    results = (
        _compare_single_runs(a, b, metrics, by_criterion) if single else _compare_many(a, b, metrics, by_criterion)
    )
    return [
        *_write_sides(a, b),
        "",
        *write_differences(found, alike),
        "",
        *results,
        *_write_notes(a, b, found, by_criterion),
    ]


def _compare_single_runs(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    both = [side.runs.iloc[0].to_dict() for side in (a, b)]
    rows = [["", "A", "B"], ["outcome", *map(_tell_outcome, both)]]
    if by_criterion:
        rows.append([f"solved: {a.solved}", *map(_tell_solved, both)])
    for metric in metrics:
        values = (take_metric(side.runs, metric) for side in (a, b))
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


def _compare_many(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    (found,) = compare_sides([(a, b)], metrics, by_criterion=by_criterion)
    return [
        *align_rows([*_write_counts(a, b), *_write_solved(a, found), *_write_measured(found.metrics)]),
        "",
        *_write_answers(found),
        *_write_settings(a, b, metrics, by_criterion),
        "[95 % intervals]; P(A better) of one run of each, those that are alike counting half; pairs have equal seeds",
    ]


def _write_sides(a: "Sweep", b: "Sweep") -> list[str]:
    rows = []
    for letter, side in (("A", a), ("B", b)):
        runs, settings = len(side.runs), len(side.runs[drop_seed(side.swept)].drop_duplicates())
        told = f", {settings:,} settings" if settings > 1 and drop_seed(side.swept) else ""
        rows.append([letter, side.name, f"{runs:,} run{'s'[: runs != 1]}{told}"])
    return align_rows(rows)


def _write_counts(a: "Sweep", b: "Sweep") -> list[list[str]]:
    counts = [Counter(side.runs["outcome"].dropna()) for side in (a, b)]
    ended = [f"{count.total():,} of {len(side.runs):,}" for count, side in zip(counts, (a, b), strict=True)]
    rows = [["", "A", "B", "A against B"], ["runs that ended", *ended, ""]]
    if any(count["diverged"] for count in counts):
        rows.append(["diverged", *(f"{count['diverged']:,}" for count in counts), ""])
    return rows


def _write_solved(a: "Sweep", found: SideComparison) -> list[list[str]]:
    if found.success is None or found.speed is None:
        return []
    success, speed = found.success, found.speed
    apart = write_share_interval(success.answer.difference, True)
    return [
        [
            f"solved: {a.solved}",
            *map(write_share_interval, (success.a, success.b)),
            f"A − B{_name_pairs(success.answer)}  {apart}",
        ],
        [
            "updates until then, median",
            *(write_interval(side, "{:,.0f}") for side in (speed.a, speed.b)),
            "" if speed.answer is None else f"P(A sooner){_write_probability(speed.answer)}",
        ],
    ]


def _write_measured(compared: Sequence[MetricComparison]) -> list[list[str]]:
    rows = []
    for one in compared:
        sure = f"P(A {_write_word(one)}){_write_probability(one.answer)}"
        rows.append([f"{one.metric}, median", write_interval(one.a.median), write_interval(one.b.median), sure])
        rows.append(["  interquartile mean", write_interval(one.a.iqm), write_interval(one.b.iqm), ""])
    return rows


def _write_probability(answer: "Comparison") -> str:
    return f"{_name_pairs(answer)}  {write_interval(answer.difference)}"


def _name_pairs(answer: "Comparison") -> str:
    return " on pairs" if answer.paired else ""


def _write_word(compared: MetricComparison) -> str:
    return "larger" if compared.smaller_is_better is None else "better"


def _write_answers(found: SideComparison) -> list[str]:
    """A sentence for each; what it is about stands before it, where that is a metric."""
    from bptt.analysis.statistics.words import write_conclusion

    return [f"{metric}: {write_conclusion(one)}" if metric else write_conclusion(one) for metric, one in found.answers]


def _write_notes(a: "Sweep", b: "Sweep", found: Sequence[KeyDifference], by_criterion: bool) -> list[str]:
    notes = []
    if groups := [group for group in _OWN if any(one.key.startswith(f"{group}.") for one in found)]:
        notes.append(f"the {' and the '.join(groups)} differ{'s'[: len(groups) == 1]}: losses may not compare")
    if not by_criterion:
        notes.append(f"solved: A's runs by {a.solved}, B's by {b.solved}; --solved gives one for both")
    if shared := len(set(a.runs["digest"]) & set(b.runs["digest"])):
        notes.append(f"{shared:,} run{'s'[: shared != 1]} stand on both sides, which intervals know nothing of")
    return notes


def _write_settings(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    """Setting by setting, where both vary the same and more than the seed; all of them are asked about together."""
    parts = split_settings(a, b)
    if not parts:
        return []
    metric = metrics[0] if metrics else LOSS
    found = compare_sides(
        [(one, other) for _, one, other in parts], [metric], by_criterion=by_criterion, by_speed=False
    )
    measured = [one.metrics[0] for one in found]
    solved = ["solved A", "B", "A − B"] if by_criterion else []
    rows = [["setting", *solved, f"{metric} A", "B", f"P(A {_write_word(measured[0])})"]]
    for (setting, _, _), compared, one in zip(parts, found, measured, strict=True):
        success = compared.success
        shares = [] if success is None else [*map(write_share_interval, (success.a, success.b))]
        if success is not None:
            shares.append(write_share_interval(success.answer.difference, True))
        values = map(write_interval, (one.a.median, one.b.median, one.answer.difference))
        rows.append([setting, *shares, *values])
    lines = ["", *align_rows(rows[: _MOST_SETTINGS + 1])]
    if len(found) > _MOST_SETTINGS:
        lines.append(f"and {len(found) - _MOST_SETTINGS:,} more settings")
    if measured[0].smaller_is_better is not None:
        counts = Counter(name_better(one.answer) for one in measured)
        lines.append(
            f"of {len(found):,} settings A is better in {counts['A']:,}, B in {counts['B']:,}, not settled in"
            f" {counts[None]:,}; intervals allow for all of them"
        )
    return [*lines, ""]


def main(argv: Sequence[str]) -> int:
    """Print the comparison. 2: one of the two can't be found, or a metric was not recorded."""
    parser = Parser(
        prog="bptt compare",
        description="Compares two sweeps, parts of them, or runs: the parameters that differ, then the metrics of both"
        " with 95 % intervals, and which is better and how sure that is. Where both have the same settings, also"
        " setting by setting.",
        epilog="SOURCE:12 is one run of a sweep, SOURCE:model=lstm,alpha=0.1 those with these values, so"
        " `bptt compare latest:model=gru latest:model=lstm` compares within the newest sweep.",
    )
    for side in ("A", "B"):
        parser.add_argument(side.lower(), metavar=side, help="a folder, a sweep's name, a run's id, `latest`, a query")
    parser.add_argument("--uri", help="the store in which a name or an id is looked up")
    parser.add_argument("--solved", metavar="CRITERION", help="when a run has solved its task, as 'loss/eval<=0.01'")
    parser.add_argument(
        "--metric", action="append", help="compare this one, not the losses and the accuracy; repeatable"
    )
    args = parser.parse_args(argv)

    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        a, b, alike = _load_both(args.a, args.b, args.uri, args.solved)
        metrics = _choose_metrics(args.metric, a, b)
    except (SourceError, ArchiveError, StoreError) as error:
        print(error, file=sys.stderr)
        return 2

    print("\n".join(write_comparison(a, b, metrics, by_criterion=alike)))
    return 0


def _load_both(a: str, b: str, uri: str | None, solved: str | None) -> "tuple[Sweep, Sweep, bool]":
    """The two, and whether one criterion says of both when a run has solved its task."""
    from bptt.analysis.sweep import load_sweep
    from bptt.tracking.history.find import SourceError

    first, second = load_sweep(a, uri=uri, solved=solved), load_sweep(b, uri=uri, solved=solved)
    if first.solved == second.solved:
        return first, second, True
    try:
        return first, load_sweep(b, uri=uri, solved=str(first.solved)), True
    except SourceError:  # its runs have another metric
        return first, second, False


def _choose_metrics(asked: Sequence[str] | None, a: "Sweep", b: "Sweep") -> list[str]:
    from bptt.analysis.comparison import METRICS
    from bptt.tracking.history.find import SourceError

    names = [*METRICS, *a.history.columns.drop(["run", "update"])]
    recorded = [name for name in dict.fromkeys(names) if all(_is_known(side, name) for side in (a, b))]
    for metric in asked or ():
        if metric not in recorded:
            near = difflib.get_close_matches(metric, recorded, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise SourceError(f"{metric}: not recorded on both sides; {meant}there are {', '.join(recorded)}")
    return [*dict.fromkeys(asked)] if asked else [metric for metric in METRICS if metric in recorded]


def _is_known(side: "Sweep", metric: str) -> bool:
    """Whether something can be said of it: of a run that diverged, that its loss is infinite."""
    return metric in side.runs and bool((side.runs[metric].notna() | side.runs["outcome"].eq("diverged")).any())
