"""The keys that a sweep varies, and their values: from the text of the command line to numbers and short names."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

SEED = "seed"


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Each key's last part, or the whole key where several end alike."""
    last = {key: key.rpartition(".")[2] for key in keys}
    often = Counter(last.values())
    return {key: part if often[part] == 1 else key for key, part in last.items()}


def without_seed(keys: Iterable[str]) -> list[str]:
    """The keys that make a setting: a setting's runs differ in the seed alone."""
    return [key for key in keys if key != SEED]


def read_values(texts: Sequence[str | None]) -> list[float | int | str | None]:
    """What a key's values mean: numbers where all are numbers, else text without its quotes; None stays None."""
    numbers = [_number(text) for text in texts]
    if all((number is None) == (text is None) for number, text in zip(numbers, texts, strict=True)):
        return [*numbers]
    return [text if text is None else _unquoted(text) for text in texts]


def _number(text: str | None) -> float | int | None:
    """The finite number that a text is; None where it is none."""
    if text is None:
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text
