import numpy as np

from bptt.core.sequences import Sequences
from bptt.tasks.accuracy import score_bits, score_classes, score_close, score_sequences

NAN = float("nan")


def every_timestep(
    y: list[list[list[float]]], lengths: list[int] | None = None, scored: list[bool] | None = None
) -> Sequences:
    targets = np.array(y)
    return Sequences(
        np.zeros((*targets.shape[:2], 1)),
        targets,
        None if lengths is None else np.array(lengths),
        None if scored is None else np.array(scored),
    )


def test_bits_count_one_by_one_where_they_are_scored() -> None:
    sequences = every_timestep([[[1], [0], [1]], [[0], [1], [1]]], lengths=[3, 2], scored=[False, True, True])
    output = np.array([[[0.0], [0.4], [0.4]], [[0.9], [0.6], [0.0]]])
    # Scored: (0, 1) right, (0, 2) wrong, (1, 1) right; the first of each isn't scored, (1, 2) is behind the end.
    assert score_bits(output, sequences) == 2 / 3


def test_a_number_far_from_a_bit_is_not_that_bit() -> None:
    assert score_bits(np.array([[[1.6], [-0.6], [1.4], [-0.4]]]), every_timestep([[[1], [0], [1], [0]]])) == 0.5


def test_a_sequence_is_right_when_all_that_is_scored_of_it_is() -> None:
    sequences = every_timestep([[[1], [0], [1]], [[0], [1], [1]]], lengths=[3, 2], scored=[False, True, True])
    output = np.array([[[0.0], [0.4], [0.4]], [[0.9], [0.6], [0.0]]])
    assert score_sequences(output, sequences) == 0.5


def test_the_last_timestep_s_target_alone_decides_where_there_is_no_other() -> None:
    sequences = Sequences(np.zeros((4, 3, 1)), np.array([[5.0], [3.0], [2.0], [1.0]]))
    output = np.array([[4.6], [3.6], [2.49], [NAN]])
    assert score_sequences(output, sequences) == score_bits(output, sequences) == 0.5


def test_the_largest_output_is_the_class() -> None:
    sequences = Sequences(np.zeros((4, 3, 1)), np.array([[1.0, 0], [0, 1], [1, 0], [1, 0]]))
    output = np.array([[0.6, 0.4], [0.6, 0.4], [0.5, 0.5], [NAN, NAN]])
    assert score_classes(output, sequences) == 0.5


def test_classes_count_where_they_are_scored() -> None:
    sequences = every_timestep([[[1, 0], [0, 1], [1, 0]]], scored=[True, True, False])
    assert score_classes(np.array([[[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]]), sequences) == 0.5


def test_close_is_less_than_the_error_away() -> None:
    sequences = Sequences(np.zeros((4, 3, 1)), np.zeros((4, 1)))
    assert score_close(np.array([[0.039], [-0.039], [0.04], [NAN]]), sequences, 0.04) == 0.5
