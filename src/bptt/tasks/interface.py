"""Types that every task shares."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats, Sequences

#: The read-out that a task's usual loss expects; `conf/model/*.yaml` take it from here unless told otherwise.
Readout = Literal["none", "identity", "sigmoid", "softmax"]

#: A trained network: sequences → output, (N, T, outputs) or (N, outputs) as the targets' shape says.
Predict = Callable[[Sequences], Floats]

#: What a task's `accuracy` gives: the share that is right, or an array of the shares of several networks.
Shares = NDArray[np.float64] | np.float64
