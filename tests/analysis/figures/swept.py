"""Sweeps made by hand, and what tests read from figures."""

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bptt.analysis.figures import save_figure
from bptt.analysis.solved import Solved

UPDATES = np.array([1, 50, 100])
LAGS = np.arange(4)


@dataclass
class Swept:
    """What figures take of a sweep."""

    runs: pd.DataFrame
    history: pd.DataFrame
    gradient_flow: pd.DataFrame
    swept: list[str]
    solved: Solved
    conditions: list[str] = field(default_factory=list)
    searched: Any = None
    recording: Any = None
    measures: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"run": [], "update": []}))

    @property
    def flow_ends(self) -> pd.DataFrame:
        return self.gradient_flow[self.gradient_flow["update"].isin([1, 100])]

    @property
    def given(self) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
        return self.history, self.runs, self.swept


def sweep_of(runs: int = 12, **keys: Any) -> Swept:
    """Runs whose loss falls from 1 to 0.01·(run + 1); every second has solved its task at update 50 + run."""
    number = np.arange(runs)
    last = 0.01 * (number + 1)
    history = pd.concat(
        pd.DataFrame(
            {
                "run": run,
                "update": UPDATES,
                "loss/train": [1.0, 0.6, last[run]],
                "loss/eval": [1.0, 0.5, last[run]],
                "accuracy/eval": [0.0, 0.5, float(run % 2)],
                "grad/norm": [1.0, 0.1, 0.01],
                "grad/clipped": [1.0, 0.5, 0.0],
                "grad/decay": [-1.0, -0.5, 0.1 * run],
                "update/ratio": [np.nan, 1e-2, 1e-3],
                "weights/spectral_radius": [0.5, 1.0, 1.0 + run],
            }
        )
        for run in range(runs)
    )
    flow = pd.DataFrame(
        [
            {"run": run, "update": update, "lag": lag, "norm": (run + 1) * 10.0**-lag / update}
            for run in range(runs)
            for update in UPDATES
            for lag in LAGS
        ]
    )
    ends = history.groupby("run").nth(-1).drop(columns="update")
    solved = number % 2 == 1
    table = pd.DataFrame(
        {
            "run": number,
            "status": "FINISHED",
            "outcome": "completed",
            "updates": 100.0,
            "solved": solved,
            "observed": np.where(solved, 50.0 + number, 100.0),
            "solved_after": np.where(solved, 1.0, np.nan),
        }
    )
    names = {key.replace("__", "."): values for key, values in keys.items()}
    criterion = Solved.parse("accuracy/eval>=1", ["accuracy/eval", "loss/eval"])
    return Swept(table.assign(**names).merge(ends, on="run"), history, flow, [*names, "seed"], criterion)


def diverge(sweep: Swept, run: int, update: int) -> None:
    """A run ends in between, with nothing but its training loss."""
    runs, history, flow = sweep.runs, sweep.history, sweep.gradient_flow
    metrics = [name for name in history if name not in ("run", "update", "loss/train")]
    runs.loc[run, "outcome"] = "diverged"
    runs.loc[run, metrics] = np.nan
    runs.loc[run, "solved"] = False
    runs.loc[run, "observed"] = 100.0
    beyond = (history["run"] == run) & (history["update"] > update)
    history.loc[beyond, metrics] = np.nan
    flow.loc[(flow["run"] == run) & (flow["update"] > update), "norm"] = np.nan


def fail(sweep: Swept, run: int, status: str | None) -> None:
    """A run FAILED, or has not ended, after its first update."""
    sweep.runs.loc[run, ["status", "outcome", "loss/eval", "accuracy/eval"]] = [status, None, np.nan, np.nan]
    sweep.runs.loc[run, "solved"] = False
    sweep.runs.loc[run, "observed"] = np.nan


def lines(axes: Axes) -> list[list[float]]:
    return [np.asarray(line.get_ydata(), dtype=float).tolist() for line in axes.lines]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def panel_titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.axison and axes.get_title()]


def drawable(figure: Figure) -> Figure:
    """The same; drawing finds what building does not: every warning is an error here."""
    save_figure(figure, io.BytesIO(), "png")
    assert figure.get_size_inches()[0] == 3.4
    return figure
