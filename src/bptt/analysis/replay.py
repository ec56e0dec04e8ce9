"""One run on its own, update by update: what training passes by without recording it, weights in between and signs."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bptt.core.blocks import Block, parameter_blocks, parameter_count
from bptt.core.clips.none import NoClip
from bptt.core.evaluation import EvaluationSet
from bptt.core.kernel import LANES
from bptt.core.lane_block import LaneBlock, mode_of
from bptt.core.layout import Net, build_net
from bptt.core.optimizers.sgd import Sgd
from bptt.core.run import Run
from bptt.core.sequences import Floats, Pool, Sequences, Stream, generator
from bptt.core.simd import WIDTH, aligned_zeros


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
    return run.init.parameters(np.random.SeedSequence(entropy=run.seed, spawn_key=(0,)), blocks_of(run))


def evaluation_of(run: Run) -> Sequences:
    """The set that a run's `loss/eval` is measured on."""
    return run.task.evaluation(generator(np.random.SeedSequence(run.seed), 2))


def visited(run: Run, updates: Iterable[int] | None = None) -> Iterator[Visited]:
    """Train a run again and say where it was after these updates, in ascending order; None: 0 and each one.

    The bits are those of the run, whatever it recorded. One that was stopped early goes on here; one that diverges ends
    before the update at which it does.
    """
    evaluation = EvaluationSet(run.model, run.loss, evaluation_of(run))
    stream = run.task.training()
    page = stream.page(np.random.SeedSequence(entropy=run.seed, spawn_key=(1,)), 0, run.train.batch_size)
    net = _net(run, page.sequences)
    block = _lane(run, net, aligned_zeros(net.size, WIDTH), stream, initial(run))
    done = 0
    for update in range(run.train.updates + 1) if updates is None else updates:
        if update > done and block.train(done, update)[0].diverged_at:
            return
        done = update
        flat = block.lane_parameters(0)
        loss, _ = evaluation.evaluate(flat, block.state(0) if run.train.carry_state else None)
        yield Visited(update, flat, loss * run.loss.weight)


def state_gradient(run: Run, flat: Floats, sequences: Sequences) -> Floats:
    """∂loss/∂h_k at parameters (P,), with its sign, summed over the sequences: (layers, timesteps, hidden units).

    The loss is that of each sequence's last scored timestep, averaged over the sequences, as in a run's gradient flow;
    a layer's gradient holds what comes back through the layers above. Sequences end together, at the last timestep.
    """
    settings = dataclasses.replace(run.train, batch_size=sequences.count, updates=1, carry_state=False)
    still = dataclasses.replace(run, optimizer=Sgd(alpha=0.0), clip=NoClip(), train=settings)
    net = _net(still, sequences)
    memory = aligned_zeros(net.size, WIDTH)
    _lane(still, net, memory, Pool(sequences, "sequential"), flat).train(0, 1)
    # Training measures the flow at the end of a call, and leaves behind what its norms were taken of.
    live = memory[net.live : net.scored].reshape(net.timesteps, net.rows, 1, WIDTH) > 0
    shape = (net.layers, net.timesteps, net.rows, net.slots, net.hidden, WIDTH)
    deltas = memory[net.state_delta : net.context_delta].reshape(shape)[:, :, :, 0]
    numbers = slice(1) if mode_of(sequences.count) == LANES else slice(None)
    result: Floats = np.where(live, deltas, 0.0)[..., numbers].sum(axis=(2, 4))
    return result


def _net(run: Run, sequences: Sequences) -> Net:
    batch = run.train.batch_size
    return build_net(
        model=run.model,
        inputs=run.task.inputs,
        outputs=run.task.outputs,
        timesteps=sequences.timesteps,
        rows=batch if mode_of(batch) == LANES else -(-batch // WIDTH),
        last_only=sequences.last_only,
        fused=run.loss.fused,
    )


def _lane(run: Run, net: Net, memory: Floats, stream: Stream, flat: Floats) -> LaneBlock:
    return LaneBlock(
        [run],
        net=net,
        mode=mode_of(run.train.batch_size),
        memory=memory,
        stream=stream,
        seeds=[np.random.SeedSequence(entropy=run.seed, spawn_key=(1,))],
        parameters=[flat],
        parameter_count=parameter_count(blocks_of(run)),
    )
