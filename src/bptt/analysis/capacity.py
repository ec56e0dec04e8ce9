"""How much networks have stored of random labels, which nothing but memory can give: in bits, and for each parameter.

J. Collins, J. Sohl-Dickstein, D. Sussillo, "Capacity and Trainability in Recurrent Neural Networks", ICLR 2017.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.tables import ACCURACY
from bptt.core.sequences import Floats

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

#: Before the name of each column.
STORED: Final = "stored/"
_TASK: Final = "bptt.tasks.sets.random_labels.RandomLabels"
_PATTERNS: Final = "task.patterns"


def count_stored_bits(patterns: Any, right: Any) -> Floats:
    """What a network tells of n fair labels, a share q of which it has right: n (1 + q log₂ q + (1 − q) log₂(1 − q)).

    The mutual information of n fair bits and answers of which each is right with probability q: all n bits at q = 1,
    none at ½. Collins et al. take the number of labels with which it is largest. NaN of NaN.
    """
    counts, shares = np.broadcast_arrays(np.asarray(patterns, np.float64), np.asarray(right, np.float64))
    unsure = np.zeros(shares.shape)
    for share in (shares, 1.0 - shares):
        known = np.where(share > 0.0, share, 1.0)  # 0 log 0 = 0
        unsure = unsure - known * np.log2(known)
    return np.where(np.isnan(shares), np.nan, counts * (1.0 - unsure))


def measure_capacity(sweep: "Sweep") -> "pd.DataFrame":
    """A row for each of a sweep's runs: run, and, where its task is to learn random labels by heart,

    stored/bits           that its last network has stored, see `count_stored_bits`
    stored/per_parameter  the same for each of its parameters
    stored/most           `stored/per_parameter` of the run that has stored most among those that differ in
                          task.patterns alone, its capacity; of the others nothing
    """
    runs = sweep.runs
    tasks = [sweep.configs[int(run)]["task"] for run in runs["run"]]
    patterns = [task["patterns"] if task.get("_target_") == _TASK else np.nan for task in tasks]
    records = [sweep.record(int(run)) for run in runs["run"]]
    parameters = [
        np.nan if one is None else float(sum(np.size(array) for array in one.parameters.values())) for one in records
    ]
    right = runs[ACCURACY].where(runs["outcome"].notna()) if ACCURACY in runs else np.full(len(runs), np.nan)
    table = runs[["run"]].assign(**{f"{STORED}bits": count_stored_bits(patterns, right)})
    each = table[f"{STORED}per_parameter"] = table[f"{STORED}bits"] / parameters
    same = [key for key in sweep.swept if key in runs and key != _PATTERNS]
    groups = [runs[key] for key in same] if same else [runs["run"] * 0]
    most = each.groupby(groups, dropna=False).rank(method="first", ascending=False).eq(1)
    return table.assign(**{f"{STORED}most": each.where(most)})
