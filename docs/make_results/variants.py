"""The cells and starts of the study of long dependencies, as their sweeps tell them apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from docs.make_results.tables import Share, Tables, UnsupportedError

LENGTH: Final = "task.length"


@dataclass(frozen=True)
class Variant:
    """A cell with a start.

    where  the values of swept keys that it has, see `Tables.rows`
    """

    name: str
    where: Mapping[str, object]

    def solved(self, tables: Tables, length: float, clip: str) -> Share:
        """How many of its runs solved the task, on the test set too."""
        return tables.confirmed(task__length=length, clip=clip, **self.where)

    def has(self, tables: Tables, clip: str) -> bool:
        """Whether it was trained with this choice of clipping."""
        return bool(tables.rows(tables.settings, self.where)["clip"].eq(clip).any())

    def lengths(self, tables: Tables) -> list[float]:
        """Those over which it was trained."""
        return sorted(float(length) for length in tables.rows(tables.settings, self.where)[LENGTH].unique())


VARIANTS: Final[Mapping[str, tuple[Variant, ...]]] = {
    "length_temporal_order": (
        Variant("sigmoid, N(0, 0.01²)", {"model__activation": "sigmoid"}),
        Variant("tanh, N(0, 0.1²)", {"model__activation": "tanh", "init__recurrent": None}),
        Variant("tanh, orthogonal · 0.95", {"init__recurrent": "{name:orthogonal,scale:0.95}"}),
        Variant("GRU, Glorot", {"model": "gru"}),
        Variant("LSTM, Glorot", {"model": "lstm", "init__gate_bias__forget": None}),
        Variant("LSTM, forget bias 4", {"init__gate_bias__forget": 4}),
    ),
    "length_adding": (
        Variant("tanh, Glorot", {"init": "glorot", "model": "elman"}),
        Variant("tanh, orthogonal", {"init": "orthogonal"}),
        Variant("ReLU, identity (IRNN)", {"init": "identity"}),
        Variant("GRU, Glorot", {"model": "gru"}),
        Variant("LSTM, Glorot", {"model": "lstm", "init__gate_bias__forget": None}),
        Variant("LSTM, forget bias 4", {"init__gate_bias__forget": 4}),
    ),
    "length_copying": (
        Variant("linear, orthogonal", {"init": "orthogonal", "model": "linear"}),
        Variant("linear, Glorot", {"init": "glorot", "model": "linear"}),
        Variant("tanh, orthogonal", {"model": "elman"}),
        Variant("GRU, Glorot", {"model": "gru"}),
        Variant("LSTM, Glorot", {"model": "lstm"}),
    ),
}


def find_longest(tables: Tables, variant: Variant, clip: str) -> float | None:
    """The largest length over which more than half of a variant's runs solved the task; None: none."""
    reached = [
        length for length in variant.lengths(tables) if variant.solved(tables, length, clip).interval.value > 0.5
    ]
    return max(reached, default=None)


def find_reach(tables: Tables, variant: Variant, clip: str) -> str:
    """The same in words."""
    longest = find_longest(tables, variant, clip)
    return "none of the lengths" if longest is None else f"{longest:g} timesteps"


def pool(tables: Tables, variants: list[Variant], clip: str, length: float | None = None) -> Share:
    """The solved runs of several variants, of one length or of all."""
    shares = [
        variant.solved(tables, each, clip)
        for variant in variants
        for each in variant.lengths(tables)
        if length is None or each == length
    ]
    if not shares:
        raise UnsupportedError(f"{tables.name}: no runs over {length} timesteps")
    return sum(shares[1:], shares[0])
