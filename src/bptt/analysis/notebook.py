"""What the notebooks share: a sweep opened from where they lie, and tables that are read at a glance."""

import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.factors import find_factors
from bptt.analysis.statistics.intervals import Interval, probability_of_improvement
from bptt.analysis.sweep import Sweep, load_sweep
from bptt.analysis.tables import drop_seed, take_final, write_settings
from bptt.tracking.history.find import SourceError

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Run


def open_sweep(source: str | Path, *, uri: str | None = None, solved: str | None = None) -> Sweep:
    """`bptt.load`, from a notebook: one that lies beside multirun/ in a folder of its own goes up to where that is.

    Relative names, of the store and of what configurations read, are meant from there too. Tables are shown with their
    texts in full from here on. Raises what `bptt.load` does, and SourceError where no run has ended.
    """
    import pandas as pd

    pd.set_option("display.max_colwidth", None)
    if not Path("multirun").is_dir() and Path("../multirun").is_dir():
        os.chdir("..")
    sweep = load_sweep(source, uri=uri, solved=solved)
    if sweep.runs["outcome"].isna().all():
        raise SourceError(f"{sweep.name}: no run of it has ended, so there is nothing to be seen")
    return sweep


def outline(sweep: Sweep) -> "pd.DataFrame":
    """What the sweep is, in a few rows."""
    import pandas as pd

    runs = sweep.runs
    counts = {
        "ended": runs["outcome"].notna().sum(),
        "diverged": runs["outcome"].eq("diverged").sum(),
        "failed": runs["status"].eq("FAILED").sum(),
        "solved": runs["solved"].sum(),
    }
    rows = {
        "sweep": sweep.name,
        "question": sweep.question or "",
        "command": shlex.join(sweep.command),
        "swept": ", ".join(sweep.swept),
        "runs": f"{len(runs):,}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()),
        "solved means": str(sweep.solved) if sweep.solved.is_possible else "",
    }
    return pd.DataFrame({"": [text for text in rows.values() if text]}, index=[key for key in rows if rows[key]])


def find_varied(sweep: Sweep) -> list[str]:
    """The swept keys, but the seed, that differ between the runs that ended."""
    return [factor.key for factor in find_factors(sweep.runs[sweep.runs["outcome"].notna()], sweep.swept)]


def write_intervals(statistics: "pd.DataFrame", names: Sequence[str]) -> "pd.DataFrame":
    """Columns of `setting_statistics`, those that are there: each estimate with the ends of its interval behind it."""
    import pandas as pd

    columns = {}
    for name in names:
        if f"{name}_low" in statistics:
            ends = zip(*(statistics[part] for part in (name, f"{name}_low", f"{name}_high")), strict=True)
            columns[name] = [_write_interval(Interval(*values)) for values in ends]
        elif name in statistics:
            columns[name] = statistics[name].tolist()
    return pd.DataFrame(columns, index=statistics.index)


def compare_with_others(sweep: Sweep, setting: str, metric: str = "loss/eval") -> "pd.DataFrame":
    """How likely a run of this setting ends better than one of each other setting; settings as `setting_statistics`."""
    import pandas as pd

    runs = sweep.runs[sweep.runs["outcome"].notna()]
    values = take_final(runs, metric).to_numpy()
    texts = np.array(write_settings(runs, [key for key in drop_seed(sweep.swept) if key in runs]))
    smaller = not metric.startswith(("accuracy", "best/accuracy"))
    rows = {
        other: _write_interval(probability_of_improvement(values[texts == setting], values[texts == other], smaller))
        for other in dict.fromkeys(texts.tolist())
        if other != setting
    }
    return pd.DataFrame(rows.items(), columns=["setting", f"P({setting} is better)"])


def find_best_run(sweep: Sweep, metric: str = "loss/eval") -> int:
    """The number of the run that ended with the least of a metric. Raises ValueError where none ended."""
    values = take_final(sweep.runs, metric)
    if values.isna().all():
        raise ValueError(f"{sweep.name}: no run has ended with a {metric}")
    return int(sweep.runs.loc[values.idxmin(), "run"])


def rebuild_run(sweep: Sweep, number: int, allow: Collection[str] = ()) -> "Run":
    """A run of a sweep, as `bptt.core` trains it; allow: packages whose classes its configuration may name."""
    from bptt.configuration.build import check_configuration

    return check_configuration(sweep.configs[number], allow).run


def _write_interval(interval: Interval) -> str:
    if np.isnan(interval.value):
        return "–"
    ends = ["…" if np.isnan(end) else f"{end:.3g}" for end in (interval.low, interval.high)]
    return f"{interval.value:.3g}" + ("" if ends == ["…", "…"] else f"  [{ends[0]}, {ends[1]}]")
