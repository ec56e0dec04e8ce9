"""What a sweep chose: the values that were tuned for each setting, and the best setting on fresh seeds."""

from collections import Counter
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.factors import name_key
from bptt.analysis.ranking import choose_best, rank_groups
from bptt.analysis.statistics.intervals import clopper_pearson
from bptt.analysis.statistics.settings import setting_statistics
from bptt.analysis.tables import SEED, drop_seed, show_value, write_parts, write_settings

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

_MOST_TOLD: Final = 3
_STAGES: Final = ("", "fresh_")
_ENDS: Final = ("", "_low", "_high")


def tabulate_tuning(sweep: "Sweep") -> "pd.DataFrame":
    """A row for each combination of tuned values that a setting tried, in the order of the sweep; empty: none was.

    Columns: condition (where there are any), setting, the tuned keys, then runs, success, updates and loss, as of
    `rank_groups`; chosen, whether this is what the setting took; edge: of a chosen row the tuned keys whose value is
    the smallest or the largest that was tried, in words.
    """
    import pandas as pd

    tuning = sweep.stages.get("tuning")
    if tuning is None:
        return pd.DataFrame()
    taken = set(zip(_label(sweep, sweep.runs), write_settings(sweep.runs, sweep.tuned), strict=True))
    runs = tuning.runs.assign(label=_label(sweep, tuning.runs), tuned=write_settings(tuning.runs, sweep.tuned))
    rows = []
    for label, part in runs.groupby("label", sort=False):
        ranked = rank_groups(part, part["tuned"].tolist())
        for first in part.drop_duplicates("tuned").to_dict("records"):
            chosen = (label, first["tuned"]) in taken
            rows.append(
                dict(zip(_name_labels(sweep), label, strict=True))
                | {key: first[key] for key in sweep.tuned}
                | {str(name): value for name, value in ranked.loc[first["tuned"]].items()}
                | {"chosen": chosen, "edge": _find_edges(first, part, sweep.tuned) if chosen else ""}
            )
    return pd.DataFrame(rows)


def write_tuning(sweep: "Sweep") -> list[str]:
    """What is to be known of tuned values in a sentence that compares settings: what was tuned, on how many seeds, over
    which values.
    """
    tuning = sweep.stages.get("tuning")
    if tuning is None:
        return []
    seeds = tuning.runs[SEED].nunique() if SEED in tuning.runs else 1
    told = []
    for key in sweep.tuned:
        values = sorted(tuning.runs[key].dropna().unique())
        tried = f"{len(values)} values from {show_value(values[0])} to {show_value(values[-1])}"
        if tuning.runs[key].dtype.kind not in "iuf":
            tried = " and ".join(map(show_value, values))
        whose = "each that has one" if tuning.runs[key].isna().any() else "each"
        told.append(f"the {name_key(key, key)} that was tuned for {whose} on {seeds} other seeds, of {tried}")
    return told


def warn_of_edges(sweep: "Sweep") -> str:
    """A sentence about tuned values at the edge of what was tried; empty: there are none."""
    table = tabulate_tuning(sweep)
    chosen = table[table["chosen"]] if len(table) else table
    edges = chosen[chosen["edge"] != ""] if len(chosen) else chosen
    if not len(edges):
        return ""
    told = [f"{row['where']} {row['edge']}" for row in _name_rows(edges)][:_MOST_TOLD]
    more = f" and {len(edges) - _MOST_TOLD} more" if len(edges) > _MOST_TOLD else ""
    return (
        f"Of {len(chosen)} tuned settings {len(edges)} took a value at the edge of those that were tried"
        f" ({'; '.join(told)}{more}): values beyond may do better."
    )


def tabulate_confirmation(sweep: "Sweep") -> "pd.DataFrame":
    """A row for the best setting of each condition: how it did where it was picked, and on fresh seeds; empty: none was
    confirmed.

    Columns: condition (where there are any), setting, of (settings it was picked from), then runs, solved, success and
    loss_median, and kept_loss_median where runs keep their best network, with their intervals, as of
    `setting_statistics`; and the same, with `fresh_` before, on fresh seeds.
    """
    import pandas as pd

    confirming = sweep.stages.get("confirming")
    if confirming is None:
        return pd.DataFrame()
    keys = [key for key in drop_seed(sweep.swept) if key in sweep.runs]
    best, labels = set(_label(sweep, confirming.runs)), _label(sweep, sweep.runs)
    own = sweep.runs[[label in best for label in labels]].reset_index(drop=True)
    fresh = _index(setting_statistics(confirming.runs, keys, sweep.conditions))
    picked = _index(setting_statistics(own, keys, sweep.conditions))
    counts = Counter(label[0] if sweep.conditions else "" for label in set(labels))
    rows = []
    for (condition, setting), after in fresh.items():
        before = picked[condition, setting]
        where = {"condition": condition} if sweep.conditions else {}
        told = ("success", "loss_median", "kept_loss_median")
        kept = [name for name in before if name in after and (name.startswith(told) or name in {"ended", "solved"})]
        row = where | {"setting": setting, "of": counts[condition]} | {name: before[name] for name in kept}
        rows.append(row | {f"fresh_{name}": after[name] for name in kept})
    return pd.DataFrame(rows)


def write_confirmation(sweep: "Sweep") -> str:
    """How the best settings do on fresh seeds, in a sentence for each of the first conditions; empty: none was
    confirmed.
    """
    table = tabulate_confirmation(sweep)
    told = [
        f"Picked as the best of {row['of']} settings, {row['where']} {_write_result(row)}."
        for row in _name_rows(table)[:_MOST_TOLD]
    ]
    more = len(table) - len(told)
    return " ".join([*told, *([f"The table has {more} more conditions."] if more > 0 else [])])


def count_settings(sweep: "Sweep") -> int:
    """The most settings of a condition, of which one is picked as the best."""
    keys = [key for key in drop_seed(sweep.swept) if key in sweep.runs]
    if not keys:
        return 1
    table = sweep.runs.drop_duplicates(keys)
    own = [key for key in keys if key in sweep.conditions]
    return int(table.groupby(own, dropna=False).size().max()) if own else len(table)


def list_best(sweep: "Sweep") -> list[list[int]]:
    """The runs of the best setting of each condition."""
    ended = sweep.runs[sweep.runs["status"].eq("FINISHED")].reset_index(drop=True)
    return choose_best(ended, drop_seed(sweep.swept), sweep.conditions) if len(ended) else []


def _write_result(row: dict[str, Any]) -> str:
    picked, fresh = int(row["ended"]), int(row["fresh_ended"])
    if row["solved"] or row["fresh_solved"]:
        before, after = (_write_share(int(row[f"{prefix}solved"]), int(row[f"{prefix}ended"])) for prefix in _STAGES)
        return f"solves the task in {before} runs that it was picked by, and in {after} on fresh seeds"
    name, what = name_picked_loss(row)
    before, after = (_write_median(*(row[f"{prefix}{name}{end}"] for end in _ENDS)) for prefix in _STAGES)
    return (
        f"has a median {what} of {before} in the {picked} runs that it was picked by, and of {after} in {fresh} on"
        " fresh seeds"
    )


def name_picked_loss(columns: Container[str]) -> tuple[str, str]:
    """The column of `tabulate_confirmation` with the loss by which settings are picked, and what it is."""
    if "kept_loss_median" in columns:
        return "kept_loss_median", "loss of the kept network"
    return "loss_median", "last loss"


def _write_share(solved: int, ended: int) -> str:
    found = clopper_pearson(solved, ended)
    return f"{solved} of {ended} ({100 * found.low:.0f} to {100 * found.high:.0f} %)"


def _write_median(value: float, low: float, high: float) -> str:
    return f"{value:.3g}" + (f" ({low:.3g} to {high:.3g})" if low == low else "")


def _name_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Each row, with `where`: its condition, where there are any, and its setting."""
    rows = table.to_dict("records")
    return [
        row | {"where": " ".join(str(row[name]) for name in ("condition", "setting") if name in row)} for row in rows
    ]


def _index(statistics: "pd.DataFrame") -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (str(row.get("condition", "")), str(row["setting"])): {str(name): value for name, value in row.items()}
        for row in statistics.to_dict("records")
    }


def _name_labels(sweep: "Sweep") -> list[str]:
    return ["condition", "setting"] if sweep.conditions else ["setting"]


def _label(sweep: "Sweep", runs: "pd.DataFrame") -> list[tuple[str, ...]]:
    """The texts of each run's condition, where there are any, and of its setting."""
    parts = [sweep.conditions, sweep.setting_keys] if sweep.conditions else [sweep.setting_keys]
    return list(zip(*(write_settings(runs, keys) for keys in parts), strict=True))


def _find_edges(chosen: dict[str, object], runs: "pd.DataFrame", tuned: Sequence[str]) -> str:
    """The tuned keys whose value is the smallest or the largest that was tried: `alpha=0.1, the largest tried`."""
    told = []
    for key in tuned:
        if runs[key].dtype.kind not in "iuf" or runs[key].nunique() < 2:
            continue
        for end, word in ((runs[key].min(), "smallest"), (runs[key].max(), "largest")):
            if chosen[key] == end:
                told.append(f"{key.rpartition('.')[2]}={show_value(end)}, the {word} tried")
    return "; ".join(told)


_MOST_NAMED: Final = 6  # settings, in a sentence


def write_halved(sweep: "Sweep") -> str:
    """What halving left of a grid, in a sentence; empty where it gave up nothing, or the sweep is a search."""
    searched = sweep.searched
    if searched is None or searched.sampler is not None or "given_up" not in sweep.runs:
        return ""
    condition, setting = write_parts(sweep.runs, sweep.swept, sweep.conditions)
    every = [*zip(condition, setting, strict=True)]
    up = sweep.runs["given_up"].notna()
    left = [*dict.fromkeys(one for one, gone in zip(every, up, strict=True) if not gone)]
    names = ", ".join(" ".join(filter(None, (own, where and f"at {where}"))) for where, own in left[:_MOST_NAMED])
    more = f" and {len(left) - _MOST_NAMED:,} more" if len(left) > _MOST_NAMED else ""
    metric = next(iter(searched.objectives))
    return (
        f"Halving by {metric} trained {len(left):,} of {len({*every}):,} settings to their end: {names}{more}. The"
        " others were worse where they were compared, which says nothing of how they would have ended."
    )
