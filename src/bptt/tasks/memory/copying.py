"""The copying-memory task (Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks")."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.tasks.memory.recall import Recall


@dataclass(frozen=True, kw_only=True)
class Copying(Recall):
    """Keep ten symbols of eight kinds in memory and repeat them when asked, see `Recall`.

    Behind the symbols come T − 1 blanks, one delimiter, and 10 blanks, while which the symbols are to be repeated.

    length  T
    """

    kinds: ClassVar[int] = 8
    recalled: ClassVar[int] = 10
    early: ClassVar[int] = 1
