"""Short sentences, happy or sad."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from bptt.core.annotations import InvalidValue
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Predict, Readout, Shares, find_baseline_of, one_hot, score_classes
from bptt.tasks.data_files import read_text

LABELS = ("happy", "sad")
_PARTS = ("training", "test")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, kw_only=True)
class Sentiment:
    """One word arrives per timestep; the target of a sentence is its label, happy or sad.

    A word is one-hot over the vocabulary: the sorted words of both parts of the file. (A word that only test sentences
    hold keeps the weights it began with.) Training: every training sentence once per epoch, in an order drawn anew.
    Evaluation: the test sentences. Accuracy: the share of the sentences whose label has the largest output.

    The file is plain text in UTF-8. Lines that start with # and empty lines are skipped; [training] and [test] start
    the two parts, each of at least one sentence; every other line is "happy: words" or "sad: words". Capitals and
    punctuation don't count; an apostrophe inside a word does. InvalidValue names the first line that is none of these.

    path  the file; None: the shipped one

    x (N, longest sentence, vocabulary), y (N, 2): 1 at the label, happy first.
    """

    outputs: ClassVar[int] = len(LABELS)

    path: str | None
    readout: Readout

    def __post_init__(self) -> None:
        _parse(read_text(self.path, "sentiment.txt"), self.path)

    @property
    def inputs(self) -> int:
        return len(self.vocabulary)

    @property
    def timesteps(self) -> int:
        return max(self._sequences["training"].timesteps, self._sequences["test"].timesteps)

    @cached_property
    def _parts(self) -> dict[str, tuple["Sentence", ...]]:
        return _parse(read_text(self.path, "sentiment.txt"), self.path)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, in the order of the inputs."""
        return tuple(sorted({word for part in self._parts.values() for sentence in part for word in sentence.words}))

    @cached_property
    def _sequences(self) -> dict[str, Sequences]:
        return {name: _encode(part, self.vocabulary) for name, part in self._parts.items()}

    def training(self) -> Pool:
        return Pool(self._sequences["training"], "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._sequences["test"]

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the labels' shares of the test sentences."""
        return find_baseline_of(loss, self._sequences["test"])

    def show(self, predict: Predict) -> list[str]:
        """The accuracy on both parts, and test sentences: all that are wrong, or else the first four."""
        outputs = {name: predict(sequences) for name, sequences in self._sequences.items()}
        lines = [
            f"{self.accuracy(outputs[name], sequences):.1%} of {sequences.count} {name} sentences right"
            for name, sequences in self._sequences.items()
        ]
        told = [
            (LABELS[output.argmax()], sentence)
            for output, sentence in zip(outputs["test"], self._parts["test"], strict=True)
        ]
        wrong = [(label, sentence) for label, sentence in told if label != sentence.label]
        for label, sentence in wrong or told[:4]:
            should = "" if label == sentence.label else f" (should be {sentence.label})"
            lines.append(f"{label}: {' '.join(sentence.words)}{should}")
        return lines


@dataclass(frozen=True)
class Sentence:
    """A line of the file."""

    label: str
    words: tuple[str, ...]


def _encode(sentences: Sequence[Sentence], vocabulary: Sequence[str]) -> Sequences:
    number = {word: i for i, word in enumerate(vocabulary)}
    lengths = np.array([len(sentence.words) for sentence in sentences])
    x = np.zeros((len(sentences), lengths.max(), len(vocabulary)))
    for row, sentence in zip(x, sentences, strict=True):
        row[: len(sentence.words)] = one_hot(np.array([number[word] for word in sentence.words]), len(vocabulary))
    labels = np.array([LABELS.index(sentence.label) for sentence in sentences])
    return Sequences(x, one_hot(labels, len(LABELS)), lengths)


@lru_cache(maxsize=4)  # a sweep builds the same task for every run
def _parse(text: str, path: str | None) -> dict[str, tuple[Sentence, ...]]:
    """The sentences of each part."""
    parts: dict[str, list[Sentence]] = {}
    current: list[Sentence] | None = None
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            if line.startswith("["):
                current = parts.setdefault(_parse_part(line, parts), [])
            elif current is None:
                raise ValueError("a sentence stands before the first part, [training] or [test]")
            else:
                current.append(_parse_sentence(line))
        except ValueError as error:
            raise InvalidValue("path", path, f"line {number}: {error}") from None
    for name in _PARTS:
        if not parts.get(name):
            raise InvalidValue("path", path, f"the part [{name}] has no sentence")
    return {name: tuple(parts[name]) for name in _PARTS}


def _parse_part(line: str, parts: dict[str, list[Sentence]]) -> str:
    name = line.strip("[] ").lower()
    if line != f"[{line[1:-1]}]" or name not in _PARTS:
        near = get_close_matches(name, _PARTS, 1)
        raise ValueError(
            f"{line!r} is no part" + (f"; did you mean [{near[0]}]?" if near else ", [training] or [test]")
        )
    if name in parts:
        raise ValueError(f"the part [{name}] stands twice")
    return name


def _parse_sentence(line: str) -> Sentence:
    label, colon, rest = line.partition(":")
    label = label.strip().lower()
    if not colon:
        raise ValueError(f"{line!r} has no label; a line is 'happy: words' or 'sad: words'")
    if label not in LABELS:
        raise ValueError(f"the label {label!r} is neither happy nor sad")
    words = _WORD.findall(rest.lower().replace("’", "'"))
    if not words:
        raise ValueError(f"no word follows {label!r}")
    return Sentence(label, tuple(words))
