"""Types that every task shares."""

from collections.abc import Callable
from typing import Literal

from bptt.core.sequences import Floats, Sequences

#: The read-out that a task's usual loss expects; `conf/model/*.yaml` take it from here unless told otherwise.
Readout = Literal["none", "identity", "sigmoid", "softmax"]

#: A trained network: sequences → output, (N, T, outputs) or (N, outputs) as the targets' shape says.
Predict = Callable[[Sequences], Floats]
