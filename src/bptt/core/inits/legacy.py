"""Parameters as programs draw them that begin with `np.random.seed`."""

from dataclasses import dataclass
from typing import Annotated

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.random import Generator, make_legacy
from bptt.core.sequences import Floats

_MOST_DRAWN = 10_000_000  # numbers, 80 MB: all that stand before a place are drawn


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """θ = scale · (2u − 1), biases too, with u of NumPy's legacy generator: `2*np.random.random(shape) - 1`.

    The generator starts from the run's own seed, `np.random.seed(seed)`, and a program's blocks are drawn from it one
    after another, in the program's order.

    place  how many numbers the program has drawn before this block; None: as many as stand before it in the flat row,
           so that no two blocks share any
    """

    scale: Annotated[PerLane, Range(at_least=0)]
    place: Annotated[int, Range(at_least=0, at_most=_MOST_DRAWN)] | None = None

    def values(self, rng: Generator, block: Parameter) -> Floats:
        first = block.first if self.place is None else self.place
        shares = make_legacy(rng.seed).random_sample(first + block.size)[first:]
        values: Floats = self.scale * (2.0 * shares - 1.0)
        return values.reshape(block.shape)
