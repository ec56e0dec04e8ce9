"""How many outputs are right: of many networks at once what a plain statement says of each."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from bptt.core.records.right import Right, count_classes_right, count_close, count_rounded
from bptt.core.sequences import Floats, Sequences

NETWORKS, COUNT, TIMESTEPS, OUTPUTS = 5, 7, 6, 3
ERROR = 0.3


def is_class(output: Floats, target: Floats) -> list[bool]:
    return [not np.isnan(output).any() and int(output.argmax()) == int(target.argmax())]


#: Each with what it says of the numbers of one timestep.
COUNTS: dict[str, tuple[Callable[..., Right], Callable[[Floats, Floats], Any]]] = {
    "rounded": (count_rounded, lambda output, target: np.rint(output) == target),
    "close": (partial(count_close, error=ERROR), lambda output, target: np.abs(output - target) < ERROR),
    "classes": (count_classes_right, is_class),
}


def draw(own: bool, last_only: bool, ragged: bool, all_scored: bool = False) -> tuple[Floats, Sequences]:
    """Outputs near their targets, some of them NaN, and equal ones; sequences of all networks, or one set for all."""
    rng = np.random.default_rng(3)
    before = (NETWORKS,) if own else ()
    shape = (COUNT, OUTPUTS) if last_only else (COUNT, TIMESTEPS, OUTPUTS)
    y = np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=(*before, *shape[:-1]))]
    lengths = rng.integers(1, TIMESTEPS + 1, size=(*before, COUNT)) if ragged else None
    scored = None if last_only or all_scored else rng.random((COUNT, TIMESTEPS) if ragged else TIMESTEPS) < 0.7
    output = np.round(y + rng.normal(scale=0.4, size=(NETWORKS, *shape)), 1)
    output[rng.random(output.shape) < 0.05] = np.nan
    return output, Sequences(np.zeros((*before, COUNT, TIMESTEPS, 1)), y, lengths, scored)


@pytest.mark.parametrize("kind", COUNTS)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("last_only", "ragged", "all_scored"),
    [(True, False, False), (False, False, False), (False, False, True), (False, True, False), (False, True, True)],
)
def test_many_networks_at_once(kind: str, own: bool, last_only: bool, ragged: bool, all_scored: bool) -> None:
    count, say = COUNTS[kind]
    output, sequences = draw(own, last_only, ragged, all_scored)
    found = count(output, sequences)
    some = 0
    for net in range(NETWORKS):
        right = whole = places = 0
        for n in range(COUNT):
            all_right = True
            for t in range(1 if last_only else TIMESTEPS):
                place = (n,) if last_only else (n, t)
                if last_only or sequences.full_scored[(net, *place) if own else place]:
                    truth = sequences.y[(net, *place) if own else place]
                    each = list(say(output[(net, *place)], truth))
                    right, places = right + sum(each), places + 1
                    all_right = all_right and all(each)
            whole += all_right
        assert (found.right[net], found.sequences[net], found.scored[net]) == (right, whole, places)
        alone = sequences if not own else Sequences(sequences.x[net], sequences.y[net], *_of(sequences, net))
        assert count(output[net], alone) == (right, whole, places)
        some += right
    assert 0 < some < found.scored.sum() * OUTPUTS


def _of(sequences: Sequences, net: int) -> tuple[Any, Any]:
    return None if sequences.lengths is None else sequences.lengths[net], sequences.scored


def test_more_axes_stand_before_the_networks_too() -> None:
    output, sequences = draw(own=False, last_only=False, ragged=True)
    found = count_rounded(np.stack([output, output[::-1]]), sequences)
    once = count_rounded(output, sequences)
    for many, one in zip(found, once, strict=True):
        assert many.tolist() == [one.tolist(), one[::-1].tolist()]


def test_outputs_of_other_networks_than_the_sequences_are_refused() -> None:
    output, sequences = draw(own=True, last_only=True, ragged=False)
    with pytest.raises(ValueError, match=r"^outputs of shape \(2, 7, 3\) for targets of shape \(5, 7, 3\)$"):
        count_rounded(output[:2], sequences)
