"""What is measured of a loss's gradient, by the kernels that train: what truncation does to it, and how noisy it is."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.configuration.owners import check_kernel_folder
from bptt.core.clips.none import NoClip
from bptt.core.lane_block import LaneBlock
from bptt.core.lanes import blocks_of_lanes
from bptt.core.models.dale import sign_parameters, without_signs
from bptt.core.models.state_noise import without_noise
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, mark_trained, parameter_count
from bptt.core.run import Run, Settings
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.sequences import Floats, Page, Sequences
from bptt.core.workspace import Workspace, training_layout
from bptt.dynamics.networks import Networks

Batches = Sequences | Sequence[Sequences]


def dot_rows(left: Floats, right: Floats) -> Floats:
    """(lanes,): Σ left·right of rows (lanes, P), of each row by itself."""
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run's gradient may be that large
        return (left[:, None] @ right[:, :, None])[:, 0, 0]


def read_batches(batches: Batches, lanes: int) -> list[Sequences]:
    """A batch for each lane. Raises ValueError with one line where they are not as many, or not of one shape."""
    found = [batches] * lanes if isinstance(batches, Sequences) else list(batches)
    shapes = {(one.x.shape, one.y.shape) for one in found}
    if len(found) != lanes or len(shapes) != 1:
        raise ValueError(
            f"sequences: {len(found)} batches of {len(shapes)} shapes for {lanes} networks; give one for all, or one "
            "for each, all of one shape"
        )
    return found


@dataclass(frozen=True, eq=False)
class _Each:
    """A stream of one batch for each lane, which the lane's number finds."""

    batches: list[Sequences]

    def page(self, seed: np.random.SeedSequence, update: int, batch: int) -> Page:
        assert isinstance(seed.entropy, int)
        return Page(self.batches[seed.entropy], np.arange(batch)[None], update)


def hold_still(run: Run, batch: int, truncation: int | None = None) -> Run:
    """The run as one whose update changes nothing, but for what it says of the gradient of so many sequences."""
    settings = Settings(updates=1, batch_size=batch, truncation=truncation)
    return dataclasses.replace(
        run,
        model=without_signs(without_noise(run.model)),
        optimizer=Sgd(alpha=0.0),
        schedule=ConstantSchedule(),
        clip=NoClip(),
        train=settings,
    )


class Gradients:
    """∂loss/∂θ of lanes of networks, each on its own batch, whatever θ they are given."""

    def __init__(self, run: Run, batches: list[Sequences], truncation: int | None = None) -> None:
        """run: whose model, loss and regularizer count; truncation as in `bptt.core.run.Settings`.

        States have no noise. Where a part is trained, the gradient of the rest is 0; under Dale's law it is by R, and 0
        for a connection that is not there.
        """
        if run.regularizer.keeps_deltas:
            name = type(run.regularizer).__name__.lower()
            raise ValueError(
                f"regularizer={name}: its gradient is that of no loss; measure a run with regularizer=none"
            )
        check_kernel_folder()
        still = hold_still(run, batches[0].count, truncation)
        settings = still.train
        runs = [dataclasses.replace(still, seed=lane) for lane in range(len(batches))]
        spaces: dict[str, Workspace] = {}
        self._blocks: list[tuple[range, LaneBlock, list[dict[str, Floats]]]] = []
        x, y = batches[0].x, batches[0].y
        blocks = list_parameters(run.model, x.shape[-1], y.shape[-1])
        count, only = parameter_count(blocks), run.train.only
        self._trained = np.ones(count, bool) if only is None else mark_trained(blocks, only) > 0
        self._signs = sign_parameters(run.model, blocks)
        for mode, lanes in blocks_of_lanes(run.model, settings.batch_size, len(runs)):
            if mode not in spaces:
                spaces[mode] = Workspace(training_layout(runs[0], batches[0], mode), mode)
            own = [runs[lane] for lane in lanes]
            block = LaneBlock(
                own, workspace=spaces[mode], stream=_Each(batches), parameters=[np.zeros(count)] * len(own)
            )
            self._blocks.append((lanes, block, [block.saved(place) for place in range(len(own))]))

    def __call__(self, flat: Floats) -> Floats:
        """(lanes, P) at θ = flat (lanes, P); NaN where the loss is not finite."""
        found = np.empty_like(flat)
        for lanes, block, saved in self._blocks:
            for place, lane in enumerate(lanes):
                block.restore(place, saved[place] | {"parameters": flat[lane]})
            report = block.train(0, 1)
            gradients = block.gradients
            gradients[report.diverged_at > 0] = np.nan
            found[lanes.start : lanes.stop] = gradients
        return np.where(self.find_trained(flat), found, 0.0)

    def find_trained(self, flat: Floats) -> NDArray[np.bool_]:
        """(lanes, P): which parameters are trained."""
        trained = np.broadcast_to(self._trained, flat.shape)
        return trained if self._signs is None else trained & ((self._signs == 0.0) | (flat != 0.0))


@dataclass(frozen=True)
class TruncationBias:
    """cosine  cos(g_k, g), (lanes,): 1 where truncation leaves the direction as it is; ratio  ‖g_k‖ / ‖g‖, (lanes,)"""

    cosine: Floats
    ratio: Floats


def truncation_bias(run: Run, parameters: Mapping[str, Any], sequences: Batches, truncation: int) -> TruncationBias:
    """How the gradient g_k that flows back k timesteps differs from the whole one, g.

    run         whose model, loss and regularizer count (`bptt.core.run.Run`); its own truncation does not
    parameters  name → (lanes, …)
    sequences   a batch for all networks, or one for each, as `bptt.core.sequences.Sequences`; states start from 0
    truncation  k, timesteps that each scored timestep's gradient flows back, itself included

    Both are 1 to the bit where k is not less than the sequences are long, and NaN where a gradient is 0 or not finite.
    Tallec & Ollivier 2017, "Unbiasing truncated backpropagation through time", on the bias that this measures. Cost:
    two gradients. Raises ValueError with one line where shapes do not fit, k is below 1, or the run has
    regularizer=omega, whose gradient is that of no loss.
    """
    if truncation < 1:
        raise ValueError(f"truncation={truncation}: at least 1 timestep")
    networks = Networks(run.model, parameters)
    batches = read_batches(sequences, networks.lanes)
    whole = Gradients(run, batches)(networks.flat)
    if truncation >= batches[0].timesteps:
        same = np.where(np.isfinite(whole).all(axis=1) & whole.any(axis=1), 1.0, np.nan)
        return TruncationBias(same, same.copy())
    cut = Gradients(run, batches, truncation)(networks.flat)
    sizes = np.sqrt(dot_rows(whole, whole)), np.sqrt(dot_rows(cut, cut))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = dot_rows(whole / sizes[0][:, None], cut / sizes[1][:, None])
        return TruncationBias(np.clip(cosine, -1.0, 1.0), sizes[1] / sizes[0])


def noise_scale(run: Run, parameters: Mapping[str, Any], sequences: Batches) -> Floats:
    """tr(Σ) / ‖g‖², (lanes,): about how many sequences a batch needs until its gradient is more signal than noise.

    g = mean of the rows' gradients g_n;  tr(Σ) = Σ_n ‖g_n − g‖² / (N − 1), n over the batch's N rows.

    run, parameters and sequences are as for `truncation_bias`, of at least two rows; the run's truncation holds, and
    its regularizer is part of every g_n. ‖g‖² is that of the batch, on average tr(Σ)/N above that of the whole loss, so
    a scale of some N or more says only that the batch is too small to tell. NaN where a gradient is not finite.
    McCandlish, Kaplan & Amodei 2018, "An empirical model of large-batch training" (B_simple). Cost: N gradients of one
    sequence. Raises ValueError with one line where shapes do not fit, there is one row alone, or the run has
    regularizer=omega.
    """
    networks = Networks(run.model, parameters)
    batches = read_batches(sequences, networks.lanes)
    count = batches[0].count
    if count < 2:
        raise ValueError("sequences: 1 row; the noise of a gradient is measured from two rows on")
    rows = np.empty((count, *networks.flat.shape))
    for n in range(count):
        rows[n] = Gradients(run, [take_rows(batch, n, n + 1) for batch in batches], run.train.truncation)(networks.flat)
    mean = np.add.reduce(rows, axis=0) / count
    trace = np.zeros(networks.lanes)
    for row in rows:
        trace += dot_rows(row - mean, row - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return trace / (count - 1) / dot_rows(mean, mean)


def take_rows(sequences: Sequences, start: int, stop: int) -> Sequences:
    """The sequences start ≤ n < stop."""
    lengths, scored = sequences.lengths, sequences.scored
    return Sequences(
        np.ascontiguousarray(sequences.x[start:stop]),
        np.ascontiguousarray(sequences.y[start:stop]),
        None if lengths is None else lengths[start:stop],
        scored if scored is None or scored.ndim == 1 else scored[start:stop],
    )
