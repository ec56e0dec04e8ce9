"""Runs that fuse, cut into blocks and trained together; from outside one block of all lanes."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from bptt.core.blocks import Block
from bptt.core.lane_block import BlockReport, LaneBlock
from bptt.core.lanes import blocks_of_lanes
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats
from bptt.core.workspace import Workspace, training_workspace


class FusedRuns:
    """Parameters, optimizer state and data of runs that fuse, and their way through updates."""

    def __init__(self, runs: Sequence[Run], blocks: tuple[Block, ...]) -> None:
        """blocks: the parameter blocks of the runs' networks."""
        first, batch = runs[0], runs[0].train.batch_size
        stream, spaces = first.task.training(), dict[str, Workspace]()
        sequences = stream.page(seed_of(first, 1), 0, batch).sequences
        self._blocks: list[LaneBlock] = []
        for mode, lanes in blocks_of_lanes(first.model, batch, len(runs)):
            if mode not in spaces:
                spaces[mode] = training_workspace(first, sequences, mode)
            block = [runs[lane] for lane in lanes]
            start = [run.init.parameters(seed_of(run, 0), blocks) for run in block]
            self._blocks.append(LaneBlock(block, workspace=spaces[mode], stream=stream, parameters=start))
        self._places = [(block, place) for block in self._blocks for place in range(len(block.runs))]
        self.timesteps = sequences.timesteps

    def train(self, since: int, update: int) -> BlockReport:
        """Train from update `since` (done already) to `update`, and report on each lane."""
        reports = [block.train(since, update) for block in self._blocks]
        names = [field.name for field in dataclasses.fields(BlockReport)]
        return BlockReport(**{name: np.concatenate([getattr(one, name) for one in reports]) for name in names})

    @property
    def parameters(self) -> Floats:
        """(lanes, P), copied."""
        return np.concatenate([block.parameters for block in self._blocks])

    @property
    def states(self) -> Floats:
        """(lanes, batch, …): what the last update ended with, as `Record.state`."""
        return np.concatenate([block.states for block in self._blocks])

    def freeze(self, lane: int) -> None:
        """Train this lane no more."""
        block, place = self._places[lane]
        block.freeze(place)

    def saved(self) -> dict[str, Floats]:
        """All that changes while lanes are trained, lanes first."""
        lanes = [block.saved(place) for block, place in self._places]
        return {name: np.stack([lane[name] for lane in lanes]) for name in lanes[0]}

    def restore(self, saved: Mapping[str, Floats]) -> None:
        """Go on from what `saved` gave; raises ValueError where a shape differs."""
        for lane, (block, place) in enumerate(self._places):
            block.restore(place, {name: arrays[lane] for name, arrays in saved.items()})
