"""A sweep's results as tables, a row for each run or each setting, and as text: keys in short, values, times."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.folder.files import list_once

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bptt.core.run import Record
    from bptt.tracking.history.base import MemberColumns

SEED = "seed"


def shorten_keys(keys: Sequence[str]) -> dict[str, str]:
    """Each key's last part, or the whole key where several end alike."""
    last = {key: key.rpartition(".")[2] for key in keys}
    often = Counter(last.values())
    return {key: part if often[part] == 1 else key for key, part in last.items()}


def drop_seed(keys: Iterable[str]) -> list[str]:
    """The keys but the seed."""
    return [key for key in keys if key != SEED]


def _list_own(record: "Record") -> set[int]:
    """The updates after which a record has weights."""
    return {record.kept_update, *record.snapshots}


def list_kept(records: Sequence["Record | None"]) -> list[int]:
    """The updates after which every record has weights; none where a run left none."""
    kept = [set() if record is None else _list_own(record) for record in records]
    return sorted(set.intersection(*kept)) if kept else []


def stack_parameters(
    whose: str, names: Sequence[str], records: Sequence["Record | None"], update: int | None = None
) -> dict[str, "NDArray[Any]"]:
    """Name → (runs, …): weights that runs left. Raises ValueError with one line; see `Sweep.parameters`."""
    import numpy as np

    left = {name: record for name, record in zip(names, records, strict=True) if record is not None}
    if len(left) < len(names) or not left:
        without = [name for name in names if name not in left]
        raise ValueError(f"{whose}: {without[0] if without else 'no run'} left no weights; load runs that did")
    for name, record in left.items():
        if update is not None and update not in (kept := _list_own(record)):
            there = ", ".join(map(str, sorted(kept)))
            raise ValueError(
                f"{whose}: {name} has no weights after update {update}; it has those after {there}, and with "
                "train.snapshots=20 a run keeps some along the way"
            )
    ended = [record.kept_update if update is None else update for record in left.values()]
    own = [
        record.parameters if at == record.kept_update else record.snapshots[at]
        for at, record in zip(ended, left.values(), strict=True)
    ]
    shapes = [{name: np.shape(array) for name, array in each.items()} for each in own]
    other = [name for name, each in zip(left, shapes, strict=True) if each != shapes[0]]
    if other:
        raise ValueError(
            f"{whose}: the weights of {other[0]} have other shapes than those of {names[0]}; load runs of one shape, "
            "as SOURCE:model=lstm"
        )
    return {name: np.stack([each[name] for each in own]) for name in own[0]}


def choose_conditions(swept: Iterable[str], given: Iterable[str] | None) -> list[str]:
    """The swept keys that make a task harder or easier, and so are no answer to it; None given: the task's own."""
    keys = drop_seed(swept)
    if given is None:
        return [key for key in keys if key == "task" or key.startswith("task.")]
    wanted = set(given)
    return [key for key in keys if key in wanted]


def read_values(texts: Sequence[str | None]) -> list[float | int | str | None]:
    """What a key's values mean: numbers where all are numbers, else text without its quotes; None stays None."""
    numbers = [_read_number(text) for text in texts]
    if all((number is None) == (text is None) for number, text in zip(numbers, texts, strict=True)):
        return [*numbers]
    return [text if text is None else _unquote(text) for text in texts]


def _read_number(text: str | None) -> float | int | None:
    """The finite number that a text is; None where it is none."""
    if text is None:
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _unquote(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


LOSS: Final = "loss/eval"


#: Before the name of a column of `Sweep.runs` that was measured of the start.
FIRST: Final = "first/"


ACCURACY: Final = "accuracy/eval"


GRADIENT: Final = "grad/norm"


#: Of a run's kept network, where that is its best one, not its last: what it came to, and when.
KEPT_LOSS: Final = f"kept/{LOSS}"
KEPT_UPDATE: Final = "kept/update"


#: How well kept networks fit their targets, `rmse/eval` and so on (`bptt.core.records.fits`): as it is called.
FITS: Final = {
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
}
RMSE: Final = "rmse/eval"
LEADING_FITS: Final = ("rmse", "r2", "balanced_accuracy")  # where there is little room


#: What stands in a terminal's table where nothing is known.
NOTHING: Final = "–"


_UNNOTED: Final = "at update {:,}: why was not noted"  # by an earlier version


def tabulate_runs(members: "MemberColumns", runs: "pd.DataFrame", history: "pd.DataFrame") -> "pd.DataFrame":
    """A row for each member: run, name, status, outcome, updates, what was swept, and what was recorded last.

    runs, history  the archive's tables; a run that isn't there has not ended, and only its name and what was swept

    What a run that FAILED, or that halving gave up, had recorded until then is there, but it has no outcome. Where some
    was given up, `given_up` says why; None: it was not.
    A swept key is a column of its own: numbers where all its values are, else text; missing where a run has none.
    `loss/test`, `accuracy/test`, `baseline` and the others of `Record.once` are there where some run has them.
    """
    import pandas as pd

    keys = sorted(members.swept, key=lambda key: key == SEED)
    names = pd.DataFrame({"run": members.numbers, "name": members.names})
    swept = pd.DataFrame({key: _make_column(members.swept[key]) for key in keys}, index=names.index)
    last = history.drop(columns="update").groupby("run").nth(-1)
    told = ["given_up"] if "given_up" in runs and runs["given_up"].notna().any() else []
    ended = names.merge(runs[["run", "status", "outcome", "updates", *told]], on="run", how="left")
    given_up = ended["status"].eq("KILLED") & ended["outcome"].notna()
    if given_up.any():
        noted = ended["given_up"] if told else [None] * len(ended)
        ended["given_up"] = [
            (why if isinstance(why, str) else _UNNOTED.format(int(update))) if gone else None
            for why, update, gone in zip(noted, ended["updates"].fillna(0), given_up, strict=True)
        ]
    ended["outcome"] = ended["outcome"].where(~ended["status"].isin(["FAILED", "KILLED"]))
    once = [name for name in list_once(runs.columns) if runs[name].notna().any()]
    tables = last, runs[["run", *once]].astype(dict.fromkeys(once, "float64"))
    return reduce(
        lambda left, right: left.merge(right, on="run", how="left"), tables, pd.concat([ended, swept], axis=1)
    )


def tabulate_settings(runs: "pd.DataFrame", swept: Sequence[str]) -> "pd.DataFrame":
    """A row for each setting, which is all that was swept but the seed, in the order of its first run.

    runs as of `tabulate_runs`, swept the swept keys. Columns: setting, the swept keys, then
    runs       how many there are
    diverged, failed, unfinished  how many of them did, FAILED, or were broken off, or given up, before their end
    loss/eval  the median of the last evaluations' loss, in which a diverged run counts as infinitely bad
    from, to   the least and the largest of them that are finite
    kept/loss/eval  the median of that of the networks that are kept, where runs keep their best one
    rmse/eval, r2/eval, balanced_accuracy/eval, and …/test  the medians of what some run has of these; how well the
               networks that runs keep fit their targets
    right      the share of the ended runs whose last accuracy is 100 %, with its exact 95 % interval, right_low and
               right_high; only where some run has that
    accuracy   the median of the last accuracy, where no run has 100 %
    given_up   how many halving gave up; only where it did
    """
    import numpy as np
    import pandas as pd

    keys = [key for key in drop_seed(swept) if key in runs]
    status = runs["status"].fillna("")
    ended = status.ne("KILLED")  # what halving gave up has not come to where the others have
    fits, kept = list_leading_fits(runs), {}
    if name_ranked_loss(runs) != LOSS:
        kept = {KEPT_LOSS: take_kept_loss(runs).where(ended)}
    loss, accuracy = (take_final(runs, metric).where(ended) for metric in (LOSS, ACCURACY))
    columns = pd.DataFrame(
        {
            "setting": write_settings(runs, keys),
            **{key: runs[key] for key in keys},
            "diverged": runs["outcome"].eq("diverged"),
            "failed": status.eq("FAILED"),
            "unfinished": ~status.isin(["FINISHED", "FAILED"]),
            LOSS: loss,
            "finite": loss.where(np.isfinite(loss)),
            "right": accuracy.eq(1.0).astype(float).where(accuracy.notna()),
            "accuracy": accuracy,
            **kept,
            **{name: take_final(runs, name) for name in fits},
        }
    )
    grouped = columns.groupby(["setting", *keys], sort=False, dropna=False)
    table = pd.DataFrame(
        {
            "runs": grouped.size(),
            **{name: grouped[name].sum() for name in ("diverged", "failed", "unfinished")},
            LOSS: grouped[LOSS].median(),
            "from": grouped["finite"].min(),
            "to": grouped["finite"].max(),
            **{name: grouped[name].median() for name in (*kept, *fits)},
        }
    )
    if accuracy.eq(1.0).any():
        from bptt.analysis.statistics.intervals import clopper_pearson

        counts = zip(grouped["right"].sum(), grouped["right"].count(), strict=True)
        shares = [clopper_pearson(int(right), int(ended)) for right, ended in counts]
        ends = {"right": "value", "right_low": "low", "right_high": "high"}
        table = table.assign(**{name: [getattr(share, end) for share in shares] for name, end in ends.items()})
    elif accuracy.notna().any():
        table["accuracy"] = grouped["accuracy"].median()
    if "given_up" in runs:
        table["given_up"] = (
            runs["given_up"]
            .notna()
            .groupby([columns[name] for name in ("setting", *keys)], sort=False, dropna=False)
            .sum()
        )
    return table.reset_index()


def write_right(row: Mapping[str, float]) -> str:
    """A row's `right` of `tabulate_settings`, with its interval: `95 % [75, 100]`; – where nothing ended."""
    value, low, high = (100 * row[name] for name in ("right", "right_low", "right_high"))
    return NOTHING if math.isnan(value) else f"{value:.0f} % [{low:.0f}, {high:.0f}]"


def write_lines(settings: "pd.DataFrame", most: int = 40) -> list[str]:
    """`tabulate_settings` as text: a line of headings and one per setting; the best where there are more than most.

    Nothing where there are fewer than two runs. A setting of which no run has ended is counted, and has no line.
    """
    shown = settings[settings[LOSS].notna()]
    if settings["runs"].sum() < 2 or shown.empty:
        return []
    unknown = len(settings) - len(shown)
    ended = len(shown)
    if ended > most:
        shown = shown.sort_values(name_ranked_loss(shown), kind="stable").head(most)
    width = max(map(len, ["setting", *shown["setting"]]))
    text = shown[["setting", "runs"]].assign(setting=shown["setting"].str.ljust(width))
    for name in ("diverged", "failed", "unfinished"):
        if name == "diverged" or settings[name].any():
            text[name] = shown[name]
    for name in list_leading_fits(settings):
        text[name] = shown[name].map(partial(_write_known, form="{:.3g}" if name.startswith("rmse") else "{:.3f}"))
    ranked = name_ranked_loss(shown)
    for name in dict.fromkeys((ranked, LOSS, "from", "to")):
        text[name] = shown[name].map(partial(_write_known, form="{:.3g}"))
    if "right" in settings:
        text["100 % right"] = [write_right(row) for row in shown.to_dict("records")]
    if "accuracy" in settings:
        text["accuracy"] = shown["accuracy"].map(partial(_write_known, form="{:.1%}"))
    text = text.rename(columns={"setting": "setting".ljust(width)})
    printed = str(text.to_string(index=False)).splitlines()
    left = ended - len(shown)
    printed += [f"and {left} more settings, none with a smaller loss"] if left else []
    several = "1 setting" if unknown == 1 else f"{unknown} settings"
    why = "of which no run has ended" if "given_up" not in settings else "that halving gave up"
    return printed + ([f"and {several} {why}"] if unknown else [])


def _write_known(value: float, form: str) -> str:
    return NOTHING if math.isnan(value) else form.format(value)


def list_leading_fits(table: "pd.DataFrame") -> list[str]:
    """The columns of `FITS` that lead where nothing can be solved, of evaluation and test sets, which some row has."""
    every = [f"{name}/{part}" for name in LEADING_FITS for part in ("eval", "test")]
    return [name for name in every if name in table and table[name].notna().any()]


def is_smaller_better(metric: str) -> bool | None:
    """True of losses and errors, False of accuracies and R²; None: neither less nor more is better."""
    kind = metric.removeprefix("best/").removeprefix("kept/").partition("/")[0]
    return {
        "loss": True,
        "log_loss": True,
        "rmse": True,
        "mae": True,
        "accuracy": False,
        "balanced_accuracy": False,
        "r2": False,
    }.get(kind)


def name_ranked_loss(table: "pd.DataFrame") -> str:
    """The column by which settings and runs are ranked: the loss of the kept network where some row has that."""
    return KEPT_LOSS if KEPT_LOSS in table and table[KEPT_LOSS].notna().any() else LOSS


def take_kept_loss(runs: "pd.DataFrame") -> "pd.Series":
    """The loss/eval of the network that each run keeps: its best one, where it keeps that, else its last, as of
    `take_final`; a run that diverged and kept a network from before has that one's.
    """
    last = take_final(runs, LOSS)
    return runs[KEPT_LOSS].astype(float).fillna(last) if KEPT_LOSS in runs else last


def take_final(runs: "pd.DataFrame", metric: str) -> "pd.Series":
    """What each run recorded last of a metric; nan where it did not end or the metric wasn't recorded.

    A run that diverged has the worst there is: an infinite loss, an accuracy of zero, an R² of minus infinity; unless
    it kept a network from before, of which the metric is.
    """
    import numpy as np
    import pandas as pd

    values = runs[metric].astype(float) if metric in runs else pd.Series(np.nan, index=runs.index)
    if is_smaller_better(metric) is False:
        worst = -np.inf if metric.startswith("r2/") else 0.0
        return values.where(values.notna() | runs["outcome"].ne("diverged"), worst) if values.notna().any() else values
    return values.where(values.notna() | runs["outcome"].isna(), np.inf)


def write_settings(runs: "pd.DataFrame", keys: Sequence[str]) -> list[str]:
    """Each run's setting in short: `alpha=0.1 epsilon=0.3`; `all` where nothing but the seed was swept."""
    short = shorten_keys(keys)
    columns = [[f"{short[key]}={text}" if text else "" for text in show_values(runs[key])] for key in keys]
    if not columns:
        return ["all"] * len(runs)
    return [" ".join(filter(None, row)) or "all" for row in zip(*columns, strict=True)]


def write_parts(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str]) -> tuple[list[str], list[str]]:
    """Each run's condition, and its setting, in short: without keys whose values those before them decide, as where
    each cell is given updates of its own. Empty where nothing of either kind was swept.
    """
    keys = [key for key in drop_seed(swept) if key in runs]
    parts = [[key for key in keys if (key in conditions) is harder] for harder in (True, False)]
    condition, setting = (
        write_settings(runs, drop_decided(runs, part)) if part else [""] * len(runs) for part in parts
    )
    return condition, setting


def drop_decided(runs: "pd.DataFrame", keys: Sequence[str]) -> list[str]:
    """The keys without those, from the last on, whose values the others decide: the rest tells as many runs apart."""
    kept = list(keys)
    for key in reversed(keys):
        rest = [other for other in kept if other != key]
        if rest and len(runs[rest].drop_duplicates()) == len(runs[kept].drop_duplicates()):
            kept = rest
    return kept


def show_values(values: Iterable[object]) -> list[str]:
    """Each value as `show_value` has it; those that would look alike though they differ, with all their digits."""
    every = list(values)
    texts = [show_value(value) for value in every]
    meant: dict[str, set[object]] = {}
    for text, value in zip(texts, every, strict=True):
        if text:
            meant.setdefault(text, set()).add(value)
    return [str(value) if len(meant.get(text, ())) > 1 else text for text, value in zip(texts, every, strict=True)]


def show_value(value: object) -> str:
    """A swept value as it is shown: `0.1`, `1e-05`, `elman`; empty where there is none."""
    import pandas as pd

    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _make_column(texts: Sequence[str | None]) -> "pd.Series":
    import pandas as pd

    values = read_values(texts)
    if all(value is None or isinstance(value, str) for value in values):
        return pd.Series(values, dtype="str")
    whole = all(isinstance(value, int) for value in values)
    if whole and any(abs(value) >= 2**63 for value in values if isinstance(value, int)):
        return pd.Series(texts, dtype="str")  # no number of a table's is as large, and no digit may go
    return pd.Series(values, dtype="int64" if whole else "float64")


def write_moment(seconds: float) -> str:
    """Seconds since 1970 as a time of day: `2026-11-21 15:40 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
