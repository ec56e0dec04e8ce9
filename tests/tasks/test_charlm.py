from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats, Sequences

Build = Callable[..., Any]


def read(onehot: Floats, vocabulary: str) -> str:
    assert (onehot.sum(axis=-1) == 1).all()
    assert ((onehot == 0) | (onehot == 1)).all()
    return "".join(vocabulary[int(step.argmax())] for step in onehot)


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "text.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


def test_windows_and_targets_come_from_the_training_part(build: Build, tmp_path: Path) -> None:
    text = "the cat sat on the mat; ätsch!\r\nzzzzqqqqxx"
    task = build("charlm", path=write(tmp_path, text), window=3, held_out=0.25)
    text = text.replace("\r\n", "\n")
    cut = round(0.75 * len(text))
    assert task.vocabulary == "".join(sorted(set(text)))
    assert task.inputs == task.outputs == len(set(text))
    sequences = task.make(np.random.default_rng(0), 2000)
    drawn = {
        read(x, task.vocabulary) + read(y, task.vocabulary)[-1:] for x, y in zip(sequences.x, sequences.y, strict=True)
    }
    assert drawn == {text[i : i + 4] for i in range(cut - 3)}
    assert np.array_equal(sequences.x[:, 1:], sequences.y[:, :-1])


def test_the_evaluation_is_the_held_out_part_window_by_window(build: Build, tmp_path: Path) -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(100))
    rest = text[70:]
    task = build("charlm", path=write(tmp_path, text), window=4, held_out=0.3, eval_size=100)
    sequences = task.evaluation(np.random.default_rng(0))
    assert [read(x, task.vocabulary) for x in sequences.x] == [rest[i : i + 4] for i in range(0, 28, 4)]
    assert [read(y, task.vocabulary) for y in sequences.y] == [rest[i : i + 4] for i in range(1, 29, 4)]
    fewer = build("charlm", path=write(tmp_path, text), window=4, held_out=0.3, eval_size=3)
    kept = [read(x, task.vocabulary) for x in fewer.evaluation(np.random.default_rng(0)).x]
    assert kept == [rest[i : i + 4] for i in (0, 8, 16)]


def test_the_shipped_text(build: Build) -> None:
    text = resources.files("bptt.tasks").joinpath("data", "charlm.txt").read_text(encoding="utf-8")
    task = build("charlm")
    assert 3000 < len(text) < 6000
    assert task.vocabulary == "".join(sorted(set(text)))
    assert set(text[: round(0.9 * len(text))]) == set(text)
    assert task.evaluation(np.random.default_rng(0)).count == (len(text) - round(0.9 * len(text)) - 1) // 25


def test_it_shows_how_the_network_goes_on(build: Build, tmp_path: Path) -> None:
    task = build("charlm", path=write(tmp_path, "abc" * 40), window=3, held_out=0.5)

    def next_letter(sequences: Sequences) -> Floats:
        assert sequences.x.shape == (1, 3, 3)
        return np.roll(sequences.x, 1, axis=2)

    assert task.show(next_letter) == ["given   'abc'", f"goes on '{'abc' * 20}'"]


@pytest.mark.parametrize(
    ("text", "window", "field", "allowed"),
    [
        ("", 2, "path", "a text of at least two different characters"),
        ("aaaaaaaaaa", 2, "path", "a text of at least two different characters"),
        ("abababababababababab", 5, "window", "below 4: a part of the text (task.held_out=0.2) has only 4 characters"),
        (b"ab\nc\xff", 2, "path", "line 2: not UTF-8 (byte 0xff)"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(
    build: Build, tmp_path: Path, text: str | bytes, window: int, field: str, allowed: str
) -> None:
    with pytest.raises(InvalidValue) as raised:
        build("charlm", path=write(tmp_path, text), window=window, held_out=0.2)
    assert (raised.value.field, raised.value.allowed) == (field, allowed)


def test_a_folder_is_no_text(build: Build, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="is a folder"):
        build("charlm", path=str(tmp_path))
