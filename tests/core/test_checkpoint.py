"""Lanes that go on with others: survivors chosen, survivors of several trainings joined; always the bits of alone."""

from typing import Any

import numpy as np
import pytest

from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.optimizers.sgd import Sgd
from bptt.core.run import TIMED, EarlyStop, Record, Run
from bptt.core.simd import WIDTH
from bptt.core.training import Training, join_checkpoints, select_lanes
from tests.core.comparing import assert_same_record, finished
from tests.core.discovering import components, example
from tests.core.making import Noise, make_model, make_run
from tests.core.pairs import every_pair

BATCHES = {"lanes": 1, "rows": 9}


def make(model: str, optimizer: str, mode: str, lane: int, **changes: Any) -> Run:
    """A lane that has its own seed, its own start and its own hyperparameters."""
    return make_run(
        model=make_model(model, hidden_size=5),
        task=Noise(ragged=True),
        init=Initialisation(Normal(scale=0.3 + 0.05 * lane)),
        optimizer=example(components("optimizers")[optimizer], 0.07 * lane),
        seed=lane * 7 % 5,
        updates=24,
        log_points=6,
        batch_size=BATCHES[mode],
        carry_state=True,
        **changes,
    )


def trained(runs: list[Run], points: int) -> dict[str, Any]:
    training = Training(runs)
    for _ in range(points):
        training.advance()
    return training.checkpoint()


@pytest.mark.parametrize(
    ("model", "optimizer", "mode"), every_pair(("elman", "gru", "lstm"), ("sgd", "adam", "rprop"), BATCHES)
)
def test_chosen_lanes_go_on_as_if_alone(model: str, optimizer: str, mode: str) -> None:
    runs = [make(model, optimizer, mode, lane) for lane in range(2 * WIDTH + 3)]
    kept = [2 * WIDTH + 1, 0, 5, WIDTH, 3]  # of every vector some, and in another order
    alone = [finished([runs[lane]])[0] for lane in kept]
    for points in (0, 1, 3):
        saved = select_lanes(trained(runs, points), kept)
        for record, expected in zip(finished([runs[lane] for lane in kept], saved), alone, strict=True):
            assert_same_record(record, expected)


@pytest.mark.parametrize("mode", BATCHES)
@pytest.mark.parametrize("model", ["elman", "gru", "lstm"])
def test_lanes_of_several_trainings_go_on_together(model: str, mode: str) -> None:
    runs = [make(model, "adam", mode, lane) for lane in range(WIDTH + 6)]
    alone = [finished([run])[0] for run in runs]
    first, second = runs[: WIDTH + 1], runs[WIDTH + 1 :]
    together = join_checkpoints(
        [select_lanes(trained(first, 2), [WIDTH, 1, 4]), trained(second, 2), select_lanes(trained(first, 2), [0])]
    )
    order = [WIDTH, 1, 4, *range(WIDTH + 1, WIDTH + 6), 0]
    training = Training([runs[lane] for lane in order], together)
    assert training.update == alone[0].history["update"][1]
    later = select_lanes(training.checkpoint(), [8, 2])  # chosen once more
    for lane, record in zip([0, 4], finished([runs[0], runs[4]], later), strict=True):
        assert_same_record(record, alone[lane])
    while training.advance() is not None:
        pass
    for lane, record in zip(order, training.records(), strict=True):
        assert_same_record(record, alone[lane])


@pytest.mark.parametrize("mode", BATCHES)
def test_lanes_that_have_ended_stay_what_they_were(mode: str) -> None:
    def lane(alpha: float, threshold: float) -> Run:
        return make_run(
            model=make_model("elman", readout="identity"),
            optimizer=Sgd(alpha=alpha),
            updates=20,
            log_points=6,
            batch_size=BATCHES[mode],
            carry_state=True,
            early_stop=EarlyStop(metric="loss/train", threshold=threshold),
        )

    runs = [lane(0.02, 0.0), lane(1e200, 0.0), lane(0.02, 1e9), lane(0.01, 0.0)]
    alone = [finished([run])[0] for run in runs]
    assert [record.outcome for record in alone] == ["completed", "diverged", "early_stopped", "completed"]
    for points in (1, 2, 4):
        for kept in ([1, 3, 2], [3, 0], [1], [2]):
            records = finished([runs[lane] for lane in kept], select_lanes(trained(runs, points), kept))
            for lane_number, record in zip(kept, records, strict=True):
                assert_same_record(record, alone[lane_number])


def test_the_lanes_bits_do_not_depend_on_what_was_recorded_beside_them() -> None:
    """A lane's part of a checkpoint is the one that it has alone."""
    runs = [make("gru", "momentum", "lanes", lane) for lane in range(WIDTH + 2)]
    among = trained(runs, 3)
    for lane in (0, WIDTH - 1, WIDTH + 1):
        found, expected = select_lanes(among, [lane]), trained([runs[lane]], 3)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            if not name.endswith(tuple(TIMED)):
                np.testing.assert_array_equal(found[name], array, name)


def test_only_what_has_reached_the_same_update_is_joined() -> None:
    runs = [make_run(seed=seed) for seed in range(2)]
    with pytest.raises(ValueError, match="only trainings that have reached the same update can be joined"):
        join_checkpoints([trained(runs, 2), trained(runs, 1)])
    with pytest.raises(ValueError, match="reached the same update"):
        join_checkpoints([trained([make_run(updates=10)], 2), trained([make_run(updates=20)], 2)])


def test_a_record_of_chosen_lanes_is_whole() -> None:
    runs = [make("lstm", "rprop", "rows", lane) for lane in range(3)]
    saved = select_lanes(trained(runs, 4), [2, 0])
    records: list[Record] = Training([runs[2], runs[0]], saved).records()
    for record, run in zip(records, (runs[2], runs[0]), strict=True):
        alone = Training([run], trained([run], 4)).records()[0]
        assert_same_record(record, alone)
        assert len(record.history["update"]) == 4
