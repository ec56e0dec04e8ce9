"""What a sweep's own run in MLflow says of it: a description, and what sweeps are compared by."""

import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.tables import (
    ACCURACY,
    KEPT_LOSS,
    LOSS,
    drop_seed,
    list_leading_fits,
    name_ranked_loss,
    show_value,
    show_values,
    tabulate_settings,
    take_final,
    take_kept_loss,
    write_right,
)
from bptt.printable import make_printable
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.progress import write_duration
from bptt.tracking.folder.sweep import SweepJournal
from bptt.tracking.store.address import make_run_path
from bptt.tracking.store.tags import flatten_config

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

_LONGEST: Final = 7900  # MLflow takes 8,000 characters


_BEST: Final = 5


_LONGEST_BEST: Final = 1000


_MOST_CONDITIONS: Final = 12


_VALUES: Final = 12  # of one key that are listed


_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()>#|~])")


def describe_sweep(
    runs: "pd.DataFrame",
    *,
    name: str,
    command: Sequence[str],
    swept: Sequence[str],
    conditions: Sequence[str] = (),
    seconds: float,
    question: str | None = None,
    duplicates: int = 0,
    reused: int = 0,
    never_begun: int = 0,
    experiment_id: str | None = None,
    view: str | None = None,
    report: str | None = None,
) -> str:
    """What a sweep asked, its best settings; how it went, what was swept, its best runs, the command that repeats it.

    runs           a row per run: run, name, status, outcome, updates, loss/eval, accuracy/eval where the task has one,
                   a column per swept key, and run_id where MLflow has the run
    swept          the keys, in the order of the command line
    conditions     those across whose values nothing is ranked
    question       what the sweep asks
    duplicates     how many jobs were left out since another one is the same run
    reused         how many of the runs were taken from earlier sweeps
    never_begun    how many runs the sweep was broken off before
    view           the path of the sweep's page in MLflow, from "/#/"
    report         the path of its report among its artifacts, from "/#/"
    """
    runs = runs.sort_values("run", kind="stable")
    best = _best_settings(runs, swept, conditions)
    before = [
        " ".join([*([f"**{_plain(question)}**"] if question else []), *_name_best(runs, swept, conditions)]),
        best,
        "### How it went" if best else "",
        _summary(runs, name, seconds, duplicates, reused, never_begun),
        _links({"The report": report, "The runs: curves and table": view}),
        _table(["swept", "values"], [[_plain(key), _list_values(runs[key], _plain)] for key in swept if key in runs]),
        _best_runs(runs, conditions, experiment_id),
    ]
    sections = [section for section in before if section]
    repeat = f"### To repeat it\n\n```sh\n{shlex.join(command)}\n```"
    if len("\n\n".join([*sections, repeat])) > _LONGEST:
        repeat = "### To repeat it\n\nThe command is too long for this page; `sweep.json` in the sweep's folder has it."
    return "\n\n".join([*sections, repeat]) + "\n"


def _summary(runs: "pd.DataFrame", name: str, seconds: float, duplicates: int, reused: int, never_begun: int) -> str:
    given_up = runs["given_up"].notna().sum() if "given_up" in runs else 0
    counts = {
        "diverged": (runs["outcome"] == "diverged").sum(),
        "stopped early": (runs["outcome"] == "early_stopped").sum(),
        "failed": (runs["status"] == "FAILED").sum(),
        "given up by halving": given_up,
        "killed": (runs["status"] == "KILLED").sum() - given_up + never_begun,
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    number = len(runs) + never_begun
    text = f"**{_plain(name)}**: {number:,} {'run' if number == 1 else 'runs'} in {write_duration(seconds)}"
    text += f", {', '.join(told)}." if told else ", all completed."
    if reused:
        text += f" {reused:,} taken from earlier sweeps, where the same configuration had been trained."
    if duplicates:
        text += f" {duplicates:,} left out as duplicates."
    return text


def _links(paths: Mapping[str, str | None]) -> str:
    return " · ".join(f"[{text}]({path.removeprefix('/')})" for text, path in paths.items() if path is not None)


def _list_values(column: "pd.Series", write: Callable[[str], str] = str) -> str:
    values = [write(text) for text in show_values(column.dropna().drop_duplicates())]
    if len(values) <= _VALUES:
        return ", ".join(values)
    return f"{', '.join(values[: _VALUES // 2])}, …, {values[-1]} ({len(values):,} values)"


def _name_best(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str]) -> Iterator[str]:
    """The best setting in a sentence, as MLflow folds all but the first lines; nothing where there is no best one."""
    settings = tabulate_settings(runs, swept)
    best, loss = _choose_best(settings, conditions), name_ranked_loss(settings)
    if len(settings) > 1 and len(best) and not conditions:
        first = best.iloc[0]
        of = f", the median of {first['runs']:,} runs" if first["runs"] > 1 else ""
        yield f"Best: {_plain(first['setting'])} (`{loss}` {first[loss]:.4g}{of})."


def _best_settings(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str]) -> str:
    """A row per setting by its median, or the best one of each condition; nothing where each run is a setting of its
    own, or all are one.
    """
    settings = tabulate_settings(runs, swept)
    if len(settings) in {1, len(runs)}:
        return ""
    best = _choose_best(settings, conditions)
    losses = [*dict.fromkeys((name_ranked_loss(settings), LOSS, "from", "to"))]
    keys, fits = [key for key in drop_seed(swept) if key in best], list_leading_fits(best)
    headings = [
        *map(_plain, keys),
        "runs",
        "diverged",
        *fits,
        *losses,
        *(["100 % right"] if "right" in best else []),
    ]
    rows = [
        [
            *(_plain(show_value(row[key])) for key in keys),
            *(f"{row[count]:,}" for count in ("runs", "diverged")),
            *(f"{row[number]:.4g}" for number in (*fits, *losses)),
            *([write_right(row)] if "right" in best else []),
        ]
        for row in best.to_dict("records")
    ]
    by = "last " * (losses[0] == LOSS) + f"`{losses[0]}`"
    about = f"By the median of their runs' {by}, in which a diverged run counts as the worst."
    about = f"The best of each condition ({', '.join(map(_plain, conditions))}). {about}" if conditions else about
    return f"### Best settings\n\n{_table(headings, rows)}\n\n{about}" if rows else ""


def _best_runs(runs: "pd.DataFrame", conditions: Sequence[str], experiment_id: str | None) -> str:
    ranked = name_ranked_loss(runs)
    taken = {LOSS: take_final(runs, LOSS)} | ({} if ranked == LOSS else {ranked: take_kept_loss(runs)})
    best = _choose_best(runs.assign(**taken)[runs["status"].eq("FINISHED")], conditions)
    metrics = [*list_leading_fits(best), *(name for name in dict.fromkeys((ranked, LOSS, ACCURACY)) if name in best)]
    rows = [
        [_linked(row, experiment_id), *(f"{row[metric]:.4g}" for metric in metrics), f"{row['updates']:,.0f}"]
        for row in best.to_dict("records")
    ]
    return f"### Best runs\n\n{_table(['run', *metrics, 'updates'], rows)}" if rows else ""


def _choose_best(table: "pd.DataFrame", conditions: Sequence[str]) -> "pd.DataFrame":
    """The rows with the smallest finite losses; of each condition one, in the order of conditions."""
    keys, loss = [key for key in conditions if key in table], name_ranked_loss(table)
    best = table[table[loss] < math.inf].sort_values(loss, kind="stable")
    return best.drop_duplicates(keys).sort_index().head(_MOST_CONDITIONS) if keys else best.head(_BEST)


def _linked(row: "dict[str, object]", experiment_id: str | None) -> str:
    text, run_id = _plain(str(row["name"])), row.get("run_id")
    if experiment_id is None or not isinstance(run_id, str):
        return text
    return f"[{text}]({make_run_path(experiment_id, run_id).removeprefix('/')})"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if rows else ""


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    escaped = _SPECIAL.sub(r"\\\1", make_printable(" ".join(text.split())))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


@dataclass(frozen=True, kw_only=True)
class OwnRun:
    """What a sweep's own run has, so that MLflow's table compares sweeps.

    params   the configuration that all of its runs have, and of what was swept the values
    metrics  how many runs and settings there are, how they went, and what the best setting came to
    best     the best setting; of each condition where there are any. Empty: there is none
    """

    params: dict[str, str]
    metrics: dict[str, float]
    best: str


def summarize_sweep(sweep: "Sweep", journal: SweepJournal, jobs: Sequence[SweepJob], seconds: float) -> OwnRun:
    """What a sweep's own run has; jobs: all of its runs."""
    runs = sweep.runs
    settings = tabulate_settings(runs, sweep.swept)
    best = _choose_best(settings, sweep.conditions)
    ended = runs["outcome"].notna()
    metrics = {
        "sweep/runs": len(jobs),
        "sweep/settings": len(settings),
        "sweep/diverged": runs["outcome"].eq("diverged").sum(),
        "sweep/failed": runs["status"].eq("FAILED").sum(),
        "sweep/unfinished": len(runs) - runs["status"].isin(["FINISHED", "FAILED"]).sum(),
        "sweep/seconds": seconds,
    }
    if ended.any():
        metrics["sweep/solved"] = runs.loc[ended, "solved"].mean()
    if len(best) and not sweep.conditions:
        names = {LOSS: f"best/{LOSS}", "right": "best/right", "accuracy": f"best/{ACCURACY}"}
        names |= {name: f"best/{name}" for name in (KEPT_LOSS, *list_leading_fits(best))}
        metrics |= {name: best[column].iloc[0] for column, name in names.items() if column in best}
    return OwnRun(
        params=_list_params(sweep, journal, (job.config for job in jobs if job.stage == "result")),
        metrics={name: float(value) for name, value in metrics.items() if not math.isnan(value)},
        best="; ".join(best["setting"] if sweep.conditions else best["setting"].head(1))[:_LONGEST_BEST],
    )


def _list_params(sweep: "Sweep", journal: SweepJournal, configs: Iterator[dict[str, Any]]) -> dict[str, str]:
    """MLflow takes no other value for a param that it has: there is nothing here that changes when a sweep goes on."""
    first = next(configs, None)
    if first is None:  # whose values are still being tuned
        return {}
    swept: dict[str, str] = {}
    for key in journal.swept:
        if journal.search:
            swept[key] = "searched"
        elif key in journal.tuned:
            swept[key] = "tuned"
        elif key in sweep.runs:
            swept[key] = _list_values(sweep.runs[key])
    common = reduce(_keep_common, configs, dict(first))
    # What a choice that was swept brings with it may look the same in all runs of a search so far.
    given = {
        key: text
        for key, text in flatten_config(common).items()
        if not key.startswith(tuple(f"{one}." for one in swept))
    }
    return {**given, **swept}


def _keep_common(first: Any, second: Any) -> dict[str, Any]:
    """What two configurations agree in."""
    if first == second:
        return dict(first)
    found = {}
    for key, value in first.items():
        other = second.get(key)
        if key in second and value == other:
            found[key] = value
        elif isinstance(value, Mapping) and isinstance(other, Mapping) and (inner := _keep_common(value, other)):
            found[key] = inner
    return found
