"""One run on its own, update by update: what training passes by without recording it, weights in between and signs."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bptt.core.blocks import Block, parameter_blocks
from bptt.core.clips.none import NoClip
from bptt.core.evaluation import Evaluation
from bptt.core.lane_block import single_lane
from bptt.core.optimizers.sgd import Sgd
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Pool, Sequences, generator


@dataclass(frozen=True)
class Visited:
    """Where a run was after an update (0: before the first): its parameters (P,) and its `loss/eval` there."""

    update: int
    flat: Floats
    loss: float


def blocks_of(run: Run) -> tuple[Block, ...]:
    """The parameter blocks of a run's network."""
    return parameter_blocks(run.model, run.task.inputs, run.task.outputs)


def initial(run: Run) -> Floats:
    """The parameters (P,) that a run starts from."""
    return run.init.parameters(seed_of(run, 0), blocks_of(run))


def evaluation_of(run: Run) -> Sequences:
    """The set that a run's `loss/eval` is measured on."""
    return run.task.evaluation(generator(np.random.SeedSequence(run.seed), 2))


def visited(run: Run, updates: Iterable[int] | None = None) -> Iterator[Visited]:
    """Train a run again and say where it was after these updates, in ascending order; None: 0 and each one.

    The bits are those of the run, whatever it recorded. One that was stopped early goes on here; one that diverges ends
    before the update at which it does.
    """
    evaluation = Evaluation(run.model, run.loss, [evaluation_of(run)])
    lane = single_lane(run, run.task.training(), initial(run))
    done = 0
    for update in range(run.train.updates + 1) if updates is None else updates:
        if update > done and lane.train(done, update).diverged_at[0]:
            return
        done = update
        losses, _ = evaluation.evaluate(lane.parameters, lane.states if run.train.carry_state else None)
        yield Visited(update, lane.parameters[0], float(losses[0] * run.loss.weight))


def state_gradient(run: Run, flat: Floats, sequences: Sequences) -> Floats:
    """∂loss/∂h_k at parameters (P,), with its sign, summed over the sequences: (layers, timesteps, hidden units).

    The loss is that of each sequence's last scored timestep, averaged over the sequences, as in a run's gradient flow;
    a layer's gradient holds what comes back through the layers above. Sequences end together, at the last timestep.
    """
    settings = dataclasses.replace(run.train, batch_size=sequences.count, updates=1, carry_state=False)
    still = dataclasses.replace(run, optimizer=Sgd(alpha=0.0), clip=NoClip(), train=settings)
    lane = single_lane(still, Pool(sequences, "sequential"), flat)
    lane.train(0, 1)
    # Training measures the flow at the end of a call, and leaves behind what its norms were taken of.
    space, net = lane.space, lane.space.net
    shape = (net.layers, net.timesteps, net.rows, net.slots, net.span)
    deltas = space.lanes_first(net.state_delta, *shape)[0, :, :, :, 0, : net.hidden]
    live = space.lanes_first(net.live, net.places * net.per)[0, net.lead * net.per :][: net.timesteps * net.rows]
    result: Floats = np.where(live.reshape(net.timesteps, net.rows, 1) > 0, deltas, 0.0).sum(axis=2)
    return result
