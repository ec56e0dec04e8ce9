"""No regularizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class NoRegularizer:
    """The gradient of the loss alone."""

    kernel: ClassVar[None] = None
    keeps_deltas: ClassVar[bool] = False

    def penalty(self, run: Any, parameters: Mapping[str, Any], held: Any, sequences: Any) -> Any:
        return 0.0
