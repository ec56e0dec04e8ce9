from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats, Sequences

Build = Callable[..., Any]

OWN = """\ufeff# mine
[training]
happy: Good, very good!
sad:   not   Good

[Test]
SAD: it isn’t good
"""


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "sentences.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


def words(sequences: Sequences, vocabulary: tuple[str, ...]) -> list[list[str]]:
    return [
        [vocabulary[int(step.argmax())] for step in row[:length]]
        for row, length in zip(sequences.x, sequences.full_lengths, strict=True)
    ]


def test_a_file_becomes_one_hot_words_and_labels(build: Build, tmp_path: Path) -> None:
    task = build("sentiment", path=write(tmp_path, OWN))
    training, test = task.training().sequences, task.evaluation(np.random.default_rng(0))
    assert task.vocabulary == ("good", "isn't", "it", "not", "very")
    assert (task.inputs, task.outputs, task.timesteps) == (5, 2, 3)
    assert words(training, task.vocabulary) == [["good", "very", "good"], ["not", "good"]]
    assert words(test, task.vocabulary) == [["it", "isn't", "good"]]
    assert training.x.sum(axis=2).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert training.y.tolist() == [[1, 0], [0, 1]]
    assert test.y.tolist() == [[0, 1]]
    assert training.full_lengths.tolist() == [3, 2]


def test_lines_may_end_as_on_other_systems(build: Build, tmp_path: Path) -> None:
    task = build("sentiment", path=write(tmp_path, OWN.replace("\n", "\r\n")))
    assert task.vocabulary == ("good", "isn't", "it", "not", "very")


def test_the_shipped_sentences(build: Build) -> None:
    task = build("sentiment")
    training, test = task.training().sequences, task.evaluation(np.random.default_rng(0))
    assert (training.count, test.count) == (60, 20)
    assert training.y.mean(axis=0).tolist() == test.y.mean(axis=0).tolist() == [0.5, 0.5]
    trained, tested = ({tuple(row) for row in words(sequences, task.vocabulary)} for sequences in (training, test))
    assert len(trained) == 60
    assert len(tested) == 20
    assert not trained & tested
    assert {word for row in tested for word in row} <= {word for row in trained for word in row}
    assert ("this", "is", "not", "bad", "at", "all", "today") in tested
    assert ("i", "was", "very", "sad", "before") in tested


def test_every_sentence_trains_once_per_epoch(build: Build) -> None:
    epochs = build("sentiment").training().page(np.random.SeedSequence(0), 0, 1).rows[:120].reshape(2, 60)
    assert (np.sort(epochs) == np.arange(60)).all()
    assert (epochs[0] != epochs[1]).any()


def test_it_shows_both_accuracies_and_what_is_wrong(build: Build, tmp_path: Path) -> None:
    def happy(sequences: Sequences) -> Floats:
        return np.tile([0.7, 0.3], (sequences.count, 1))

    task = build("sentiment", path=write(tmp_path, OWN))
    assert task.show(happy) == [
        "50.0% of 2 training sentences right",
        "0.0% of 1 test sentences right",
        "happy: it isn't good (should be sad)",
    ]
    assert task.show(lambda sequences: sequences.y) == [
        "100.0% of 2 training sentences right",
        "100.0% of 1 test sentences right",
        "sad: it isn't good",
    ]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("happy: good\n[training]\n", "line 1: a sentence stands before the first part, [training] or [test]"),
        ("[training]\n\ngood day\n", "line 3: 'good day' has no label; a line is 'happy: words' or 'sad: words'"),
        ("[training]\nhapy: good\n", "line 2: the label 'hapy' is neither happy nor sad"),
        ("[training]\nhappy: ...\n", "line 2: no word follows 'happy'"),
        ("[trainin]\n", "line 1: '[trainin]' is no part; did you mean [training]?"),
        ("[training\n", "line 1: '[training' is no part; did you mean [training]?"),
        ("[extra]\n", "line 1: '[extra]' is no part, [training] or [test]"),
        ("[training]\nsad: bad\n[test]\nsad: bad\n[training]\n", "line 5: the part [training] stands twice"),
        ("[training]\nhappy: good\n[test]\n# none\n", "the part [test] has no sentence"),
        ("[test]\nhappy: good\n", "the part [training] has no sentence"),
        ("", "the part [training] has no sentence"),
        (b"[training]\nhappy: good\nsad: b\xe4d\n", "line 3: not UTF-8 (byte 0xe4)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    build: Build, tmp_path: Path, text: str | bytes, allowed: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InvalidValue) as raised:
        build("sentiment", path=path)
    assert (raised.value.field, raised.value.value, raised.value.allowed) == ("path", path, allowed)


@pytest.mark.parametrize(("missing", "says"), [("nowhere.txt", "no such file"), ("", "is a folder")])
def test_a_missing_file_is_said(build: Build, missing: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        build("sentiment", path=missing)
