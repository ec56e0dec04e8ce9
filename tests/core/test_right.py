"""How many outputs are right: of many networks at once what a plain statement says of each."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from bptt.core.records.right import (
    Right,
    count_class_sequences,
    count_close,
    count_right_classes,
    count_rounded,
    count_rounded_sequences,
)
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import score_bits, score_classes

NETWORKS, COUNT, TIMESTEPS, OUTPUTS = 5, 13, 4, 3
ERROR = 0.4


def is_class(output: Floats, target: Floats) -> list[bool]:
    return [not np.isnan(output).any() and int(output.argmax()) == int(target.argmax())]


#: Each with how its sequences are counted, if they are, and what it says of the numbers of one timestep.
COUNTS: dict[str, tuple[Callable[..., Right], Callable[..., Right] | None, Callable[[Floats, Floats], Any]]] = {
    "rounded": (count_rounded, count_rounded_sequences, lambda output, target: np.rint(output) == target),
    "close": (partial(count_close, error=ERROR), None, lambda output, target: np.abs(output - target) < ERROR),
    "classes": (count_right_classes, count_class_sequences, is_class),
}


def draw(own: bool, last_only: bool, ragged: bool, all_scored: bool = False, outputs: int = OUTPUTS) -> Any:
    """Outputs near their targets, some of them NaN, and equal ones; sequences of all networks, or one set for all."""
    rng = np.random.default_rng(3)
    before = (NETWORKS,) if own else ()
    shape = (COUNT, outputs) if last_only else (COUNT, TIMESTEPS, outputs)
    y = np.eye(max(outputs, 2))[rng.integers(outputs, size=(*before, *shape[:-1]))][..., :outputs]
    lengths = rng.integers(1, TIMESTEPS + 1, size=(*before, COUNT)) if ragged else None
    scored = None if last_only or all_scored else rng.random((COUNT, TIMESTEPS) if ragged else TIMESTEPS) < 0.7
    output = np.round(y + rng.normal(scale=0.2, size=(NETWORKS, *shape)), 1)
    output[rng.random(output.shape) < 0.03] = np.nan
    output[0, 0] = np.nan
    return output, Sequences(np.zeros((*before, COUNT, TIMESTEPS, 1)), y, lengths, scored)


WAYS = [(True, False, False), (False, False, False), (False, False, True), (False, True, False), (False, True, True)]


@pytest.mark.parametrize("kind", COUNTS)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("last_only", "ragged", "all_scored"), WAYS)
@pytest.mark.parametrize("outputs", [OUTPUTS, 1])
def test_many_networks_at_once(
    kind: str, own: bool, last_only: bool, ragged: bool, all_scored: bool, outputs: int
) -> None:
    count, count_sequences, say = COUNTS[kind]
    output, sequences = draw(own, last_only, ragged, all_scored, outputs)
    found = count(output, sequences)
    every = None if count_sequences is None else count_sequences(output, sequences)
    wholes = []
    for net in range(NETWORKS):
        right = whole = numbers = 0
        for n in range(COUNT):
            all_right = True
            for t in range(1 if last_only else TIMESTEPS):
                place = (n,) if last_only else (n, t)
                if last_only or sequences.full_scored[(net, *place) if own else place]:
                    each = [*say(output[(net, *place)], sequences.y[(net, *place) if own else place])]
                    right, numbers, all_right = right + sum(each), numbers + len(each), all_right and all(each)
            whole += all_right
        assert (found.right[net], found.scored[net]) == (right, numbers)
        alone = Sequences(sequences.x[net], sequences.y[net], *_of(sequences, net)) if own else sequences
        assert count(output[net], alone) == (right, numbers)
        if every is not None and count_sequences is not None:
            assert (every.right[net], every.scored) == (whole, COUNT) == count_sequences(output[net], alone)
        wholes.append(whole)
    assert 0 < found.right.sum() < np.sum(found.scored)
    assert 0 < sum(wholes) < NETWORKS * COUNT


def _of(sequences: Sequences, net: int) -> tuple[Any, Any]:
    return None if sequences.lengths is None else sequences.lengths[net], sequences.scored


@pytest.mark.parametrize("own", [True, False])
def test_more_axes_stand_before_the_networks_too(own: bool) -> None:
    output, sequences = draw(own=own, last_only=False, ragged=True)
    found = count_rounded(np.stack([output, output]), sequences)
    for many, one in zip(found, count_rounded(output, sequences), strict=True):
        assert np.broadcast_to(many, (2, NETWORKS)).tolist() == [one.tolist()] * 2


def test_one_output_is_held_against_the_sets_of_many() -> None:
    output, sequences = draw(own=True, last_only=False, ragged=False)
    each = [
        count_rounded(output[0], Sequences(sequences.x[n], sequences.y[n], None, sequences.scored)).right
        for n in range(NETWORKS)
    ]
    assert count_rounded(output[0], sequences).right.tolist() == each


@pytest.mark.parametrize("last_only", [True, False])
def test_whole_numbers_say_what_is_scored_and_outputs_may_be_of_any_kind(last_only: bool) -> None:
    output, sequences = draw(own=False, last_only=last_only, ragged=False)
    scored = None if sequences.scored is None else sequences.scored.astype(np.int64)
    other = Sequences(sequences.x, sequences.y, None, scored)
    expected = count_rounded(output, sequences).right.tolist()
    assert count_rounded(output, other).right.tolist() == expected
    assert count_rounded(output.tolist(), other).right.tolist() == expected
    assert count_rounded(output[..., ::-1].astype(np.float32)[..., ::-1], other).right.tolist() == expected


@pytest.mark.parametrize("last_only", [True, False])
@pytest.mark.parametrize("axis", [1, 2])
def test_outputs_that_do_not_fit_are_refused_with_both_shapes(last_only: bool, axis: int) -> None:
    output, sequences = draw(own=False, last_only=last_only, ragged=False)
    wide = np.concatenate([output, output], axis=axis)
    says = rf"{re.escape(str(wide.shape))}.*{re.escape(str(sequences.y.shape))}"
    with pytest.raises(ValueError, match=says):
        count_rounded(wide, sequences)
    with pytest.raises(ValueError, match=rf"{re.escape(str(wide[0].shape))}.*{re.escape(str(sequences.y.shape))}"):
        count_rounded(wide[0], sequences)


@pytest.mark.parametrize("score", [score_bits, score_classes])
def test_of_no_sequences_there_is_no_share(score: Callable[..., Any]) -> None:
    output, sequences = draw(own=False, last_only=False, ragged=False)
    none = Sequences(sequences.x[:0], sequences.y[:0], None, sequences.scored)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(score(output[:, :0], none)).all()
