"""What a sweep's own run says about it in MLflow: a page of Markdown."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from bptt.analysis.keys import without_seed
from bptt.analysis.tables import ACCURACY, LOSS, final, settings_table, value_text
from bptt.analysis.times import duration

if TYPE_CHECKING:
    import pandas as pd

_LONGEST: Final = 7900  # MLflow takes 8,000 characters
_BEST: Final = 5
_VALUES: Final = 12  # of one key that are listed
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()>#|~])")


def description(
    runs: "pd.DataFrame",
    *,
    name: str,
    command: Sequence[str],
    swept: Sequence[str],
    seconds: float,
    duplicates: int = 0,
    reused: int = 0,
    never_begun: int = 0,
    experiment_id: str | None = None,
    view: str | None = None,
    report: str | None = None,
) -> str:
    """What was swept and how it went, the best settings and the best runs, and the command that repeats it.

    runs           a row per run: run, name, status, outcome, updates, loss/eval, accuracy/eval where the task has one,
                   a column per swept key, and run_id where MLflow has the run
    swept          the keys, in the order of the command line
    duplicates     how many jobs were left out since another one is the same run
    reused         how many of the runs were taken from earlier sweeps
    never_begun    how many runs the sweep was broken off before
    view           the path of the sweep's page in MLflow, from "/#/"
    report         the path of its report among its artifacts, from "/#/"
    """
    runs = runs.sort_values("run", kind="stable")
    before = [
        _summary(runs, name, seconds, duplicates, reused, never_begun),
        _links({"The report": report, "The runs: curves and table": view}),
        _table(["swept", "values"], [[_plain(key), _values(runs[key])] for key in swept if key in runs]),
        _best_settings(runs, swept),
        _best_runs(runs, experiment_id),
    ]
    sections = [section for section in before if section]
    repeat = f"### To repeat it\n\n```sh\n{shlex.join(command)}\n```"
    if len("\n\n".join([*sections, repeat])) > _LONGEST:
        repeat = "### To repeat it\n\nThe command is too long for this page; `sweep.json` in the sweep's folder has it."
    return "\n\n".join([*sections, repeat]) + "\n"


def _summary(runs: "pd.DataFrame", name: str, seconds: float, duplicates: int, reused: int, never_begun: int) -> str:
    counts = {
        "diverged": (runs["outcome"] == "diverged").sum(),
        "stopped early": (runs["outcome"] == "early_stopped").sum(),
        "failed": (runs["status"] == "FAILED").sum(),
        "killed": (runs["status"] == "KILLED").sum() + never_begun,
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    number = len(runs) + never_begun
    text = f"**{_plain(name)}**: {number:,} {'run' if number == 1 else 'runs'} in {duration(seconds)}"
    text += f", {', '.join(told)}." if told else ", all completed."
    if reused:
        text += f" {reused:,} taken from earlier sweeps, where the same configuration had been trained."
    if duplicates:
        text += f" {duplicates:,} left out as duplicates."
    return text


def _links(paths: Mapping[str, str | None]) -> str:
    return " · ".join(f"[{text}]({path.removeprefix('/')})" for text, path in paths.items() if path is not None)


def _values(column: "pd.Series") -> str:
    values = [_plain(value_text(value)) for value in column.dropna().drop_duplicates()]
    if len(values) <= _VALUES:
        return ", ".join(values)
    return f"{', '.join(values[: _VALUES // 2])}, …, {values[-1]} ({len(values):,} values)"


def _best_settings(runs: "pd.DataFrame", swept: Sequence[str]) -> str:
    """A row per setting by its median; nothing where each run is a setting of its own, or all are one."""
    settings = settings_table(runs, swept)
    if len(settings) in {1, len(runs)}:
        return ""
    best = settings[settings[LOSS] < math.inf].sort_values(LOSS, kind="stable").head(_BEST)
    keys = [key for key in without_seed(swept) if key in best]
    headings = [
        *map(_plain, keys),
        "runs",
        "diverged",
        LOSS,
        "from",
        "to",
        *(["100 % right"] if "right" in best else []),
    ]
    rows = [
        [
            *(_plain(value_text(row[key])) for key in keys),
            *(f"{row[count]:,}" for count in ("runs", "diverged")),
            *(f"{row[loss]:.4g}" for loss in (LOSS, "from", "to")),
            *([f"{row['right']:.0%}"] if "right" in best else []),
        ]
        for row in best.to_dict("records")
    ]
    about = f"By the median of their runs' last `{LOSS}`, in which a diverged run counts as the worst."
    return f"### Best settings\n\n{about}\n\n{_table(headings, rows)}" if rows else ""


def _best_runs(runs: "pd.DataFrame", experiment_id: str | None) -> str:
    comparable = runs.assign(**{LOSS: final(runs, LOSS)})[runs["status"].eq("FINISHED")]
    best = comparable[comparable[LOSS] < math.inf].sort_values(LOSS, kind="stable").head(_BEST)
    metrics = [metric for metric in (LOSS, ACCURACY) if metric in best]
    rows = [
        [_linked(row, experiment_id), *(f"{row[metric]:.4g}" for metric in metrics), f"{row['updates']:,.0f}"]
        for row in best.to_dict("records")
    ]
    return f"### Best runs\n\n{_table(['run', *metrics, 'updates'], rows)}" if rows else ""


def _linked(row: "dict[str, object]", experiment_id: str | None) -> str:
    text, run_id = _plain(str(row["name"])), row.get("run_id")
    if experiment_id is None or not isinstance(run_id, str):
        return text
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id})"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if rows else ""


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    escaped = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
