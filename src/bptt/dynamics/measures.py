"""What is measured of runs: which columns there are, and on which sequences of a run's own they are measured.

After the fact of weights that runs left, or at recorded updates while they are trained: the same numbers, to the bit.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.configuration.measuring import Kind
from bptt.core.kernel import Kernel
from bptt.core.measurements.measurement import Snapshot
from bptt.core.models.state_noise import without_noise
from bptt.core.run import Measured, Run, find_unmeasured, seed_of
from bptt.core.sequences import Floats, Page, Sequences
from bptt.dynamics.fixed_points import FixedPoints, fixed_points
from bptt.dynamics.gradients import hold_still, noise_scale, truncation_bias
from bptt.dynamics.lyapunov import jacobian_singular_values, lyapunov_spectrum
from bptt.dynamics.networks import visit_states
from bptt.dynamics.sharpness import find_stable_sharpness, sharpness

#: Column → (lanes,); of `SPECTRUM` (lanes, S).
Columns = dict[str, NDArray[np.float64]]

#: Before the name of each column.
PREFIX: Final = "dynamics/"
#: The one column of which each run has a list: all exponents, the largest first.
SPECTRUM: Final = f"{PREFIX}lyapunov_spectrum"
#: What each kind gives, one number of each run.
NAMES: Final[Mapping[Kind, tuple[Measured, ...]]] = {
    "lyapunov": ("lyapunov_max", "lyapunov_sum", "kaplan_yorke"),
    "jacobian": ("singular_max", "singular_median", "singular_min", "singular_condition"),
    "sharpness": ("sharpness", "sharpness_ratio"),
    "fixed_points": ("fixed_points", "fixed_points_stable"),
    "noise_scale": ("noise_scale",),
    "truncation_bias": ("truncation_cosine", "truncation_ratio"),
}
#: What is measured where nothing else is asked for.
USUAL: Final[tuple[Kind, ...]] = ("lyapunov", "jacobian", "sharpness")

#: A measure is taken on at least so many sequences, and along so many.
COUNT: Final = 16
_MOST_STARTS: Final = 256  # from which fixed points are looked for
_MOST_LANES: Final = 64  # networks that are measured at once
_MOST_NUMBERS: Final = 2**22  # of their Jacobians of a timestep


def list_columns(kind: Kind) -> list[str]:
    """The columns of a kind, in full, `SPECTRUM` among them."""
    return [f"{PREFIX}{name}" for name in NAMES[kind]] + [SPECTRUM] * (kind == "lyapunov")


def count_batch(run: Run) -> int:
    """How many sequences `draw_batch` gives."""
    return -(-COUNT // run.train.batch_size) * run.train.batch_size


def draw_batch(run: Run) -> Sequences:
    """The sequences of a run's first updates, as they come: as many whole updates as have `COUNT` sequences or more.

    One update where its batch is as large; so a batch that is the whole training set is measured as what it is.
    """
    stream, seed, batch = run.task.training(), seed_of(run, 1), run.train.batch_size
    parts: list[tuple[Page, NDArray[np.int64]]] = []
    for update in range(count_batch(run) // batch):
        page = parts[-1][0] if parts and update < parts[-1][0].end else stream.page(seed, update, batch)
        parts.append((page, page.rows[update - page.first]))

    def join(take: Callable[[Sequences], Any]) -> Any:
        if take(parts[0][0].sequences) is None:
            return None
        return np.concatenate([take(page.sequences)[rows] for page, rows in parts])

    scored = parts[0][0].sequences.scored
    return Sequences(
        join(lambda one: one.x),
        join(lambda one: one.y),
        join(lambda one: one.lengths),
        scored if scored is None or scored.ndim == 1 else join(lambda one: one.scored),
    )


def _follow_batch(run: Run, batch: Sequences) -> tuple[Floats, NDArray[np.int64]]:
    """The inputs (N, T, inputs) along which states are followed, `COUNT` at most, and their lengths (N,).

    Where states are carried from update to update, the sequences that follow each other are one.
    """
    x, lengths, rows = batch.x, batch.full_lengths, run.train.batch_size
    if run.train.carry_state and batch.lengths is None:
        x = x.reshape(-1, rows, *x.shape[1:]).swapaxes(0, 1).reshape(rows, -1, x.shape[-1])
        lengths = np.full(rows, x.shape[1])
    return np.ascontiguousarray(x[:COUNT]), np.ascontiguousarray(lengths[:COUNT])


def measure_runs(
    kinds: Sequence[Kind], runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]
) -> Columns:
    """The columns of these kinds, of networks that runs have trained; NaN where there is no number.

    runs        of each lane, with a model and a task of one shape
    parameters  name → (lanes, …)
    batches     of each lane: what `draw_batch` gives of its run

    States start from 0. Along the first `COUNT` sequences of the batch (where states are carried, along those that
    follow each other as along one): Lyapunov exponents, singular values of the Jacobian over the whole sequence, of
    each the geometric mean over sequences, and fixed points without input, looked for from states on the way. On the
    whole batch: sharpness, and the share `sharpness_ratio` that it is of the largest one with which the run's optimizer
    is stable, noise scale and truncation bias.

    A network's numbers are the same to the bit alone and among others. Some are measured at a time, as many as leave
    room for their Jacobians.
    """
    found: Columns = {}
    with np.errstate(all="ignore"):  # a diverged network's weights may be anything
        for kind in kinds:
            columns = {name: np.full(len(runs), np.nan) for name in list_columns(kind) if name != SPECTRUM}
            for lanes in _group_alike(runs):
                if find_unmeasured(runs[lanes[0]], NAMES[kind][0]) is None:
                    own = {name: np.ascontiguousarray(array[lanes]) for name, array in parameters.items()}
                    some = _MEASURES[kind]([runs[lane] for lane in lanes], own, [batches[lane] for lane in lanes])
                    for name, values in some.items():
                        column = columns.setdefault(name, np.full((len(runs), *values.shape[1:]), np.nan))
                        column[lanes] = values
            found |= columns
    return found


def list_still_runs(run: Run, kinds: Collection[Kind]) -> list[Run]:
    """The runs whose kernels are called where such a one is measured."""
    sizes = [count_batch(run)] * bool({"sharpness", "truncation_bias"} & {*kinds}) + [1] * ("noise_scale" in kinds)
    return [hold_still(run, size) for size in sizes]


def _group_alike(runs: Sequence[Run]) -> list[list[int]]:
    """The lanes whose runs have the same network and loss, down to their numbers, as many as are measured at once."""
    groups: dict[Any, list[int]] = {}
    for lane, run in enumerate(runs):
        model, train = without_noise(run.model), run.train
        key = (model, run.loss, run.regularizer, train.truncation, train.batch_size, train.carry_state, train.only)
        groups.setdefault(key, []).append(lane)
    most = count_lanes(runs[0])
    return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]


def count_lanes(run: Run) -> int:
    """How many such networks are measured at once."""
    return max(1, min(_MOST_LANES, _MOST_NUMBERS // (COUNT * count_states(run) ** 2)))


def count_states(run: Run) -> int:
    """S, the numbers of a state."""
    model = run.model
    return run.task.outputs if model.cell.feedback else model.layers * model.cell.slots * model.hidden_size


def _follow_batches(runs: Sequence[Run], batches: Sequence[Sequences]) -> tuple[Floats, NDArray[np.int64] | None]:
    """(lanes, N, T, inputs), and (lanes, N) where some sequence is shorter than T."""
    followed = [_follow_batch(run, batch) for run, batch in zip(runs, batches, strict=True)]
    x, lengths = np.stack([x for x, _ in followed]), np.stack([own for _, own in followed])
    return x, None if (lengths == x.shape[2]).all() else lengths


def _measure_lyapunov(runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]) -> Columns:
    x, lengths = _follow_batches(runs, batches)
    spectrum = lyapunov_spectrum(runs[0].model, parameters, x, lengths=lengths)
    columns = zip(list_columns("lyapunov"), (spectrum.largest, spectrum.total, spectrum.dimension), strict=False)
    return {**dict(columns), SPECTRUM: spectrum.exponents}


def _measure_jacobian(runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]) -> Columns:
    x, lengths = _follow_batches(runs, batches)
    values = jacobian_singular_values(runs[0].model, parameters, x, lengths=lengths).values
    parts = values[..., 0], np.median(values, axis=-1), values[..., -1]
    largest, middle, least = (np.exp(np.add.reduce(np.log(part), axis=1) / part.shape[1]) for part in parts)
    return dict(zip(list_columns("jacobian"), (largest, middle, least, largest / least), strict=True))


def _measure_sharpness(runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]) -> Columns:
    found = sharpness(runs[0], parameters, batches)
    bounds = np.array([find_stable_sharpness(run) for run in runs])
    return dict(zip(list_columns("sharpness"), (found, found / bounds), strict=True))


def _measure_fixed_points(runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]) -> Columns:
    points = [found for _, found in _find_points(runs, parameters, batches)]
    counts = [[len(own.states) for own in points], [int(own.stable.sum()) for own in points]]
    return dict(zip(list_columns("fixed_points"), np.array(counts, np.float64), strict=True))


def trace_networks(runs: Sequence[Run], parameters: Mapping[str, Any]) -> list[tuple[Floats, FixedPoints]]:
    """Of networks of one shape the states (N, T, S) on their way, and the fixed points that `measure_runs` counts."""
    return _find_points(runs, parameters, [draw_batch(run) for run in runs])


def _find_points(
    runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]
) -> list[tuple[Floats, FixedPoints]]:
    """Fixed points are looked for from states on the way, evenly chosen."""
    x, lengths = _follow_batches(runs, batches)
    visited = visit_states(runs[0].model, parameters, x, lengths=lengths)
    every = visited.reshape(len(runs), -1, visited.shape[-1])
    starts = every[:, :: -(-every.shape[1] // _MOST_STARTS)]
    return [*zip(visited, fixed_points(runs[0].model, parameters, starts), strict=True)]


def _measure_noise(runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]) -> Columns:
    return dict(zip(list_columns("noise_scale"), (noise_scale(runs[0], parameters, batches),), strict=True))


def _measure_truncation(runs: Sequence[Run], parameters: Mapping[str, Any], batches: Sequence[Sequences]) -> Columns:
    truncation = runs[0].train.truncation
    assert truncation is not None
    bias = truncation_bias(runs[0], parameters, batches, truncation)
    return dict(zip(list_columns("truncation_bias"), (bias.cosine, bias.ratio), strict=True))


_MEASURES: Final[Mapping[Kind, Callable[..., Columns]]] = {
    "lyapunov": _measure_lyapunov,
    "jacobian": _measure_jacobian,
    "sharpness": _measure_sharpness,
    "fixed_points": _measure_fixed_points,
    "noise_scale": _measure_noise,
    "truncation_bias": _measure_truncation,
}


class LiveMeasures:
    """What `train.measure` names, at recorded updates; a `bptt.core.measurements.measurement.Measurement`.

    The sequences of each run are drawn when they are first asked for, and kept.
    """

    def __init__(self, run: Run) -> None:
        """run: one of those that are trained side by side."""
        self.kinds = [kind for kind in NAMES if {*NAMES[kind]} & {*run.train.measure}]
        self.names = tuple(f"{PREFIX}{name}" for name in run.train.measure)
        self.kernels: tuple[tuple[Kernel, str], ...] = ()  # see `list_still_runs`
        self._batches: dict[int, Sequences] = {}

    def measure(self, lanes: Snapshot) -> Columns:
        """See `Measurement.measure`."""
        for run in lanes.runs:
            if run.seed not in self._batches:
                self._batches[run.seed] = draw_batch(run)
        named = {
            block.name: lanes.parameters[:, block.first : block.first + block.size].reshape(-1, *block.shape)
            for block in lanes.blocks
        }
        found = measure_runs(self.kinds, lanes.runs, named, [self._batches[run.seed] for run in lanes.runs])
        return {name: found[name] for name in self.names}
