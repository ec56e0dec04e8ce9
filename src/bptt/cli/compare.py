"""`bptt compare A B`: what tells two sets of runs apart, which does better, and how sure that is.

Numbers with their intervals as text, and rows of text as columns.

What tells the configurations of two sweeps or runs apart, as text.

A comparison of two sweeps or runs, as text.
"""

import difflib
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.comparison import (
    Compared,
    Difference,
    Success,
    better,
    compare_metric,
    compare_settings,
    compare_speed,
    compare_success,
    differences,
)
from bptt.analysis.tables import LOSS, without_seed
from bptt.cli.common import Parser

if TYPE_CHECKING:
    from bptt.analysis.statistics.intervals import Interval
    from bptt.analysis.sweep import Sweep

NOTHING: Final = "–"


def interval_text(interval: "Interval", form: str = "{:.3g}") -> str:
    """`0.12 [0.1, 0.15]`; an end that is not known is –, and without both there are no brackets."""
    return _bracketed(*(_written(value, form) for value in (interval.value, interval.low, interval.high)))


def share_text(interval: "Interval", signed: bool = False) -> str:
    """A share, or with a sign the difference of two, in percent: `70 % [55, 82]`."""
    form = "{:+.0f}" if signed else "{:.0f}"
    value, low, high = (_written(100 * value, form) for value in (interval.value, interval.low, interval.high))
    return _bracketed(value if value == NOTHING else f"{value} %", low, high)


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _written(value: float, form: str) -> str:
    return NOTHING if value != value else form.format(value).replace("-", "−")


def _bracketed(value: str, low: str, high: str) -> str:
    return value if low == high == NOTHING else f"{value} [{low}, {high}]"


_MOST_VALUES: Final = 6  # of a key, on a side


_TARGET: Final = "._target_"


def configuration_differences(a: "Sweep", b: "Sweep") -> tuple[list[Difference], list[Difference]]:
    """Of all but where runs are recorded."""
    from bptt.tracking.store.params import flatten

    def flat(side: "Sweep") -> list[dict[str, str]]:
        return [
            flatten({key: value for key, value in config.items() if key != "tracking"})
            for config in side.configs.values()
        ]

    return differences(flat(a), flat(b))


def differing_lines(found: Sequence[Difference], alike: Sequence[Difference]) -> list[str]:
    """The keys that differ, with their values on each side, and those that vary on both alike."""
    rows = [["differ", "A", "B"], *([f"  {_key(one.key)}", _values(one.a), _values(one.b)] for one in found)]
    told = table_lines(rows) if found else ["nothing differs in the configurations"]
    if alike:
        told.append(f"both vary  {'; '.join(f'{_key(one.key)} {_values(one.a)}' for one in alike)}")
    return told


def _key(key: str) -> str:
    return key.removesuffix(_TARGET)


def _values(values: frozenset[str | None]) -> str:
    """The values of a key, numbers ascending; a class by its name."""
    shown = sorted((NOTHING if value is None else _text(value) for value in values), key=_ascending)
    if len(shown) <= _MOST_VALUES:
        return ", ".join(shown)
    return f"{shown[0]} … {shown[-1]} ({len(shown):,} values)"


def _text(value: str) -> str:
    return value.rpartition(".")[2] if value.startswith("bptt.") else value


def _ascending(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


_MOST_SETTINGS: Final = 40


_OWN: Final = ("task", "loss")  # groups whose change makes losses incomparable


def comparison(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    """The whole of it. by_criterion: whether the same criterion says of both when a run has solved its task."""
    found, alike = configuration_differences(a, b)
    single = len(a.runs) == len(b.runs) == 1
    results = _of_single_runs(a, b, metrics, by_criterion) if single else _of_many(a, b, metrics, by_criterion)
    return [*_sides(a, b), "", *differing_lines(found, alike), "", *results, *_notes(a, b, found, by_criterion)]


def _of_single_runs(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    both = [side.runs.iloc[0].to_dict() for side in (a, b)]
    rows = [["", "A", "B"], ["outcome", *map(_ended_how, both)]]
    if by_criterion:
        rows.append([f"solved: {a.solved}", *map(_solved_when, both)])
    for metric in metrics:
        one = compare_metric(a.runs, b.runs, metric)
        rows.append([metric, *(interval_text(side.median, "{:.6g}") for side in (one.a, one.b))])
    return [*table_lines(rows), "", "one run each gives no interval: what other seeds would say is not known"]


def _ended_how(run: dict[str, Any]) -> str:
    """Its outcome; FAILED or KILLED where it has none."""
    known = (run[name] for name in ("outcome", "status") if isinstance(run[name], str))
    return next(known, "not ended")


def _solved_when(run: dict[str, Any]) -> str:
    if run["solved"]:
        return f"after {run['solved_update']:,.0f} updates"
    return "never" if isinstance(run["outcome"], str) else NOTHING


def _of_many(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    compared = [compare_metric(a.runs, b.runs, metric) for metric in metrics]
    success = compare_success(a.runs, b.runs) if by_criterion else None
    return [
        *table_lines([*_counts(a, b), *([] if success is None else _solved(a, b, success)), *_measured(compared)]),
        "",
        *_verdicts(compared, success),
        *_settings(a, b, metrics, by_criterion),
        "[95 % intervals]; P(A better) of one run of each, those that are alike counting half",
    ]


def _sides(a: "Sweep", b: "Sweep") -> list[str]:
    rows = []
    for letter, side in (("A", a), ("B", b)):
        runs, settings = len(side.runs), len(side.runs[without_seed(side.swept)].drop_duplicates())
        told = f", {settings:,} settings" if settings > 1 and without_seed(side.swept) else ""
        rows.append([letter, side.name, f"{runs:,} run{'s'[: runs != 1]}{told}"])
    return table_lines(rows)


def _counts(a: "Sweep", b: "Sweep") -> list[list[str]]:
    counts = [Counter(side.runs["outcome"].dropna()) for side in (a, b)]
    ended = [f"{count.total():,} of {len(side.runs):,}" for count, side in zip(counts, (a, b), strict=True)]
    rows = [["", "A", "B", "A against B"], ["runs that ended", *ended, ""]]
    if any(count["diverged"] for count in counts):
        rows.append(["diverged", *(f"{count['diverged']:,}" for count in counts), ""])
    return rows


def _solved(a: "Sweep", b: "Sweep", success: Success) -> list[list[str]]:
    speed = compare_speed(a.runs, b.runs)
    sooner = f"P(A sooner)  {interval_text(speed.sooner)}"
    return [
        [
            f"solved: {a.solved}",
            *map(share_text, (success.a, success.b)),
            f"A − B  {share_text(success.difference, True)}",
        ],
        ["updates until then, median", *(interval_text(side, "{:,.0f}") for side in (speed.a, speed.b)), sooner],
    ]


def _measured(compared: Sequence[Compared]) -> list[list[str]]:
    rows = []
    for one in compared:
        sure = f"P(A {_word(one)})  {interval_text(one.improvement)}"
        rows.append([f"{one.metric}, median", interval_text(one.a.median), interval_text(one.b.median), sure])
        rows.append(["  interquartile mean", interval_text(one.a.iqm), interval_text(one.b.iqm), ""])
    return rows


def _word(compared: Compared) -> str:
    return "larger" if compared.smaller_is_better is None else "better"


def _verdicts(compared: Sequence[Compared], success: Success | None) -> list[str]:
    """What is sure, by intervals that leave out no difference."""
    lines = []
    if success is not None:
        low, high = success.difference.low, success.difference.high
        sure = "A" if low > 0 else "B" if high < 0 else None
        lines.append(f"{sure} solves the task more often" if sure else "which solves the task more often is not sure")
    for one in compared:
        if one.smaller_is_better is not None:
            sure = better(one.improvement)
            lines.append(f"{one.metric}: {sure} is better" if sure else f"{one.metric}: which is better is not sure")
    return lines


def _notes(a: "Sweep", b: "Sweep", found: Sequence[Difference], by_criterion: bool) -> list[str]:
    notes = []
    if groups := [group for group in _OWN if any(one.key.startswith(f"{group}.") for one in found)]:
        notes.append(f"the {' and the '.join(groups)} differ{'s'[: len(groups) == 1]}: losses may not compare")
    if not by_criterion:
        notes.append(f"solved: A's runs by {a.solved}, B's by {b.solved}; --solved gives one for both")
    if shared := len(set(a.runs["digest"]) & set(b.runs["digest"])):
        notes.append(f"{shared:,} run{'s'[: shared != 1]} stand on both sides, which intervals know nothing of")
    return notes


def _settings(a: "Sweep", b: "Sweep", metrics: Sequence[str], by_criterion: bool) -> list[str]:
    """Setting by setting, where both vary the same and more than the seed."""
    keys = without_seed(a.swept)
    if not keys or set(keys) != set(without_seed(b.swept)):
        return []
    metric = metrics[0] if metrics else LOSS
    found = compare_settings(a.runs, b.runs, keys, metric)
    if not found:
        return []
    rows = [["setting", "solved A", "B", "A − B", f"{metric} A", "B", f"P(A {_word(found[0][2])})"]]
    for setting, success, one in found:
        shares = (share_text(success.a), share_text(success.b), share_text(success.difference, True))
        rows.append(
            [setting, *shares, interval_text(one.a.median), interval_text(one.b.median), interval_text(one.improvement)]
        )
    if not by_criterion:
        rows = [[row[0], *row[4:]] for row in rows]
    lines = ["", *table_lines(rows[: _MOST_SETTINGS + 1])]
    if len(found) > _MOST_SETTINGS:
        lines.append(f"and {len(found) - _MOST_SETTINGS:,} more settings")
    counts = Counter(better(one.improvement) for _, _, one in found)
    if found[0][2].smaller_is_better is not None:
        lines.append(
            f"of {len(found):,} settings A is better in {counts['A']:,}, B in {counts['B']:,};"
            " where there is no difference one in twenty looks like one"
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
        a, b, alike = _both(args.a, args.b, args.uri, args.solved)
        metrics = _metrics(args.metric, a, b)
    except (SourceError, ArchiveError, StoreError) as error:
        print(error, file=sys.stderr)
        return 2

    print("\n".join(comparison(a, b, metrics, by_criterion=alike)))
    return 0


def _both(a: str, b: str, uri: str | None, solved: str | None) -> "tuple[Sweep, Sweep, bool]":
    """The two, and whether one criterion says of both when a run has solved its task."""
    from bptt.analysis.sweep import load
    from bptt.tracking.history.find import SourceError

    first, second = load(a, uri=uri, solved=solved), load(b, uri=uri, solved=solved)
    if first.solved == second.solved:
        return first, second, True
    try:
        return first, load(b, uri=uri, solved=str(first.solved)), True
    except SourceError:  # its runs have another metric
        return first, second, False


def _metrics(asked: Sequence[str] | None, a: "Sweep", b: "Sweep") -> list[str]:
    from bptt.analysis.comparison import METRICS
    from bptt.tracking.history.find import SourceError

    names = [*METRICS, *a.history.columns.drop(["run", "update"])]
    recorded = [name for name in dict.fromkeys(names) if all(_known(side, name) for side in (a, b))]
    for metric in asked or ():
        if metric not in recorded:
            near = difflib.get_close_matches(metric, recorded, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise SourceError(f"{metric}: not recorded on both sides; {meant}there are {', '.join(recorded)}")
    return [*dict.fromkeys(asked)] if asked else [metric for metric in METRICS if metric in recorded]


def _known(side: "Sweep", metric: str) -> bool:
    """Whether something can be said of it: of a run that diverged, that its loss is infinite."""
    return metric in side.runs and bool((side.runs[metric].notna() | side.runs["outcome"].eq("diverged")).any())
