"""Noiseless memorization (Martens & Sutskever 2011, "Learning Recurrent Neural Networks with Hessian-Free …")."""

from dataclasses import dataclass
from typing import Annotated

from bptt.core.annotations import Range
from bptt.tasks.memory.recall import Recall


@dataclass(frozen=True, kw_only=True)
class Memorization(Recall):
    """Keep symbols in memory through a pause and repeat them, as the program of Pascanu, Mikolov & Bengio (2013) does.

    See `Recall`. Behind the symbols come T blanks, a delimiter, and k − 1 blanks; the first symbol is to be repeated at
    the delimiter. 5 bits are k = 5 of v = 2 values, 20 bits k = 10 of v = 4. Pascanu's program has k = 10 of v = 5.

    length   T
    values   v
    symbols  k
    """

    values: Annotated[int, Range(at_least=2, at_most=10**4)]
    symbols: Annotated[int, Range(at_least=1)]

    @property
    def kinds(self) -> int:
        return self.values

    @property
    def recalled(self) -> int:
        return self.symbols
