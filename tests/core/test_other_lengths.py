"""A run is seen on sequences of other lengths when it has ended."""

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.core.evaluation import predict
from bptt.core.random import make_generator
from bptt.core.run import Run, seed_of
from bptt.core.training import Training, train

SMALL = ["task=parity", "task.length=6", "task.eval_size=40", "task.test_size=20", "model.hidden_size=3"]
BRIEF = ["train.updates=8", "train.log_points=2", "train.batch_size=2"]


def make_run(seed: int, *overrides: str) -> Run:
    return check_configuration(compose([*SMALL, *BRIEF, *overrides, f"seed={seed}"])).run


def test_each_length_has_a_set_of_its_own_that_the_last_network_is_seen_on() -> None:
    run = make_run(3, "task.eval_lengths=[9,4]")
    (record,) = train([run])
    for length in (9, 4):
        sequences = run.task.at_length(length, make_generator(seed_of(run, 6), length))  # type: ignore[attr-defined]
        assert sequences.x.shape == (40, length, 1)
        output = predict(run, record.parameters, sequences)
        assert record.once[f"accuracy/eval_{length}"] == run.task.accuracy(output, sequences)
        cross = -(sequences.y * np.log(output) + (1 - sequences.y) * np.log(1 - output)).sum(axis=(1, 2)).mean()
        assert record.once[f"loss/eval_{length}"] == pytest.approx(cross, rel=1e-12)


def test_other_lengths_change_nothing_else_and_are_the_same_among_others_and_resumed() -> None:
    runs = [make_run(seed, "task.eval_lengths=[9]") for seed in range(5)]
    (without,) = train([make_run(2)])
    together, (alone,) = train(runs), train([runs[2]])
    for record in (together[2], alone):
        assert {name: value for name, value in record.once.items() if "eval_9" not in name} == without.once
        assert all(np.array_equal(record.parameters[name], array) for name, array in without.parameters.items())
    assert together[2].once == alone.once
    begun = Training(runs)
    begun.advance()
    resumed = Training(runs, begun.checkpoint())
    while resumed.advance() is not None:
        pass
    assert [record.once for record in resumed.records()] == [record.once for record in together]


@pytest.mark.parametrize("wrong", ["[9,9]", "[0]", "9"])
def test_lengths_that_are_none_are_refused_in_a_line(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"task\.eval_lengths="):
        make_run(0, f"task.eval_lengths={wrong}")
