"""A comparison of two sweeps or runs, as text."""

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
)
from bptt.analysis.keys import without_seed
from bptt.analysis.tables import LOSS
from bptt.cli.columns import NOTHING, interval_text, share_text, table_lines
from bptt.cli.differing import configuration_differences, differing_lines

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

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
