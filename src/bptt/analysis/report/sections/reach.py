"""How far settings carry: the largest value of what makes the task harder with which they still solve it."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import name_key
from bptt.analysis.report.document import Column, Mono, Section, ShownTable, Span
from bptt.analysis.report.findings import Findings
from bptt.analysis.statistics.intervals import clopper_pearson
from bptt.analysis.tables import show_value, write_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_MOST_VALUES: Final = 8  # beside each other
_HALF: Final = 0.5


def write_reach(findings: Findings) -> list[Section]:
    """The settings by how far they carry, the furthest first; none where no condition is a distance."""
    key = find_distance(findings)
    if key is None:
        return []
    frame = tabulate_reach(findings, key)
    name = name_key(key, key)
    tested = "confirmed" in findings.statistics
    caption: tuple[Span, ...] = (
        f"Of each setting the largest value of {name} with which more than half of its runs had solved the task at the"
        f" end of training{', on the test set too' if tested else ''}; and the largest where that is beyond doubt: the"
        " whole 95 % interval (Clopper and Pearson's) lies above one half. – where it is none of the values. Then how"
        " many runs did, by ",
        Mono(key),
        ". The furthest come first, and of those that come equally far the ones of which more did.",
    )
    table = _select_numbers(findings, key)
    left = sorted({*map(show_value, findings.statistics[key])} - {*map(show_value, table[key])})
    if left:
        caption = (*caption, f" Runs with another value are not in it: {', '.join(left)}.")
    values = sorted(table[key].unique())
    columns = [
        *([Column("condition", "condition")] if "condition" in frame else []),
        Column("setting", "setting"),
        Column("reach", "more than half, up to", "exact"),
        Column("sure", "beyond doubt, up to", "exact"),
        *(
            Column(f"solved_{show_value(one)}", show_value(one), "count", of=f"ended_{show_value(one)}")
            for one in values
        ),
    ]
    shown = ShownTable("reach", "How far each setting carries", caption, frame, columns)
    return [Section("reach", "How far each carries", [shown])]


def find_distance(findings: Findings) -> str | None:
    """The condition that is a number of which every combination of the others has several, and with the largest of
    which fewer runs solve the task than with the smallest; None: there is not exactly one, or too many values.
    """
    if "solved" not in findings.statistics or not findings.statistics["solved"].any():
        return None
    found = []
    for key in findings.conditions:
        table = _select_numbers(findings, key)
        values = table[key].unique()
        if not len(values) or np.isnan(values).any() or len(values) > _MOST_VALUES:
            continue
        if table[key].groupby(_write_others(findings, key, table)).nunique().min() > 1:
            found.append(key)
    if len(found) != 1:
        return None
    (key,) = found
    table = _select_numbers(findings, key)
    least, most = (table.loc[table[key] == value] for value in (table[key].min(), table[key].max()))
    harder = most["solved"].sum() * least["ended"].sum() < least["solved"].sum() * most["ended"].sum()
    return key if harder else None


def tabulate_reach(findings: Findings, key: str) -> "pd.DataFrame":
    """A row for each setting in each combination of the conditions but `key`, furthest first.

    Columns: condition (the other conditions, where they differ), setting; reach, sure  the largest values of `key`
    with which more than half of the runs solved the task, and with which the share's interval lies above one half; nan:
    none; solved_V, ended_V  for each value V how many did, of how many; nan: not trained
    """
    import pandas as pd

    table = _select_numbers(findings, key)
    count = "confirmed" if "confirmed" in table else "held" if "held" in table else "solved"
    labels = pd.DataFrame({"condition": _write_others(findings, key, table), "setting": table["setting"]})
    rows = []
    for (condition, setting), part in table.groupby([labels["condition"], labels["setting"]], sort=False):
        row: dict[str, Any] = {"condition": condition, "setting": setting, "reach": np.nan, "sure": np.nan}
        for one in part.sort_values(key).to_dict("records"):
            share = clopper_pearson(int(one[count]), int(one["ended"]))
            row |= {"reach": one[key]} if share.value > _HALF else {}
            row |= {"sure": one[key]} if share.low > _HALF else {}
            row |= {f"solved_{show_value(one[key])}": one[count], f"ended_{show_value(one[key])}": one["ended"]}
        rows.append(row | {"of_all": part[count].sum()})
    frame = pd.DataFrame(rows)
    place = frame["condition"].map({name: n for n, name in enumerate(frame["condition"].unique())})
    order = np.lexsort((-frame["of_all"], -frame["sure"].fillna(-np.inf), -frame["reach"].fillna(-np.inf), place))
    frame = frame.iloc[order].reset_index(drop=True).drop(columns="of_all")
    return frame if (frame["condition"] != frame["condition"][0]).any() else frame.drop(columns="condition")


def _select_numbers(findings: Findings, key: str) -> "pd.DataFrame":
    """The settings' table, where a condition is a number; among numbers a range, as [50,200], is none."""
    import pandas as pd

    table = findings.statistics
    if table[key].dtype.kind in "iuf":
        return table
    numbers = pd.to_numeric(table[key], errors="coerce")
    return table.assign(**{key: numbers})[numbers.notna()]


def _write_others(findings: Findings, key: str, table: "pd.DataFrame") -> "Sequence[str]":
    """Of each row of such a table the conditions but this one, as text."""
    others = [one for one in findings.conditions if one != key]
    return write_settings(table, others) if others else [""] * len(table)
