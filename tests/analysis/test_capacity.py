"""How many bits of random labels networks have stored, and which number of labels shows their capacity."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.capacity import count_stored_bits, measure_capacity

LABELS = "bptt.tasks.sets.random_labels.RandomLabels"


def test_bits_are_the_information_that_answers_have_of_labels() -> None:
    """Beside the mutual information of the joint distribution of a fair bit and its answer, summed term by term."""
    for right in (0.5, 0.6, 0.75, 0.9, 0.999):
        joint = np.array([[right, 1 - right], [1 - right, right]]) / 2
        information = (joint * np.log2(joint / np.outer(joint.sum(axis=1), joint.sum(axis=0)))).sum()
        assert count_stored_bits(300, right) == pytest.approx(300 * information, abs=1e-9)


def test_all_labels_right_are_all_bits_and_half_of_them_none() -> None:
    assert count_stored_bits([10, 10, 10, 10], [1.0, 0.0, 0.5, np.nan]).tolist()[:3] == [10.0, 10.0, 0.0]
    assert np.isnan(count_stored_bits(10, np.nan))
    assert count_stored_bits(1000, 0.89) == pytest.approx(500.084, abs=1e-3)  # H(0.11) = 0.4999


def plant(targets: str = LABELS) -> Any:
    """Two cells, of 40 and of 80 parameters, over two numbers of labels, with two seeds; one run has not ended."""
    runs = pd.DataFrame(
        {
            "run": range(8),
            "model": ["elman"] * 4 + ["gru"] * 4,
            "task.patterns": [100, 100, 200, 200] * 2,
            "seed": [0, 1] * 4,
            "outcome": ["completed"] * 7 + [None],
            "accuracy/eval": [1.0, 0.9, 0.75, 0.9, 0.5, 1.0, 0.9, 1.0],
        }
    )
    sizes = [40] * 4 + [80] * 4
    return SimpleNamespace(
        runs=runs,
        swept=["model", "task.patterns", "seed"],
        configs={run: {"task": {"_target_": targets, "patterns": runs["task.patterns"][run]}} for run in runs["run"]},
        record=lambda run: SimpleNamespace(parameters={"cell": np.zeros((sizes[run] - 10, 1)), "bias": np.zeros(10)}),
    )


def test_capacity_is_of_the_number_of_labels_with_which_a_seed_stores_most() -> None:
    table = measure_capacity(plant())
    assert table["stored/bits"].tolist()[:2] == pytest.approx([100.0, 100 * 0.5310044])
    assert table["stored/per_parameter"].tolist()[:4] == pytest.approx([2.5, 1.327511, 0.943609, 2.655022], abs=1e-6)
    assert table["stored/most"].notna().tolist() == [True, False, False, True, False, True, True, False]
    assert table["stored/most"][5] == pytest.approx(100 / 80)
    assert np.isnan(table["stored/bits"][7])


def test_other_tasks_store_nothing_that_could_be_counted() -> None:
    table = measure_capacity(plant("bptt.tasks.languages.xor.Xor"))
    assert table.drop(columns="run").isna().all(axis=None)
