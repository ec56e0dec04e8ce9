"""Cross-entropy of one class among several."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import LOSS, Kernel
from bptt.core.layout import read_net
from bptt.core.simd import exp, fma, load, log, select, splat, store


@LOSS
def cross_entropy(sizes, memory, begin):
    net = read_net(sizes)
    result = splat(0.0)
    n = net.outputs
    for t in range(max(begin, net.first_output), net.timesteps):
        for r in range(net.rows):
            scored = load(memory, net.scored + t * net.rows + r)
            counts = scored > splat(0.0)
            first = (t * net.rows + r) * n
            logit, target = net.logit + first, net.target + first
            top = load(memory, logit)
            for o in range(1, n):
                z = load(memory, logit + o)
                top = select(z > top, z, top)
            norm, share, mass = splat(0.0), splat(0.0), splat(0.0)
            for o in range(n):
                z = load(memory, logit + o) - top
                norm = norm + exp(z)
                share = fma(load(memory, target + o), z, share)
                mass = mass + load(memory, target + o)
            result = select(counts, fma(scored, mass * log(norm) - share, result), result)
            for o in range(n):
                error = mass * load(memory, net.output + net.rows * n + first + o) - load(memory, target + o)
                store(memory, net.output_delta + first + o, select(counts, scored * error, splat(0.0)))
    return result


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """L = −weight · mean over the batch of Σ_t Σ_o target_o · ln y_o, with y = softmax(z).

    Computed as Σ_o target_o · (ln Σ e^(z − max z) − (z_o − max z)); ∂L/∂z = weight / batch · (y · Σ target − target).
    Targets are one-hot, or any weights ≥ 0. Needs `model.readout=softmax`.
    """

    weight: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = cross_entropy
    fused: ClassVar[bool] = True
