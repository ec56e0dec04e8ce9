"""A network's layout in one mode, with the working memory for it."""

import math

import numpy as np

from bptt.core.kernel import LANES, check_memory
from bptt.core.layout import Net, build_net
from bptt.core.products import product
from bptt.core.run import Loss, Model, Run
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH, aligned_zeros


def as_mode(vectors: Floats, mode: str) -> Floats:
    """Vectors (n, WIDTH) as kernels of a mode take them."""
    return vectors if mode == LANES else vectors.reshape(-1)


class Workspace:
    """A network's layout in one mode, with the memory for it. Who takes turns may share it."""

    def __init__(
        self,
        model: Model,
        loss: Loss,
        sequences: Sequences,
        batch: int,
        mode: str,
        truncation: int | None = None,
        keeps_deltas: bool = False,
    ) -> None:
        """sequences: some of those that the network sees, so many at a time; keeps_deltas: as of a `Regularizer`."""
        self.mode = mode
        self.net: Net = build_net(
            model=model,
            inputs=sequences.x.shape[-1],
            outputs=sequences.y.shape[-1],
            timesteps=sequences.timesteps,
            batch=batch,
            last_only=sequences.last_only,
            fused=loss.fused,
            truncation=truncation,
            keeps_deltas=keeps_deltas,
            mode=mode,
            product=product.address(mode),
        )
        self.sizes = np.array(self.net, np.int64)
        self.memory = as_mode(aligned_zeros(self.net.size, WIDTH), mode)
        self.data = self.memory[: self.net.one * (1 if mode == LANES else WIDTH)]
        self.places = np.zeros((2, WIDTH), np.int64)
        check_memory(memory=self.memory)
        self._region(self.net.one, 1)[:] = 1.0

    def _region(self, first: int, vectors: int) -> Floats:
        """(vectors, WIDTH)"""
        return self.memory.reshape(-1, WIDTH)[first : first + vectors]

    def lanes_first(self, first: int, *shape: int) -> Floats:
        """Elements from vector `first` on as (lanes, *shape); with UNITS of one lane."""
        count = math.prod(shape)
        if self.mode == LANES:
            return self._region(first, count).reshape(*shape, WIDTH).transpose(len(shape), *range(len(shape)))
        return self.memory[first * WIDTH : first * WIDTH + count].reshape(1, *shape)

    @property
    def last_states(self) -> Floats:
        """(lanes, layers, rows, slots, span): what the last timestep ended with."""
        net = self.net
        states = self.lanes_first(net.state, net.layers, net.timesteps + 1, net.rows, net.slots, net.span)
        return states[:, :, -1]

    @property
    def last_outputs(self) -> Floats:
        """(lanes, outputs, rows): the last timestep's."""
        net = self.net
        end = net.lead * net.per + net.timesteps * net.rows
        return self.lanes_first(net.output, net.outputs, net.places * net.per)[:, :, end - net.rows : end]


def training_workspace(run: Run, sequences: Sequences, mode: str) -> Workspace:
    """What such runs are trained in; sequences: some of those that they see."""
    settings, keeps_deltas = run.train, run.regularizer.keeps_deltas
    return Workspace(run.model, run.loss, sequences, settings.batch_size, mode, settings.truncation, keeps_deltas)
