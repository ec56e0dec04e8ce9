"""Figures of what a network predicted: against what is true, as a series, as a confusion matrix; its calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.figures.material import Material, SweepFigure
from bptt.analysis.statistics.intervals import exact_ends
from bptt.analysis.style import BLUE, COLUMN, GREY, ORANGE, STYLE
from bptt.printable import make_printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bptt.predictions.tables import Predictions

#: What their names begin with.
PREDICTED: Final = "predictions_"

_SETS: Final = {"eval": "evaluation", "test": "test"}
_LOOKS: Final = {"eval": (GREY, "s"), "test": (BLUE, "o")}
_MOST_TARGETS: Final = 3  # of which figures are drawn
_MOST_ROWS: Final = 300  # of a series, so that its lines can be told apart
_MOST_SERIES: Final = 3
_MOST_POINTS: Final = 60  # that have a marker each
_MOST_WRITTEN: Final = 10  # classes whose numbers stand in their fields
_MOST_NAMED: Final = 30
_LONGEST_NAME: Final = 14
_BINS: Final = 10
_FEW_BINS: Final = 5
_FEW: Final = 200  # predictions, which more bins would leave with a handful each
_DENSE: Final = 400  # points beyond which they are drawn paler
_MOST_DRAWN: Final = 20_000  # of each set


def draw_predictions(predictions: "Predictions") -> Iterator[SweepFigure]:
    """The figures that mean something of such predictions: of numbers those against what is true and, where they stand
    in an order, as series; of classes a confusion matrix and, where there are probabilities, the calibration.
    """
    if not predictions.has_targets or not predictions.count:
        return
    if predictions.classes is None:
        for target in predictions.targets[:_MOST_TARGETS]:
            yield _draw_against(predictions, target)
            if find_order(predictions) is not None:
                yield _draw_forecast(predictions, target)
        return
    yield _draw_confusion(predictions)
    if predictions.score == "probability":
        yield _draw_calibrated(predictions)


def draw_best(material: Material) -> Iterator[SweepFigure]:
    """Those of the run that did best, of a sweep over the user's own data."""
    from bptt.analysis.best_run import predict_best  # with pandas, which a run's own figures do without

    found = predict_best(material.sweep)
    if found is None:
        return
    name, predictions = found
    for drawn in draw_predictions(predictions):
        yield replace(drawn, caption=f"The run that did best, {make_printable(name)}. {drawn.caption}")


def name_sets(names: Sequence[str]) -> str:
    """The sets in words."""
    if not names:
        return "data"
    return f"{' and '.join(_SETS.get(name, name) for name in names)} set{'s'[: len(names) > 1]}"


def _choose_set(predictions: "Predictions") -> "tuple[Predictions, str]":
    """The rows of the test set, where there is one: no choice was made by it."""
    sets = predictions.sets
    if len(sets) < 2:
        return predictions, name_sets(sets)
    chosen = "test" if "test" in sets else sets[0]
    return predictions.of_set(chosen), name_sets([chosen])


def _name_file(predictions: "Predictions", kind: str, target: str) -> str:
    if len(predictions.targets) == 1:
        return f"{PREDICTED}{kind}"
    return f"{PREDICTED}{kind}_{predictions.targets.index(target)}"


def _call(target: str) -> str:
    return make_printable(target) or "target"


def _draw_against(predictions: "Predictions", target: str) -> SweepFigure:
    true, predicted = predictions.pair(target)
    parts = predictions.sets or [""]
    which = [predictions.columns["set"] == name if name else np.ones(len(true), bool) for name in parts]
    pairs = {name: (true[here], predicted[here]) for name, here in zip(parts, which, strict=True)}
    drawn = {name: (_thin(a), _thin(b)) for name, (a, b) in pairs.items()}
    shown = sum(len(a) for a, _ in drawn.values())
    of = f"{len(true):,}" if shown == len(true) else f"{shown:,} of {len(true):,}, evenly chosen,"
    errors = ", ".join(
        f"{np.sqrt(np.mean((b - a) ** 2)):.3g}{f' on the {_SETS.get(name, name)} set' if name else ''}"
        for name, (a, b) in pairs.items()
    )
    name, whole = _call(target), name_sets(predictions.sets)
    return SweepFigure(
        name=_name_file(predictions, "against", target),
        figure=draw_against(drawn, name),
        title="Predicted against true",
        caption=(
            f"{of} values of {name} in the {whole}, each as a point: what is true across, what the network"
            f" predicted up, in the data's own units. On the line both are equal. The root of the mean squared error is"
            f" {errors}."
        ),
        alt=f"Points of predicted against true values of {name}, around the diagonal on which both are equal.",
    )


def _thin(values: "NDArray[Any]") -> "NDArray[Any]":
    """At most so many as can be told apart, evenly chosen."""
    if len(values) <= _MOST_DRAWN:
        return values
    return values[np.linspace(0, len(values) - 1, _MOST_DRAWN).astype(np.int64)]


def draw_against(pairs: "dict[str, tuple[NDArray[Any], NDArray[Any]]]", name: str) -> "Figure":
    """Predicted values against true ones, both with the same scale; pairs: set → (true, predicted)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 3.2), layout="constrained")
        axes = figure.subplots()
        every = np.concatenate([np.concatenate(pair).astype(float) for pair in pairs.values()])
        every = every[np.isfinite(every)]
        if len(every):
            low, high = float(every.min()), float(every.max())
            room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
            ends = (low - room, high + room)
            axes.plot(ends, ends, "--", color="black", linewidth=0.8, zorder=1)
            axes.set(xlim=ends, ylim=ends)
        for part, (true, predicted) in pairs.items():
            colour, marker = _LOOKS.get(part, (BLUE, "o"))
            dense = len(true) > _DENSE
            axes.scatter(
                *(true, predicted),
                s=6 if dense else 12,
                marker=marker,
                color=colour,
                alpha=max(0.08, min(1.0, _DENSE / len(true))) if dense else 0.8,
                linewidths=0,
                label=_SETS.get(part, part),
                rasterized=dense,
            )
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(_write_number))
        axes.set_xlabel(f"true {_shorten(name, 40)}")
        axes.set_ylabel(f"predicted {_shorten(name, 36)}")
        if len(pairs) > 1:
            legend = axes.legend(frameon=False, loc="upper left", handletextpad=0.2)
            for handle in legend.legend_handles:
                if handle is not None:
                    handle.set_alpha(1.0)
    return figure


def find_order(predictions: "Predictions") -> str | None:
    """The column along which predictions are a series: rows of a table, or timesteps; None: there is none."""
    columns = predictions.columns
    if "row" in columns and np.all(np.diff(columns["row"]) > 0) and "timestep" not in columns:
        return "row"
    return "timestep" if "timestep" in columns else None


def _draw_forecast(predictions: "Predictions", target: str) -> SweepFigure:
    order, name = find_order(predictions), _call(target)
    if order == "row":
        shown, among = predictions.select(np.arange(predictions.count) >= predictions.count - _MOST_ROWS), ""
        left = predictions.count - shown.count
        told = f"the last {shown.count:,} of {predictions.count:,} rows" if left else f"all {shown.count:,} rows"
        series = [("", shown)]
        whole = name_sets(shown.sets)
    else:
        chosen, whole = _choose_set(predictions)
        names = list(dict.fromkeys(chosen.columns["sequence"].tolist()))
        series = [
            (f"sequence {make_printable(str(one))}", _cut(chosen.select(chosen.columns["sequence"] == one)))
            for one in names[:_MOST_SERIES]
        ]
        told = f"{len(series)} of {len(names):,} sequences" if len(names) > 1 else "the sequence"
        among = (
            f", {_MOST_ROWS} timesteps of each at most" if len(series[0][1].columns["sequence"]) >= _MOST_ROWS else ""
        )
    return SweepFigure(
        name=_name_file(predictions, "series", target),
        figure=draw_series(series, target, order or "timestep"),
        title="Series with what was predicted",
        caption=f"{name[0].upper()}{name[1:]} as it is, and as the network predicted it: {told} of the {whole}{among}.",
        alt=f"Lines of {name} as it is and as it was predicted, by {order}.",
    )


def _cut(one: "Predictions") -> "Predictions":
    return one.select(np.arange(one.count) < _MOST_ROWS)


def draw_series(series: "Sequence[tuple[str, Predictions]]", target: str, order: str) -> "Figure":
    """What is true, a line, and what was predicted, dashes, along rows or timesteps; a panel for each series."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 1.1 + 1.2 * len(series)), layout="constrained")
        every: Any = figure.subplots(len(series), 1, squeeze=False, sharex=order == "timestep")
        for axes, (title, one) in zip(every[:, 0], series, strict=True):
            true, predicted = one.pair(target)
            few = one.count <= _MOST_POINTS
            x, (true, predicted) = _part_lines(one.columns[order], np.stack([true, predicted]))
            axes.plot(x, true, "-", color="black", marker="o" if few else None, markersize=2.5, label="true")
            axes.plot(x, predicted, "--", color=ORANGE, marker="s" if few else None, markersize=2.5, label="predicted")
            axes.set_title(_shorten(title, 50))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_major_formatter(FuncFormatter(_write_number))
            if order == "row":
                _part_sets(axes, one)
        every[-1, 0].set_xlabel("row of the table" if order == "row" else "timestep")
        label = _shorten(_call(target), 30)
        if len(series) == 1:
            every[0, 0].set_ylabel(label)
        else:
            figure.supylabel(label, fontsize=8)
        figure.legend(*every[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _part_lines(x: "NDArray[Any]", values: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any]]":
    """Both with nan in between where rows are left out, as between sets: no line leads across."""
    steps = np.diff(x)
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps)) + 1 if len(steps) else np.empty(0, np.int64)
    return np.insert(x.astype(float), gaps, np.nan), np.insert(values.astype(float), gaps, np.nan, axis=1)


def _part_sets(axes: "Axes", one: "Predictions") -> None:
    """A line where one set ends and the next begins, each with its name."""
    sets = one.sets
    for before, after in pairwise(sets):
        rows = one.columns["row"]
        border = (rows[one.columns["set"] == before].max() + rows[one.columns["set"] == after].min()) / 2
        axes.axvline(border, color=GREY, linewidth=0.8, linestyle=":")
        near = axes.get_xaxis_transform()
        for name, side in ((before, "right"), (after, "left")):
            text = f" {_SETS.get(name, name)} "
            axes.text(border, 1.0, text, ha=side, va="bottom", fontsize=7, color="#555555", transform=near)


def _draw_confusion(predictions: "Predictions") -> SweepFigure:
    chosen, whole = _choose_set(predictions)
    true, predicted = chosen.pair(chosen.targets[0])
    classes = list(chosen.classes or ())
    counts = count_confusions(true, predicted, classes)
    right, count = int(np.trace(counts)), int(counts.sum())
    pale = " A field's colour is its share of its row." if len(classes) <= _MOST_WRITTEN else ""
    return SweepFigure(
        name=f"{PREDICTED}confusion",
        figure=draw_confusion(counts, classes),
        title="Confusion matrix",
        caption=(
            f"Of {count:,} labels in the {whole}, {right:,} were predicted right ({100 * right / max(count, 1):.1f} %),"
            f" those on the diagonal. A row has the labels that are one class, a column those that were predicted to be"
            f" it.{pale}"
        ),
        alt=f"A matrix of true against predicted labels of {len(classes)} classes; {right} of {count} are right.",
    )


def count_confusions(true: "NDArray[Any]", predicted: "NDArray[Any]", classes: Sequence[Any]) -> "NDArray[np.int64]":
    """(classes, classes): how often each true label, by row, was predicted to be each, by column."""
    places = {label: place for place, label in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, tuple([places[label] for label in labels.tolist()] for labels in (true, predicted)), 1)
    return counts


def draw_confusion(counts: "NDArray[np.int64]", classes: Sequence[Any]) -> "Figure":
    """True labels down, predicted ones across; colours are shares of a row, from white, none, to dark, all."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    names = [_shorten(make_printable(str(label)), _LONGEST_NAME) for label in classes]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 3.1), layout="constrained")
        axes = figure.subplots()
        axes.grid(False)
        mesh = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        if len(classes) <= _MOST_WRITTEN:
            for (row, column), count in np.ndenumerate(counts):
                colour = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=7)
        step = -(-len(classes) // _MOST_NAMED)
        places = list(range(0, len(classes), step))
        aslant = max(map(len, names)) * len(places) > 36
        axes.set_xticks(places, [names[place] for place in places], rotation=90 if aslant else 0)
        axes.set_yticks(places, [names[place] for place in places])
        axes.tick_params(length=0, labelsize=7 if len(places) <= 20 else 6)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, shrink=0.8, format=PercentFormatter(1.0, 0, ""))
        bar.set_label("share of the true class (%)")
    return figure


def _draw_calibrated(predictions: "Predictions") -> SweepFigure:
    chosen, whole = _choose_set(predictions)
    stated, came_true, what = list_stated(chosen)
    number = _BINS if len(stated) >= _FEW else _FEW_BINS
    bins = tabulate_calibration(stated, came_true, number)
    off = float(np.sum(bins["count"] * np.abs(bins["share"] - bins["stated"])) / max(len(stated), 1))
    return SweepFigure(
        name=f"{PREDICTED}calibration",
        figure=draw_calibration(bins, what, number),
        title="Calibration",
        caption=(
            f"How often {what}, against the probability that the network gave for it, in {number} bins of equal width,"
            f" with Clopper and Pearson's 95 % intervals, on {len(stated):,} predictions for the {whole}. On the line a"
            f" stated 80 % comes true 80 times of 100; below it the network is too sure of itself. Below, how many"
            f" predictions each bin has. The mean distance from the line, weighted by these (expected calibration"
            f" error), is {100 * off:.1f} percentage points."
        ),
        alt="Shares that came true against stated probabilities, with the diagonal on which both are equal.",
    )


def list_stated(predictions: "Predictions") -> "tuple[NDArray[np.float64], NDArray[np.bool_], str]":
    """Probabilities that were stated, and whether what they were of came true, with words for it.

    Of two classes: that it is the second. Of more: that it is the one that was predicted.
    """
    true, predicted = predictions.pair(predictions.targets[0])
    classes, scores = predictions.classes or (), predictions.scores
    if len(classes) == 2:
        return scores[:, 1], true == classes[1], f"the label is {make_printable(str(classes[1]))}"
    return scores.max(axis=1), true == predicted, "the predicted label is right"


def tabulate_calibration(
    stated: "NDArray[np.float64]", came_true: "NDArray[np.bool_]", bins: int = _BINS
) -> "dict[str, NDArray[Any]]":
    """A row for each bin of equal width that holds a probability: count, stated (its mean), share, low, high."""
    places = np.clip((stated * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    there = counts > 0
    n = counts[there]
    mean = np.bincount(places, weights=stated, minlength=bins)[there] / n
    share = np.bincount(places, weights=came_true.astype(float), minlength=bins)[there] / n
    low, high = exact_ends(share, n)
    return {"bin": np.flatnonzero(there), "count": n, "stated": mean, "share": share, "low": low, "high": high}


def draw_calibration(bins: "dict[str, NDArray[Any]]", what: str, number: int = _BINS) -> "Figure":
    """A reliability diagram: shares that came true against stated probabilities; below, how many there are of each.

    number  of bins, those that hold nothing too
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 3.4), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        stated, share = 100 * bins["stated"], 100 * bins["share"]
        top.plot([0, 100], [0, 100], "--", color="black", linewidth=0.8)
        errors = np.stack([share - 100 * bins["low"], 100 * bins["high"] - share])
        top.errorbar(stated, share, np.maximum(errors, 0.0), color=BLUE, fmt="o", markersize=3.5, elinewidth=0.9)
        top.set(xlim=(-2, 102), ylim=(-2, 102), xticks=range(0, 101, 20), yticks=range(0, 101, 20))
        top.set_ylabel("came true (%)")
        top.set_title(_shorten(what, 50))
        width = 100 / number
        bottom.bar((bins["bin"] + 0.5) * width, bins["count"], 0.9 * width, color=BLUE)
        bottom.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        bottom.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        bottom.set_ylabel("count")
        bottom.set_xlabel("stated probability (%)")
    return figure


def _write_number(value: float, _: object = None) -> str:
    return f"{value:,.6g}".replace("-", "−")


def _shorten(text: str, most: int) -> str:
    """A text from the user's data, as Matplotlib shows it: two dollar signs would have what is between them set."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")
